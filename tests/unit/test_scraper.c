/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scraper and a server whose paths are good, broken or hostile, all scraped at the same time:
 * the good ones are read every second to the millisecond of their timestamps, each bad one is
 * refused with its reason, and nothing of it is kept.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "userspace/base/buf.h"
#include "userspace/base/clock.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/scrape/scraper.h"
#include "userspace/host/scrape/target.h"
#include "userspace/host/vm.h"
#include "userspace/wire/http_client.h"
#include "userspace/wire/promtext.h"

#define GOOD "# TYPE a counter\na 1\nb{x=\"y\"} 2\n"

/* ---- the server ----------------------------------------------------------------------------- */

static struct {
	int fd;
	uint16_t port;
	_Atomic int n_connections, n_redirected;
	_Atomic bool ends;
	struct buf gzip, bomb;
} server;

static bool put(int fd, const void *p, size_t bytes)
{
	return send(fd, p, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool puts_to(int fd, const char *text)
{
	return put(fd, text, strlen(text));
}

static void nap(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static bool answer(int fd, const char *headers, const void *body, size_t bytes)
{
	char head[256];

	(void)snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", headers,
	               bytes);
	return puts_to(fd, head) && put(fd, body, bytes);
}

static bool drip(int fd, const char *head, const char *piece)
{
	bool ok = puts_to(fd, head);

	while (ok && !atomic_load(&server.ends)) {
		ok = puts_to(fd, piece);
		nap(20);
	}
	return false;
}

static bool flood(int fd, const char *head, const char *line)
{
	struct buf piece = BUF_INIT;
	bool ok = puts_to(fd, head);

	while (piece.len < 60000)
		buf_puts(&piece, line);
	while (ok && !atomic_load(&server.ends))
		ok = put(fd, piece.p, piece.len);
	buf_done(&piece);
	return false;
}

/* The pieces are numbered, so that none is like another. */
static bool flood_distinct(int fd, const char *head, const char *before, const char *after)
{
	struct buf piece = BUF_INIT;
	bool ok = puts_to(fd, head);

	for (long n = 0; ok && !atomic_load(&server.ends);) {
		buf_clear(&piece);
		while (piece.len < 60000)
			buf_printf(&piece, "%s%ld%s", before, n++, after);
		ok = put(fd, piece.p, piece.len);
	}
	buf_done(&piece);
	return false;
}

static bool many(int fd)
{
	struct buf body = BUF_INIT;

	for (int i = 0; i < 2000; i++)
		buf_printf(&body, "m{i=\"%d.%lld\"} 1\n", i, (long long)clock_unix_ms());
	bool ok = answer(fd, "200 OK", body.p, body.len);

	buf_done(&body);
	return ok;
}

static bool many_unfinished(int fd)
{
	struct buf body = BUF_INIT;

	buf_puts(&body, "HTTP/1.1 200 OK\r\n\r\n");
	for (int i = 0; i < 2000; i++)
		buf_printf(&body, "m{i=\"%d\"} 1\n", i);
	bool ok = put(fd, body.p, body.len);

	buf_done(&body);
	return ok;
}

/* True: the connection goes on. */
static bool serve(int fd, const char *path)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n";

	if (strcmp(path, "/good") == 0 || strcmp(path, "/g%20%22d") == 0)
		return answer(fd, "200 OK\r\nContent-Type: text/plain", GOOD, strlen(GOOD));
	if (strcmp(path, "/gzip") == 0)
		return answer(fd, "200 OK\r\nContent-Encoding: gzip", server.gzip.p,
		              server.gzip.len);
	if (strcmp(path, "/bomb") == 0)
		return answer(fd, "200 OK\r\nContent-Encoding: gzip", server.bomb.p,
		              server.bomb.len);
	if (strcmp(path, "/half_gzip") == 0)
		return answer(fd, "200 OK\r\nContent-Encoding: gzip", server.gzip.p, 15);
	if (strcmp(path, "/no_gzip") == 0)
		return answer(fd, "200 OK\r\nContent-Encoding: gzip", GOOD, strlen(GOOD));
	if (strcmp(path, "/brotli") == 0)
		return answer(fd, "200 OK\r\nContent-Encoding: br", GOOD, strlen(GOOD));
	if (strcmp(path, "/chunked") == 0)
		return puts_to(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		                   "3\r\na 1\r\n1\r\n\n\r\n0\r\n\r\n");
	if (strcmp(path, "/404") == 0)
		return answer(fd, "404 Not Found", "no", 2);
	if (strcmp(path, "/html") == 0)
		return answer(fd, "200 OK\r\nContent-Type: application/json", "{}", 2);
	if (strcmp(path, "/redirect") == 0)
		return answer(fd, "302 Found\r\nLocation: /redirected", "", 0);
	if (strcmp(path, "/many") == 0)
		return many(fd);
	if (strcmp(path, "/slow_body") == 0)
		return drip(fd, "HTTP/1.1 200 OK\r\n\r\na 1\n", "b");
	if (strcmp(path, "/slow_head") == 0)
		return drip(fd, "HTTP/1.1 200 OK\r\n", "X");
	if (strcmp(path, "/endless") == 0)
		return flood(fd, ok, "# nothing of use\n");
	if (strcmp(path, "/endless_line") == 0)
		return flood(fd, ok, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	if (strcmp(path, "/endless_series") == 0)
		return flood_distinct(fd, ok, "m{i=\"", "\"} 1\n");
	if (strcmp(path, "/endless_labels") == 0)
		return flood_distinct(fd, "HTTP/1.1 200 OK\r\n\r\nm{a=\"\"", ",l", "=\"x\"");
	if (strcmp(path, "/endless_head") == 0)
		return flood(fd, "HTTP/1.1 200 OK\r\n", "X-Header: it goes on and on\r\n");
	if (strcmp(path, "/rubbish") == 0)
		return puts_to(fd, "\x01\x02\x03 this is no HTTP\r\n\r\n") && false;
	if (strcmp(path, "/cut") == 0)
		return puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n") && false;
	if (strcmp(path, "/many_and_hang") == 0 && !many_unfinished(fd))
		return false;
	while ((strcmp(path, "/hang") == 0 || strcmp(path, "/many_and_hang") == 0) &&
	       !atomic_load(&server.ends))
		nap(20);
	atomic_fetch_add(&server.n_redirected, strcmp(path, "/redirected") == 0);
	return false;
}

static bool read_request(int fd, char path[256])
{
	char head[4096];
	size_t n = 0;

	while (n < sizeof(head) - 1 && read(fd, head + n, 1) == 1) {
		head[++n] = '\0';
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			return sscanf(head, "GET %255s HTTP/1.1\r\n", path) == 1;
	}
	return false;
}

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char path[256];

	while (read_request(fd, path) && serve(fd, path))
		;
	(void)close(fd);
	atomic_fetch_sub(&server.n_connections, 1);
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t thread;
	int fd;

	(void)arg;
	while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
		const struct timeval patience = { .tv_sec = 5 };

		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		atomic_fetch_add(&server.n_connections, 1);
		if (pthread_create(&thread, NULL, connection, (void *)(intptr_t)fd) == 0)
			(void)pthread_detach(thread);
	}
	return NULL;
}

