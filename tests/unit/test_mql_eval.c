/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds an evaluation: ranges and moments, limits, the deadline, enforced filters, and
 * memory that runs out anywhere. What functions compute is in tests/mql.
 */
#include "api/mql/mql.h"
#include "store/store.h"
#include "tests/unit/unit.h"

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include <jansson.h>

#include <errno.h>
#include <ftw.h>
#include <jansson.h>

#define BASE_MS   1704067200000ll
#define N_SAMPLES 240
#define STEP_MS   15000ll

static struct store *store;
static char dir[] = "/tmp/test_mql_eval.XXXXXX";

static void add_series(struct str org, struct label *labels, uint32_t n_labels, double first)
{
	struct sample samples[N_SAMPLES];
	struct series_in in = { labels, samples, n_labels, N_SAMPLES };
	struct store_append_result res = { 0 };

	for (int i = 0; i < N_SAMPLES; i++)
		samples[i] = (struct sample){ BASE_MS + i * STEP_MS, first + i };
	assert_int_equal(0, store_append(store, org, &in, 1, &res));
}

static int open_store(void **state)
{
	struct label a[] = { { STR(LABEL_NAME), STR("m") }, { STR("t"), STR("a") } };
	struct label b[] = { { STR(LABEL_NAME), STR("m") }, { STR("t"), STR("b") } };
	struct store_conf conf;
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	conf = (struct store_conf){ .dir = dir,
		                    .retention_ms = 100ll * 365 * 86400 * 1000,
		                    .wal_sync = STORE_SYNC_INTERVAL,
		                    .wal_sync_interval_ms = 1000 };
	if (store_open(&store, &conf, &e) < 0)
		fail_msg("store: %s", e.msg);
	add_series(STR("org"), a, 2, 0);
	add_series(STR("org"), b, 2, 1000);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int close_store(void **state)
{
	(void)state;
	store_close(store);
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct mql_query range(const char *text, int64_t from_s, int64_t to_s, int64_t step_s)
{
	return (struct mql_query){ .text = str_from(text),
		                   .org = STR("org"),
		                   .start_ms = BASE_MS + from_s * 1000,
		                   .end_ms = BASE_MS + to_s * 1000,
		                   .step_ms = step_s * 1000,
		                   .now_ms = BASE_MS + 86400000,
		                   .round_digits = MQL_ROUND_OFF };
}

static struct mql_query instant(const char *text, int64_t at_s)
{
	struct mql_query q = range(text, at_s, at_s, 0);

	q.instant = true;
	return q;
}

static void run(const struct mql_query *q, struct mql_result *res)
{
	struct err e = ERR_INIT;

	if (mql_eval(store, q, res, &e) < 0)
		fail_msg("%.*s: %s", STR_FMT(q->text), e.msg);
}

static void refused(const struct mql_query *q, int code, const char *msg)
{
	struct mql_result res;
	struct err e = ERR_INIT;
	int r = mql_eval(store, q, &res, &e);

	if (r != code || !strstr(e.msg, msg))
		fail_msg("%.*s: expected %d \"%s\", got %d \"%s\"", STR_FMT(q->text), code, msg, r,
		         e.msg);
}

static void test_types_and_labels(void **state)
{
	struct mql_query q = instant("m", 60);
	struct mql_result res;

	(void)state;
	run(&q, &res);
	assert_int_equal(MQL_VECTOR, res.type);
	assert_int_equal(2, res.n_series);
	assert_int_equal(2, res.series_fetched);
	assert_int_equal(2, res.series[0].n_labels);
	assert_str_equal(STR(LABEL_NAME), res.series[0].labels[0].name);
	assert_str_equal(STR("a"), res.series[0].labels[1].value);
	assert_double_near(4, res.series[0].values[0], 0);
	assert_int_equal(BASE_MS + 60000, res.series[0].ts_ms[0]);
	mql_result_done(&res);

	q = range("m", 0, 60, 30);
	run(&q, &res);
	assert_int_equal(MQL_MATRIX, res.type);
	assert_int_equal(3, res.series[0].n);
	mql_result_done(&res);
}

/* PromQL has types that MetricsQL has not; what functions compute is in tests/mql/promql.test. */
static void test_promql_types(void **state)
{
	struct mql_query q = instant("1 + 1", 60);
	struct mql_result res;

	(void)state;
	run(&q, &res);
	assert_int_equal(MQL_VECTOR, res.type);
	mql_result_done(&res);

	q.dialect = MQL_PROMQL;
	run(&q, &res);
	assert_int_equal(MQL_SCALAR, res.type);
	assert_int_equal(1, res.n_series);
	assert_double_near(2, res.series[0].values[0], 0);
	assert_int_equal(q.start_ms, res.series[0].ts_ms[0]);
	mql_result_done(&res);

	q.text = STR("\"a text\"");
	run(&q, &res);
	assert_int_equal(MQL_STRING, res.type);
	assert_str_equal(STR("a text"), res.text);
	mql_result_done(&res);

	q.text = STR("m[30s]");
	run(&q, &res);
	assert_int_equal(MQL_MATRIX, res.type);
	assert_int_equal(2, res.series[0].n); /* of 30 s, 45 s and 60 s the first is outside */
	mql_result_done(&res);

	q = range("\"a text\"", 0, 60, 30);
	q.dialect = MQL_PROMQL;
	refused(&q, -EINVAL, "invalid expression type \"string\" for range query");
	q.text = STR("count_over_time(m[1h:1ms])");
	refused(&q, -ENOSPC, "points in a subquery");
}

/* Each step of a trace says what it was, and took no longer than the one around it. */
static size_t count_steps(const json_t *step, const char *word)
{
	const char *message = json_string_value(json_object_get(step, "message"));
	double ms = json_number_value(json_object_get(step, "duration_msec"));
	const json_t *child;
	size_t i, n;

	assert_non_null(message);
	assert_true(ms >= 0);
	n = strstr(message, word) != NULL;
	json_array_foreach(json_object_get(step, "children"), i, child)
	{
		assert_true(json_number_value(json_object_get(child, "duration_msec")) <= ms);
		n += count_steps(child, word);
	}
	return n;
}

static void test_trace(void **state)
{
	struct mql_query q = range("sum(rate(m[1m])) by (t) + (m offset 30s) * 2", 0, 60, 30);
	struct mql_result res;
	json_t *trace;

	(void)state;
	run(&q, &res);
	assert_int_equal(0, res.trace.len);
	mql_result_done(&res);

	q.trace = true;
	run(&q, &res);
	trace = json_loadb(res.trace.p, res.trace.len, 0, NULL);
	assert_non_null(trace);
	assert_int_equal(2, count_steps(trace, "read and rolled up"));
	assert_int_equal(1, count_steps(trace, "query=sum(rate(m[1m])) by(t), "));
	assert_int_equal(4, count_steps(trace, "points per series=3"));
	assert_int_equal(1, count_steps(trace, "series fetched=4, samples="));
	json_decref(trace);
	mql_result_done(&res);
}

/* A variant of a variant has the label of both, that of the outer one last. */
static void test_variants_of_variants(void **state)
{
	struct mql_query q = instant("rollup_rate(rollup_delta(m{t=\"a\"})[30s:10s])", 60);
	struct mql_result res;
	size_t n = 0;

	(void)state;
	run(&q, &res);
	assert_int_equal(9, res.n_series);
	for (size_t i = 0; i < res.n_series; i++) {
		const struct mql_series *s = &res.series[i];

		assert_int_equal(3, s->n_labels); /* rollup, rollup, t */
		assert_str_equal(STR("rollup"), s->labels[0].name);
		assert_str_equal(STR("rollup"), s->labels[1].name);
		n += str_eqc(s->labels[0].value, "max") && str_eqc(s->labels[1].value, "min");
	}
	assert_int_equal(1, n);
	mql_result_done(&res);
}

/* A bare m[d]: raw samples, without that at the start; m[d:s]: the points of a range. */
static void test_raw_samples(void **state)
{
	struct mql_query q = instant("m{t=\"a\"}[1m] offset 1s", 61);
	struct mql_result res;

	(void)state;
	run(&q, &res);
	assert_int_equal(MQL_MATRIX, res.type);
	assert_int_equal(1, res.n_series);
	assert_int_equal(4, res.series[0].n);
	assert_int_equal(BASE_MS + 15000, res.series[0].ts_ms[0]);
	assert_double_near(4, res.series[0].values[3], 0);
	mql_result_done(&res);

	q = instant("sum(m)[1m:30s]", 60);
	run(&q, &res);
	assert_int_equal(MQL_MATRIX, res.type);
	assert_int_equal(3, res.series[0].n);
	assert_double_near(1008, res.series[0].values[2], 0);
	mql_result_done(&res);
}

/* From 50 points on a range lies on multiples of the step, unless nocache asks for its own. */
static void test_alignment(void **state)
{
	struct mql_query q = range("m{t=\"a\"}", 67, 67 + 49 * 30, 30);
	struct mql_result res;

	(void)state;
	run(&q, &res);
	assert_int_equal(50, res.series[0].n);
	assert_int_equal(BASE_MS + 60000, res.series[0].ts_ms[0]);
	mql_result_done(&res);
	q.nocache = true;
	run(&q, &res);
	assert_int_equal(BASE_MS + 67000, res.series[0].ts_ms[0]);
	mql_result_done(&res);
	q = range("m{t=\"a\"}", 67, 67 + 48 * 30, 30);
	run(&q, &res);
	assert_int_equal(BASE_MS + 67000, res.series[0].ts_ms[0]);
	mql_result_done(&res);
}

/* The newest samples may be on their way: a moment near now is asked earlier, stamped as asked. */
static void test_latency_offset(void **state)
{
	struct mql_query q = instant("m{t=\"a\"}", 300);
	struct mql_result res;

	(void)state;
	q.now_ms = BASE_MS + 300000;
	q.latency_offset_ms = 30000;
	run(&q, &res);
	assert_double_near(18, res.series[0].values[0], 0);
	assert_int_equal(BASE_MS + 300000, res.series[0].ts_ms[0]);
	mql_result_done(&res);
	q.nocache = true;
	run(&q, &res);
	assert_double_near(20, res.series[0].values[0], 0);
	mql_result_done(&res);

	q = range("m{t=\"a\"}", 240, 300, 15);
	q.now_ms = BASE_MS + 300000;
	q.latency_offset_ms = 30000;
	run(&q, &res);
	assert_int_equal(5, res.series[0].n);
	assert_double_near(18, res.series[0].values[2], 0);
	assert_double_near(18, res.series[0].values[4], 0);
	mql_result_done(&res);
}

static void test_rounding(void **state)
{
	struct mql_query q = instant("m{t=\"a\"} / 3", 60);
	struct mql_result res;

	(void)state;
	q.round_digits = 2;
	run(&q, &res);
	assert_double_near(1.33, res.series[0].values[0], 0);
	mql_result_done(&res);
}

/* Enforced matchers and extra filters hold for every selector, whatever the text says. */
static void test_filters(void **state)
{
	static const struct store_matcher only_a = { STORE_EQ, STR_INIT("t"), STR_INIT("a") };
	static const struct store_matcher only_b = { STORE_EQ, STR_INIT("t"), STR_INIT("b") };
	static const struct store_match_set extra[] = { { &only_a, 1 }, { &only_b, 1 } };
	static const char *const texts[] = {
		"m",      "m{t=~\".*\"}",  "{t!=\"x\"}",
		"m or m", "sum(m) by (t)", "max_over_time(m[1m:15s])"
	};
	struct mql_result res;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct mql_query q = instant(texts[i], 60);

		unit_note("%s", texts[i]);
		q.enforced = (struct store_match_set){ &only_a, 1 };
		run(&q, &res);
		assert_int_equal(1, res.n_series);
		assert_int_equal(4, (int)res.series[0].values[0]);
		mql_result_done(&res);

		q = instant(texts[i], 60);
		q.extra = &extra[1];
		q.n_extra = 1;
		run(&q, &res);
		assert_int_equal(1, res.n_series);
		assert_int_equal(1004, (int)res.series[0].values[0]);
		q.extra = extra;
		q.n_extra = 2;
		mql_result_done(&res);
		run(&q, &res);
		assert_int_equal(2, res.n_series);
		mql_result_done(&res);
	}
}

static void test_limits(void **state)
{
	struct mql_limits l = mql_limits_default;
	struct mql_query q = range("m", 0, 3600, 15);

	(void)state;
	q.limits = &l;
	l.points_max = 240;
	refused(&q, -ENOSPC, "limit of 240 points per series");
	l = mql_limits_default;
	l.series_max = 1;
	refused(&q, -ENOSPC, "more than 1 series");
	l = mql_limits_default;
	l.samples_max = 300;
	refused(&q, -ENOSPC, "300 samples");
	l = mql_limits_default;
	l.memory_bytes_max = 20000;
	q.text = STR("m + m - m * m / m");
	refused(&q, -ENOSPC, "memory limit of 20000 bytes");
	q.text = STR("m");
	l = mql_limits_default;
	l.text_bytes_max = 0;
	refused(&q, -ENOSPC, "more than the limit of 0");
	l = mql_limits_default;
	l.subquery_points_max = 100;
	q = instant("max_over_time(m[1h:15s])", 3600);
	q.limits = &l;
	refused(&q, -ENOSPC, "limit of 100 points in a subquery");
	q = range("m", 0, 60, 0);
	refused(&q, -EINVAL, "step must be positive");
}

static void test_deadline(void **state)
{
	static const char *const texts[] = { "m", "sum(m)", "m + m", "abs(m)" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct mql_query q = instant(texts[i], 60);

		q.deadline_mono_ns = 1;
		refused(&q, -ECANCELED, "time limit");
	}
}

static uint64_t mono_reads;

static uint64_t mono_counted(void)
{
	return ++mono_reads;
}

/* How often a query looks at the clock, once it has a deadline. */
static uint64_t looks(const char *text)
{
	static const struct clock_ops ops = { .unix_ms = clock_unix_ms, .mono_ns = mono_counted };
	struct mql_query q = range(text, 0, 300, 1);
	struct mql_result res;

	q.deadline_mono_ns = UINT64_MAX;
	mono_reads = 0;
	clock_set(&ops);
	run(&q, &res);
	clock_set(NULL);
	mql_result_done(&res);
	return mono_reads;
}

/* Windows of 9,000 samples at 301 points: one series is 2.7 million of them. */
static void test_deadline_within_a_series(void **state)
{
	static const char *const functions[] = { "mad_over_time(", "rollup(",
		                                 "quantiles_over_time(\"q\", 0.5, " };
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		(void)snprintf(text, sizeof(text), "%srand(1)[15m:1m])", functions[i]);
		uint64_t few = looks(text);

		(void)snprintf(text, sizeof(text), "%srand(1)[15m:100ms])", functions[i]);
		assert_true(looks(text) >= few + 2);
	}
}

