/* SPDX-License-Identifier: BSD-2-Clause */
/* Aggregates that need one number and one count for each group and point. */
#include "api/mql/aggr.h"
#include "api/mql/fn_tables.h"

#include <math.h>

#include "userspace/base/util.h"

/*
 * Defines <name>_incr from what one more value @x does to the accumulator @acc of @n values, and
 * what an accumulator @x of values that came later does. There is no branch in the loops, so that
 * the compiler can do several points at once.
 */
#define INCREMENTAL(fname, step, join, end)                                                \
	static void fname##_add(struct aggr_acc *a, const double *values)                  \
	{                                                                                  \
		for (uint32_t i = 0; i < a->n; i++) {                                      \
			double x = values[i], acc = a->v[i], n = a->count[i], next = step; \
			bool any = x == x;                                                 \
                                                                                           \
			(void)n;                                                           \
			a->v[i] = any ? next : acc;                                        \
			a->count[i] += any ? 1 : 0;                                        \
		}                                                                          \
	}                                                                                  \
	static void fname##_merge(struct aggr_acc *a, const struct aggr_acc *b)            \
	{                                                                                  \
		for (uint32_t i = 0; i < a->n; i++) {                                      \
			double x = b->v[i], acc = a->v[i], n = a->count[i], next = join;   \
                                                                                           \
			(void)x;                                                           \
			(void)n;                                                           \
			a->v[i] = b->count[i] > 0 ? next : acc;                            \
			a->count[i] += b->count[i];                                        \
		}                                                                          \
	}                                                                                  \
	static void fname##_finish(struct aggr_acc *a)                                     \
	{                                                                                  \
		for (uint32_t i = 0; i < a->n; i++) {                                      \
			double acc = a->v[i], n = a->count[i];                             \
                                                                                           \
			(void)acc;                                                         \
			(void)n;                                                           \
			a->v[i] = end;                                                     \
		}                                                                          \
	}                                                                                  \
	static const struct aggr_incr fname##_incr = { fname##_add, fname##_merge, fname##_finish };

INCREMENTAL(sum, acc + x, acc + x, acc)
INCREMENTAL(sum2, acc + x * x, acc + x, acc)
INCREMENTAL(min, n == 0 || x < acc ? x : acc, n == 0 || x < acc ? x : acc, acc)
INCREMENTAL(max, n == 0 || x > acc ? x : acc, n == 0 || x > acc ? x : acc, acc)
INCREMENTAL(avg, acc + x, acc + x, acc / n)
INCREMENTAL(count, acc + 1, acc + x, acc)
INCREMENTAL(group, 1, 1, acc)
INCREMENTAL(geomean, n == 0 ? x : acc * x, n == 0 ? x : acc * x, pow(acc, 1 / n))

/* One series of each group, with its own labels. */
static int any(struct fn_args *a, struct series_set *ret)
{
	struct aggr_group *groups;
	uint32_t n;
	int r = aggr_groups(a, 0, &groups, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (set_add(a->ev->arena, ret, groups[i].in.v[0]) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_INCR_ROW(sum, "Sum of the series."),
	FN_AGGR_INCR_ROW(sum2, "Sum of the series' squares."),
	FN_AGGR_INCR_ROW(min, "Smallest value."),
	FN_AGGR_INCR_ROW(max, "Largest value."),
	FN_AGGR_INCR_ROW(avg, "Mean of the series."),
	FN_AGGR_INCR_ROW(count, "Number of series with a value."),
	FN_AGGR_INCR_ROW(group, "1 where any series has a value."),
	FN_AGGR_INCR_ROW(geomean, "Geometric mean of the series."),
	FN_AGGR_ROW(any, any, 1, FN_VARIADIC, 0, FN_KEEP_SERIES, "One series of the group."),
	/* clang-format on */
};

const struct fn_table fn_aggr_basic = { rows, ARRAY_SIZE(rows) };
