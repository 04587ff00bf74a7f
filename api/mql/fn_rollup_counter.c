/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rollups over change. The windows of FN_COUNTER rows have had their resets removed: such a
 * function sees a rising curve. The sample before the window counts as its start, so nothing is
 * extrapolated; only the *_prometheus functions stay inside the window.
 */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"

#include <math.h>

#include "userspace/base/util.h"

static bool has_prev(const struct rollup_window *w)
{
	return !isnan(w->prev_value);
}

static double slope(double v0, int64_t t0_ms, double v1, int64_t t1_ms)
{
	return (v1 - v0) / ((double)(t1_ms - t0_ms) * 1e-3);
}

static double last(const struct rollup_window *w)
{
	return w->values[w->n - 1];
}

static double rate(const struct rollup_window *w)
{
	if (has_prev(w)) {
		if (w->n == 0)
			return 0;
		return slope(w->prev_value, w->prev_ts_ms, last(w), w->ts_ms[w->n - 1]);
	}
	if (w->n < 2) /* one sample says nothing about the time it took to grow */
		return NAN;
	return slope(w->values[0], w->ts_ms[0], last(w), w->ts_ms[w->n - 1]);
}

/* The two last samples with different times; the one before the window counts. */
static double irate(const struct rollup_window *w)
{
	uint32_t i = w->n;

	if (w->n == 0 || (w->n == 1 && !has_prev(w)))
		return NAN;
	while (i > 0 && w->ts_ms[i - 1] >= w->ts_ms[w->n - 1])
		i--;
	if (i > 0)
		return slope(w->values[i - 1], w->ts_ms[i - 1], last(w), w->ts_ms[w->n - 1]);
	if (!has_prev(w))
		return 0;
	return slope(w->prev_value, w->prev_ts_ms, last(w), w->ts_ms[w->n - 1]);
}

/*
 * A first sample that is small against its next step is taken for the start of a new counter,
 * which rose from 0; a large one for an old counter that was discovered late.
 */
static bool starts_at_zero(const struct rollup_window *w)
{
	double d = 0;

	if (w->n > 1)
		d = w->values[1] - w->values[0];
	else if (!isnan(w->real_next_value))
		d = w->real_next_value - w->values[0];
	return fabs(w->values[0]) < 10 * (fabs(d) + 1);
}

static double delta(const struct rollup_window *w)
{
	if (has_prev(w))
		return w->n > 0 ? last(w) - w->prev_value : 0;
	if (w->n == 0)
		return NAN;
	if (!isnan(w->real_prev_value))
		return last(w) - w->real_prev_value;
	if (starts_at_zero(w))
		return last(w);
	return w->n > 1 ? last(w) - w->values[0] : 0;
}

static double increase_pure(const struct rollup_window *w)
{
	double prev = has_prev(w) ? w->prev_value : w->real_prev_value;

	if (w->n == 0)
		return has_prev(w) ? 0 : (double)NAN;
	return last(w) - (isnan(prev) ? 0 : prev);
}

static double idelta(const struct rollup_window *w)
{
	if (w->n == 0)
		return has_prev(w) ? 0 : (double)NAN;
	if (w->n > 1)
		return last(w) - w->values[w->n - 2];
	return has_prev(w) ? last(w) - w->prev_value : last(w);
}

static double delta_prometheus(const struct rollup_window *w)
{
	return w->n < 2 ? (double)NAN : last(w) - w->values[0];
}

static double rate_prometheus(const struct rollup_window *w)
{
	return delta_prometheus(w) / ((double)w->window_ms * 1e-3);
}

/* Least squares; the slope of a constant is exactly 0. */
static double deriv(const struct rollup_window *w)
{
	return rollup_line(w).slope;
}

/* Floats that differ by rounding only are no change. */
static bool nearly_equal(double a, double b)
{
	return fabs(a - b) < 1e-12 * fabs(a);
}

static double changes_after(const struct rollup_window *w, double prev, uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < w->n; i++) {
		if (w->values[i] == prev || nearly_equal(w->values[i], prev))
			continue;
		n++;
		prev = w->values[i];
	}
	return n;
}

