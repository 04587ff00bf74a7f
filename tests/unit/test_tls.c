/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf/tls.h in user space. Handshakes are written down as records, by who sends them; they go
 * through the machine whole and in pieces of every size, and must be understood alike.
 */
#include "tests/unit/unit.h"

#include "tests/unit/machine.h"

#define TLS_SUBPROGRAM static

#include "bpf/tls.h"

/*
 * A handshake: "C:22/200" is a record of the client of that type and length; behind a plus sign
 * stand the first bytes of its content, in hexadecimal; "S!text" is no record. What is met bears
 * the number of its record, from 0 on.
 */
#define HELLO   "C:22/512 "
#define S13     "S:22/122 S:20/1 S:23/40 S:23/900 S:23/80 S:23/53 "
#define CCS     "C:20/1 "
#define RETRY   "S:22/88+020000540303cf21ad74e59a6111 "
#define S12     "S:22/90 S:22/800 S:22/150 S:22/4 "
#define TICKETS "S:23/250 S:23/250 "

static const struct {
	const char *what, *records, *met;
} handshakes[] = {
	/* clang-format off */
	{ "TLS 1.3", HELLO S13 CCS "C:23/53 " TICKETS "C:23/100 S:23/500 ", "done@8/13 over" },
	{ "TLS 1.3, SHA-384", HELLO S13 CCS "C:23/69 " TICKETS, "done@8/13 over" },
	{ "TLS 1.3, no compatibility", HELLO "S:22/122 S:23/40 S:23/53 C:23/53 S:23/99 ", "done@4/13 over" },
	{ "another ClientHello", HELLO RETRY "S:20/1 " CCS HELLO "S:22/122 S:23/40 S:23/53 C:23/53 S:23/9 ",
	  "done@8/13 over" },
	{ "early data", HELLO CCS "C:23/400 C:23/53 " S13 "C:23/400 C:23/21 C:23/53 " TICKETS, "done@12/13 over" },
	{ "early data refused", HELLO CCS "C:23/400 " S13 "C:23/400 C:23/53 " TICKETS, "done@10/13 over" },
	{ "early data answered, and the end", HELLO CCS "C:23/400 " S13 "S:23/500 S:23/19 C:23/21 C:23/53 ",
	  "done@10/13" },
	{ "early data and a refusal", HELLO CCS "C:23/400 S:22/122 S:20/1 S:23/19 ", "failed@5/server/255" },
	{ "nonsense behind a hello", HELLO "C:23/5 " S13 "S:23/19 ", "failed@8/server/255" },
	{ "TLS 1.2", HELLO S12 "C:22/70 C:20/1 C:22/40 S:22/202 S:20/1 S:22/40 C:23/90 S:23/90 ",
	  "done@10/12 over" },
	{ "TLS 1.2 resumed", HELLO "S:22/90 S:20/1 S:22/40 C:20/1 C:22/40 C:23/90 S:23/90 ",
	  "done@5/12/resumed over" },
	{ "TLS 1.2, client certificate", HELLO S12 "C:22/900 C:22/70 C:22/264 C:20/1 C:22/40 S:20/1 S:22/40 S:23/1 ",
	  "done@11/12 over" },
	{ "TLS 1.2, false start", HELLO S12 "C:22/70 C:20/1 C:22/40 C:23/90 S:20/1 S:22/40 S:23/1 ",
	  "done@10/12 over" },
	{ "no common version", HELLO "S:21/2+0246 ", "failed@1/server/70" },
	{ "unknown authority", HELLO S13 "C:21/2+0230 ", "failed@7/client/48" },
	{ "encrypted alert of the client", HELLO S13 CCS "C:23/19 ", "failed@8/client/255" },
	{ "encrypted alert of the server", HELLO "S:22/122 S:20/1 S:23/19 ", "failed@3/server/255" },
	{ "TLS 1.2 alert behind CCS", HELLO S12 "C:22/70 C:20/1 C:22/40 S:21/26 ", "failed@8/server/255" },
	{ "a warning means nothing", HELLO "S:21/2+0170 " S13 "C:23/53 " TICKETS, "done@8/13 over" },
	{ "close notify", HELLO "C:21/2+0100 ", "failed@1/client/0" },
	{ "refused late", HELLO S13 CCS "C:23/900 C:23/53 S:23/19 ", "done@8/13 late" },
	{ "refused late, data on the way", HELLO S13 CCS "C:23/900 C:23/53 C:23/200 S:23/19 ", "done@8/13 late" },
	{ "refused late, TLS 1.2", HELLO S12 "C:22/70 C:20/1 C:22/40 S:20/1 S:22/40 S:21/26 ", "done@9/12 late" },
	{ "a client that leaves at once", HELLO S13 CCS "C:23/53 C:23/19 S:23/19 ", "done@8/13 over" },
	{ "no more than a hello", HELLO, "" },
	{ "HTTP for an answer", HELLO "S!HTTP/1.1 400 Bad Request ", "plain" },
	{ "nonsense", "C!hello_world ", "lost" },
	/* clang-format on */
};

struct wire {
	uint8_t bytes[8192];
	uint32_t len;
};

static const char *put_hex(struct wire *w, uint32_t at, const char *p)
{
	for (; p[0] != ' '; p += 2) {
		unsigned byte = 0;

		assert_int_equal(1, sscanf(p, "%2x", &byte));
		w->bytes[at++] = (uint8_t)byte;
	}
	return p;
}

