/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outbox, queues and requests together, against scripted receivers: every sample arrives once, or
 * is counted as dropped with the right reason, in whatever form the receiver takes.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <time.h>

#include "tests/unit/http_peer.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/metrics.h"
#include "userspace/base/num.h"
#include "userspace/host/batch.h"
#include "userspace/host/delivery/delivery.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/drops.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/outbox.h"
#include "userspace/host/vm.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/http_client.h"
#include "userspace/wire/rw2.h"

#define TS_MS 1700000000000

/* What a receiver that understands version 2.0 says. */
#define WRITTEN(n) "X-Prometheus-Remote-Write-Samples-Written: " #n "\r\n"

static struct batch *batch_of(size_t n_samples)
{
	struct vm vm = { .org = "acme", .app = "web", .instance = "i", .host = "00ff" };
	struct batch *b = NULL;

	assert_int_equal(0, batch_new(&b, n_samples));
	for (size_t i = 0; i < n_samples; i++) {
		vm.id = i + 1;
		(void)snprintf(vm.instance, sizeof(vm.instance), "i%04zu", i);
		assert_int_equal(0, batch_begin_vm(b, &vm, TS_MS));
		assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, (double)i));
	}
	return b;
}

/* ---- the outbox */

static void test_outbox_order_and_bound(void **state)
{
	int64_t dropped = drops_get(&drops_common, DROP_OUTBOX_FULL);
	struct outbox *o = NULL;
	struct batch *b;
	bool may_wait = false;

	(void)state;
	assert_int_equal(0, outbox_new(&o, 100));
	for (size_t n = 30; n < 34; n++)
		outbox_push(o, batch_of(n), false); /* 30 + 31 + 32 + 33: the first does not fit */
	assert_int_equal(96, outbox_n_samples(o));
	assert_int_equal(dropped + 30, drops_get(&drops_common, DROP_OUTBOX_FULL));
	assert_int_equal(0, outbox_take(o, 0, &b, &may_wait));
	assert_int_equal(31, batch_n_samples(b));
	assert_int_equal(96, outbox_n_samples(o)); /* what is being sent counts */
	outbox_set_max(o, 10);
	assert_int_equal(31 + 33, outbox_n_samples(o)); /* the last stays, and the taken one */
	assert_int_equal(dropped + 30 + 32, drops_get(&drops_common, DROP_OUTBOX_FULL));
	outbox_release(o, b);
	assert_int_equal(33, outbox_n_samples(o));
	outbox_free(o);
}

static void test_outbox_waits_and_closes(void **state)
{
	int64_t dropped = drops_get(&drops_common, DROP_STOPPED);
	uint64_t until_ns = clock_mono_ns() + 50000000;
	struct outbox *o = NULL;
	struct batch *b;
	bool may_wait = false;

	(void)state;
	assert_int_equal(0, outbox_new(&o, 100));
	assert_int_equal(-EAGAIN, outbox_take(o, until_ns, &b, &may_wait));
	assert_true(clock_mono_ns() >= until_ns);
	outbox_push(o, batch_of(5), true);
	outbox_close(o);
	outbox_push(o, batch_of(7), false);
	assert_int_equal(dropped + 7, drops_get(&drops_common, DROP_STOPPED));
	assert_int_equal(0, outbox_take(o, UINT64_MAX, &b, &may_wait));
	assert_int_equal(5, batch_n_samples(b));
	assert_true(may_wait);
	outbox_release(o, b);
	assert_int_equal(-EPIPE, outbox_take(o, UINT64_MAX, &b, &may_wait));
	outbox_free(o);
}

/* ---- delivery */

static struct host_conf parse(const char *text)
{
	static const char *const none[] = { NULL };
	struct err e = ERR_INIT;
	struct host_conf conf;

