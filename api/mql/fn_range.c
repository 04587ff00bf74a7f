/* SPDX-License-Identifier: BSD-2-Clause */
/* One number of the whole range, at each of its points: results depend on start and end. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"
#include "api/mql/stats.h"
#include "api/mql/walk.h"

#include <math.h>

#include "userspace/base/util.h"

static void spread(double *v, uint32_t n, double x)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = x;
}

/* Gaps are filled as well: the number belongs to the range, not to the point. */
static void spread_last(double *v, uint32_t n)
{
	uint32_t last = n;

	while (last > 0 && isnan(v[last - 1]))
		last--;
	if (last > 0)
		spread(v, n, v[last - 1]);
}

static void spread_first(double *v, uint32_t n)
{
	uint32_t first = walk_first(v, n);

	if (first < n)
		spread(v, n, v[first]);
}

#define RANGE_OF_RUNNING(word)                                             \
	static void whole_##word(double *v, uint32_t n)                    \
	{                                                                  \
		walk_running_##word(v, n);                                 \
		spread_last(v, n);                                         \
	}                                                                  \
	static int range_##word(struct fn_args *a, struct series_set *ret) \
	{                                                                  \
		return walk_each(a, 0, whole_##word, ret);                 \
	}
RANGE_OF_RUNNING(sum)
RANGE_OF_RUNNING(max)
RANGE_OF_RUNNING(min)
RANGE_OF_RUNNING(avg)

static int range_first(struct fn_args *a, struct series_set *ret)
{
	return walk_each(a, 0, spread_first, ret);
}

static int range_last(struct fn_args *a, struct series_set *ret)
{
	return walk_each(a, 0, spread_last, ret);
}

/* The values of @v without gaps, in @dst. */
static uint32_t compact(const double *v, uint32_t n, double *dst)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!isnan(v[i]))
			dst[kept++] = v[i];
	}
	return kept;
}

/* @f of all values of the series, or @none when it has no value. */
static int from_all(struct fn_args *a, uint32_t series, double phi, double none,
                    double (*f)(double *v, uint32_t n, double phi), struct series_set *ret)
{
	double *copy = values_new(a->ev->arena, a->g->n, 0);

	if (!copy)
		return eval_no_memory(a->ev);
	*ret = a->v[series];
	for (size_t i = 0; i < ret->n; i++) {
		double *v = ret->v[i].values;
		uint32_t n = compact(v, a->g->n, copy);

		spread(v, a->g->n, n > 0 ? f(copy, n, phi) : none);
	}
	return 0;
}

/*
 * The quantile takes the place of the last value and is spread from there. So one that is NaN, as
 * between infinities, gives way to the value before it.
 */
static int quantile_of_all(struct fn_args *a, uint32_t series, double phi, struct series_set *ret)
{
	double *copy = values_new(a->ev->arena, a->g->n, 0);

	if (!copy)
		return eval_no_memory(a->ev);
	*ret = a->v[series];
	for (size_t i = 0; i < ret->n; i++) {
		double *v = ret->v[i].values;
		uint32_t n = compact(v, a->g->n, copy), last = a->g->n;

		while (last > 0 && isnan(v[last - 1]))
			last--;
		if (last > 0)
			v[last - 1] = quantile_inplace(phi, copy, n);
		spread_last(v, a->g->n);
	}
	return 0;
}

static double of_stdvar(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_stdvar(v, n);
}

static double of_stddev(double *v, uint32_t n, double unused)
{
	(void)unused;
	return sqrt(stats_stdvar(v, n));
}

static double of_mad(double *v, uint32_t n, double unused)
{
	(void)unused;
	return stats_mad(v, n);
}

static int range_quantile(struct fn_args *a, struct series_set *ret)
{
	const double *phi;
	int r = args_scalar(a, 0, &phi);

	return r < 0 ? r : quantile_of_all(a, 1, phi[0], ret);
}

static int range_stdvar(struct fn_args *a, struct series_set *ret)
{
	return from_all(a, 0, NAN, a->g->n == 1 ? 0 : (double)NAN, of_stdvar, ret);
}

static int range_stddev(struct fn_args *a, struct series_set *ret)
{
	return from_all(a, 0, NAN, a->g->n == 1 ? 0 : (double)NAN, of_stddev, ret);
}

static int range_mad(struct fn_args *a, struct series_set *ret)
{
	return from_all(a, 0, NAN, NAN, of_mad, ret);
}

#define RANGE(fname, text) FN_TRANSFORM_ROW(fname, fname, 1, 1, 0, 0, text)

static const struct fn rows[] = {
	/* clang-format off */
	RANGE(range_sum, "Sum of the range."),
	RANGE(range_max, "Largest value of the range."),
	RANGE(range_min, "Smallest value of the range."),
	RANGE(range_avg, "Mean of the range."),
	FN_TRANSFORM_ROW(range_first, range_first, 1, 1, 0, FN_KEEP_NAME,
			 "First value of the range."),
	FN_TRANSFORM_ROW(range_last, range_last, 1, 1, 0, FN_KEEP_NAME,
			 "Last value of the range."),
	FN_TRANSFORM_ROW(range_quantile, range_quantile, 2, 2, 1, FN_KEEP_NAME,
			 "The phi-quantile of the range."),
	FN_TRANSFORM_ROW(range_stdvar, range_stdvar, 1, 1, 0, FN_KEEP_NAME,
			 "Variance of the range."),
	FN_TRANSFORM_ROW(range_stddev, range_stddev, 1, 1, 0, FN_KEEP_NAME,
			 "Standard deviation of the range."),
	FN_TRANSFORM_ROW(range_mad, range_mad, 1, 1, 0, FN_KEEP_NAME,
			 "Median absolute deviation of the range."),
	/* clang-format on */
};

const struct fn_table fn_range = { rows, ARRAY_SIZE(rows) };