#define PROMQL "^" /* in front of a text: of that dialect */

/* The n-th allocation fails, n = 1, 2, ...: a clean error each time, until all succeed. */
static void test_out_of_memory(void **state)
{
	static const char *const texts[] = {
		"sum(rate(m[1m])) by (t) / on(t) group_left(x) label_set(m, \"x\", \"y\")",
		"m or topk(1, m)",
		"label_replace(max_over_time(m[2m:15s]), \"a\", \"$1\", \"t\", \"(.*)\") default 1",
		"count_values(\"v\", m) if on() quantile(0.5, m)",
		"m[5m]",
		PROMQL
		"sum(rate(m[1m])) by (t) / on(t) label_replace(m, \"x\", \"y\", \"t\", \".*\")",
		PROMQL
		"count_values(\"v\", m) or topk(1, avg_over_time(m[2m:15s])) unless absent(m)",
		PROMQL "histogram_quantile(0.5, m) or max_over_time(m[5m:1m]) > bool 2",
		PROMQL "m[5m]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		bool promql = texts[i][0] == PROMQL[0];
		struct mql_query q = instant(&texts[i][promql], 600);
		unsigned long n = 0;
		int r;

		q.dialect = promql ? MQL_PROMQL : MQL_METRICSQL;
		unit_note("%s", texts[i]);
		do {
			struct mql_result res;
			struct err e = ERR_INIT;

			alloc_fail_at(++n);
			r = mql_eval(store, &q, &res, &e);
			alloc_fail_at(0);
			if (r == 0)
				mql_result_done(&res);
			else if (r != -ENOMEM || !strstr(e.msg, "memory"))
				fail_msg("allocation %lu: %d \"%s\"", n, r, e.msg);
		} while (r < 0 && n < 100000);
		assert_int_equal(0, r);
	}
}

