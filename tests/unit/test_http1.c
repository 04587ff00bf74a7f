/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf/http1.h in user space. A table of conversations says what is met in them; then the same
 * conversations are cut into segments in every way that a network might, down to single bytes, and
 * what is met must stay the same. Random bytes must not get it out of its window.
 */
#include "tests/unit/unit.h"

#include "tests/unit/machine.h"

struct h1_dir;
struct h1_rules;
static void h1_on_host(void *ctx, const struct h1_dir *d);
static struct h1_rules rules;

#define H1_SUBPROGRAM static
#define H1_RULES      (&rules)

#include "bpf/http1.h"

/* What was met, as text: one word for each thing. */
struct seen {
	char text[4096], host[128];
	size_t len;
};

static void note(struct seen *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(struct seen *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(s->text + s->len, sizeof(s->text) - s->len, fmt, ap);

	va_end(ap);
	if (n > 0 && s->len + (size_t)n < sizeof(s->text))
		s->len += (size_t)n;
}

static void h1_on_host(void *ctx, const struct h1_dir *d)
{
	struct seen *s = ctx;

	(void)snprintf(s->host, sizeof(s->host), "host=%.*s ", (int)d->host_len,
	               (const char *)d->window + d->host_at);
}

static void note_met(struct seen *s, const struct h1_dir *d, uint32_t met, bool is_response)
{
	if (met & H1_MET_BEGIN)
		note(s, "begin ");
	if (met & H1_MET_HEAD)
		assert_true(s->host[0] == '\0' || d->host != 0);
	if ((met & (H1_MET_HEAD | H1_MET_INTERIM)) && is_response)
		note(s, "%u ", d->status);
	else if (met & H1_MET_HEAD)
		note(s, "%s%s%s%s ", s->host, d->flags & H1_IS_HEAD ? "HEAD" : "head",
		     d->flags & H1_IS_CONNECT ? "-connect" : "",
		     d->flags & H1_IS_CHECK ? "-check" : "");
	if (met & H1_MET_HEAD)
		s->host[0] = '\0';
	if (met & H1_MET_TUNNEL)
		note(s, "tunnel ");
	if (met & H1_MET_END)
		note(s, "end ");
	if (met & H1_MET_BAD)
		note(s, "bad ");
}

/* @answers: flags of the requests in order, one character each: H = HEAD, C = CONNECT. */
static void feed(struct h1_dir *d, struct seg *s, const char **answers, bool is_response,
                 struct seen *out)
{
	for (;;) {
		uint32_t as = !is_response       ? 0
		              : **answers == 'H' ? H1_RESPONSE | H1_IS_HEAD
		              : **answers == 'C' ? H1_RESPONSE | H1_IS_CONNECT
		                                 : H1_RESPONSE;
		uint32_t met = h1_step(d, s, as, out);

		note_met(out, d, met, is_response);
		if ((met & H1_MET_HEAD) && **answers)
			(*answers)++;
		if (met & H1_MET_BAD)
			d->phase = H1_LOST;
		if (met & H1_MORE)
			return;
	}
}

/* Feeds the whole text in segments of the given sizes, repeated; 0 ends the list. */
static void converse(struct str text, const uint32_t *sizes, const char *answers, bool is_response,
                     uint32_t first, struct seen *out)
{
	struct h1_dir *d = calloc(1, sizeof(*d));
	size_t at = 0, i = 0;

	*out = (struct seen){ .len = 0 };
	d->next = first;
	while (at < text.len) {
		uint32_t n = sizes[i] ? sizes[i] : sizes[i = 0];

		i++;
		if (n > text.len - at)
			n = (uint32_t)(text.len - at);
		unsigned char *copy = unit_memdup(text.p + at, n);
		struct seg s = { copy, first + (uint32_t)at, n };

		feed(d, &s, &answers, is_response, out);
		free(copy);
		at += n;
	}
	free(d);
}

static const struct {
	const char *what;
	bool is_response;
	const char *answers, *text, *met;
} conversations[] = {
	/* clang-format off */
	{ "one request", false, "", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	  "begin host=a.example head end " },
	{ "line feeds alone", false, "", "GET / HTTP/1.0\nHost:b\n\n", "begin host=b head end " },
	{ "empty lines before it", false, "", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "begin head end " },
	{ "pipelined", false, "", "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n",
	  "begin head end begin HEAD end begin head end " },
	{ "a body that looks like a request", false, "",
	  "POST / HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET / HTTP/1.1\r\nHost: x\nGET / HTTP/1.1\r\n\r\n",
	  "begin head end begin head end " },
	{ "chunks", false, "",
	  "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0A;x=y\r\n0123456789\r\n0\r\n"
	  "Trailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", "begin head end begin head end " },
	{ "CONNECT", false, "", "CONNECT a:443 HTTP/1.1\r\n\r\n", "begin head-connect end " },
	{ "health checks", false, "",
	  "GET /health HTTP/1.1\r\n\r\nGET /health?x HTTP/1.1\r\n\r\nGET /healthy HTTP/1.1\r\n\r\n"
	  "GET / HTTP/1.1\r\nUser-Agent: Consul Health Check\r\n\r\nGET / HTTP/1.1\r\nuser-agent: curl\r\n\r\n",
	  "begin head-check end begin head-check end begin head end begin head-check end begin head end " },
	{ "no request", false, "", "hello\r\nGET / HTTP/1.1\r\n\r\n", "begin bad " },
	{ "lower case", false, "", "get / HTTP/1.1\r\n\r\n", "begin bad " },
	{ "a length of nonsense", false, "", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "begin head end " },
	{ "a length of twenty digits", false, "", "POST / HTTP/1.1\r\nContent-Length: 12345678901234567890\r\n\r\n",
	  "begin head end " },
	{ "chunk without a size", false, "", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	  "begin head bad " },

	{ "answers", true, "", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 Not\r\nContent-Length: 0\r\n\r\n",
	  "begin 200 end begin 404 end " },
	{ "answers to HEAD", true, "HH.", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n"
	  "Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
	  "begin 200 end begin 200 end begin 200 end " },
	{ "interim", true, "", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
	  "HTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", "begin 100 begin 103 begin 201 end " },
	{ "no content", true, "", "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
	  "begin 204 end begin 304 end " },
	{ "until it closes", true, "", "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nHTTP/1.1 500 fake\r\n\r\n", "begin 200 " },
	{ "a switch of protocols", true, "", "HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	  "begin 101 tunnel " },
	{ "CONNECT answered", true, "C", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500\r\n\r\n", "begin 200 tunnel " },
	{ "CONNECT refused", true, "C", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "begin 403 end " },
	{ "chunks of answers", true, "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
	  "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", "begin 200 end begin 500 end " },
	{ "chunked before a length", true, "", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  "begin 200 end " },
	{ "no answer", true, "", "SSH-2.0-x\r\n", "begin bad " },
	{ "no status", true, "", "HTTP/1.1 abc\r\n\r\n", "begin bad " },
	/* clang-format on */
};

static void set_rule(struct h1_rule *r, const char *text)
{
	memset(r, 0, sizeof(*r));
	r->len = (uint32_t)strlen(text);
	memcpy(r->text, text, r->len);
	memset(r->mask, 0xff, r->len);
}

static void test_conversations(void **state)
{
	static const uint32_t whole[] = { 1 << 20, 0 };
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(conversations); i++) {
		unit_note("%s", conversations[i].what);
		converse(str_from(conversations[i].text), whole, conversations[i].answers,
		         conversations[i].is_response, 1, &seen);
		assert_string_equal(conversations[i].met, seen.text);
	}
}

/* Every size, and positions that run over 2^32. */
static void test_any_segments(void **state)
{
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(conversations); i++) {
		unit_note("%s", conversations[i].what);
		for (uint32_t n = 1; n < 80; n++) {
			const uint32_t sizes[] = { n, 1, 80 - n, 0 };

			converse(str_from(conversations[i].text), sizes, conversations[i].answers,
			         conversations[i].is_response, UINT32_MAX - 20, &seen);
			assert_string_equal(conversations[i].met, seen.text);
		}
	}
}

/* Heads of any length, lines of any length, between lines that count. */
static void test_long_heads(void **state)
{
	static const uint32_t sizes[][4] = {
		{ 1 << 20, 0 }, { 1448, 0 }, { 333, 77, 0 }, { 1, 0 }
	};
	static char filler[4096], text[16384];
	struct rng rng = unit_rng();
	struct seen seen;

	(void)state;
	memset(filler, 'x', sizeof(filler));
	for (int round = 0; round < 300; round++) {
		int n = 0, lines = (int)rng_below(&rng, 6);

		n += snprintf(text + n, sizeof(text) - (size_t)n, "POST /%.*s HTTP/1.1\r\n",
		              (int)rng_below(&rng, 600), filler);
		for (int i = 0; i < lines; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "Cookie: %.*s\r\n",
			              (int)rng_below(&rng, 1200), filler);
		n += snprintf(
			text + n, sizeof(text) - (size_t)n,
			"Host: long.example\r\nContent-Length: 10\r\nX: %.*s\r\n\r\n0123456789"
			"GET / HTTP/1.1\r\n\r\n",
			(int)rng_below(&rng, 400), filler);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			converse((struct str){ text, (size_t)n }, sizes[i], "", false, 7, &seen);
			assert_string_equal("begin host=long.example head end begin head end ",
			                    seen.text);
		}
	}
}

