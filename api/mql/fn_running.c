/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions that walk along a series: each point depends on its neighbours. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/walk.h"

#include <math.h>

#include "userspace/base/util.h"

static double run_sum(double acc, double v, uint32_t i)
{
	(void)i;
	return acc + v;
}

static double run_max(double acc, double v, uint32_t i)
{
	(void)i;
	return v > acc ? v : acc;
}

static double run_min(double acc, double v, uint32_t i)
{
	(void)i;
	return v < acc ? v : acc;
}

/* Positions count gaps, too. */
static double run_avg(double acc, double v, uint32_t i)
{
	return acc + (v - acc) / (i + 1);
}

static void run(double *v, uint32_t n, double (*step)(double acc, double v, uint32_t i))
{
	uint32_t first = walk_first(v, n);

	for (uint32_t i = first + 1; i < n; i++)
		v[i] = isnan(v[i]) ? v[i - 1] : step(v[i - 1], v[i], i - first);
}

void walk_running_sum(double *v, uint32_t n)
{
	run(v, n, run_sum);
}

void walk_running_max(double *v, uint32_t n)
{
	run(v, n, run_max);
}

void walk_running_min(double *v, uint32_t n)
{
	run(v, n, run_min);
}

void walk_running_avg(double *v, uint32_t n)
{
	run(v, n, run_avg);
}

uint32_t walk_first(const double *v, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && isnan(v[i]))
		i++;
	return i;
}

int walk_each(struct fn_args *a, uint32_t series, void (*f)(double *v, uint32_t n),
              struct series_set *ret)
{
	*ret = a->v[series];
	for (size_t i = 0; i < ret->n; i++) {
		if (!(a->call->call.fn->flags & FN_KEEP_NAME))
			ret->v[i].mn.name = STR_NULL;
		f(ret->v[i].values, a->g->n);
	}
	return 0;
}

static void fill_from_left(double *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		v[i] = isnan(v[i]) ? v[i - 1] : v[i];
}

static void fill_from_right(double *v, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--)
		v[i - 2] = isnan(v[i - 2]) ? v[i - 1] : v[i - 2];
}

/* Gaps between two values become a straight line; the ends stay as they are. */
static void fill_lines(double *v, uint32_t n)
{
	for (uint32_t i = walk_first(v, n) + 1; i < n; i++) {
		uint32_t end = i + walk_first(v + i, n - i);
		double step = end < n ? (v[end] - v[i - 1]) / (end - i + 1) : (double)NAN;

		for (; end < n && i < end; i++)
			v[i] = v[i - 1] + step;
	}
}

/* As the counters of rollups, but over points that may be missing. */
static void rise(double *v, uint32_t n)
{
	double correction = 0, prev = NAN;

	for (uint32_t i = 0; i < n; i++) {
		double x = v[i], d = x - prev;

		if (isnan(x))
			continue;
		if (d < 0)
			correction += -d * 8 < prev ? -d : prev;
		prev = x;
		v[i] = x + correction;
	}
}

static int smooth_exponential(struct fn_args *a, struct series_set *ret)
{
	const double *factors;
	int r = args_scalar(a, 1, &factors);

	*ret = a->v[0];
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		double *v = ret->v[k].values, avg;
		uint32_t i = walk_first(v, a->g->n);

		/* A gap behind infinities is where it starts: nothing comes after it. */
		while (i < a->g->n && isinf(v[i]))
			i++;
		avg = i < a->g->n ? v[i] : 0;
		for (i++; i < a->g->n; i++) {
			double f = isnan(factors[i]) ? 1 : fmin(fmax(factors[i], 0), 1);

			if (isnan(v[i]))
				continue;
			if (!isinf(v[i]))
				avg = avg * (1 - f) + v[i] * f;
			v[i] = avg;
		}
	}
	return r;
}

#define WALK(fname, f)                                              \
	static int fname(struct fn_args *a, struct series_set *ret) \
	{                                                           \
		return walk_each(a, 0, f, ret);                     \
	}
WALK(running_sum, walk_running_sum)
WALK(running_max, walk_running_max)
WALK(running_min, walk_running_min)
WALK(running_avg, walk_running_avg)
WALK(keep_last_value, fill_from_left)
WALK(keep_next_value, fill_from_right)
WALK(interpolate, fill_lines)
WALK(remove_resets, rise)

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(running_sum, running_sum, 1, 1, 0, 0, "Sum of all points so far."),
	FN_TRANSFORM_ROW(running_max, running_max, 1, 1, 0, 0, "Largest point so far."),
	FN_TRANSFORM_ROW(running_min, running_min, 1, 1, 0, 0, "Smallest point so far."),
	FN_TRANSFORM_ROW(running_avg, running_avg, 1, 1, 0, 0, "Mean of all points so far."),
	FN_TRANSFORM_ROW(keep_last_value, keep_last_value, 1, 1, 0, FN_KEEP_NAME,
			 "Gaps filled with the value before them."),
	FN_TRANSFORM_ROW(keep_next_value, keep_next_value, 1, 1, 0, FN_KEEP_NAME,
			 "Gaps filled with the value behind them."),
	FN_TRANSFORM_ROW(interpolate, interpolate, 1, 1, 0, FN_KEEP_NAME,
			 "Gaps between values filled with a straight line."),
	FN_TRANSFORM_ROW(remove_resets, remove_resets, 1, 1, 0, FN_KEEP_NAME,
			 "The counter without its resets."),
	FN_TRANSFORM_ROW(smooth_exponential, smooth_exponential, 2, 2, 0, FN_KEEP_NAME,
			 "Exponential moving average with the given factor."),
	/* clang-format on */
};

const struct fn_table fn_running = { rows, ARRAY_SIZE(rows) };