static void test_parse_selector(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(1 << 20);
	const struct store_match_set *sets;
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	assert_int_equal(0,
	                 mql_parse_selector(STR("m{a=\"b\" or c!~\"d\"}"), &arena, &sets, &n, &e));
	assert_int_equal(2, n);
	assert_int_equal(2, sets[1].n);
	assert_str_equal(STR("m"), sets[1].v[0].value);
	assert_int_equal(STORE_NRE, sets[1].v[1].op);
	assert_int_equal(-EINVAL, mql_parse_selector(STR("m + m"), &arena, &sets, &n, &e));
	assert_int_equal(-EINVAL, mql_parse_selector(STR("m[5m]"), &arena, &sets, &n, &e));
	assert_int_equal(-EINVAL, mql_parse_selector(STR("rate(m)"), &arena, &sets, &n, &e));
}

static void test_format_and_duration(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int64_t ms;

	(void)state;
	assert_int_equal(0, mql_format(STR("sum by(a)(rate( m [5m] ))+1"), &out, &e));
	assert_str_equal(STR("sum(rate(m[5m])) by(a) + 1"), buf_str(&out));
	assert_int_equal(-EINVAL, mql_format(STR("sum("), &out, &e));
	assert_int_equal(4, e.pos);
	assert_int_equal(0, mql_parse_duration_ms(STR("1h30m"), &ms));
	assert_int_equal(5400000, ms);
	assert_int_equal(0, mql_parse_duration_ms(STR("1.5"), &ms));
	assert_int_equal(1500, ms);
	assert_int_equal(-EINVAL, mql_parse_duration_ms(STR("5i"), &ms));
	assert_int_equal(-EINVAL, mql_parse_duration_ms(STR("$__interval"), &ms));
	assert_int_equal(-EINVAL, mql_parse_duration_ms(STR(""), &ms));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types_and_labels),
		cmocka_unit_test(test_promql_types),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_variants_of_variants),
		cmocka_unit_test(test_raw_samples),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_latency_offset),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_deadline_within_a_series),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_parse_selector),
		cmocka_unit_test(test_format_and_duration),
	};

	return cmocka_run_group_tests(tests, open_store, close_store);
}
