/* SPDX-License-Identifier: BSD-2-Clause */
/* Windows, previous samples, resets and stale marks on synthetic samples, without a store. */
#include "api/mql/fn.h"
#include "api/mql/rollup.h"
#include "tests/unit/unit.h"

#include <math.h>

#define SAMPLES_MAX 16

struct given {
	uint32_t n;
	int64_t ts_s[SAMPLES_MAX];
	double values[SAMPLES_MAX];
};

/* Runs @fn at @at_s, as one point of a range if @range (then the scrape interval is guessed). */
static double at(const char *fn, const struct given *in, int64_t at_s, int64_t window_s,
                 int64_t step_s, bool range)
{
	struct rollup_room room = { 0 };
	int64_t ts_ms[SAMPLES_MAX];
	struct rollup_series s;
	double out[2];
	struct rollup_conf c = {
		.fn = fn_find(str_from(fn)),
		.grid = { at_s * 1000, (at_s + (range ? step_s : 0)) * 1000, step_s * 1000,
		          range ? 2 : 1 },
		.window_ms = window_s * 1000,
		.id = 1,
	};

	assert_non_null(c.fn);
	c.flags = c.fn->flags;
	for (uint32_t i = 0; i < in->n; i++)
		ts_ms[i] = in->ts_s[i] * 1000;
	assert_int_equal(0, rollup_prepare(&room, &c, in->values, ts_ms, in->n, NULL, &s));
	rollup_run(&s, out);
	rollup_room_done(&room);
	return out[0];
}

static const struct given steady = { 5, { 10, 20, 30, 40, 50 }, { 1, 2, 4, 8, 16 } };

/* (t - w, t]: the start is outside, the end inside. */
static void test_window_ends(void **state)
{
	(void)state;
	assert_double_near(2, at("count_over_time", &steady, 40, 20, 10, true), 0);
	assert_double_near(12, at("sum_over_time", &steady, 40, 20, 10, true), 0);
	assert_double_near(3, at("count_over_time", &steady, 40, 21, 10, true), 0);
	assert_double_near(2, at("count_over_time", &steady, 49, 20, 10, true), 0);
	assert_double_near(NAN, at("count_over_time", &steady, 9, 20, 10, true), 0);
	assert_double_near(NAN, at("sum_over_time", &steady, 100, 20, 10, true), 0);
}

/* The sample at the window's start is its previous one, unless it is too old. */
static void test_previous_sample(void **state)
{
	static const struct given gap = { 4, { 10, 20, 30, 200 }, { 1, 2, 3, 7 } };

	(void)state;
	assert_double_near(12, at("delta", &steady, 50, 20, 10, true), 0);
	assert_double_near(0.6, at("rate", &steady, 50, 20, 10, true), 1e-12);
	/* 10 s intervals tolerate 15 s: at 200 the sample at 30 is no start of a rate any more, */
	assert_double_near(NAN, at("rate", &gap, 200, 20, 10, true), 0);
	/* but the value did not change in the gap as far as increase() can tell. */
	assert_double_near(4, at("increase", &gap, 200, 20, 10, true), 0);
	/* Instant: the step is the largest gap. */
	assert_double_near(4.0 / 170, at("rate", &gap, 200, 20, 300, false), 1e-12);
}

/* An empty window with a previous sample is no change, if the series goes on. */
static void test_empty_window(void **state)
{
	(void)state;
	assert_double_near(0, at("rate", &steady, 39, 8, 10, true), 0);
	assert_double_near(0, at("increase", &steady, 39, 8, 10, true), 0);
	assert_double_near(NAN, at("rate", &steady, 59, 8, 10, true), 0);
	assert_double_near(NAN, at("default_rollup", &steady, 39, 8, 10, true), 0);
}

