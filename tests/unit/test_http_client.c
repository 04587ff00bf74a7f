/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP client and a scripted server: answers, silence, lies, and what it will not send. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/http_peer.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/wire/http_client.h"

DEFINE_CLEANUP(struct http_client *, http_client_free);

static int post(struct http_client *c, const char *url, const char *const *headers,
                int64_t timeout_ms, const _Atomic int *stop, struct http_reply *reply)
{
	const struct http_request req = {
		.url = url, .headers = headers, .body = STR("body"), .timeout_ms = timeout_ms
	};
	struct err e = ERR_INIT;
	int r = http_post(c, &req, stop, reply, &e);

	if (r < 0)
		assert_true(e.msg[0] != '\0'); /* a sentence for people */
	return r;
}

static void expect(struct http_client *c, const struct peer *p, int status, int64_t retry_after_s,
                   const char *body)
{
	const char *headers[] = { "X-One: 1", NULL };
	struct http_reply reply = { 0 };

	assert_int_equal(0, post(c, p->url, headers, 5000, NULL, &reply));
	assert_int_equal(status, reply.status);
	assert_int_equal(retry_after_s, reply.retry_after_s);
	assert_str_equal(str_from(body), buf_str(&reply.body));
	http_reply_done(&reply);
}

static void test_answers(void **state)
{
	static const struct peer_answer script[] = {
		{ .status = 204 },
		{ .status = 503, .headers = "Retry-After: 7\r\n", .body = "busy" },
		{ .status = 429, .headers = "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n" },
		{ .status = 302, .headers = "Location: http://127.0.0.1:1/\r\n", .body = "away" },
	};
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct http_client *c = NULL;

	(void)state;
	assert_int_equal(0, http_client_new(&c));
	expect(c, p, 204, -1, "");
	expect(c, p, 503, 7, "busy");
	expect(c, p, 429, -1, "");     /* a date long gone */
	expect(c, p, 302, -1, "away"); /* not followed */
	http_client_free(c);
	assert_int_equal(4, p->n_requests);
	assert_true(peer_head_has(p, 0, "POST /api/v1/write HTTP/1.1\r\n"));
	assert_true(peer_head_has(p, 0, "\r\nX-One: 1\r\n"));
	assert_false(peer_head_has(p, 0, "Expect:"));
	assert_str_equal(STR("body"), buf_str(&p->requests[0].body));
	peer_stop(p);
}

static void test_body_is_bounded(void **state)
{
	size_t bytes = HTTP_REPLY_BYTES_MAX * 3;
	char *big = malloc(bytes + 1);
	struct http_reply reply = { 0 };
	struct http_client *c = NULL;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', bytes);
	big[bytes] = '\0';
	const struct peer_answer script[] = { { .status = 400, .body = big } };
	struct peer *p = peer_start(script, 1);

	assert_int_equal(0, http_client_new(&c));
	assert_int_equal(0, post(c, p->url, NULL, 5000, NULL, &reply));
	assert_int_equal(400, reply.status);
	assert_int_equal(HTTP_REPLY_BYTES_MAX, reply.body.len);
	http_reply_done(&reply);
	http_client_free(c);
	peer_stop(p);
	free(big);
}

static void test_no_answer(void **state)
{
	static const struct peer_answer script[] = { { .hang_up = true }, { .stall = true } };
	struct peer *p = peer_start(script, ARRAY_SIZE(script));
	struct http_reply reply = { 0 };
	struct http_client *c = NULL;
	_Atomic int stop = 0;
	int r;

	(void)state;
	assert_int_equal(0, http_client_new(&c));
	/* libcurl sends once more by itself only on a connection that was open before. */
	r = post(c, p->url, NULL, 5000, &stop, &reply);
	assert_int_equal(-EIO, r);
	assert_int_equal(-ETIMEDOUT, post(c, p->url, NULL, 300, &stop, &reply));
	stop = 1;
	uint64_t start_ns = clock_mono_ns();

	assert_int_equal(-ECANCELED, post(c, p->url, NULL, 60000, &stop, &reply));
	assert_true(clock_mono_ns() - start_ns < 10000000000u);
	http_client_free(c);
	peer_stop(p);
}

static void test_nobody_there(void **state)
{
	struct http_reply reply = { 0 };
	struct http_client *c = NULL;

	(void)state;
	assert_int_equal(0, http_client_new(&c));
	assert_int_equal(-ECONNREFUSED, post(c, "http://127.0.0.1:1/", NULL, 5000, NULL, &reply));
	http_client_free(c);
}

static void test_refused_before_sending(void **state)
{
	static const char *const two_lines[] = { "Authorization: Bearer t\r\nX-Evil: 1", NULL };
	static const char *const no_colon[] = { "Nonsense", NULL };
	static const char *const urls[] = { "", "file:///etc/passwd", "ftp://127.0.0.1/",
		                            "127.0.0.1:80/", "http://" };
	struct http_reply reply = { 0 };
	struct http_client *c = NULL;

	(void)state;
	assert_int_equal(0, http_client_new(&c));
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		unit_note("%s", urls[i]);
		assert_int_equal(-EINVAL, post(c, urls[i], NULL, 1000, NULL, &reply));
	}
	assert_int_equal(-EINVAL, post(c, "http://127.0.0.1:1/", two_lines, 1000, NULL, &reply));
	assert_int_equal(-EINVAL, post(c, "http://127.0.0.1:1/", no_colon, 1000, NULL, &reply));
	http_client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_body_is_bounded),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_refused_before_sending),
	};

	/* A proxy of the environment would answer for the peers here. */
	(void)setenv("no_proxy", "*", 1);
	if (http_client_global_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