	if (host_conf_parse("test", str_from(text), none, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	return conf;
}

/*
 * One destination that speaks 1.0 with snappy, one request at a time; @more begins with 4 spaces.
 */
static struct host_conf conf_for(const struct peer *p, const char *queue_dir, const char *more)
{
	struct buf text = BUF_INIT;

	buf_printf(&text,
	           "host_id: 00ff\nqueue:\n  dir: '%s'\n  sync: false\nremote_write:\n"
	           "  region:\n    url: %s\n    backoff_min: 10ms\n    shards: 1\n%s",
	           queue_dir, p->url, more);
	struct host_conf conf = parse(buf_cstr(&text));

	buf_done(&text);
	return conf;
}

#define OLD_FORM "    protocol: 1.0\n    compression: snappy\n"

static struct delivery *start(const struct host_conf *conf)
{
	struct delivery *d = NULL;
	struct err e = ERR_INIT;

	if (delivery_new(&d, conf, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return d;
}

static int64_t metric_of(struct delivery *d, const char *line)
{
	struct buf out = BUF_INIT;
	int64_t value;

	delivery_metrics(&out, d);
	const char *at = strstr(buf_cstr(&out), line);

	if (!at)
		fail_msg("no metric %s", line);
	value = strtoll(at + strlen(line), NULL, 10);
	buf_done(&out);
	return value;
}

#define SENT(d)    metric_of((d), "\nperiscope_host_samples_sent_total{destination=\"region\"} ")
#define WAITING(d) metric_of((d), "\nperiscope_host_queue_samples{destination=\"region\"} ")
#define DROPPED(d, reason)                                                                         \
	metric_of((d),                                                                             \
	          "\nperiscope_host_samples_dropped_total{destination=\"region\",reason=\"" reason \
	          "\"} ")
#define RETRIED(d)                                                                            \
	metric_of((d), "\nperiscope_host_remote_write_requests_total{destination=\"region\"," \
	               "result=\"retried\"} ")

static void nap(void)
{
	const struct timespec short_time = { .tv_nsec = 2000000 };

	(void)nanosleep(&short_time, NULL);
}

static void wait_for_requests(const struct peer *p, size_t n)
{
	for (int i = 0; i < 5000 && atomic_load(&p->n_requests) < n; i++)
		nap();
	assert_true(atomic_load(&p->n_requests) >= n);
}

/* Until @n samples are settled: sent or refused. */
static void wait_for_settled(struct delivery *d, int64_t n)
{
	for (int i = 0; i < 5000 && (SENT(d) + DROPPED(d, "refused") < n || WAITING(d) > 0); i++)
		nap();
	assert_int_equal(n, SENT(d) + DROPPED(d, "refused"));
	assert_int_equal(0, WAITING(d));
}

/* Values of all samples in a request that the peer took, in order. */
static size_t decode(const struct peer_request *req, double *values, size_t max)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)16 << 20);
	_cleanup_(rw_split_done) struct rw_split rw = { 0 };
	_cleanup_(buf_done) struct buf raw = BUF_INIT;
	enum coding coding =
		strstr(req->head.p, "Content-Encoding: zstd\r\n") ? CODING_ZSTD : CODING_SNAPPY;
	bool v2 = strstr(req->head.p, "X-Prometheus-Remote-Write-Version: 2.0.0\r\n");

	assert_int_equal(0, coding_unpack(coding, buf_str(&req->body), (size_t)16 << 20, &raw));
	assert_int_equal(0, v2 ? rw2_split(buf_str(&raw), &arena, &rw, NULL)
	                       : rw_split(buf_str(&raw), &arena, &rw, NULL));
	assert_true(rw.n_samples <= max);
	for (size_t i = 0; i < rw.n_series; i++) {
		assert_int_equal(1, rw.series[i].n_samples);
		assert_int_equal(TS_MS, rw.samples[i].ts_ms);
		values[i] = rw.samples[i].value;
	}
	return rw.n_series;
}

static void test_cut_and_sent_in_order(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, "", OLD_FORM "    request_samples: 10\n");
	struct delivery *d = start(&conf);
	double values[25];
	size_t n = 0;

	(void)state;
	delivery_push(d, batch_of(25));
	wait_for_settled(d, 25);
	assert_int_equal(25, SENT(d));
	delivery_stop(d, 5000);
	assert_int_equal(3, p->n_requests);
	for (size_t i = 0; i < 3; i++)
		n += decode(&p->requests[i], values + n, 25 - n);
	assert_int_equal(25, n);
	for (size_t i = 0; i < 25; i++)
		assert_true(values[i] == (double)i);
	assert_true(peer_head_has(p, 0, "Content-Encoding: snappy\r\n"));
	assert_true(peer_head_has(p, 0, "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"));
	assert_false(peer_head_has(p, 0, "Authorization"));
	peer_stop(p);
	host_conf_done(&conf);
}