/* A missing window is the step; it grows for rate() and bare selectors, not for sums. */
static void test_missing_window(void **state)
{
	(void)state;
	assert_double_near(8, at("default_rollup", &steady, 44, 0, 1, true), 0);
	assert_double_near(NAN, at("last_over_time", &steady, 44, 0, 1, true), 0);
	assert_double_near(NAN, at("default_rollup", &steady, 44, 1, 1, true), 0);
	assert_double_near(0.3, at("rate", &steady, 44, 0, 1, true), 1e-12);
	assert_double_near(16, at("default_rollup", &steady, 64, 0, 1, true), 0);
	assert_double_near(NAN, at("default_rollup", &steady, 65, 0, 1, true), 0);
}

static void test_resets(void **state)
{
	static const struct given restart = { 4, { 10, 20, 30, 40 }, { 10, 20, 5, 15 } };
	static const struct given partial = { 4, { 10, 20, 30, 40 }, { 100, 200, 190, 210 } };

	(void)state;
	assert_double_near(25, at("increase", &restart, 40, 30, 10, true), 0);
	assert_double_near(1, at("resets", &restart, 40, 30, 10, true), 0);
	assert_double_near(5, at("delta", &restart, 40, 30, 10, true), 0);
	/* A drop of less than 1/8 is a replica that lags: nothing was lost. */
	assert_double_near(120, at("increase", &partial, 40, 30, 10, true), 0);
}

/* A small first sample grew from 0, a large one was there before. */
static void test_first_sample(void **state)
{
	static const struct given small = { 2, { 10, 20 }, { 5, 8 } };
	static const struct given large = { 2, { 10, 20 }, { 5000, 5003 } };

	(void)state;
	assert_double_near(8, at("increase", &small, 20, 30, 10, true), 0);
	assert_double_near(3, at("increase", &large, 20, 30, 10, true), 0);
	assert_double_near(5003, at("increase_pure", &large, 20, 30, 10, true), 0);
	assert_double_near(2, at("changes", &small, 20, 30, 10, true), 0);
}

static void test_stale_marks(void **state)
{
	struct given in = { 3, { 10, 20, 30 }, { 1, 2, 0 } };

	(void)state;
	in.values[2] = stale_mark();
	assert_double_near(NAN, at("default_rollup", &in, 30, 20, 10, true), 0);
	assert_double_near(2, at("last_over_time", &in, 30, 20, 10, true), 0);
	assert_double_near(1, at("count_over_time", &in, 30, 20, 10, true), 0);
	assert_double_near(1, at("stale_samples_over_time", &in, 30, 20, 10, true), 0);
}

static void test_quantiles(void **state)
{
	double v[] = { 4, 1, 3, 2 };

	(void)state;
	assert_double_near(2.5, quantile_inplace(0.5, v, 4), 0);
	assert_double_near(1, quantile_sorted(0, v, 4), 0);
	assert_double_near(4, quantile_sorted(1, v, 4), 0);
	assert_double_near(-INFINITY, quantile_sorted(-0.1, v, 4), 0);
	assert_double_near(INFINITY, quantile_sorted(1.1, v, 4), 0);
	assert_double_near(NAN, quantile_sorted(NAN, v, 4), 0);
	assert_double_near(NAN, quantile_sorted(0.5, v, 0), 0);
}

/* --- kernels: whole series at once, the same bits ------------------------------------------ */

#define MANY     300u
#define ROUNDS   400u
#define START_MS 1700000000000ll

struct column {
	uint32_t n;
	int64_t ts_ms[MANY];
	double values[MANY];
};

/* Scrapes with gaps and jitter; counters with resets, gauges with ties, infinities, stale marks. */
static void random_column(struct rng *rng, struct column *c)
{
	int64_t t_ms = START_MS - 600000 + (int64_t)rng_below(rng, 60000);
	bool counter = rng_below(rng, 2), jitter = rng_below(rng, 2), wild = rng_below(rng, 4) == 0;
	double v = 0;

	c->n = rng_below(rng, MANY);
	for (uint32_t i = 0; i < c->n; i++) {
		t_ms += 15000 + (jitter ? (int64_t)rng_below(rng, 9000) : 0) +
		        (rng_below(rng, 20) == 0 ? (int64_t)rng_below(rng, 400000) : 0);
		v = counter ? (rng_below(rng, 40) == 0 ? 0 : v + rng_below(rng, 100))
		            : (double)rng_below(rng, 9) - 4;
		c->ts_ms[i] = t_ms;
		c->values[i] = v;
		if (wild && rng_below(rng, 10) == 0)
			c->values[i] = rng_below(rng, 2)   ? stale_mark()
			               : rng_below(rng, 2) ? (double)INFINITY
			                                   : (double)-INFINITY;
	}
}

