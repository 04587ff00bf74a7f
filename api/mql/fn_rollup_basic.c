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

/* --- whole series at once ------------------------------------------------------------------- */

/* Defines the kernel <name>: @value of the window's samples v[0 .. n), n > 0. */
#define KERNEL(fname, value)                                          \
	static void fname(const struct rollup_series *s, double *dst) \
	{                                                             \
		const struct windows *all = s->windows;               \
                                                                      \
		for (uint32_t k = 0; k < s->conf->grid.n; k++) {      \
			const double *v = s->values + all->first[k];  \
			uint32_t n = all->end[k] - all->first[k];     \
                                                                      \
			(void)v;                                      \
			dst[k] = n > 0 ? (value) : (double)NAN;       \
		}                                                     \
	}

/* Four extremes side by side: a comparison has to wait for the one before it. */
#define EXTREME(fname, better)                                                          \
	static double fname(const double *v, uint32_t n)                                \
	{                                                                               \
		double best[4] = { v[0], v[0], v[0], v[0] };                            \
		uint32_t i = 0;                                                         \
                                                                                        \
		for (; i + 4 <= n; i += 4) {                                            \
			for (uint32_t k = 0; k < 4; k++)                                \
				best[k] = v[i + k] better best[k] ? v[i + k] : best[k]; \
		}                                                                       \
		for (; i < n; i++)                                                      \
			best[0] = v[i] better best[0] ? v[i] : best[0];                 \
		for (uint32_t k = 1; k < 4; k++)                                        \
			best[0] = best[k] better best[0] ? best[k] : best[0];           \
		return best[0];                                                         \
	}

EXTREME(smallest, <)
EXTREME(largest, >)

static double sum_of(const double *v, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += v[i];
	return sum;
}

KERNEL(kernel_last, v[n - 1])
KERNEL(kernel_first, v[0])
KERNEL(kernel_count, n)
KERNEL(kernel_present, 1)
KERNEL(kernel_sum, sum_of(v, n))
KERNEL(kernel_avg, sum_of(v, n) / n)
KERNEL(kernel_min, smallest(v, n))
KERNEL(kernel_max, largest(v, n))

#define OVER_TIME FN_KEEP_NAME | FN_IN_AGGR

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_KERNEL(default_rollup, last_over_time, kernel_last, 1, 1, 0, 1,
			 FN_KEEP_NAME | FN_WIDEN | FN_PREV_SAMPLE | FN_IN_AGGR | FN_STALE_MARKS |
				 FN_LOOKBACK,
			 "The last sample of the window, as a bare selector gives it."),
	FN_ROLLUP_KERNEL(avg_over_time, avg_over_time, kernel_avg, 1, 1, 0, 0,
			 OVER_TIME | FN_LONG_NO_NAME, "Mean of the samples."),
	FN_ROLLUP_KERNEL(min_over_time, min_over_time, kernel_min, 1, 1, 0, 0, OVER_TIME,
			 "Smallest sample."),
	FN_ROLLUP_KERNEL(max_over_time, max_over_time, kernel_max, 1, 1, 0, 0, OVER_TIME,
			 "Largest sample."),
	FN_ROLLUP_KERNEL(first_over_time, first_over_time, kernel_first, 1, 1, 0, 1, OVER_TIME,
			 "First sample of the window."),
	FN_ROLLUP_KERNEL(last_over_time, last_over_time, kernel_last, 1, 1, 0, 1, OVER_TIME,
			 "Last sample of the window."),
	FN_ROLLUP_KERNEL(sum_over_time, sum_over_time, kernel_sum, 1, 1, 0, 0, FN_IN_AGGR,
			 "Sum of the samples."),
	FN_ROLLUP_ROW(sum2_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Sum of the samples' squares."),
	FN_ROLLUP_KERNEL(count_over_time, count_over_time, kernel_count, 1, 1, 0, 1, FN_IN_AGGR,
			 "Number of samples."),
	FN_ROLLUP_ROW(range_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Largest sample minus the smallest."),
	FN_ROLLUP_KERNEL(present_over_time, present_over_time, kernel_present, 1, 1, 0, 1,
			 FN_IN_AGGR, "1 where the window has a sample."),
	FN_ROLLUP_ROW(absent_over_time, 1, 1, 0, 1, FN_IN_AGGR | FN_ABSENT,
		      "1 where no series of the selector has a sample in the window."),
	FN_ROLLUP_ROW(stale_samples_over_time, 1, 1, 0, 0, FN_IN_AGGR | FN_STALE_MARKS,
		      "Number of staleness marks in the window."),
	/* clang-format on */
};

const struct fn *const fn_default_rollup = &rows[0];

const struct fn_table fn_rollup_basic = { rows, ARRAY_SIZE(rows) };