/* @times the text, packed. */
static void gzip(const char *text, size_t times, struct buf *out)
{
	z_stream z = { 0 };
	uint8_t piece[4096];
	int r = Z_OK;

	assert_int_equal(Z_OK, deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY));
	for (size_t i = 0; i < times; i++) {
		z.next_in = (uint8_t *)(uintptr_t)text;
		z.avail_in = (unsigned)strlen(text);
		do {
			z.next_out = piece;
			z.avail_out = sizeof(piece);
			r = deflate(&z, i + 1 == times ? Z_FINISH : Z_NO_FLUSH);
			buf_put(out, piece, sizeof(piece) - z.avail_out);
		} while (z.avail_out == 0);
	}
	assert_int_equal(Z_STREAM_END, r);
	(void)deflateEnd(&z);
}

static int start_server(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);
	pthread_t thread;

	(void)state;
	gzip(GOOD, 1, &server.gzip);
	gzip("# 64 bytes of a comment, a million times, to be unpacked by you\n", 1000000,
	     &server.bomb);
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(0, bind(server.fd, (struct sockaddr *)&sa, sizeof(sa)));
	assert_int_equal(0, listen(server.fd, 64));
	assert_int_equal(0, getsockname(server.fd, (struct sockaddr *)&sa, &len));
	server.port = ntohs(sa.sin_port);
	assert_int_equal(0, pthread_create(&thread, NULL, accept_all, NULL));
	(void)pthread_detach(thread);
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	atomic_store(&server.ends, true);
	(void)shutdown(server.fd, SHUT_RDWR);
	for (int i = 0; i < 1000 && atomic_load(&server.n_connections) > 0; i++)
		nap(10);
	(void)close(server.fd);
	buf_done(&server.gzip);
	buf_done(&server.bomb);
	return 0;
}

