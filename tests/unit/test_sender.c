/* SPDX-License-Identifier: BSD-2-Clause */
/* Outbox and sender: every sample arrives once, or is counted as dropped with the right reason. */
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
#include "userspace/host/host_conf.h"
#include "userspace/host/outbox.h"
#include "userspace/host/sender.h"
#include "userspace/host/vm.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/http_client.h"
#include "userspace/wire/rwproto.h"

#define TS_MS 1700000000000

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

static int64_t counter(const char *line)
{
	struct buf out = BUF_INIT;
	int64_t value;

	metrics_write(&out);
	const char *at = strstr(buf_cstr(&out), line);

	if (!at)
		fail_msg("no metric %s", line);
	value = strtoll(at + strlen(line), NULL, 10);
	buf_done(&out);
	return value;
}

#define DROPPED(reason) counter("\nperiscope_host_samples_dropped_total{reason=\"" reason "\"} ")
#define SENT()          counter("\nperiscope_host_samples_sent_total ")
#define WAITING()       counter("\nperiscope_host_queue_samples ")

/* ---- the outbox */

static void test_outbox_order_and_bound(void **state)
{
	int64_t dropped = DROPPED("queue_full");
	struct outbox *o = NULL;
	struct batch *b;

	(void)state;
	assert_int_equal(0, outbox_new(&o, 100));
	for (size_t n = 30; n < 34; n++)
		outbox_push(o, batch_of(n)); /* 30 + 31 + 32 + 33: the first does not fit */
	assert_int_equal(96, outbox_n_samples(o));
	assert_int_equal(dropped + 30, DROPPED("queue_full"));
	assert_int_equal(0, outbox_take(o, 0, &b));
	assert_int_equal(31, batch_n_samples(b));
	assert_int_equal(96, outbox_n_samples(o)); /* what is being sent counts */
	outbox_set_max(o, 10);
	assert_int_equal(31 + 33, outbox_n_samples(o)); /* the last stays, and the taken one */
	assert_int_equal(dropped + 30 + 32, DROPPED("queue_full"));
	outbox_release(o, b);
	assert_int_equal(33, outbox_n_samples(o));
	outbox_free(o);
	assert_int_equal(0, WAITING());
}

static void test_outbox_waits_and_closes(void **state)
{
	int64_t dropped = DROPPED("stopped");
	uint64_t until_ns = clock_mono_ns() + 50000000;
	struct outbox *o = NULL;
	struct batch *b;

	(void)state;
	assert_int_equal(0, outbox_new(&o, 100));
	assert_int_equal(-EAGAIN, outbox_take(o, until_ns, &b));
	assert_true(clock_mono_ns() >= until_ns);
	outbox_push(o, batch_of(5));
	outbox_close(o);
	outbox_push(o, batch_of(7));
	assert_int_equal(dropped + 7, DROPPED("stopped"));
	assert_int_equal(0, outbox_take(o, UINT64_MAX, &b));
	assert_int_equal(5, batch_n_samples(b));
	outbox_release(o, b);
	assert_int_equal(-EPIPE, outbox_take(o, UINT64_MAX, &b));
	outbox_free(o);
}

/* ---- the sender */

static struct host_conf conf_for(const struct peer *p, const char *more)
{
	static const char *const none[] = { NULL };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct host_conf conf;

