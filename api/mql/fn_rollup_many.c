/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups with a fixed choice of series, and aggr_over_time(); see rollup_many.h. */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup_many.h"

#include <math.h>

#include "userspace/base/util.h"

/* --- variants ------------------------------------------------------------------------------- */

static double lowest(const struct rollup_window *w)
{
	double min = w->n > 0 ? w->values[0] : (double)NAN;

	for (uint32_t i = 1; i < w->n; i++)
		min = w->values[i] < min ? w->values[i] : min;
	return min;
}

static double highest(const struct rollup_window *w)
{
	double max = w->n > 0 ? w->values[0] : (double)NAN;

	for (uint32_t i = 1; i < w->n; i++)
		max = w->values[i] > max ? w->values[i] : max;
	return max;
}

static double mean(const struct rollup_window *w)
{
	double sum = 0;

	for (uint32_t i = 0; i < w->n; i++)
		sum += w->values[i];
	return w->n > 0 ? sum / w->n : (double)NAN;
}

/* A candle holds what came before its end, and opens with the sample that closed the last one. */
static uint32_t inside(const struct rollup_window *w)
{
	uint32_t n = w->n;

	while (n > 0 && w->ts_ms[n - 1] >= w->now_ms)
		n--;
	return n;
}

static double from_before(const struct rollup_window *w)
{
	return w->prev_ts_ms + w->window_ms >= w->now_ms ? w->prev_value : (double)NAN;
}

static double candle_open(const struct rollup_window *w)
{
	double first = from_before(w);

	if (!isnan(first))
		return first;
	return inside(w) > 0 ? w->values[0] : (double)NAN;
}

static double candle_close(const struct rollup_window *w)
{
	uint32_t n = inside(w);

	return n > 0 ? w->values[n - 1] : from_before(w);
}

static double candle_low(const struct rollup_window *w)
{
	double min = from_before(w);

	for (uint32_t i = 0, n = inside(w); i < n; i++)
		min = isnan(min) || w->values[i] < min ? w->values[i] : min;
	return min;
}

static double candle_high(const struct rollup_window *w)
{
	double max = from_before(w);

	for (uint32_t i = 0, n = inside(w); i < n; i++)
		max = isnan(max) || w->values[i] > max ? w->values[i] : max;
	return max;
}

static const struct rollup_variant spans[] = {
	{ "min", lowest },
	{ "max", highest },
	{ "avg", mean },
};

static const struct rollup_variant candle[] = {
	{ "open", candle_open },
	{ "close", candle_close },
	{ "low", candle_low },
	{ "high", candle_high },
};

/* --- samples made ready: each becomes what leads to the next one ------------------------------ */

static void deltas(double *values, const int64_t *ts_ms, uint32_t n)
{
	double d = 0;

	(void)ts_ms;
	for (uint32_t i = 0; i + 1 < n; i++)
		values[i] = d = values[i + 1] - values[i];
	values[n - 1] = d;
}

/* Samples at the same time repeat the slope before them. */
static void slopes(double *values, const int64_t *ts_ms, uint32_t n)
{
	double slope = 0, prev = values[0];
	int64_t prev_ms = ts_ms[0];

	for (uint32_t i = 0; i + 1 < n; i++) {
		double v = values[i + 1];

		if (ts_ms[i + 1] != prev_ms) {
			slope = (v - prev) / ((double)(ts_ms[i + 1] - prev_ms) / 1e3);
			prev = v;
			prev_ms = ts_ms[i + 1];
		}
		values[i] = slope;
	}
	values[n - 1] = slope;
}

/* The time since the sample before; the first one has none and takes that of the second. */
static void intervals(double *values, const int64_t *ts_ms, uint32_t n)
{
	for (uint32_t i = n - 1; i > 0; i--)
		values[i] = (double)ts_ms[i] / 1e3 - (double)ts_ms[i - 1] / 1e3;
	values[0] = n > 1 ? values[1] : (double)NAN;
}

#define FAMILY(what, ready)                      \
	static const struct rollup_many what = { \
		.label = "rollup",               \
		.variants = spans,               \
		.n_variants = ARRAY_SIZE(spans), \
		.prepare = ready,                \
	}
FAMILY(family_plain, NULL);
FAMILY(family_slopes, slopes);
FAMILY(family_deltas, deltas);
FAMILY(family_intervals, intervals);

static const struct rollup_many family_candle = {
	.label = "rollup",
	.label_always = true,
	.variants = candle,
	.n_variants = ARRAY_SIZE(candle),
};

const struct rollup_many rollup_many_named = { .label = "rollup" };

#define SPANS(fname, what, fl, text) FN_ROLLUP_MANY_ROW(fname, what, 1, 2, 0, fl, text)

static const struct fn rows[] = {
	/* clang-format off */
	SPANS(rollup, family_plain, FN_KEEP_NAME | FN_WIDEN | FN_PREV_SAMPLE,
	      "Smallest, largest and mean sample, as three series."),
	SPANS(rollup_rate, family_slopes, FN_COUNTER | FN_WIDEN | FN_PREV_SAMPLE,
	      "Smallest, largest and mean rate of a counter between samples."),
	SPANS(rollup_deriv, family_slopes, FN_WIDEN | FN_PREV_SAMPLE,
	      "Smallest, largest and mean slope between samples."),
	SPANS(rollup_increase, family_deltas, FN_COUNTER | FN_PREV_SAMPLE,
	      "Smallest, largest and mean increase of a counter between samples."),
	SPANS(rollup_delta, family_deltas, FN_PREV_SAMPLE,
	      "Smallest, largest and mean difference between samples."),
	SPANS(rollup_scrape_interval, family_intervals, FN_WIDEN | FN_PREV_SAMPLE,
	      "Smallest, largest and mean time between samples, in seconds."),
	SPANS(rollup_candlestick, family_candle,
	      FN_KEEP_NAME | FN_WIDEN | FN_PREV_SAMPLE | FN_STEP_AHEAD,
	      "First, last, smallest and largest sample, as four series."),
	FN_ROLLUP_MANY_ROW(aggr_over_time, rollup_many_named, 2, 2, 1, 0,
			   "One series for each of the rollups that are named."),
	/* clang-format on */
};

const struct fn_table fn_rollup_many = { rows, ARRAY_SIZE(rows) };