/* One item of the text into bytes; *@ret_server says whose. Returns what follows. */
static const char *put_item(const char *p, struct wire *w, bool *ret_server)
{
	unsigned type, len;
	int used = 0;

	*ret_server = p[0] == 'S';
	w->len = 0;
	if (p[1] == '!') {
		for (p += 2; *p != '\0' && w->len < 25; p++)
			w->bytes[w->len++] = (uint8_t)*p;
		return p;
	}
	assert_int_equal(2, sscanf(p + 2, "%u/%u%n", &type, &len, &used));
	p += 2 + used;
	memset(w->bytes, 0xaa, sizeof(w->bytes));
	w->bytes[0] = (uint8_t)type;
	w->bytes[1] = w->bytes[2] = 3;
	w->bytes[3] = (uint8_t)(len >> 8);
	w->bytes[4] = (uint8_t)len;
	w->len = 5 + len;
	if (p[0] == '+')
		p = put_hex(w, 5, p + 1);
	return p + 1;
}

struct run {
	struct tls t;
	uint32_t next[2]; /* sequence numbers, of client and server */
	uint32_t record;
	bool by_server;
	char text[256];
};

static void note(struct run *r, uint32_t met)
{
	size_t n = strlen(r->text);
	char *end = r->text + n;
	size_t room = sizeof(r->text) - n;

	if (met & TLS_MET_DONE)
		(void)snprintf(end, room, "done@%u/%s%s ", r->record,
		               r->t.flags & TLS_IS_13 ? "13" : "12",
		               r->t.resumed ? "/resumed" : "");
	if (met & TLS_MET_FAILED)
		(void)snprintf(end, room, "failed@%u/%s/%u ", r->record,
		               r->t.by_server ? "server" : "client", r->t.alert);
	if (met & TLS_MET_LATE)
		(void)snprintf(end, room, "late ");
	if (met & TLS_MET_PLAIN)
		(void)snprintf(end, room, "plain ");
	if (met & TLS_MET_LOST)
		(void)snprintf(end, room, "lost ");
}

static void feed(struct run *r, const uint8_t *bytes, uint32_t n)
{
	struct seg s = { unit_memdup(bytes, n), r->next[r->by_server], n };
	const struct tls_dir *d = r->by_server ? &r->t.server : &r->t.client;
	uint32_t met;

	do {
		met = d->lost ? 0 : tls_step(&r->t, &s, r->by_server);
		note(r, met);
	} while (met & TLS_MORE);
	r->next[r->by_server] += n;
	free((void *)(uintptr_t)s.p);
}

/* Where the handshake was over: the record that ended it, counted over both sides. */
static void shake(const char *text, uint32_t piece, uint32_t first, struct run *r)
{
	struct wire w;

	memset(r, 0, sizeof(*r));
	r->next[0] = r->t.client.next = first;
	r->next[1] = r->t.server.next = first * 7;
	for (const char *p = text; *p != '\0'; r->record++) {
		p = put_item(p, &w, &r->by_server);
		for (uint32_t at = 0; at < w.len; at += piece)
			feed(r, w.bytes + at, w.len - at < piece ? w.len - at : piece);
	}
	size_t n = strlen(r->text);

	if (strncmp(r->text, "done", 4) == 0 && r->t.state == TLS_OVER && !strstr(r->text, "late"))
		(void)snprintf(r->text + n, sizeof(r->text) - n, "over ");
	n = strlen(r->text);
	if (n > 0)
		r->text[n - 1] = '\0';
}

static void test_handshakes(void **state)
{
	struct run r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(handshakes); i++) {
		unit_note("%s", handshakes[i].what);
		shake(handshakes[i].records, 1 << 20, 1, &r);
		assert_string_equal(handshakes[i].met, r.text);
	}
}

/* Where positions wrap around, and in segments of every size that splits a header. */
static void test_pieces(void **state)
{
	static const uint32_t firsts[] = { 0, 0x7ffffff0u, 0xfffffff0u };
	struct run r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(handshakes); i++) {
		if (strchr(handshakes[i].records, '+'))
			continue; /* of a content that is split there is no reading */
		unit_note("%s", handshakes[i].what);
		for (uint32_t piece = 1; piece < 40; piece++) {
			shake(handshakes[i].records, piece, firsts[piece % ARRAY_SIZE(firsts)], &r);
			assert_string_equal(handshakes[i].met, r.text);
		}
	}
}

/* Whatever comes, it ends, and reads nothing that is not there (the sanitizers see to that). */
static void test_noise(void **state)
{
	struct rng rng = unit_rng();
	struct run r = { 0 };
	uint8_t bytes[64];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint32_t n = 1 + (uint32_t)rng_below(&rng, sizeof(bytes));

		for (uint32_t j = 0; j < n; j++)
			bytes[j] = (uint8_t)(rng_below(&rng, 4) ? rng_u64(&rng) : 20 + j % 4);
		r.by_server = rng_below(&rng, 2) == 1;
		r.text[0] = '\0';
		feed(&r, bytes, n);
		if (r.t.state == TLS_OVER || rng_below(&rng, 50) == 0)
			memset(&r, 0, sizeof(r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