/* ---- what was read -------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	struct buf text; /* all samples, as lines */
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int on_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                     const struct sample *s)
{
	(void)id;
	promtext_write_sample(ctx, labels, n, s->value, &s->ts_ms);
	return 0;
}

static void on_batch(void *ctx, struct batch *b)
{
	(void)ctx;
	(void)pthread_mutex_lock(&seen.lock);
	if (seen.text.len == 0)
		buf_putc(&seen.text, '\n'); /* in front of every line there is one */
	(void)batch_each(b, true, on_sample, &seen.text);
	(void)pthread_mutex_unlock(&seen.lock);
	batch_free(b);
}

/* Lines that have both texts. */
static size_t count(const char *a, const char *b)
{
	struct str rest, line;
	size_t n = 0;

	(void)pthread_mutex_lock(&seen.lock);
	rest = buf_str(&seen.text);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		n += memmem(line.p, line.len, a, strlen(a)) &&
		     memmem(line.p, line.len, b, strlen(b));
	}
	(void)pthread_mutex_unlock(&seen.lock);
	return n;
}

/* The stale marks among the lines of one instance that begin a family. */
static size_t count_stale(const char *family, const char *instance)
{
	struct str rest, line;
	size_t n = 0;

	(void)pthread_mutex_lock(&seen.lock);
	rest = buf_str(&seen.text);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		n += memmem(line.p, line.len, family, strlen(family)) &&
		     memmem(line.p, line.len, instance, strlen(instance)) &&
		     memmem(line.p, line.len, "} NaN ", 6);
	}
	(void)pthread_mutex_unlock(&seen.lock);
	return n;
}

static void forget_seen(void)
{
	(void)pthread_mutex_lock(&seen.lock);
	buf_done(&seen.text);
	(void)pthread_mutex_unlock(&seen.lock);
}

/* ---- VMs ------------------------------------------------------------------------------------ */

static struct host_conf conf_of(const char *scrape)
{
	static const char *const none[] = { NULL };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct host_conf conf;

	buf_printf(&text, "scrape: {interval: 1s, loopback: true, %s}\n", scrape);
	if (host_conf_parse("t", buf_str(&text), none, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	buf_done(&text);
	return conf;
}

static struct vm *vm_of(uint64_t id, const char *org, const char *address, const char *path)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	assert_non_null(vm);
	vm->id = id;
	(void)snprintf(vm->org, sizeof(vm->org), "%s", org);
	(void)snprintf(vm->app, sizeof(vm->app), "web");
	(void)snprintf(vm->host, sizeof(vm->host), "00ff");
	(void)snprintf(vm->instance, sizeof(vm->instance), "i%llu", (unsigned long long)id);
	assert_int_equal(0, net_addr_parse(address, &vm->addresses[vm->n_addresses++]));
	vm->scrapes[0].port = server.port;
	(void)snprintf(vm->scrapes[0].path, VM_SCRAPE_PATH_CAP, "%s", path);
	vm->n_scrapes = 1;
	return vm;
}

static struct scraper *start(const struct host_conf *conf)
{
	struct scraper *s = NULL;
	struct err e = ERR_INIT;