	buf_printf(&text, "host_id: 00ff\nremote_write:\n  url: %s\n  backoff_min: 10ms\n%s",
	           p->url, more);
	if (host_conf_parse("test", buf_str(&text), none, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	buf_done(&text);
	return conf;
}

static struct sender *start(const struct host_conf *conf)
{
	struct sender *s = NULL;
	struct err e = ERR_INIT;

	if (sender_new(&s, conf, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

/* Values of all samples in a request that the peer took, in order. */
static size_t decode(const struct peer_request *req, double *values, size_t max)
{
	struct arena arena = ARENA_INIT((size_t)16 << 20);
	struct buf raw = BUF_INIT;
	struct rw_request rw;
	struct err e = ERR_INIT;
	size_t n = 0;

	assert_int_equal(0,
	                 coding_unpack(CODING_SNAPPY, buf_str(&req->body), (size_t)16 << 20, &raw));
	assert_int_equal(0, rw_decode(buf_str(&raw), &arena, &rw, NULL, &e));
	for (size_t i = 0; i < rw.n_series; i++) {
		assert_int_equal(1, rw.series[i].n_samples);
		assert_int_equal(TS_MS, rw.series[i].samples[0].ts_ms);
		assert_true(n < max);
		values[n++] = rw.series[i].samples[0].value;
	}
	buf_done(&raw);
	arena_done(&arena);
	return n;
}

static void wait_for_requests(const struct peer *p, size_t n)
{
	const struct timespec nap = { .tv_nsec = 2000000 };

	for (int i = 0; i < 5000 && atomic_load(&p->n_requests) < n; i++)
		(void)nanosleep(&nap, NULL);
	assert_true(atomic_load(&p->n_requests) >= n);
}

static void test_cut_and_sent_in_order(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, "  request_samples: 10\n");
	struct sender *s = start(&conf);
	int64_t sent = SENT();
	double values[25];
	size_t n = 0;

	(void)state;
	sender_push(s, batch_of(25));
	sender_stop(s, 5000);
	assert_int_equal(3, p->n_requests);
	for (size_t i = 0; i < 3; i++)
		n += decode(&p->requests[i], values + n, 25 - n);
	assert_int_equal(25, n);
	for (size_t i = 0; i < 25; i++)
		assert_true(values[i] == (double)i);
	assert_int_equal(sent + 25, SENT());
	assert_int_equal(0, WAITING());
	assert_true(peer_head_has(p, 0, "Content-Encoding: snappy\r\n"));
	assert_true(peer_head_has(p, 0, "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"));
	assert_false(peer_head_has(p, 0, "Authorization"));
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
	struct host_conf conf = conf_for(p, "  backoff_max: 20ms\n");
	struct sender *s = start(&conf);
	int64_t sent = SENT(), refused = DROPPED("refused");

	(void)state;
	sender_push(s, batch_of(3));
	wait_for_requests(p, ARRAY_SIZE(script));
	sender_stop(s, 5000);
	assert_int_equal(ARRAY_SIZE(script), p->n_requests);
	for (size_t i = 1; i < ARRAY_SIZE(script); i++) /* the same bytes each time */
		assert_str_equal(buf_str(&p->requests[0].body), buf_str(&p->requests[i].body));
	assert_int_equal(sent + 3, SENT());
	assert_int_equal(refused, DROPPED("refused"));
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_refused_is_dropped(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 400, .body = "bad\x01\xff sample\nx" }, { .status = 204 }
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "");
	struct sender *s = start(&conf);
	int64_t sent = SENT(), refused = DROPPED("refused");

	(void)state;
	sender_push(s, batch_of(4));
	sender_push(s, batch_of(6));
	sender_stop(s, 5000);
	assert_int_equal(2, p->n_requests);
	assert_int_equal(refused + 4, DROPPED("refused"));
	assert_int_equal(sent + 6, SENT());
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_too_large_is_halved(void **state)
{
	static const struct peer_answer script[] = { { .status = 413 },
		                                     { .status = 413 },
		                                     { .status = 204 } };
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "");
	struct sender *s = start(&conf);
	double values[16];
	int64_t sent = SENT();

	(void)state;
	sender_push(s, batch_of(16));
	sender_stop(s, 5000);
	assert_int_equal(16, decode(&p->requests[0], values, 16));
	assert_int_equal(8, decode(&p->requests[1], values, 16));
	assert_int_equal(4, decode(&p->requests[2], values, 16));
	assert_int_equal(12, decode(&p->requests[3], values, 16));
	assert_true(values[0] == 4);
	assert_int_equal(sent + 16, SENT());
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_retry_after_is_obeyed(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 429, .headers = "Retry-After: 1\r\n" }, { .status = 204 }
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "");
	struct sender *s = start(&conf);
	uint64_t start_ns = clock_mono_ns();

	(void)state;
	sender_push(s, batch_of(1));
	wait_for_requests(p, 2);
	assert_true(clock_mono_ns() - start_ns >= 1000000000);
	sender_stop(s, 5000);
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_end_gives_up(void **state)
{
	static const struct peer_answer script[] = { { .status = 503 } };
	struct peer *p = peer_start(script, 1);
	struct host_conf conf = conf_for(p, "");
	struct sender *s;
	int64_t stopped = DROPPED("stopped");

	(void)state;
	conf.backoff_min_ms = 60000;
	s = start(&conf);
	sender_push(s, batch_of(5));
	sender_push(s, batch_of(6));
	wait_for_requests(p, 1);
	uint64_t start_ns = clock_mono_ns();

	sender_stop(s, 200); /* wakes the wait of a minute */
	assert_true(clock_mono_ns() - start_ns < 20000000000u);
	assert_int_equal(stopped + 11, DROPPED("stopped"));
	assert_int_equal(0, WAITING());
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_new_address_ends_the_wait(void **state)
{
	static const struct peer_answer bad[] = { { .status = 503 } },
					good[] = { { .status = 204 } };
	struct peer *away = peer_start(bad, 1), *there = peer_start(good, 1);
	struct host_conf first = conf_for(away, ""), second = conf_for(there, "");
	struct err e = ERR_INIT;

	(void)state;
	first.backoff_min_ms = 60000;
	struct sender *s = start(&first);

	sender_push(s, batch_of(2));
	wait_for_requests(away, 1);
	assert_int_equal(0, sender_set_conf(s, &second, &e));
	wait_for_requests(there, 1);
	sender_stop(s, 5000);
	peer_stop(away);
	peer_stop(there);
	host_conf_done(&first);
	host_conf_done(&second);
}

/* A request that is under way is no hang, until it takes longer than any may. */
static void test_stuck(void **state)
{
	static const struct peer_answer script[] = { { .stall = true } };
	const uint64_t minute_ns = 60000000000u;
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct host_conf conf = conf_for(p, "  timeout: 60s\n");
	struct sender *s = start(&conf);

	(void)state;
	assert_false(sender_is_stuck(s, clock_mono_ns() + 60 * minute_ns)); /* idle */
	sender_push(s, batch_of(1));
	wait_for_requests(p, 1);
	assert_true(sender_is_stuck(s, clock_mono_ns() + 11 * minute_ns));
	assert_false(sender_is_stuck(s, clock_mono_ns() + 5 * minute_ns));
	sender_stop(s, 0);
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_token(void **state)
{
	static const struct peer_answer script[] = { { .status = 204 } };
	__attribute__((cleanup(tempdir_done))) struct tempdir dir = tempdir_make();
	struct peer *p = peer_start(script, 1);
	struct err e = ERR_INIT;
	char path[128], line[200];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/token", dir.path);
	(void)snprintf(line, sizeof(line), "  token_file: %s\n", path);
	struct host_conf conf = conf_for(p, line);
	struct sender *s = NULL;

	assert_int_equal(-EINVAL, sender_new(&s, &conf, &e));
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(0, file_replace(path, "two\nlines\n", 10, 0600));
	assert_int_equal(-EINVAL, sender_new(&s, &conf, &e));
	assert_null(strstr(e.msg, "two"));
	assert_int_equal(0, file_replace(path, "s3cret\n", 7, 0600));
	s = start(&conf);
	sender_push(s, batch_of(1));
	sender_stop(s, 5000);
	assert_true(peer_head_has(p, 0, "\r\nAuthorization: Bearer s3cret\r\n"));
	peer_stop(p);
	host_conf_done(&conf);
}

static void test_no_address_sends_nothing(void **state)
{
	static const char *const none[] = { NULL };
	struct host_conf conf;
	struct err e = ERR_INIT;
	int64_t sent = SENT();

	(void)state;
	assert_int_equal(0, host_conf_parse("t", STR("host_id: 00ff\n"), none, &conf, &e));
	struct sender *s = start(&conf);

	sender_push(s, batch_of(3));
	sender_stop(s, 5000);
	assert_int_equal(sent, SENT());
	assert_int_equal(0, WAITING());
	host_conf_done(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outbox_order_and_bound),
		cmocka_unit_test(test_outbox_waits_and_closes),
		cmocka_unit_test(test_cut_and_sent_in_order),
		cmocka_unit_test(test_sent_again_until_taken),
		cmocka_unit_test(test_refused_is_dropped),
		cmocka_unit_test(test_too_large_is_halved),
		cmocka_unit_test(test_retry_after_is_obeyed),
		cmocka_unit_test(test_end_gives_up),
		cmocka_unit_test(test_new_address_ends_the_wait),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_no_address_sends_nothing),
	};

	(void)setenv("no_proxy", "*", 1);
	if (http_client_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
