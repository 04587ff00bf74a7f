/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups over the times of samples; results in seconds. */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"

#include <math.h>

#include "userspace/base/util.h"

static double seconds(int64_t ms)
{
	return (double)ms / 1e3;
}

static double tfirst_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? seconds(w->ts_ms[0]) : (double)NAN;
}

static double tlast_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? seconds(w->ts_ms[w->n - 1]) : (double)NAN;
}

/* Of equal extremes the last one. */
static double tmin_over_time(const struct rollup_window *w)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i < w->n; i++)
		at = w->values[i] <= w->values[at] ? i : at;
	return w->n > 0 ? seconds(w->ts_ms[at]) : (double)NAN;
}

static double tmax_over_time(const struct rollup_window *w)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i < w->n; i++)
		at = w->values[i] >= w->values[at] ? i : at;
	return w->n > 0 ? seconds(w->ts_ms[at]) : (double)NAN;
}

static double tlast_change_over_time(const struct rollup_window *w)
{
	uint32_t i = w->n;

	if (w->n == 0)
		return NAN;
	double last = w->values[w->n - 1];

	while (i > 0 && w->values[i - 1] == last)
		i--;
	if (i == 0 && w->prev_value == last)
		return NAN;
	return seconds(w->ts_ms[i]);
}

/* The oldest sample in sight, the one before the window included. */
static bool oldest(const struct rollup_window *w, int64_t *ret_ms, uint32_t *ret_intervals)
{
	bool prev = !isnan(w->prev_value);

	if (w->n + prev < 2 || w->n == 0)
		return false;
	*ret_ms = prev ? w->prev_ts_ms : w->ts_ms[0];
	*ret_intervals = w->n + prev - 1;
	return true;
}

static double lifetime(const struct rollup_window *w)
{
	int64_t from_ms;
	uint32_t n;

	return oldest(w, &from_ms, &n) ? seconds(w->ts_ms[w->n - 1] - from_ms) : (double)NAN;
}

static double scrape_interval(const struct rollup_window *w)
{
	int64_t from_ms;
	uint32_t n;

	return oldest(w, &from_ms, &n) ? seconds(w->ts_ms[w->n - 1] - from_ms) / n : (double)NAN;
}

static double lag(const struct rollup_window *w)
{
	if (w->n > 0)
		return seconds(w->now_ms - w->ts_ms[w->n - 1]);
	return isnan(w->prev_value) ? (double)NAN : seconds(w->now_ms - w->prev_ts_ms);
}

/* Time covered by samples that are at most the given number of seconds apart. */
static double duration_over_time(const struct rollup_window *w)
{
	int64_t sum_ms = 0;

	if (w->n == 0)
		return NAN;
	for (uint32_t i = 1; i < w->n; i++) {
		int64_t d_ms = w->ts_ms[i] - w->ts_ms[i - 1];

		if ((double)d_ms <= w->args[0] * 1000)
			sum_ms += d_ms;
	}
	return seconds(sum_ms);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_ROW(tfirst_over_time, 1, 1, 0, 1, FN_IN_AGGR, "Time of the first sample."),
	FN_ROLLUP_ROW(tlast_over_time, 1, 1, 0, 1, FN_IN_AGGR, "Time of the last sample."),
	FN_ROLLUP_ROW(tmin_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Time of the smallest sample."),
	FN_ROLLUP_ROW(tmax_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Time of the largest sample."),
	FN_ROLLUP_ROW(tlast_change_over_time, 1, 1, 0, 0, FN_PREV_SAMPLE | FN_IN_AGGR,
		      "Time of the last change of the value."),
	FN_ROLLUP_ALIAS(timestamp, tlast_over_time, 1, 1, 0, 1, FN_WIDEN | FN_IN_AGGR,
			"Time of the last sample."),
	FN_ROLLUP_ALIAS(timestamp_with_name, tlast_over_time, 1, 1, 0, 1,
			FN_KEEP_NAME | FN_IN_AGGR,
			"Time of the last sample, with the metric name kept."),
	FN_ROLLUP_ROW(lifetime, 1, 1, 0, 2, FN_PREV_SAMPLE | FN_IN_AGGR,
		      "Time between the first and the last sample."),
	FN_ROLLUP_ROW(lag, 1, 1, 0, 1, FN_PREV_SAMPLE | FN_IN_AGGR,
		      "Time since the last sample."),
	FN_ROLLUP_ROW(scrape_interval, 1, 1, 0, 2, FN_WIDEN | FN_PREV_SAMPLE | FN_IN_AGGR,
		      "Mean time between samples."),
	FN_ROLLUP_ROW(duration_over_time, 2, 2, 0, 0, 0,
		      "Time covered by samples that are no farther apart than the argument."),
	/* clang-format on */
};

const struct fn_table fn_rollup_when = { rows, ARRAY_SIZE(rows) };