	if (scraper_new(&s, conf, on_batch, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static int64_t metric(struct scraper *s, const char *line)
{
	struct buf out = BUF_INIT;

	scraper_metrics(&out, s);
	const char *at = strstr(buf_cstr(&out), line);

	assert_non_null(at);
	int64_t value = strtoll(at + strlen(line), NULL, 10);

	buf_done(&out);
	return value;
}

static int64_t n_scrapes(struct scraper *s, const char *result)
{
	char line[80];

	(void)snprintf(line, sizeof(line), "\nperiscope_host_scrapes_total{result=\"%s\"} ",
	               result);
	return metric(s, line);
}

static void add(struct scraper *s, uint64_t id, const char *org, const char *address,
                const char *path)
{
	struct vm *vm = vm_of(id, org, address, path);

	assert_int_equal(0, scraper_vm_added(s, vm));
	free(vm);
}

static const struct {
	const char *path, *address, *reason; /* reason NULL: it is good */
} rows[] = {
	/* clang-format off */
	{ "/good",           "127.0.0.1", NULL },
	{ "/gzip",           "127.0.0.1", NULL },
	{ "/chunked",        "127.0.0.1", NULL },
	{ "/g \"d",          "127.0.0.1", NULL },
	{ "/half_gzip",      "127.0.0.1", "format" },
	{ "/no_gzip",        "127.0.0.1", "format" },
	{ "/brotli",         "127.0.0.1", "format" },
	{ "/bomb",           "127.0.0.1", "too_large" },
	{ "/404",            "127.0.0.1", "status" },
	{ "/html",           "127.0.0.1", "format" },
	{ "/redirect",       "127.0.0.1", "status" },
	{ "/many",           "127.0.0.1", "too_many_samples" },
	{ "/slow_body",      "127.0.0.1", "no_answer" },
	{ "/slow_head",      "127.0.0.1", "no_answer" },
	{ "/hang",           "127.0.0.1", "no_answer" },
	{ "/endless",        "127.0.0.1", "too_large" },
	{ "/endless_line",   "127.0.0.1", "too_large" },
	{ "/endless_series", "127.0.0.1", "too_many_samples" },
	{ "/endless_labels", "127.0.0.1", "too_large" },
	{ "/endless_head",   "127.0.0.1", "too_large" },
	{ "/rubbish",        "127.0.0.1", "format" },
	{ "/cut",            "127.0.0.1", "no_answer" },
	{ "/multicast",      "224.0.0.1", "address" },
	{ "/any",            "0.0.0.0",   "address" },
	/* clang-format on */
};

/*
 * On a machine that is busy with other things any scrape may run out of time. What must hold: a
 * good endpoint is never refused for another reason, a bad one never taken.
 */
static void check_row(size_t i, size_t most_rounds)
{
	char instance[32], reason[64];

	(void)snprintf(instance, sizeof(instance), "instance=\"i%zu\"", i + 1);
	(void)snprintf(reason, sizeof(reason), "reason=\"%s\"",
	               rows[i].reason ? rows[i].reason : "none");
	size_t n_refused = count("scrape_refused{__org__=\"acme\"", instance) -
	                   count_stale("scrape_refused{__org__=\"acme\"", instance);
	size_t n_late = count(instance, "reason=\"no_answer\"");
	size_t n_up = count("up{__org__=\"acme\"", instance);

	assert_in_range(n_up, 1, most_rounds);
	if (!rows[i].reason) {
		assert_true(n_refused < n_up);
		assert_true(n_refused <= n_late);
		assert_int_equal(n_up - n_refused,
		                 count("a{__org__=\"acme\",app=\"web\",host=\"00ff\"", instance) -
		                         count_stale("a{__org__=\"acme\"", instance));
		return;
	}
	assert_int_equal(n_up, n_refused);
	assert_in_range(count(instance, reason), 1, n_up + 1);
	assert_int_equal(0, count("a{__org__", instance));
	if (strcmp(rows[i].reason, "no_answer") != 0)
		assert_true(n_refused <= count(instance, reason) + n_late);
}

static bool each_has_shown_itself(void)
{
	char instance[32], reason[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(instance, sizeof(instance), "instance=\"i%zu\"", i + 1);
		(void)snprintf(reason, sizeof(reason), "reason=\"%s\"",
		               rows[i].reason ? rows[i].reason : "none");
		if (count(instance, rows[i].reason ? reason : "a{__org__") == 0)
			return false;
	}
	return true;
}

static void test_good_and_hostile(void **state)
{
	struct host_conf conf = conf_of("timeout: 800ms, samples: 1000, body_size: 1MiB");
	struct scraper *s = start(&conf);
	uint64_t from_ns = clock_mono_ns();
	int64_t most_bytes = 0;
	size_t most_rounds;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		add(s, i + 1, "acme", rows[i].address, rows[i].path);
	for (int round = 0; round < 3000 && (round < 350 || !each_has_shown_itself()); round++) {
		nap(10);
		most_bytes = MAX(most_bytes, metric(s, "\nperiscope_host_scrape_memory_bytes "));
	}
	assert_int_equal(ARRAY_SIZE(rows), metric(s, "\nperiscope_host_scrape_targets "));
	scraper_free(s);
	most_rounds = (size_t)((clock_mono_ns() - from_ns) / 1000000000) + 1;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].path);
		check_row(i, most_rounds);
	}
	assert_int_equal(0, atomic_load(&server.n_redirected));
	assert_true(most_bytes < 8 << 20);
	forget_seen();
	host_conf_done(&conf);
}

/* Equal steps, whatever the others do; a VM that goes ends its series at once. */
static void test_steps_and_end(void **state)
{
	struct host_conf conf = conf_of("timeout: 900ms");
	struct scraper *s = start(&conf);
	struct vm *vm = vm_of(1, "acme", "127.0.0.1", "/good");
	uint64_t from_ns = clock_mono_ns();
	long long ts[8], n = 0;

	(void)state;
	assert_int_equal(0, scraper_vm_added(s, vm));
	nap(2500);
	scraper_vm_gone(s, vm);
	nap(300);
	assert_int_equal(0, metric(s, "\nperiscope_host_scrape_targets "));
	scraper_free(s);
	for (const char *at = buf_cstr(&seen.text); (at = strstr(at, "\na{")) && n < 8; at++)
		ts[n++] = strtoll(strstr(at, "} ") + 4, NULL, 10);
	assert_in_range(n, 2, (clock_mono_ns() - from_ns) / 1000000000 + 2);
	for (long long i = 1; i < n - 1; i++) { /* a busy machine may miss one, but no other time */
		assert_int_equal(0, (ts[i] - ts[0]) % 1000);
		assert_true(ts[i] > ts[i - 1]);
	}
	assert_in_range(count("a{", "} NaN "), 1, n);
	assert_int_equal(count("a{", "} NaN "), count("b{", "} NaN "));
	assert_int_equal(1, count("up{", "} NaN "));
	forget_seen();
	free(vm);
	host_conf_done(&conf);
}

#define MEMORY_REFUSALS "\nperiscope_host_scrapes_total{result=\"memory\"} "

/* Over the memory of all, the organisation that uses most pays, not the one that is next. */
static void test_memory_of_all(void **state)
{
	struct host_conf conf = conf_of("timeout: 900ms, samples: 1000000, memory: 1MiB");
	struct scraper *s = start(&conf);

	(void)state;
	add(s, 1, "acme", "127.0.0.1", "/good");
	for (uint64_t id = 2; id < 22; id++)
		add(s, id, "evil", "127.0.0.1", "/many_and_hang");
	for (int i = 0; i < 300 && (n_scrapes(s, "memory") <= 5 || n_scrapes(s, "taken") < 2); i++)
		nap(100);
	assert_true(n_scrapes(s, "memory") > 5);
	scraper_free(s);
	assert_true(count("scrape_refused{__org__=\"evil\"", "reason=\"memory\"") > 5);
	assert_int_equal(0, count("scrape_refused{__org__=\"acme\"", "reason=\"memory\""));
	assert_true(count("up{__org__=\"acme\"", "} 1 ") >= 1);
	forget_seen();
	host_conf_done(&conf);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		bool bad, bad_with_loopback;
	} all[] = {
		{ "127.0.0.1", true, false },   { "127.9.9.9", true, false },
		{ "::1", true, false },         { "0.0.0.0", true, true },
		{ "0.1.2.3", true, true },      { "::", true, true },
		{ "224.0.0.1", true, true },    { "255.255.255.255", true, true },
		{ "ff02::1", true, true },      { "10.0.0.1", false, false },
		{ "172.19.0.2", false, false }, { "fdaa:0:1::2", false, false },
	};
	char escaped[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct net_addr a;

		assert_int_equal(0, net_addr_parse(all[i].address, &a));
		assert_int_equal(all[i].bad, target_is_bad_address(&a, false));
		assert_int_equal(all[i].bad_with_loopback, target_is_bad_address(&a, true));
	}
	target_escape_path("/a b?c=%20&d=\x7f#\r\n\xc3\xa9{}", escaped, sizeof(escaped));
	assert_string_equal("/a%20b?c=%20&d=%7F%23%0D%0A%C3%A9%7B%7D", escaped);
}

/* The moments of a target, over a clock that is set back: none comes twice. */
static void test_moments(void **state)
{
	static int64_t given[1000];
	struct target t = { .offset_ms = 7777 };
	struct rng rng = unit_rng();
	int64_t now_ms = 1700000000000;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		if (rng_below(&rng, 40) == 0)
			now_ms -= (int64_t)rng_below(&rng, 100) * 15000;
		given[i] = target_next_ms(&t, now_ms, 15000);
		assert_in_range(given[i] - now_ms, 1, 15001);
		for (size_t k = 0; k < i; k++)
			assert_true(given[k] != given[i]);
		now_ms = given[i] + 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),        cmocka_unit_test(test_moments),
		cmocka_unit_test(test_good_and_hostile), cmocka_unit_test(test_steps_and_end),
		cmocka_unit_test(test_memory_of_all),
	};

	if (http_client_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
