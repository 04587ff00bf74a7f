/* SPDX-License-Identifier: BSD-2-Clause */
/* Each value measured against the whole range of its series: scaled, fitted, or left out. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"
#include "api/mql/stats.h"

#include <math.h>

#include "userspace/base/util.h"

/* The values of a series without gaps, in an array that may be changed. */
struct values {
	double *v;
	uint32_t n;
};

static int values_start(struct fn_args *a, struct values *ret)
{
	*ret = (struct values){ .v = values_new(a->ev->arena, a->g->n, 0) };
	return ret->v ? 0 : eval_no_memory(a->ev);
}

static void values_take(struct values *to, const double *from, uint32_t n)
{
	to->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!isnan(from[i]))
			to->v[to->n++] = from[i];
	}
}

static double mean(const struct values *x)
{
	double sum = 0;

	for (uint32_t i = 0; i < x->n; i++)
		sum += x->v[i];
	return x->n > 0 ? sum / x->n : (double)NAN;
}

/* range_normalize(q, ..): into 0..1. A series without bounds is left out. */
static int range_normalize(struct fn_args *a, struct series_set *ret)
{
	for (uint32_t i = 0; i < a->n; i++) {
		for (size_t s = 0; s < a->v[i].n; s++) {
			double *v = a->v[i].v[s].values, min = INFINITY, max = -INFINITY;

			for (uint32_t k = 0; k < a->g->n; k++) {
				min = v[k] < min ? v[k] : min;
				max = v[k] > max ? v[k] : max;
			}
			if (isinf(max - min))
				continue;
			for (uint32_t k = 0; k < a->g->n; k++)
				v[k] = (v[k] - min) / (max - min);
			if (set_add(a->ev->arena, ret, a->v[i].v[s]) < 0)
				return eval_no_memory(a->ev);
		}
	}
	return 0;
}

static int range_zscore(struct fn_args *a, struct series_set *ret)
{
	struct values x;
	int r = values_start(a, &x);

	*ret = a->v[0];
	for (size_t i = 0; r == 0 && i < ret->n; i++) {
		double *v = ret->v[i].values;

		values_take(&x, v, a->g->n);
		double avg = mean(&x), dev = sqrt(stats_stdvar(x.v, x.n));

		for (uint32_t k = 0; k < a->g->n; k++)
			v[k] = (v[k] - avg) / dev;
	}
	return r;
}

/* Least squares through the points of the range. */
static int range_linear_regression(struct fn_args *a, struct series_set *ret)
{
	*ret = a->v[0];
	for (size_t i = 0; i < ret->n; i++) {
		double *v = ret->v[i].values, n = 0, first = NAN;
		double v_sum = 0, t_sum = 0, tv_sum = 0, tt_sum = 0, slope = 0;
		bool constant = true;

		for (uint32_t k = 0; k < a->g->n; k++) {
			double t = (double)(k * a->g->step_ms) / 1e3;

			if (isnan(v[k]))
				continue;
			first = isnan(first) ? v[k] : first;
			constant = constant && v[k] == first;
			n++;
			v_sum += v[k];
			t_sum += t;
			tv_sum += t * v[k];
			tt_sum += t * t;
		}
		double spread = tt_sum - t_sum * t_sum / n;

		if (fabs(spread) >= 1e-6)
			slope = (tv_sum - t_sum * v_sum / n) / spread;
		double start = v_sum / n - slope * t_sum / n;

		for (uint32_t k = 0; k < a->g->n; k++)
			v[k] = constant ? first : start + slope * (double)(k * a->g->step_ms) / 1e3;
	}
	return 0;
}

/* --- what lies outside a band is left out ---------------------------------------------------- */

struct band {
	double low, high;
};

static struct band band_of_deviations(struct values *x, double k)
{
	double median = quantile_inplace(0.5, x->v, x->n), far = k * stats_mad(x->v, x->n);

	return (struct band){ median - far, median + far };
}

/* All but the phi/2 smallest and the phi/2 largest. */
static struct band band_of_quantiles(struct values *x, double phi)
{
	double low = quantile_inplace(phi / 2, x->v, x->n);

	return (struct band){ low, quantile_sorted(1 - phi / 2, x->v, x->n) };
}

static struct band band_of_zscore(struct values *x, double z)
{
	double avg = mean(x), far = fabs(z) * sqrt(stats_stdvar(x->v, x->n));

	return (struct band){ avg - far, avg + far };
}

static int trim(struct fn_args *a, struct band (*f)(struct values *x, double arg),
                struct series_set *ret)
{
	const double *arg;
	struct values x;
	int r = args_scalar(a, 0, &arg);

	if (r == 0)
		r = values_start(a, &x);
	*ret = a->v[1];
	for (size_t i = 0; r == 0 && i < ret->n; i++) {
		double *v = ret->v[i].values;

		values_take(&x, v, a->g->n);
		struct band b = f(&x, arg[0]);

		for (uint32_t k = 0; k < a->g->n; k++) {
			if (v[k] < b.low || v[k] > b.high)
				v[k] = NAN;
		}
	}
	return r;
}

static int range_trim_outliers(struct fn_args *a, struct series_set *ret)
{
	return trim(a, band_of_deviations, ret);
}

static int range_trim_spikes(struct fn_args *a, struct series_set *ret)
{
	return trim(a, band_of_quantiles, ret);
}

static int range_trim_zscore(struct fn_args *a, struct series_set *ret)
{
	return trim(a, band_of_zscore, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(range_normalize, range_normalize, 0, FN_VARIADIC, 0, FN_KEEP_NAME | FN_LABELS_UNION,
			 "Scaled so that the range goes from 0 to 1."),
	FN_TRANSFORM_ROW(range_zscore, range_zscore, 1, 1, 0, FN_KEEP_NAME,
			 "Distance from the range's mean, in standard deviations."),
	FN_TRANSFORM_ROW(range_linear_regression, range_linear_regression, 1, 1, 0, FN_KEEP_NAME,
			 "The straight line through the range."),
	FN_TRANSFORM_ROW(range_trim_outliers, range_trim_outliers, 2, 2, 1, FN_KEEP_NAME,
			 "Without values farther from the median than so many absolute deviations."),
	FN_TRANSFORM_ROW(range_trim_spikes, range_trim_spikes, 2, 2, 1, FN_KEEP_NAME,
			 "Without that part of the values that is largest and smallest."),
	FN_TRANSFORM_ROW(range_trim_zscore, range_trim_zscore, 2, 2, 1, FN_KEEP_NAME,
			 "Without values farther from the mean than so many standard deviations."),
	/* clang-format on */
};

const struct fn_table fn_range_trim = { rows, ARRAY_SIZE(rows) };