static void check_kernel(const struct fn *fn, struct rollup_room *room, const struct column *c,
                         struct rollup_conf *conf)
{
	struct fn plain = *fn;
	double fast[MANY], slow[MANY];
	struct rollup_series s;

	plain.kernel = NULL;
	conf->fn = fn;
	conf->flags = fn->flags;
	assert_int_equal(0, rollup_prepare(room, conf, c->values, c->ts_ms, c->n, NULL, &s));
	rollup_run(&s, fast);
	conf->fn = &plain;
	rollup_run(&s, slow);
	for (uint32_t k = 0; k < conf->grid.n; k++) {
		if (fast[k] == slow[k] || (isnan(fast[k]) && isnan(slow[k])))
			continue;
		fail_msg("%s() at point %u of %u: %.17g at once, %.17g alone", fn->name, k,
		         conf->grid.n, fast[k], slow[k]);
	}
}

static void test_kernels(void **state)
{
	struct rng rng = unit_rng();
	struct rollup_room room = { 0 };
	static struct column c;
	static double phi[MANY];
	size_t n, kernels = 0;
	const struct fn *const *all = fn_all(&n);

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		phi[i] = (double)rng_below(&rng, 12) / 10 - 0.05;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		int64_t step_ms = 1000 * (1 + (int64_t)rng_below(&rng, 120));
		uint32_t points = 1 + rng_below(&rng, MANY - 1);
		struct rollup_conf conf = {
			.grid = { START_MS, START_MS + step_ms * (points - 1), step_ms, points },
			.window_ms = (int64_t)rng_below(&rng, 3) * rng_below(&rng, 600000),
			.lookback_ms = rng_below(&rng, 3) == 0 ? 60000 : 0,
			.args = { phi },
		};

		random_column(&rng, &c);
		for (size_t i = 0; i < n; i++) {
			conf.id++;
			if (all[i]->kernel)
				check_kernel(all[i], &room, &c, &conf);
			kernels += all[i]->kernel != NULL;
		}
	}
	assert_true(kernels >= ROUNDS * 10);
	rollup_room_done(&room);
}

/* Windows of one column after the other, some of them the same, are those of each alone. */
static void test_windows_are_of_their_column(void **state)
{
	struct rng rng = unit_rng();
	struct windows kept = { 0 };
	static struct column c;
	struct rollup_conf conf = { .id = 1,
		                    .grid = { START_MS, START_MS + 99 * 15000, 15000, 100 },
		                    .flags = FN_WIDEN };

	(void)state;
	for (uint32_t round = 0; round < 200; round++) {
		struct windows own = { 0 };

		if (rng_below(&rng, 2))
			random_column(&rng, &c);
		if (rng_below(&rng, 4) == 0 && c.n > 0)
			c.ts_ms[rng_below(&rng, c.n)] += 1;
		conf.id += rng_below(&rng, 2);
		conf.window_ms = (int64_t)(conf.id % 3) * 60000;
		assert_int_equal(0, windows_find(&kept, &conf, c.ts_ms, c.n));
		assert_int_equal(0, windows_find(&own, &conf, c.ts_ms, c.n));
		assert_int_equal(own.window_ms, kept.window_ms);
		for (uint32_t k = 0; k < conf.grid.n; k++) {
			assert_int_equal(own.first[k], kept.first[k]);
			assert_int_equal(own.end[k], kept.end[k]);
			assert_int_equal(own.from[k], kept.from[k]);
		}
		windows_done(&own);
	}
	windows_done(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_ends),
		cmocka_unit_test(test_previous_sample),
		cmocka_unit_test(test_empty_window),
		cmocka_unit_test(test_missing_window),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_first_sample),
		cmocka_unit_test(test_stale_marks),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_windows_are_of_their_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
