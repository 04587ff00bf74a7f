/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups that look at the samples of the window only. An empty window has no value. */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"

#include <math.h>

#include "userspace/base/util.h"

static double last_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? w->values[w->n - 1] : (double)NAN;
}

static double first_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? w->values[0] : (double)NAN;
}

static double sum_over_time(const struct rollup_window *w)
{
	double sum = 0;

	for (uint32_t i = 0; i < w->n; i++)
		sum += w->values[i];
	return w->n > 0 ? sum : (double)NAN;
}

static double sum2_over_time(const struct rollup_window *w)
{
	double sum = 0;

	for (uint32_t i = 0; i < w->n; i++)
		sum += w->values[i] * w->values[i];
	return w->n > 0 ? sum : (double)NAN;
}

static double avg_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? sum_over_time(w) / w->n : (double)NAN;
}

static double min_over_time(const struct rollup_window *w)
{
	double min = w->n > 0 ? w->values[0] : (double)NAN;

	for (uint32_t i = 1; i < w->n; i++)
		min = w->values[i] < min ? w->values[i] : min;
	return min;
}

static double max_over_time(const struct rollup_window *w)
{
	double max = w->n > 0 ? w->values[0] : (double)NAN;

	for (uint32_t i = 1; i < w->n; i++)
		max = w->values[i] > max ? w->values[i] : max;
	return max;
}

static double range_over_time(const struct rollup_window *w)
{
	return max_over_time(w) - min_over_time(w);
}

static double count_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? w->n : (double)NAN;
}

static double present_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? 1 : (double)NAN;
}

static double absent_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? (double)NAN : 1;
}

static double stale_samples_over_time(const struct rollup_window *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n; i++)
		n += is_stale_mark(w->values[i]);
	return w->n > 0 ? n : (double)NAN;
}

#define OVER_TIME FN_KEEP_NAME | FN_IN_AGGR

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_ALIAS(default_rollup, last_over_time, 1, 1, 0, 1,
			FN_KEEP_NAME | FN_WIDEN | FN_PREV_SAMPLE | FN_IN_AGGR | FN_STALE_MARKS |
				FN_LOOKBACK,
			"The last sample of the window, as a bare selector gives it."),
	FN_ROLLUP_ROW(avg_over_time, 1, 1, 0, 0, OVER_TIME | FN_LONG_NO_NAME,
		      "Mean of the samples."),
	FN_ROLLUP_ROW(min_over_time, 1, 1, 0, 0, OVER_TIME, "Smallest sample."),
	FN_ROLLUP_ROW(max_over_time, 1, 1, 0, 0, OVER_TIME, "Largest sample."),
	FN_ROLLUP_ROW(first_over_time, 1, 1, 0, 1, OVER_TIME, "First sample of the window."),
	FN_ROLLUP_ROW(last_over_time, 1, 1, 0, 1, OVER_TIME, "Last sample of the window."),
	FN_ROLLUP_ROW(sum_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Sum of the samples."),
	FN_ROLLUP_ROW(sum2_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Sum of the samples' squares."),
	FN_ROLLUP_ROW(count_over_time, 1, 1, 0, 1, FN_IN_AGGR, "Number of samples."),
	FN_ROLLUP_ROW(range_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Largest sample minus the smallest."),
	FN_ROLLUP_ROW(present_over_time, 1, 1, 0, 1, FN_IN_AGGR,
		      "1 where the window has a sample."),
	FN_ROLLUP_ROW(absent_over_time, 1, 1, 0, 1, FN_IN_AGGR | FN_ABSENT,
		      "1 where no series of the selector has a sample in the window."),
	FN_ROLLUP_ROW(stale_samples_over_time, 1, 1, 0, 0, FN_IN_AGGR | FN_STALE_MARKS,
		      "Number of staleness marks in the window."),
	/* clang-format on */
};

const struct fn *const fn_default_rollup = &rows[0];

const struct fn_table fn_rollup_basic = { rows, ARRAY_SIZE(rows) };
