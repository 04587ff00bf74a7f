/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the server remembers of its queries: counters by text, the queries of an organisation, and
 * texts without secrets.
 */
#include "tests/unit/unit.h"

#include "api/counts.h"
#include "api/name_stats.h"
#include "api/queries.h"
#include "api/redact.h"
#include "userspace/base/clock.h"

static void test_counts(void **state)
{
	struct counts c = COUNTS_INIT(5000);
	struct rng rng = unit_rng();
	uint64_t want[3000] = { 0 };
	char text[16];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		uint32_t k = rng_below(&rng, ARRAY_SIZE(want));

		(void)snprintf(text, sizeof(text), "t%u", k);
		counts_at(&c, str_from(text))->n++;
		want[k]++;
	}
	for (uint32_t k = 0; k < ARRAY_SIZE(want); k++) {
		(void)snprintf(text, sizeof(text), "t%u", k);
		const struct count *one = counts_find(&c, str_from(text));

		assert_int_equal(want[k], one ? one->n : 0);
	}
	_cleanup_free_ const struct count **v = counts_sort(&c);

	for (size_t i = 1; i < c.n; i++)
		assert_true(v[i - 1]->n > v[i]->n ||
		            (v[i - 1]->n == v[i]->n &&
		             str_cmp(count_text(v[i - 1]), count_text(v[i])) < 0));
	assert_null(counts_find(&c, STR("t")));
	assert_non_null(counts_at(&c, STR(""))); /* the empty text is one */
	counts_done(&c);
	assert_null(counts_find(&c, STR("t1")));
}

static void test_counts_limit(void **state)
{
	struct counts c = COUNTS_INIT(2);

	(void)state;
	assert_non_null(counts_at(&c, STR("a")));
	assert_non_null(counts_at(&c, STR("b")));
	assert_null(counts_at(&c, STR("c")));
	assert_non_null(counts_at(&c, STR("a")));
	assert_int_equal(1, c.refused);
	counts_done(&c);
}

static void test_name_stats(void **state)
{
	struct name_stats *s;
	struct name_use use;
	char name[16];

	(void)state;
	assert_int_equal(0, name_stats_new(&s));
	name_stats_add(s, STR("a"), STR("up"));
	name_stats_add(s, STR("a"), STR("up"));
	name_stats_add(s, STR("b"), STR("up"));
	name_stats_get(s, STR("a"), STR("up"), &use);
	assert_int_equal(2, use.n);
	assert_true(use.last_s > 1600000000);
	name_stats_get(s, STR("c"), STR("up"), &use);
	assert_int_equal(0, use.n);
	for (unsigned i = 0; i < NAME_STATS_MAX; i++) { /* one of them is too many */
		(void)snprintf(name, sizeof(name), "n%u", i);
		name_stats_add(s, STR("a"), str_from(name));
	}
	name_stats_get(s, STR("a"), str_from(name), &use);
	assert_int_equal(0, use.n);
	name_stats_add(s, STR("b"), str_from(name));
	name_stats_get(s, STR("b"), str_from(name), &use);
	assert_int_equal(1, use.n);
	name_stats_free(s);
}

struct seen {
	size_t n;
	uint64_t sum_ns;
	struct str last;
};

static void see_past(void *ctx, const struct query_past *p)
{
	struct seen *s = ctx;

	s->n++;
	s->sum_ns += p->took_ns;
	s->last = p->text;
}

static void see_run(void *ctx, const struct query_run *run)
{
	struct seen *s = ctx;

	s->n++;
	s->last = run->text;
}

static void test_running(void **state)
{
	const struct query_cost cheap = { .took_ns = 10 };
	struct query_run runs[3] = { { .org = STR("a"), .text = STR("1") },
		                     { .org = STR("a"), .text = STR("2") },
		                     { .org = STR("b"), .text = STR("3") } };
	static const unsigned order[] = { 1, 0, 2 };
	struct queries *q;

	(void)state;
	assert_int_equal(0, queries_new(&q));
	for (size_t i = 0; i < 3; i++)
		queries_begin(q, &runs[i]);
	assert_true(runs[0].id < runs[1].id);
	for (size_t i = 0; i < 3; i++) {
		struct seen seen = { 0 };

		queries_each(q, see_run, &seen);
		assert_int_equal(3 - i, seen.n);
		assert_str_equal(STR("3"), seen.last);
		queries_end(q, &runs[order[i]], &cheap);
	}
	struct seen seen = { 0 };

	queries_each(q, see_run, &seen);
	queries_past(q, STR("a"), see_past, &seen); /* too cheap to be kept */
	assert_int_equal(0, seen.n);
	queries_free(q);
}

static void test_past(void **state)
{
	static char long_text[2 * QUERY_TEXT_KEPT];
	struct queries *q;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	assert_int_equal(0, queries_new(&q));
	for (unsigned i = 1; i <= QUERIES_KEPT + 10; i++) {
		const struct query_cost cost = { .took_ns = i * 1000000ull };
		struct query_run run = { .org = STR("a"),
			                 .who = STR("me"),
			                 .text = { long_text, sizeof(long_text) } };

		queries_begin(q, &run);
		queries_end(q, &run, &cost);
	}
	struct query_run other = { .org = STR("b"), .text = STR("up") };
	const struct query_cost cost = { .took_ns = 5000000 };

	queries_begin(q, &other);
	queries_end(q, &other, &cost);

	struct seen a = { 0 }, b = { 0 }, none = { 0 };

	queries_past(q, STR("a"), see_past, &a);
	assert_int_equal(QUERIES_KEPT, a.n); /* the first ten are gone */
	uint64_t n = QUERIES_KEPT + 10;

	assert_true(a.sum_ns == (n * (n + 1) / 2 - 55) * 1000000);
	assert_int_equal(QUERY_TEXT_KEPT, a.last.len);
	queries_past(q, STR("b"), see_past, &b);
	assert_int_equal(1, b.n);
	assert_str_equal(STR("up"), b.last);
	queries_past(q, STR("c"), see_past, &none);
	assert_int_equal(0, none.n);
	queries_free(q);
}

static void test_redact(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "" },
		{ "sum(rate(x[5m]))", "sum(rate(x[5m]))" },
		{ "x{t=\"fm2_lJPE+/a=\"}", "x{t=\"[redacted]\"}" },
		{ "fm1r_abc,fm1a_def ghi", "[redacted] ghi" },
		{ "Authorization: Bearer s3cr3t!", "Authorization: Bearer [redacted]!" },
		{ "flyv1 fm2_abc", "flyv1 [redacted]" },
		{ "a=Bearer%20abc%2Fdef&b=1", "a=Bearer%20[redacted]&b=1" },
		{ "Bearer", "Bearer" },
		{ "Bearers of news", "Bearers of news" },
		{ "fo1_x FM2_y", "[redacted] [redacted]" },
		{ "fm3_x", "fm3_x" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct str exact = unit_strdup(str_from(rows[i].text));

		unit_note("%s", rows[i].text);
		redact_put(&out, exact);
		assert_str_equal(str_from(rows[i].want), buf_str(&out));
		free((void *)(uintptr_t)exact.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),     cmocka_unit_test(test_counts_limit),
		cmocka_unit_test(test_name_stats), cmocka_unit_test(test_running),
		cmocka_unit_test(test_past),       cmocka_unit_test(test_redact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