/* Small batches wait for each other, a second at most; one that does not wait takes them along. */
static void test_gathered(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, "", OLD_FORM);
	struct delivery *d = start(&conf);
	uint64_t start_ns = clock_mono_ns();
	double values[25];

	(void)state;
	delivery_push_soon(d, batch_of(2));
	delivery_push_soon(d, batch_of(3));
	wait_for_settled(d, 5);
	assert_true(clock_mono_ns() - start_ns >= 900000000);
	delivery_push_soon(d, batch_of(4));
	delivery_push(d, batch_of(5));
	wait_for_settled(d, 14);
	delivery_push_soon(d, batch_of(1)); /* and at the end none is forgotten */
	delivery_stop(d, 5000);
	assert_int_equal(3, p->n_requests);
	assert_int_equal(5, decode(&p->requests[0], values, 25));
	assert_int_equal(9, decode(&p->requests[1], values, 25));
	assert_int_equal(1, decode(&p->requests[2], values, 25));
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_sent_again_until_taken(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 500, .body = "no" },
		{ .hang_up = true },
		{ .status = 503 },
		{ .status = 401 },
		{ .status = 404 },
		{ .status = 429 },
		{ .status = 302 },
		{ .status = 204 },
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", OLD_FORM "    backoff_max: 20ms\n");
	struct delivery *d = start(&conf);

	(void)state;
	delivery_push(d, batch_of(3));
	wait_for_settled(d, 3);
	assert_int_equal(3, SENT(d));
	/* libcurl itself tries again when a connection that was kept hangs up. */
	assert_in_range(RETRIED(d), ARRAY_SIZE(script) - 2, ARRAY_SIZE(script) - 1);
	delivery_stop(d, 5000);
	assert_int_equal(ARRAY_SIZE(script), p->n_requests);
	for (size_t i = 1; i < ARRAY_SIZE(script); i++) /* the same bytes each time */
		assert_str_equal(buf_str(&p->requests[0].body), buf_str(&p->requests[i].body));
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_refused_is_dropped(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 400, .body = "bad\x01\xff sample\nx" }, { .status = 204 }
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", OLD_FORM);
	struct delivery *d = start(&conf);

	(void)state;
	delivery_push(d, batch_of(4));
	delivery_push(d, batch_of(6));
	wait_for_settled(d, 10);
	assert_int_equal(4, DROPPED(d, "refused"));
	assert_int_equal(6, SENT(d));
	delivery_stop(d, 5000);
	assert_int_equal(2, p->n_requests);
	peer_stop(p);
	host_conf_done(&conf);
}

/* Version 2.0 tells how much of a bad request was stored. */
static void test_refused_in_part(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 400, .headers = WRITTEN(3), .body = "1 of 4 samples was refused" },
		{ .status = 204, .headers = WRITTEN(6) }
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", "");
	struct delivery *d = start(&conf);

	(void)state;
	delivery_push(d, batch_of(4));
	delivery_push(d, batch_of(6));
	wait_for_settled(d, 10);
	assert_int_equal(1, DROPPED(d, "refused"));
	assert_int_equal(9, SENT(d));
	delivery_stop(d, 5000);
	assert_int_equal(2, p->n_requests); /* it understood: no other form was tried */
	peer_stop(p);
	host_conf_done(&conf);
}

