/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store through its door: what is appended is found, survives close and reopen, and follows the
 * stated rules; what is refused is counted by reason; a random model agrees before and after
 * reopening.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"

#define RETENTION_MS (3153600000000ll) /* 100 y */

static struct store *open_at(const char *dir)
{
	struct store_conf conf = { .dir = dir, .retention_ms = RETENTION_MS };
	struct err e = ERR_INIT;
	struct store *s;

	if (store_open(&s, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static int append(struct store *s, const char *org, const struct label *labels, uint32_t n_labels,
                  const struct sample *v, uint32_t n, struct store_append_result *res)
{
	struct series_in in = { labels, v, n_labels, n };

	return store_append(s, str_from(org), &in, 1, res);
}

static void add(struct store *s, const char *name, const char *value, int64_t ts_ms, double v)
{
	const struct label labels[] = { { STR(LABEL_NAME), str_from(name) },
		                        { STR("l"), str_from(value) } };
	const struct sample x = { ts_ms, v };
	struct store_append_result res;

	assert_int_equal(0, append(s, "dev", labels, 2, &x, 1, &res));
	assert_int_equal(1, res.accepted);
}

/* "name{l} ts=value …;" for all that a selection finds, in scan order. */
static void dump(struct store *s, const struct store_select *sel, struct buf *out)
{
	struct store_scan *scan;
	struct store_series one;
	struct err e = ERR_INIT;
	int r = store_scan_open(s, sel, &scan, &e);

	if (r < 0)
		fail_msg("%d %s", r, e.msg);
	buf_clear(out);
	while ((r = store_scan_next(scan, &one)) == 0) {
		for (uint32_t i = 0; i < one.n_labels; i++)
			buf_printf(out, "%s%.*s", i ? "," : "", STR_FMT(one.labels[i].value));
		for (uint32_t i = 0; i < one.n; i++) {
			buf_printf(out, " %lld=", (long long)one.ts_ms[i]);
			if (is_stale_mark(one.values[i]))
				buf_puts(out, "stale");
			else
				buf_put_double(out, one.values[i]);
		}
		buf_putc(out, ';');
	}
	assert_int_equal(1, r);
	store_scan_close(scan);
}

static void expect(struct store *s, const struct store_matcher *m, size_t n, const char *want)
{
	const struct store_match_set set = { m, n };
	const struct store_select sel = { .org = STR("dev"),
		                          .sets = &set,
		                          .n_sets = n ? 1 : 0,
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	dump(s, &sel, &out);
	assert_string_equal(want, buf_cstr(&out));
}

static void test_append_and_reopen(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	static const char want[] = "a,x 1=1 2=-0;a,y 1=+Inf;b,x 5=stale;";

	(void)state;
	add(s, "b", "x", 5, stale_mark());
	add(s, "a", "y", 1, INFINITY);
	add(s, "a", "x", 2, -0.0);
	add(s, "a", "x", 1, 1);
	expect(s, NULL, 0, want);
	store_close(s);
	s = open_at(dir.path);
	expect(s, NULL, 0, want);
	add(s, "a", "y", 2, 3); /* appending goes on behind a replay */
	store_close(s);
	s = open_at(dir.path);
	expect(s, NULL, 0, "a,x 1=1 2=-0;a,y 1=+Inf 2=3;b,x 5=stale;");
	store_close(s);
}

static void test_same_time_twice(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);

	(void)state;
	add(s, "a", "x", 1, 1);
	add(s, "a", "x", 1, 3);
	add(s, "a", "x", 1, 2);
	add(s, "b", "x", 1, stale_mark());
	add(s, "b", "x", 1, -7);
	add(s, "c", "x", 1, -7);
	add(s, "c", "x", 1, stale_mark());
	add(s, "d", "x", 1, -0.0);
	add(s, "d", "x", 1, 0.0);
	expect(s, NULL, 0, "a,x 1=3;b,x 1=-7;c,x 1=-7;d,x 1=0;");
	store_close(s);
}

static void test_matchers(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	static const struct {
		struct store_matcher m[2];
		size_t n;
		const char *want;
	} rows[] = {
		/* clang-format off */
		{ { { STORE_EQ, STR_INIT("l"), STR_INIT("x") } }, 1, "a,x 1=1;b,x 1=1;" },
		{ { { STORE_NE, STR_INIT("l"), STR_INIT("x") } }, 1, "a,y 1=1;c 1=1;" },
		{ { { STORE_RE, STR_INIT("l"), STR_INIT("x|z") } }, 1, "a,x 1=1;b,x 1=1;" },
		{ { { STORE_RE, STR_INIT("l"), STR_INIT("x?") } }, 1, "a,x 1=1;b,x 1=1;c 1=1;" },
		{ { { STORE_NRE, STR_INIT("l"), STR_INIT("x?") } }, 1, "a,y 1=1;" },
		{ { { STORE_EQ, STR_INIT("l"), STR_INIT("") } }, 1, "c 1=1;" },
		{ { { STORE_NE, STR_INIT("l"), STR_INIT("") } }, 1, "a,x 1=1;a,y 1=1;b,x 1=1;" },
		{ { { STORE_EQ, STR_INIT("nope"), STR_INIT("") } }, 1,
		  "a,x 1=1;a,y 1=1;b,x 1=1;c 1=1;" },
		{ { { STORE_EQ, STR_INIT("nope"), STR_INIT("x") } }, 1, "" },
		{ { { STORE_RE, STR_INIT("__name__"), STR_INIT("[ab]") },
		    { STORE_EQ, STR_INIT("l"), STR_INIT("y") } }, 2, "a,y 1=1;" },
		/* clang-format on */
	};
	const struct label alone = { STR(LABEL_NAME), STR("c") };
	const struct sample x = { 1, 1 };
	struct store_append_result res;

	(void)state;
	add(s, "a", "x", 1, 1);
	add(s, "a", "y", 1, 1);
	add(s, "b", "x", 1, 1);
	assert_int_equal(0, append(s, "dev", &alone, 1, &x, 1, &res));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("row %zu", i);
		expect(s, rows[i].m, rows[i].n, rows[i].want);
	}
	store_close(s);
}

static void test_organisations_are_apart(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	const struct label label = { STR(LABEL_NAME), STR("m") };
	const struct sample x = { 1, 1 };
	struct store_append_result res;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct store_select sel = { .org = STR("other"), .min_ms = 0, .max_ms = 10 };

	(void)state;
	assert_int_equal(0, append(s, "dev", &label, 1, &x, 1, &res));
	dump(s, &sel, &out);
	assert_int_equal(0, out.len);
	sel.org = STR("dev");
	dump(s, &sel, &out);
	assert_string_equal("m 1=1;", buf_cstr(&out));
	assert_int_equal(-EINVAL, append(s, "Dev", &label, 1, &x, 1, &res));
	assert_int_equal(-EINVAL, append(s, "", &label, 1, &x, 1, &res));
	assert_int_equal(-EINVAL, append(s, "a/b", &label, 1, &x, 1, &res));
	store_close(s);
}

static void test_enforced_filters_bind(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	const struct store_matcher all = { STORE_RE, STR("__name__"), STR(".*") };
	const struct store_matcher only = { STORE_EQ, STR("l"), STR("x") };
	const struct store_match_set sets[] = { { &all, 1 }, { &all, 1 } };
	const struct store_select sel = {
		.org = STR("dev"), .sets = sets, .n_sets = 2, .enforced = { &only, 1 }, .max_ms = 10
	};
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	add(s, "a", "x", 1, 1);
	add(s, "a", "y", 1, 1);
	dump(s, &sel, &out);
	assert_string_equal("a,x 1=1;", buf_cstr(&out));
	store_close(s);
}

static void test_refusals(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store_conf conf = { .dir = dir.path, .retention_ms = 3600000 };
	struct store *s;
	struct label many[LABELS_MAX + 1];
	char names[LABELS_MAX + 1][16], huge[LABEL_VALUE_MAX + 2];
	int64_t now = clock_unix_ms();
	struct {
		struct label l[3];
		uint32_t n;
		int64_t ts_ms;
		double v;
		enum store_refusal why;
	} rows[] = {
		/* clang-format off */
		{ { { STR("x"), STR("y") } }, 1, now, 1, STORE_REFUSED_NO_NAME },
		{ { { STR(LABEL_NAME), STR("") } }, 1, now, 1, STORE_REFUSED_NO_NAME },
		{ { { STR(LABEL_NAME), STR("m") }, { STR(""), STR("y") } }, 2, now, 1,
		  STORE_REFUSED_LABELS },
		{ { { STR(LABEL_NAME), STR("m") }, { STR("a"), STR("1") },
		    { STR("a"), STR("1") } }, 3, now, 1, STORE_REFUSED_LABELS },
		{ { { STR(LABEL_NAME), STR("m") },
		    { STR("a"), { huge, LABEL_VALUE_MAX + 1 } } }, 2, now, 1,
		  STORE_REFUSED_LABELS },
		{ { { STR(LABEL_NAME), STR("\xff") } }, 1, now, 1, STORE_REFUSED_UTF8 },
		{ { { STR(LABEL_NAME), STR("\xed\xa0\x80") } }, 1, now, 1, STORE_REFUSED_UTF8 },
		{ { { STR(LABEL_NAME), STR("m") } }, 1, now - 3700000, 1, STORE_REFUSED_TOO_OLD },
		{ { { STR(LABEL_NAME), STR("m") } }, 1, INT64_MIN, 1, STORE_REFUSED_TOO_OLD },
		{ { { STR(LABEL_NAME), STR("m") } }, 1, now + STORE_FUTURE_MS_MAX + 60000, 1,
		  STORE_REFUSED_TOO_NEW },
		{ { { STR(LABEL_NAME), STR("m") } }, 1, now, NAN, STORE_REFUSED_NAN },
		/* clang-format on */
	};
	struct store_append_result res;

	(void)state;
	memset(huge, 'x', sizeof(huge));
	assert_int_equal(0, store_open(&s, &conf, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sample x = { rows[i].ts_ms, rows[i].v };

		unit_note("row %zu", i);
		assert_int_equal(0, append(s, "dev", rows[i].l, rows[i].n, &x, 1, &res));
		assert_int_equal(0, res.accepted);
		assert_int_equal(1, res.refused[rows[i].why]);
		assert_int_equal(rows[i].why != STORE_REFUSED_NAN, res.first.code < 0);
	}
	for (uint32_t i = 0; i <= LABELS_MAX; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "l%03u", i);
		many[i] = (struct label){ str_from(names[i]), STR("v") };
	}
	struct sample x = { now, 1 };

	assert_int_equal(0, append(s, "dev", many, LABELS_MAX + 1, &x, 1, &res));
	assert_int_equal(1, res.refused[STORE_REFUSED_LABELS]);
	expect(s, NULL, 0, "");
	store_close(s);
}

static void test_lock_and_versions(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store_conf conf = { .dir = dir.path, .retention_ms = RETENTION_MS };
	struct store *s = open_at(dir.path), *other;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-EBUSY, store_open(&other, &conf, &e));
	assert_non_null(strstr(e.msg, "in use by another process"));
	store_close(s);
}

static void test_memory_limit(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store_conf conf = { .dir = dir.path,
		                   .retention_ms = RETENTION_MS,
		                   .memory_max_bytes = 1000000,
		                   .is_manual = true };
	const struct label label = { STR(LABEL_NAME), STR("m") };
	struct store_append_result res;
	struct store *s;
	int64_t n = 0;
	int r = 0;

	(void)state;
	assert_int_equal(0, store_open(&s, &conf, NULL));
	for (; r == 0 && n < 100000; n++) {
		struct sample x[50];

		for (int i = 0; i < 50; i++)
			x[i] = (struct sample){ n * 50 + i, (double)n * 1.1 + i };
		r = append(s, "dev", &label, 1, x, 50, &res);
	}
	assert_int_equal(-EAGAIN, r);
	assert_true(n > 10);
	store_close(s);
}

#define MODEL_SERIES 6
#define MODEL_TIMES  400

struct model {
	bool has[MODEL_SERIES][MODEL_TIMES];
	double v[MODEL_SERIES][MODEL_TIMES];
};

static double model_winner(bool has, double a, double b)
{
	if (!has || is_stale_mark(a))
		return b;
	return is_stale_mark(b) || a > b ? a : b;
}

static void model_check(struct store *s, const struct model *m)
{
	const struct store_select sel = { .org = STR("dev"),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	_cleanup_(buf_done) struct buf want = BUF_INIT;

	for (int k = 0; k < MODEL_SERIES; k++) {
		size_t before = want.len;

		buf_printf(&want, "m,%d", k);
		size_t head = want.len;

		for (int t = 0; t < MODEL_TIMES; t++) {
			if (!m->has[k][t])
				continue;
			buf_printf(&want, " %d=", t);
			if (is_stale_mark(m->v[k][t]))
				buf_puts(&want, "stale");
			else
				buf_put_double(&want, m->v[k][t]);
		}
		if (want.len == head)
			want.len = before;
		else
			buf_putc(&want, ';');
	}
	dump(s, &sel, &out);
	assert_string_equal(buf_cstr(&want), buf_cstr(&out));
}

static void test_model(void **state)
{
	static struct model m;
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);

	(void)state;
	for (int round = 0; round < 6000; round++) {
		uint32_t k = rng_below(&rng, MODEL_SERIES), t = rng_below(&rng, MODEL_TIMES);
		double v = rng_below(&rng, 8) == 0   ? stale_mark()
		           : rng_below(&rng, 2) == 0 ? (double)rng_below(&rng, 100)
		                                     : (double)rng_below(&rng, 100) / 7;
		char name[2] = { (char)('0' + k), 0 };

		if (rng_below(&rng, 3)) /* mostly in order */
			t = (uint32_t)round * MODEL_TIMES / 6000;
		add(s, "m", name, t, v);
		m.v[k][t] = model_winner(m.has[k][t], m.v[k][t], v);
		m.has[k][t] = true;
		if (round % 1500 == 1499) {
			model_check(s, &m);
			store_close(s);
			s = open_at(dir.path);
			model_check(s, &m);
		}
	}
	store_close(s);
}

static int count_text(void *ctx, struct str text)
{
	buf_printf(ctx, "%.*s ", STR_FMT(text));
	return 0;
}

static void test_names_and_values(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	struct store_select sel = { .org = STR("dev"), .min_ms = 0, .max_ms = 10 };
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	add(s, "b", "y", 1, 1);
	add(s, "a", "x", 20, 1);
	assert_int_equal(0, store_label_names(s, &sel, count_text, &out, NULL));
	assert_string_equal("__name__ l ", buf_cstr(&out));
	buf_clear(&out);
	assert_int_equal(0, store_label_values(s, &sel, STR("l"), count_text, &out, NULL));
	assert_string_equal("y ", buf_cstr(&out)); /* the other has no sample in range */
	sel.max_ms = 20;
	buf_clear(&out);
	assert_int_equal(0, store_label_values(s, &sel, STR("__name__"), count_text, &out, NULL));
	assert_string_equal("a b ", buf_cstr(&out));
	store_close(s);
}

static void test_bad_regex_and_limits(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	const struct store_matcher bad = { STORE_RE, STR("l"), STR("a(") };
	const struct store_match_set set = { &bad, 1 };
	struct store_select sel = { .org = STR("dev"), .sets = &set, .n_sets = 1, .max_ms = 10 };
	struct store_scan *scan;
	struct store_series one;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-EINVAL, store_scan_open(s, &sel, &scan, &e)); /* no such tenant yet */
	add(s, "a", "x", 1, 1);
	add(s, "a", "y", 1, 1);
	e = ERR_INIT;
	assert_int_equal(-EINVAL, store_scan_open(s, &sel, &scan, &e));
	assert_non_null(strstr(e.msg, "bad regular expression"));
	sel.n_sets = 0;
	sel.series_max = 1;
	assert_int_equal(-ENOSPC, store_scan_open(s, &sel, &scan, &e));
	sel.series_max = 0;
	sel.deadline_mono_ns = 1;
	int r = store_scan_open(s, &sel, &scan, &e);

	if (r == 0) {
		r = store_scan_next(scan, &one);
		store_scan_close(scan);
	}
	assert_int_equal(-ECANCELED, r);
	sel.deadline_mono_ns = 0;
	sel.samples_max = 1;
	assert_int_equal(0, store_scan_open(s, &sel, &scan, &e));
	assert_int_equal(0, store_scan_next(scan, &one));
	assert_int_equal(-ENOSPC, store_scan_next(scan, &one));
	store_scan_close(scan);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_and_reopen),
		cmocka_unit_test(test_same_time_twice),
		cmocka_unit_test(test_matchers),
		cmocka_unit_test(test_organisations_are_apart),
		cmocka_unit_test(test_enforced_filters_bind),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_lock_and_versions),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_names_and_values),
		cmocka_unit_test(test_bad_regex_and_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