/* A body of many gigabytes costs nothing and ends where it should. */
static void test_huge_body(void **state)
{
	const struct str head = STR("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n");
	const char *answers = "";
	struct h1_dir *d = calloc(1, sizeof(*d));
	struct seen seen = { .len = 0 };
	uint64_t sent = 0, segment = 64000;
	struct seg s = { (const unsigned char *)head.p, 0, (unsigned)head.len };

	(void)state;
	feed(d, &s, &answers, true, &seen);
	s.seq += s.len;
	s.p = NULL; /* not one byte of it is looked at */
	while (sent < 10000000000) {
		assert_string_equal("begin 200 ", seen.text);
		s.len = (unsigned)(10000000000 - sent < segment ? 10000000000 - sent : segment);
		feed(d, &s, &answers, true, &seen);
		s.seq += s.len;
		sent += s.len;
	}
	assert_string_equal("begin 200 end ", seen.text);
	free(d);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} rows[] = {
		{ "0\r", 0 },
		{ "7\r", 7 },
		{ "0012 ", 12 },
		{ "12345678\r", 12345678 },
		{ "123456789\r", 123456789 },
		{ "999999999999999\r", 999999999999999 },
		{ "9999999999999999\r", H1_NO_LENGTH },
		{ "\r", H1_NO_LENGTH },
		{ "-1\r", H1_NO_LENGTH },
		{ ":;<=>?@A", H1_NO_LENGTH },
		{ "12/", 12 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned char text[32] = { 0 };

		memcpy(text, rows[i].text, strlen(rows[i].text));
		unit_note("%s", rows[i].text);
		assert_true(rows[i].value == h1_number(text));
	}
}