static void check_halves(const char *form, const char *headers)
{
	const struct peer_answer script[] = { { .status = 413, .headers = headers },
		                              { .status = 413, .headers = headers },
		                              { .status = 204, .headers = headers } };
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", form);
	struct delivery *d = start(&conf);
	double values[16];

	delivery_push(d, batch_of(16));
	wait_for_settled(d, 16);
	assert_int_equal(16, SENT(d));
	delivery_stop(d, 5000);
	assert_int_equal(5, p->n_requests);
	assert_int_equal(16, decode(&p->requests[0], values, 16));
	assert_int_equal(8, decode(&p->requests[1], values, 16));
	assert_int_equal(4, decode(&p->requests[2], values, 16));
	assert_int_equal(4, decode(&p->requests[3], values, 16));
	assert_true(values[0] == 4);
	assert_int_equal(8, decode(&p->requests[4], values, 16));
	assert_true(values[0] == 8);
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_too_large_is_halved(void **state)
{
	(void)state;
	check_halves(OLD_FORM, NULL);
	check_halves("    protocol: 2.0\n", WRITTEN(4));
}

static void test_retry_after_is_obeyed(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 429, .headers = "Retry-After: 1\r\n" }, { .status = 204 }
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", OLD_FORM);
	struct delivery *d = start(&conf);
	uint64_t start_ns = clock_mono_ns();

	(void)state;
	delivery_push(d, batch_of(1));
	wait_for_requests(p, 2);
	assert_true(clock_mono_ns() - start_ns >= 1000000000);
	delivery_stop(d, 5000);
	peer_stop(p);
	host_conf_done(&conf);
}

/* A receiver that is away at the end costs no time and no sample: the queue is on disk. */
static void test_end_keeps_what_waits(void **state)
{
	static const struct peer_answer bad[] = { { .status = 503 } },
					good[] = { { .status = 204 } };
	__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
	struct peer *away = peer_start(bad, 1), *there = peer_start(good, 1);
	struct host_conf first = conf_for(away, dir.path, OLD_FORM "    backoff_max: 1m\n");
	struct host_conf second = conf_for(there, dir.path, OLD_FORM);
	double values[11];

	(void)state;
	struct delivery *d = start(&first);

	delivery_push(d, batch_of(5));
	delivery_push(d, batch_of(6));
	wait_for_requests(away, 1);
	uint64_t start_ns = clock_mono_ns();

	delivery_stop(d, 60000); /* does not wait that long */
	assert_true(clock_mono_ns() - start_ns < 20000000000u);
	d = start(&second);
	wait_for_settled(d, 11);
	assert_int_equal(11, SENT(d));
	delivery_stop(d, 5000);
	assert_int_equal(5, decode(&there->requests[0], values, 11));
	assert_int_equal(6, decode(&there->requests[1], values, 11));
	peer_stop(away);
	peer_stop(there);
	host_conf_done(&first);
	host_conf_done(&second);
}

static void test_new_address_ends_the_wait(void **state)
{
	static const struct peer_answer bad[] = { { .status = 503,
		                                    .headers = "Retry-After: 60\r\n" } },
					good[] = { { .status = 204 } };
	struct peer *away = peer_start(bad, 1), *there = peer_start(good, 1);
	struct host_conf first = conf_for(away, "", OLD_FORM),
			 second = conf_for(there, "", OLD_FORM);
	struct err e = ERR_INIT;

	(void)state;
	struct delivery *d = start(&first);

	delivery_push(d, batch_of(2));
	wait_for_requests(away, 1);
	assert_int_equal(0, delivery_set_conf(d, &second, &e));
	wait_for_requests(there, 1);
	delivery_stop(d, 5000);
	peer_stop(away);
	peer_stop(there);
	host_conf_done(&first);
	host_conf_done(&second);
}