/* The first sample ever is a change from nothing. */
static double changes(const struct rollup_window *w)
{
	if (has_prev(w))
		return changes_after(w, w->prev_value, 0, 0);
	if (w->n == 0)
		return NAN;
	if (!isnan(w->real_prev_value))
		return changes_after(w, w->real_prev_value, 0, 0);
	return changes_after(w, w->values[0], 1, 1);
}

static double changes_prometheus(const struct rollup_window *w)
{
	return w->n == 0 ? (double)NAN : changes_after(w, w->values[0], 1, 0);
}

/* @sign: 1 counts rises, -1 falls. */
static double count_moves(const struct rollup_window *w, int sign)
{
	uint32_t from = !has_prev(w), n = 0;

	if (w->n == 0)
		return has_prev(w) ? 0 : (double)NAN;
	double prev = has_prev(w) ? w->prev_value : w->values[0];

	for (uint32_t i = from; i < w->n; i++) {
		double v = w->values[i];

		if ((v - prev) * sign > 0) {
			if (nearly_equal(v, prev))
				continue;
			n++;
		}
		prev = v;
	}
	return n;
}

static double resets(const struct rollup_window *w)
{
	return count_moves(w, -1);
}

static double increases_over_time(const struct rollup_window *w)
{
	return count_moves(w, 1);
}

/* Sum of the moves of one direction. */
static double sum_moves(const struct rollup_window *w, int sign)
{
	uint32_t from = !has_prev(w);
	double sum = 0;

	if (w->n == 0)
		return has_prev(w) ? 0 : (double)NAN;
	double prev = has_prev(w) ? w->prev_value : w->values[0];

	for (uint32_t i = from; i < w->n; i++) {
		double d = (w->values[i] - prev) * sign;

		if (d > 0)
			sum += d;
		prev = w->values[i];
	}
	return sum;
}

static double ascent_over_time(const struct rollup_window *w)
{
	return sum_moves(w, 1);
}

static double descent_over_time(const struct rollup_window *w)
{
	return sum_moves(w, -1);
}

/* Area under the steps; the last one reaches to the point if the series goes on. */
static double integrate(const struct rollup_window *w)
{
	int64_t t_ms = w->now_ms - w->window_ms;
	double v = w->prev_value, sum = 0;
	uint32_t i = 0;

	if (!has_prev(w)) {
		if (w->n == 0)
			return NAN;
		v = w->values[0];
		t_ms = w->ts_ms[0];
		i = 1;
	}
	for (; i < w->n; i++) {
		sum += v * ((double)(w->ts_ms[i] - t_ms) * 1e-3);
		t_ms = w->ts_ms[i];
		v = w->values[i];
	}
	if (isnan(w->real_next_value))
		return sum;
	return sum + v * ((double)(w->now_ms - t_ms) * 1e-3);
}

static double rate_over_sum(const struct rollup_window *w)
{
	double sum = 0;

	for (uint32_t i = 0; i < w->n; i++)
		sum += w->values[i];
	return w->n > 0 ? sum / ((double)w->window_ms * 1e-3) : (double)NAN;
}

/* --- whole series at once ------------------------------------------------------------------- */

/* One window by itself: infinities leave NaN behind when resets are removed. */
static double alone(const struct rollup_series *s, uint32_t k, fn_rollup_f f)
{
	struct rollup_window w;

	rollup_window_at(s, k, &w);
	return f(&w);
}

static void kernel_rate(const struct rollup_series *s, double *dst)
{
	const struct windows *w = s->windows;
	const double *spans_s = windows_spans(s->windows, s->ts_ms, s->conf->grid.n);

	for (uint32_t k = 0; k < s->conf->grid.n; k++) {
		uint32_t from = w->from[k], end = w->end[k];
		/* Neither end is a sample where the span is NaN. */
		double rise = end > from ? s->values[end - 1] - s->values[from] : 0;

		dst[k] = rise / spans_s[k];
		if (from < w->first[k] && (end == w->first[k] || isnan(dst[k])))
			dst[k] = isnan(s->values[from]) ? alone(s, k, rate)
			         : end == w->first[k]   ? 0
			                                : dst[k];
	}
}

