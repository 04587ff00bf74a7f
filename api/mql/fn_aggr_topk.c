/* SPDX-License-Identifier: BSD-2-Clause */
/* Aggregates that choose series: the k largest or smallest, point by point or as a whole. */
#include "api/mql/aggr.h"
#include "api/mql/fn_tables.h"
#include "api/mql/rollup.h"

#include <math.h>
#include <stdlib.h>

#include "userspace/base/util.h"

struct ranked {
	double rank; /* NaN is the worst */
	struct series *s;
};

/* Ascending, NaN first; equal ranks in label order, so that the choice is stable. */
static int ranked_cmp(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (isnan(x->rank) || isnan(y->rank)) {
		if (isnan(x->rank) != isnan(y->rank))
			return isnan(x->rank) ? -1 : 1;
		return mname_cmp(&x->s->mn, &y->s->mn);
	}
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return mname_cmp(&x->s->mn, &y->s->mn);
}

static uint32_t k_of(double k, size_t n)
{
	return isnan(k) || k < 0 ? 0 : k >= (double)n ? (uint32_t)n : (uint32_t)k;
}

/*
 * Clears the values of all but the k best of the group at each point. Afterwards @order holds the
 * order at the last point, worst first, as it was before values were cleared there.
 */
static void keep_best(struct fn_args *a, struct aggr_group *gr, const double *ks, int sign,
                      struct ranked *order)
{
	size_t n = gr->in.n;

	for (uint32_t k = 0; k < a->g->n; k++) {
		for (size_t i = 0; i < n; i++)
			order[i] = (struct ranked){ gr->in.v[i].values[k] * sign, &gr->in.v[i] };
		qsort(order, n, sizeof(*order), ranked_cmp);
		for (size_t i = 0; i + k_of(ks[k], n) < n; i++)
			order[i].s->values[k] = NAN;
	}
}

static int put_best_first(struct fn_args *a, const struct ranked *order, size_t n,
                          struct series_set *ret)
{
	for (size_t i = n; i > 0; i--) {
		if (set_add(a->ev->arena, ret, *order[i - 1].s) < 0)
			return eval_no_memory(a->ev);
	}
	return eval_tick(a->ev);
}

static int best_by_point(struct fn_args *a, int sign, struct series_set *ret)
{
	struct aggr_group *groups;
	const double *ks;
	uint32_t n = 0;
	int r = args_scalar(a, 0, &ks);

	if (r == 0)
		r = aggr_groups(a, 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct ranked *order = ARENA_ARRAY(a->ev->arena, struct ranked, groups[i].in.n);

		if (!order)
			return eval_no_memory(a->ev);
		keep_best(a, &groups[i], ks, sign, order);
		r = put_best_first(a, order, groups[i].in.n, ret);
	}
	return r;
}

static int topk(struct fn_args *a, struct series_set *ret)
{
	return best_by_point(a, 1, ret);
}

static int bottomk(struct fn_args *a, struct series_set *ret)
{
	return best_by_point(a, -1, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_ROW(topk, topk, 2, 2, 1, FN_SORTED | FN_KEEP_SERIES,
		    "The k largest series, point by point."),
	FN_AGGR_ROW(bottomk, bottomk, 2, 2, 1, FN_SORTED | FN_KEEP_SERIES,
		    "The k smallest series, point by point."),
	/* clang-format on */
};

const struct fn_table fn_aggr_topk = { rows, ARRAY_SIZE(rows) };