/* Forms are tried from the best to the oldest, and the one that was taken stays. */
static void test_negotiation(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 415 },                       /* 2.0 zstd */
		{ .status = 204 },                       /* 2.0 snappy: does not say it wrote */
		{ .status = 400, .body = "bad snappy" }, /* 1.0 zstd */
		{ .status = 204 },                       /* 1.0 snappy */
	};
	static const char *const heads[][2] = {
		{ "Version: 2.0.0\r\n", "Encoding: zstd\r\n" },
		{ "Version: 2.0.0\r\n", "Encoding: snappy\r\n" },
		{ "Version: 0.1.0\r\n", "Encoding: zstd\r\n" },
		{ "Version: 0.1.0\r\n", "Encoding: snappy\r\n" },
		{ "Version: 0.1.0\r\n", "Encoding: snappy\r\n" },
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "", "");
	struct delivery *d = start(&conf);
	double values[7];

	(void)state;
	delivery_push(d, batch_of(3));
	wait_for_settled(d, 3);
	delivery_push(d, batch_of(7));
	wait_for_settled(d, 10);
	assert_int_equal(10, SENT(d));
	assert_int_equal(0, RETRIED(d));
	delivery_stop(d, 5000);
	assert_int_equal(5, p->n_requests);
	for (size_t i = 0; i < 5; i++) {
		assert_true(peer_head_has(p, i, heads[i][0]));
		assert_true(peer_head_has(p, i, heads[i][1]));
		assert_int_equal(i < 4 ? 3 : 7, decode(&p->requests[i], values, 7));
	}
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_token(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
	struct peer *p = peer_start(script, 1);
	struct err e = ERR_INIT;
	char path[128], line[256];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/token", dir.path);
	(void)snprintf(line, sizeof(line), "%s    token_file: %s\n    headers: ['X-Org: acme']\n",
	               OLD_FORM, path);
	struct host_conf conf = conf_for(p, "", line);
	struct delivery *d = NULL;

	assert_int_equal(-EINVAL, delivery_new(&d, &conf, NULL, &e));
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(0, file_replace(path, "two\nlines\n", 10, 0600));
	assert_int_equal(-EINVAL, delivery_new(&d, &conf, NULL, &e));
	assert_null(strstr(e.msg, "two"));
	assert_int_equal(0, file_replace(path, "s3cret\n", 7, 0600));
	d = start(&conf);
	delivery_push(d, batch_of(1));
	wait_for_settled(d, 1);
	assert_int_equal(0, file_replace(path, "another\n", 8, 0600)); /* no reload is needed */
	delivery_push(d, batch_of(1));
	wait_for_settled(d, 2);
	assert_int_equal(0, file_replace(path, "\n", 1, 0600)); /* bad: the one before is used */
	delivery_push(d, batch_of(1));
	wait_for_settled(d, 3);
	delivery_stop(d, 5000);
	assert_true(peer_head_has(p, 0, "\r\nAuthorization: Bearer s3cret\r\n"));
	assert_true(peer_head_has(p, 0, "\r\nX-Org: acme\r\n"));
	assert_true(peer_head_has(p, 1, "\r\nAuthorization: Bearer another\r\n"));
	assert_true(peer_head_has(p, 2, "\r\nAuthorization: Bearer another\r\n"));
	peer_stop(p);
	host_conf_done(&conf);
}

/* Each destination gets what its rules leave, and one that is away does not hold up the other. */
static void test_several_destinations(void **state)
{
	static const struct peer_answer good[] = { { .status = 204 } },
					bad[] = { { .status = 503 } };
	__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
	struct peer *all = peer_start(good, 1), *few = peer_start(good, 1),
		    *away = peer_start(bad, 1);
	struct buf text = BUF_INIT;
	double values[20];

	(void)state;
	buf_printf(&text,
	           "queue: {dir: %s, sync: false}\nremote_write:\n"
	           "  all: {url: %s, protocol: 1.0}\n"
	           "  few:\n    url: %s\n    protocol: 1.0\n    relabel:\n"
	           "      - {action: keep, source_labels: [instance], regex: 'i000[2-4]'}\n"
	           "      - {action: labeldrop, regex: 'app|__org__'}\n"
	           "  away: {url: %s, protocol: 1.0}\n",
	           dir.path, all->url, few->url, away->url);
	struct host_conf conf = parse(buf_cstr(&text));
	struct delivery *d = start(&conf);

	delivery_push(d, batch_of(20));
	wait_for_requests(all, 1);
	wait_for_requests(few, 1);
	wait_for_requests(away, 1);
	assert_int_equal(20, metric_of(d, "queue_samples{destination=\"away\"} "));
	delivery_stop(d, 5000);
	assert_int_equal(20, decode(&all->requests[0], values, 20));
	assert_int_equal(3, decode(&few->requests[0], values, 20));
	assert_true(values[0] == 2);
	assert_true(values[2] == 4);
	_cleanup_(buf_done) struct buf plain = BUF_INIT;

	assert_int_equal(0, coding_unpack(CODING_ZSTD, buf_str(&few->requests[0].body), 1 << 20,
	                                  &plain));
	assert_null(memmem(plain.p, plain.len, "web", 3));
	assert_null(memmem(plain.p, plain.len, "acme", 4));
	assert_non_null(memmem(plain.p, plain.len, "i0002", 5));
	peer_stop(all);
	peer_stop(few);
	peer_stop(away);
	buf_done(&text);
	host_conf_done(&conf);
}

