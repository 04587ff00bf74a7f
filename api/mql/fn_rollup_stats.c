/* SPDX-License-Identifier: BSD-2-Clause */
/* Rollups over the distribution of samples, and the straight line through them. */
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"
#include "api/mql/stats.h"

#include <math.h>
#include <stdlib.h>

#include "userspace/base/util.h"

/* A copy that may be sorted. */
static double *samples(const struct rollup_window *w)
{
	memcpy(w->scratch, w->values, w->n * sizeof(*w->values));
	return w->scratch;
}

static double quantile_over_time(const struct rollup_window *w)
{
	return quantile_inplace(w->args[0], samples(w), w->n);
}

static double median_over_time(const struct rollup_window *w)
{
	return quantile_inplace(0.5, samples(w), w->n);
}

/*
 * The samples of a window in order, kept from one point to the next: what left the window is taken
 * out and what came is put in. Cheaper than sorting as long as windows overlap by more than half.
 */
struct sorted {
	double *v;
	uint32_t n, first, end; /* of the series: the samples that are in it */
};

static uint32_t place_of(const struct sorted *x, double v)
{
	uint32_t lo = 0, hi = x->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (x->v[mid] < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void sorted_move(struct sorted *x, const double *values, uint32_t first, uint32_t end)
{
	uint32_t gone = MIN(first, x->end) - x->first, come = end - MAX(x->end, first), at;

	if (first >= x->end || (gone + come) * 2 > end - first) {
		x->n = end - first;
		memcpy(x->v, values + first, x->n * sizeof(*x->v));
		(void)quantile_inplace(0.5, x->v, x->n);
	} else {
		for (uint32_t i = x->first; i < first; i++) {
			at = place_of(x, values[i]);
			x->n--;
			memmove(x->v + at, x->v + at + 1, (x->n - at) * sizeof(*x->v));
		}
		for (uint32_t i = x->end; i < end; i++) {
			at = place_of(x, values[i]);
			memmove(x->v + at + 1, x->v + at, (x->n - at) * sizeof(*x->v));
			x->v[at] = values[i];
			x->n++;
		}
	}
	x->first = first;
	x->end = end;
}

static void kernel_quantiles(const struct rollup_series *s, const double *phi, double *dst)
{
	const struct windows *all = s->windows;
	struct sorted x = { .v = s->scratch };

	for (uint32_t k = 0; k < s->conf->grid.n; k++) {
		sorted_move(&x, s->values, all->first[k], all->end[k]);
		dst[k] = quantile_sorted(phi ? phi[k] : 0.5, x.v, x.n);
	}
}

static void kernel_quantile(const struct rollup_series *s, double *dst)
{
	kernel_quantiles(s, s->conf->args[0], dst);
}

static void kernel_median(const struct rollup_series *s, double *dst)
{
	kernel_quantiles(s, NULL, dst);
}

static double mad_over_time(const struct rollup_window *w)
{
	return stats_mad(samples(w), w->n);
}

static double mode_over_time(const struct rollup_window *w)
{
	return stats_mode(w->prev_value, samples(w), w->n);
}

static double stdvar_over_time(const struct rollup_window *w)
{
	return stats_stdvar(w->values, w->n);
}

static double stddev_over_time(const struct rollup_window *w)
{
	return sqrt(stdvar_over_time(w));
}

static double distinct_over_time(const struct rollup_window *w)
{
	return w->n > 0 ? stats_distinct(samples(w), w->n) : (double)NAN;
}

static double geomean_over_time(const struct rollup_window *w)
{
	double p = 1;

	for (uint32_t i = 0; i < w->n; i++)
		p *= w->values[i];
	return w->n > 0 ? pow(p, 1.0 / w->n) : (double)NAN;
}

/* Only near a fresh sample: the lag must not exceed the mean interval. */
static double zscore_over_time(const struct rollup_window *w)
{
	bool prev = !isnan(w->prev_value);
	double sum = 0;

	if (w->n == 0 || w->n + prev < 2)
		return NAN;
	int64_t last_ms = w->ts_ms[w->n - 1], first_ms = prev ? w->prev_ts_ms : w->ts_ms[0];

	if ((double)(w->now_ms - last_ms) > (double)(last_ms - first_ms) / (w->n + prev - 1))
		return NAN;
	for (uint32_t i = 0; i < w->n; i++)
		sum += w->values[i];
	double d = w->values[w->n - 1] - sum / w->n;

	return d == 0 ? 0 : d / stddev_over_time(w);
}

/* The last sample, where it lies far from the middle half of all. */
static double outlier_iqr_over_time(const struct rollup_window *w)
{
	double *v = samples(w), low, high;

	if (w->n < 2)
		return NAN;
	low = quantile_inplace(0.25, v, w->n);
	high = quantile_sorted(0.75, v, w->n);
	double far = 1.5 * (high - low), last = w->values[w->n - 1];

	return last > high + far || last < low - far ? last : (double)NAN;
}

/*
 * Hoeffding's inequality: how far the mean of the samples may be from that of their distribution,
 * with confidence phi.
 */
static double hoeffding(const struct rollup_window *w, int sign)
{
	double min = w->n > 0 ? w->values[0] : (double)NAN, max = min, sum = 0, phi = w->args[0];

	for (uint32_t i = 0; i < w->n; i++) {
		min = w->values[i] < min ? w->values[i] : min;
		max = w->values[i] > max ? w->values[i] : max;
		sum += w->values[i];
	}
	double avg = w->n > 0 ? sum / w->n : (double)NAN;

	if (w->n < 2 || max - min <= 0 || phi <= 0)
		return avg;
	if (phi >= 1)
		return sign * (double)INFINITY;
	return avg + sign * (max - min) * sqrt(log(1 / (1 - phi)) / (2.0 * w->n));
}

static double hoeffding_bound_lower(const struct rollup_window *w)
{
	return hoeffding(w, -1);
}

static double hoeffding_bound_upper(const struct rollup_window *w)
{
	return hoeffding(w, 1);
}

static bool is_constant(const struct rollup_window *w)
{
	for (uint32_t i = 1; i < w->n; i++) {
		if (w->values[i] != w->values[0])
			return false;
	}
	return true;
}

struct rollup_fit rollup_line(const struct rollup_window *w)
{
	double v_sum = 0, t_sum = 0, tv_sum = 0, tt_sum = 0, n = w->n, slope = 0;

	if (w->n == 0)
		return (struct rollup_fit){ NAN, NAN };
	if (is_constant(w))
		return (struct rollup_fit){ w->values[0], 0 };
	for (uint32_t i = 0; i < w->n; i++) {
		double dt = (double)(w->ts_ms[i] - w->now_ms) / 1e3;

		v_sum += w->values[i];
		t_sum += dt;
		tv_sum += dt * w->values[i];
		tt_sum += dt * dt;
	}
	double spread = tt_sum - t_sum * t_sum / n;

	if (fabs(spread) >= 1e-6)
		slope = (tv_sum - t_sum * v_sum / n) / spread;
	return (struct rollup_fit){ v_sum / n - slope * t_sum / n, slope };
}

static double predict_linear(const struct rollup_window *w)
{
	struct rollup_fit fit = rollup_line(w);

	return fit.value + fit.slope * w->args[0];
}

/* Double exponential smoothing. */
static double holt_winters(const struct rollup_window *w)
{
	double sf = w->args[0], tf = w->args[1], s0 = w->prev_value, b0;
	uint32_t i = 0;

	if (w->n == 0)
		return NAN;
	if (!(sf >= 0 && sf <= 1 && tf >= 0 && tf <= 1))
		return NAN;
	if (isnan(s0))
		s0 = w->values[i++];
	if (i == w->n)
		return s0;
	b0 = w->values[i] - s0;
	for (; i < w->n; i++) {
		double s1 = sf * w->values[i] + (1 - sf) * (s0 + b0);

		b0 = tf * (s1 - s0) + (1 - tf) * b0;
		s0 = s1;
	}
	return s0;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_ROLLUP_KERNEL(quantile_over_time, quantile_over_time, kernel_quantile, 2, 2, 1, 0,
			 FN_KEEP_NAME,
		      "The phi-quantile of the samples."),
	FN_ROLLUP_KERNEL(median_over_time, median_over_time, kernel_median, 1, 1, 0, 0,
			 FN_KEEP_NAME | FN_IN_AGGR,
		      "Median of the samples."),
	FN_ROLLUP_ROW(mad_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Median of the samples' distances from their median."),
	FN_ROLLUP_ROW(mode_over_time, 1, 1, 0, 0, FN_KEEP_NAME | FN_IN_AGGR,
		      "The most frequent sample."),
	FN_ROLLUP_ROW(geomean_over_time, 1, 1, 0, 0, FN_KEEP_NAME | FN_IN_AGGR,
		      "Geometric mean of the samples."),
	FN_ROLLUP_ROW(stdvar_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Variance of the samples, taken as the whole population."),
	FN_ROLLUP_ROW(stddev_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Standard deviation of the samples, taken as the whole population."),
	FN_ROLLUP_ROW(distinct_over_time, 1, 1, 0, 0, FN_IN_AGGR, "Number of different samples."),
	FN_ROLLUP_ROW(zscore_over_time, 1, 1, 0, 0, FN_IN_AGGR,
		      "Distance of the last sample from the mean, in standard deviations."),
	{
		.name = "outlier_iqr_over_time",
		.sentence = "The last sample, where it is far from the middle half of the samples.",
		.kind = FN_ROLLUP, .args_min = 1, .args_max = 1, .flags = FN_IN_AGGR,
		.impl = { .rollup = outlier_iqr_over_time }, .aggr_name = "iqr_over_time",
	},
	FN_ROLLUP_ROW(hoeffding_bound_lower, 2, 2, 1, 0, FN_KEEP_NAME,
		      "Lower bound of the mean with confidence phi."),
	FN_ROLLUP_ROW(hoeffding_bound_upper, 2, 2, 1, 0, FN_KEEP_NAME,
		      "Upper bound of the mean with confidence phi."),
	FN_ROLLUP_ROW(predict_linear, 2, 2, 0, 0, FN_KEEP_NAME,
		      "The value after so many seconds, by linear regression."),
	FN_ROLLUP_ROW(holt_winters, 3, 3, 0, 0, FN_KEEP_NAME,
		      "Double exponential smoothing with a smoothing and a trend factor."),
	/* clang-format on */
};

const struct fn_table fn_rollup_stats = { rows, ARRAY_SIZE(rows) };