static void test_methods(void **state)
{
	static const struct {
		const char *text;
		uint32_t n;
	} rows[] = {
		{ "GET /", 3 },       { "OPTIONS *", 7 },
		{ "PROPFIND /", 8 },  { "A ", 1 },
		{ "Z ", 1 },          { "GET", 0 },
		{ " GET", 0 },        { "GeT /", 0 },
		{ "G[T /", 0 },       { "G@T /", 0 },
		{ "G`T /", 0 },       { "1GE /", 0 },
		{ "PROPPATCH /", 0 }, { "\xc7\xc5\xd4 /", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned char text[32] = { 0 };

		memcpy(text, rows[i].text, strlen(rows[i].text));
		unit_note("%s", rows[i].text);
		assert_int_equal(rows[i].n, h1_method(text));
	}
}

/* Half of the bytes are pieces of HTTP: chance alone would never get past a first line. */
static void test_garbage(void **state)
{
	static const char *const pieces[] = { "GET / HTTP/1.1\r\n",
		                              "HTTP/1.1 200 OK\r\n",
		                              "\r\n",
		                              "Content-Length: ",
		                              "99999\r\n",
		                              "f\r\n",
		                              "Transfer-Encoding: chunked\r\n",
		                              "Host: ",
		                              "0\r\n\r\n",
		                              "HEAD ",
		                              "HTTP/1.1 101 x\r\n\r\n",
		                              ":" };
	struct rng rng = unit_rng();
	static char text[8192];
	struct seen seen;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		const uint32_t sizes[] = { 1 + rng_below(&rng, 400), 1 + rng_below(&rng, 40), 0 };
		size_t len = 0;

		while (len < 2000) {
			const char *piece = pieces[rng_below(&rng, ARRAY_SIZE(pieces))];

			if (rng_below(&rng, 2))
				text[len++] = (char)rng_u64(&rng);
			else
				len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
				                        piece);
		}
		converse((struct str){ text, len }, sizes, "H.C", round % 2,
		         (uint32_t)rng_u64(&rng), &seen);
	}
}