static void kernel_delta(const struct rollup_series *s, double *dst)
{
	const struct windows *w = s->windows;

	for (uint32_t k = 0; k < s->conf->grid.n; k++) {
		uint32_t from = w->from[k], end = w->end[k];

		if (from == w->first[k] || isnan(s->values[from]))
			dst[k] = alone(s, k, delta);
		else
			dst[k] = end > w->first[k] ? s->values[end - 1] - s->values[from] : 0;
	}
}

#define COUNTER  FN_COUNTER | FN_PREV_SAMPLE | FN_IN_AGGR
#define PREVIOUS FN_PREV_SAMPLE | FN_IN_AGGR

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_KERNEL(rate, rate, kernel_rate, 1, 1, 0, 2, COUNTER | FN_WIDEN,
			 "Growth of the counter per second, averaged over the window."),
	FN_ROLLUP_ROW(irate, 1, 1, 0, 2, COUNTER | FN_WIDEN,
		      "Growth per second between the last two samples of the counter."),
	FN_ROLLUP_KERNEL(increase, delta, kernel_delta, 1, 1, 0, 2, COUNTER,
			 "Growth of the counter."),
	FN_ROLLUP_ROW(increase_pure, 1, 1, 0, 2, COUNTER,
		      "Growth of the counter, which rose from 0 before its first sample."),
	FN_ROLLUP_ALIAS(increase_prometheus, delta_prometheus, 1, 1, 0, 2, FN_COUNTER,
			"Growth of the counter between the samples of the window."),
	FN_ROLLUP_ROW(rate_prometheus, 1, 1, 0, 2, FN_COUNTER,
		      "Growth between the samples of the window, divided by its width."),
	FN_ROLLUP_KERNEL(delta, delta, kernel_delta, 1, 1, 0, 2, PREVIOUS, "Change of the gauge."),
	FN_ROLLUP_ROW(delta_prometheus, 1, 1, 0, 2, 0,
		      "Change of the gauge between the samples of the window."),
	FN_ROLLUP_ROW(idelta, 1, 1, 0, 2, PREVIOUS, "Change between the last two samples."),
	FN_ROLLUP_ROW(deriv, 1, 1, 0, 0, FN_WIDEN | FN_IN_AGGR,
		      "Change per second of the gauge, by linear regression."),
	FN_ROLLUP_KERNEL(deriv_fast, rate, kernel_rate, 1, 1, 0, 2, PREVIOUS | FN_WIDEN,
			 "Change per second of the gauge, from its first and last sample."),
	FN_ROLLUP_ALIAS(ideriv, irate, 1, 1, 0, 2, PREVIOUS | FN_WIDEN,
			"Change per second between the last two samples of the gauge."),
	FN_ROLLUP_ROW(changes, 1, 1, 0, 0, PREVIOUS, "How many times the value changed."),
	FN_ROLLUP_ROW(changes_prometheus, 1, 1, 0, 0, 0,
		      "How many times the value changed between the samples of the window."),
	FN_ROLLUP_ROW(resets, 1, 1, 0, 0, PREVIOUS,
		      "How many times the counter fell, that is, restarted."),
	FN_ROLLUP_ALIAS(decreases_over_time, resets, 1, 1, 0, 0, PREVIOUS,
			"How many times the value fell."),
	FN_ROLLUP_ROW(increases_over_time, 1, 1, 0, 0, PREVIOUS, "How many times the value rose."),
	FN_ROLLUP_ROW(ascent_over_time, 1, 1, 0, 0, PREVIOUS, "Sum of all rises."),
	FN_ROLLUP_ROW(descent_over_time, 1, 1, 0, 0, PREVIOUS, "Sum of all falls."),
	FN_ROLLUP_ROW(integrate, 1, 1, 0, 0, PREVIOUS, "Area under the gauge, in value-seconds."),
	FN_ROLLUP_ROW(rate_over_sum, 1, 1, 0, 0, FN_WIDEN | FN_IN_AGGR,
		      "Sum of the samples, divided by the window in seconds."),
	/* clang-format on */
};

const struct fn_table fn_rollup_counter = { rows, ARRAY_SIZE(rows) };