static void sleep_ms(int64_t ms)
{
	uint64_t until_ns = clock_mono_ns() + (uint64_t)ms * 1000000;

	while (clock_mono_ns() < until_ns)
		nap();
}

/* Back after an outage: what is new goes first, the rest at the rate that was asked for. */
static void test_catching_up(void **state)
{
	static const struct peer_answer bad[] = { { .status = 503 } },
					good[] = { { .status = 204 } };
	struct peer *away = peer_start(bad, 1), *there = peer_start(good, 1);
	const char *more = OLD_FORM "    backoff_max: 50ms\n    live_window: 1s\n"
				    "    catch_up_samples: 20\n";
	struct host_conf first = conf_for(away, "", more), second = conf_for(there, "", more);
	double values[20];
	struct err e = ERR_INIT;

	(void)state;
	struct delivery *d = start(&first);

	for (size_t i = 10; i < 15; i++) /* 60 samples */
		delivery_push(d, batch_of(i));
	sleep_ms(1200);
	delivery_push(d, batch_of(9));
	while (WAITING(d) < 69)
		nap();
	assert_int_equal(0, delivery_set_conf(d, &second, &e));
	uint64_t start_ns = clock_mono_ns();

	wait_for_settled(d, 69);
	/* 20 are saved up; the last block may go while the account is not yet overdrawn. */
	assert_true(clock_mono_ns() - start_ns >= 1000000000);
	delivery_stop(d, 5000);
	assert_int_equal(6, there->n_requests);
	assert_int_equal(9, decode(&there->requests[0], values, 20));
	for (size_t i = 1; i < 6; i++)
		assert_int_equal(9 + i, decode(&there->requests[i], values, 20));
	peer_stop(away);
	peer_stop(there);
	host_conf_done(&first);
	host_conf_done(&second);
}

static void test_one_daemon_for_each_folder(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, dir.path, "");
	struct delivery *d = start(&conf), *other = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-EBUSY, delivery_new(&other, &conf, NULL, &e));
	assert_non_null(strstr(e.msg, "another periscope-host uses it"));
	delivery_stop(d, 0);
	d = start(&conf);
	delivery_stop(d, 0);
	peer_stop(p);
	host_conf_done(&conf);
}

/* A bad file of settings changes nothing, not even where it is good. */
static void test_reload_is_all_or_nothing(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, "", OLD_FORM), worse = conf_for(p, "", OLD_FORM), none;
	struct destination_conf *broken = worse.destinations.v;
	struct delivery *d = start(&conf);
	struct err e = ERR_INIT;

	(void)state;
	free(broken->token_file);
	broken->token_file = strdup("/nonexistent/token");
	assert_int_equal(-EINVAL, delivery_set_conf(d, &worse, &e));
	assert_non_null(strstr(e.msg, "remote_write.region: token_file: /nonexistent/token"));
	delivery_push(d, batch_of(3));
	wait_for_settled(d, 3);
	none = parse("host_id: 00ff\n");
	assert_int_equal(0, delivery_set_conf(d, &none, &e)); /* no destination is left */
	delivery_push(d, batch_of(3));
	delivery_stop(d, 5000);
	assert_int_equal(1, p->n_requests);
	peer_stop(p);
	host_conf_done(&conf);
	host_conf_done(&worse);
	host_conf_done(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outbox_order_and_bound),
		cmocka_unit_test(test_outbox_waits_and_closes),
		cmocka_unit_test(test_cut_and_sent_in_order),
		cmocka_unit_test(test_gathered),
		cmocka_unit_test(test_sent_again_until_taken),
		cmocka_unit_test(test_refused_is_dropped),
		cmocka_unit_test(test_refused_in_part),
		cmocka_unit_test(test_too_large_is_halved),
		cmocka_unit_test(test_retry_after_is_obeyed),
		cmocka_unit_test(test_end_keeps_what_waits),
		cmocka_unit_test(test_new_address_ends_the_wait),
		cmocka_unit_test(test_negotiation),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_several_destinations),
		cmocka_unit_test(test_catching_up),
		cmocka_unit_test(test_one_daemon_for_each_folder),
		cmocka_unit_test(test_reload_is_all_or_nothing),
	};

	(void)setenv("no_proxy", "*", 1);
	if (http_client_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