/*
 * Messages in turn, each a segment of its own: what was said about the one before must not be said
 * about one that only looks like it. Several have the same length, the same beginning, or both.
 */
static const struct {
	const char *text, *met;
} requests[] = {
	{ "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n", "begin host=a.example head end " },
	{ "GET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n", "begin host=b.example head end " },
	{ "GET /1 HTTP/1.1\r\n\r\nGET /12 HTTP/1.1\r\n\r\n", "begin head end begin head end " },
	{ "GET /health HTTP/1.1\r\nHost: a.ex\r\n\r\n", "begin host=a.ex head-check end " },
	{ "HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n", "begin host=a.example HEAD end " },
	{ "PUT /123 HTTP/1.1\r\ncontent-length:1\r\n\r\nx", "begin head end " },
}, answers[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", "begin 200 end " },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc", "begin 200 end " },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX: y\r\n\r\nhello world", "begin 200 end " },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n\r\n", "begin 200 end " },
	{ "HTTP/1.1 404 No\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", "begin 404 end " },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: y\r\n\r\naHTTP/1.1 200 OK\r\n"
	  "Content-Length: 1\r\nX: y\r\n\r\nb",
	  "begin 200 end begin 200 end " },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "begin 200 end " },
	{ "HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyy\r\nContent-Length: 3\r\n\r\nabc", "begin 200 end " },
};

static void in_turn(bool is_response, struct rng *rng)
{
	struct h1_dir *d = calloc(1, sizeof(*d));
	const char *none = "";
	uint32_t seq = 0;

	for (int round = 0; round < 3000; round++) {
		/* Mostly the same again, so that repeats are met at all. */
		static size_t which;

		if (rng_below(rng, 3) == 0)
			which = rng_below(rng,
			                  is_response ? ARRAY_SIZE(answers) : ARRAY_SIZE(requests));
		which %= is_response ? ARRAY_SIZE(answers) : ARRAY_SIZE(requests);
		const char *text = is_response ? answers[which].text : requests[which].text;
		struct seen seen = { .len = 0 };
		struct seg s = { unit_memdup(text, strlen(text)), seq, (unsigned)strlen(text) };
		const char *met = is_response ? answers[which].met : requests[which].met;

		feed(d, &s, &none, is_response, &seen);
		/* A repeated request says its host by the hash alone. */
		if (strcmp(met, seen.text) != 0 &&
		    !(strstr(met, "host=") && d->host != 0 &&
		      strncmp(seen.text, "begin ", 6) == 0 &&
		      strcmp(strchr(met + 6, ' '), strchr(seen.text, ' ')) == 0))
			fail_msg("\"%s\": expected \"%s\", met \"%s\"", text, met, seen.text);
		seq += s.len;
		free((void *)(uintptr_t)s.p);
	}
	free(d);
}

static void test_repeats(void **state)
{
	struct rng rng = unit_rng();

	(void)state;
	in_turn(false, &rng);
	in_turn(true, &rng);
}

static void test_resync(void **state)
{
	static const struct {
		const char *text;
		uint32_t as;
		bool good;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n", 0, true },
		{ "HTTP/1.1 200 OK\r\n", H1_RESPONSE, true },
		{ "GET / HTTP/1.1\r\n", H1_RESPONSE, false },
		{ "HTTP/1.1 200 OK\r\n", 0, false },
		{ "GET / HTTP", 0, false },
		{ "some bytes of a body", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct h1_dir d = { .phase = H1_LOST };
		struct seg s = { (const unsigned char *)rows[i].text, 77,
			         (unsigned)strlen(rows[i].text) };

		unit_note("%s", rows[i].text);
		assert_int_equal(rows[i].good, h1_resync(&d, &s, rows[i].as));
		assert_int_equal(rows[i].good ? H1_START : H1_LOST, d.phase);
		assert_int_equal(rows[i].good ? 77 : 0, d.next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations), cmocka_unit_test(test_any_segments),
		cmocka_unit_test(test_long_heads),    cmocka_unit_test(test_huge_body),
		cmocka_unit_test(test_numbers),       cmocka_unit_test(test_methods),
		cmocka_unit_test(test_garbage),       cmocka_unit_test(test_resync),
		cmocka_unit_test(test_repeats),
	};

	rules.n_paths = rules.n_agents = 1;
	set_rule(&rules.paths[0], "/health");
	set_rule(&rules.agents[0], "Consul");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
