/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON out: escapes (hostile bytes must never break the text), numbers, times, and the answer of a
 * query cut into pieces of every size.
 */
#include "api/json_out.h"
#include "tests/unit/unit.h"

#include <math.h>

#include "userspace/base/alloc.h"

static void test_strings(void **state)
{
	static const struct {
		struct str in;
		const char *want;
	} rows[] = {
		{ STR_INIT(""), "\"\"" },
		{ STR_INIT("plain /text'"), "\"plain /text'\"" },
		{ STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ STR_INIT("\n\r\t"), "\"\\n\\r\\t\"" },
		{ STR_INIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\\u007f\"" },
		{ STR_INIT("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"),
		  "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"" },
		{ STR_INIT("\xff"), "\"\xef\xbf\xbd\"" },
		{ STR_INIT("a\xc3"), "\"a\xef\xbf\xbd\"" },
		{ STR_INIT("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ STR_INIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ STR_INIT("\xf4\x90\x80\x80x"),
		  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"" },
		{ STR_INIT("\xe4\xb8x"), "\"\xef\xbf\xbd\xef\xbf\xbdx\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT;
		struct str copy = unit_strdup(rows[i].in);

		unit_note("%s", rows[i].want);
		json_put_str(&b, copy);
		assert_string_equal(rows[i].want, buf_cstr(&b));
		free((void *)(uintptr_t)copy.p);
	}
}

static void test_times(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} rows[] = {
		{ 0, "0" },
		{ 1000, "1" },
		{ 1, "0.001" },
		{ 10, "0.01" },
		{ 100, "0.1" },
		{ 1700000000123, "1700000000.123" },
		{ 1500, "1.5" },
		{ -1500, "-1.5" },
		{ -1, "-0.001" },
		{ 1020, "1.02" },
		{ INT64_MAX, "9223372036854775.807" },
		{ INT64_MIN, "-9223372036854775.808" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT;

		json_put_ts(&b, rows[i].ms);
		assert_string_equal(rows[i].want, buf_cstr(&b));
	}
}

static void test_values(void **state)
{
	static const struct {
		double v;
		const char *want;
	} rows[] = {
		{ 1, "\"1\"" },
		{ -0.5, "\"-0.5\"" },
		{ 1e21, "\"1000000000000000000000\"" },
		{ 1e-7, "\"0.0000001\"" },
		{ NAN, "\"NaN\"" },
		{ INFINITY, "\"+Inf\"" },
		{ -INFINITY, "\"-Inf\"" },
		{ 0.1, "\"0.1\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT;

		json_put_value(&b, rows[i].v);
		assert_string_equal(rows[i].want, buf_cstr(&b));
	}
}

static const struct label labels_a[] = { { STR_INIT("__name__"), STR_INIT("up") },
	                                 { STR_INIT("job"), STR_INIT("x\"y") } };
static const int64_t ts_ms[] = { 1000, 2500, 4001 };
static const int64_t same_ts_ms[] = { 1000, 2500, 4001 }, other_ts_ms[] = { 1000, 2500, 4000 };
static const double values[] = { 1, 2.5, -3 }, gaps[] = { NAN, 2, NAN };
static const struct mql_series two_series[] = {
	{ .labels = labels_a, .n_labels = 2, .n = 3, .ts_ms = ts_ms, .values = values },
	{ .labels = labels_a, .n_labels = 0, .n = 1, .ts_ms = ts_ms, .values = values },
	/* the same times elsewhere, and others; NaN as a gap and as a value */
	{ .labels = labels_a, .n = 3, .ts_ms = same_ts_ms, .values = gaps, .gaps = true },
	{ .labels = labels_a, .n = 3, .ts_ms = other_ts_ms, .values = gaps },
};

static const struct {
	enum mql_type type;
	size_t n;
	const char *want;
} answers[] = {
	{ MQL_MATRIX, 2,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
	  "{\"metric\":{\"__name__\":\"up\",\"job\":\"x\\\"y\"},"
	  "\"values\":[[1,\"1\"],[2.5,\"2.5\"],"
	  "[4.001,\"-3\"]]},{\"metric\":{},\"values\":[[1,\"1\"]]}]},"
	  "\"stats\":{\"seriesFetched\":\"7\",\"executionTimeMsec\":9}}\n" },
	{ MQL_MATRIX, 4,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
	  "{\"metric\":{\"__name__\":\"up\",\"job\":\"x\\\"y\"},"
	  "\"values\":[[1,\"1\"],[2.5,\"2.5\"],[4.001,\"-3\"]]},"
	  "{\"metric\":{},\"values\":[[1,\"1\"]]},"
	  "{\"metric\":{},\"values\":[[2.5,\"2\"]]},"
	  "{\"metric\":{},\"values\":[[1,\"NaN\"],[2.5,\"2\"],[4,\"NaN\"]]}]},"
	  "\"stats\":{\"seriesFetched\":\"7\",\"executionTimeMsec\":9}}\n" },
	{ MQL_VECTOR, 1,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	  "{\"metric\":{\"__name__\":\"up\",\"job\":\"x\\\"y\"},\"value\":[1,\"1\"]}]},"
	  "\"stats\":{\"seriesFetched\":\"7\",\"executionTimeMsec\":9}}\n" },
	{ MQL_VECTOR, 0,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},"
	  "\"stats\":{\"seriesFetched\":\"7\",\"executionTimeMsec\":9}}\n" },
};

static void test_answers_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct mql_result result = { .type = answers[i].type,
			                           .series = two_series,
			                           .n_series = answers[i].n,
			                           .series_fetched = 7 };

		for (size_t want = 1; want < 500; want += 7) {
			struct json_result w = { .result = &result, .took_ms = 9 };
			_cleanup_(buf_done) struct buf all = BUF_INIT;
			int r = 0;

			while (r == 0) {
				size_t before = all.len;

				r = json_result_next(&w, &all, want);
				assert_true(all.len > before);
				assert_true(all.len - before < want + 200);
			}
			assert_int_equal(1, r);
			assert_string_equal(answers[i].want, buf_cstr(&all));
			json_result_done(&w);
		}
	}
}

static void test_no_memory(void **state)
{
	const struct mql_result result = { .type = MQL_MATRIX,
		                           .series = two_series,
		                           .n_series = 2 };
	struct json_result w = { .result = &result };
	_cleanup_(buf_done) struct buf out = { .max = 100 };

	(void)state;
	assert_int_equal(-ENOSPC, json_result_next(&w, &out, 1000));
	json_result_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),   cmocka_unit_test(test_times),
		cmocka_unit_test(test_values),    cmocka_unit_test(test_answers_in_pieces),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
