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

struct value_order {
	uint32_t n_points;
	int sign;
};

static int value_cmp(const void *a, const void *b, void *ctx)
{
	const struct value_order *o = ctx;

	return series_cmp_values(((const struct ranked *)a)->s, ((const struct ranked *)b)->s,
	                         o->n_points, o->sign);
}

static bool is_worse(const struct ranked *v, size_t a, size_t b)
{
	return v[a].rank < v[b].rank || (v[a].rank == v[b].rank && a < b);
}

/* A heap of places in @v, the worst on top: what came to its @at-th place sinks to its own. */
static void heap_sink(const struct ranked *v, size_t *heap, size_t n, size_t at)
{
	for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
		if (child + 1 < n && is_worse(v, heap[child + 1], heap[child]))
			child++;
		if (!is_worse(v, heap[child], heap[at]))
			return;
		size_t other = heap[at];

		heap[at] = heap[child];
		heap[child] = other;
		at = child;
	}
}

/* Clears the values at point @k of all but the @best best of @v; the later of equals are better. */
static void clear_worse(struct ranked *v, size_t n, size_t best, uint32_t k, size_t *heap)
{
	size_t n_heap = 0;

	for (size_t i = 0; i < n; i++) {
		if (isnan(v[i].rank))
			continue;
		if (n_heap < best) {
			heap[n_heap++] = i;
			for (size_t at = n_heap == best ? n_heap / 2 : 0; at > 0; at--)
				heap_sink(v, heap, n_heap, at - 1);
			continue;
		}
		size_t worst = best > 0 && is_worse(v, heap[0], i) ? heap[0] : i;

		v[worst].s->values[k] = NAN;
		if (worst == i)
			continue;
		heap[0] = i;
		heap_sink(v, heap, n_heap, 0);
	}
}

/*
 * Clears the values of all but the k best of the group at each point. @order gets the group's
 * series, the worst first, by the values that they had before.
 */
static int keep_best(struct fn_args *a, struct aggr_group *gr, const double *ks, int sign,
                     struct ranked *order)
{
	struct value_order by = { a->g->n, sign };
	size_t n = gr->in.n, *heap = ARENA_ARRAY(a->ev->arena, size_t, n);
	int r = heap ? 0 : eval_no_memory(a->ev);

	for (size_t i = 0; i < n; i++)
		order[i] = (struct ranked){ NAN, &gr->in.v[i] };
	if (r == 0 && n > 1)
		qsort_r(order, n, sizeof(*order), value_cmp, &by);
	for (uint32_t k = 0; r == 0 && k < a->g->n; k++) {
		for (size_t i = 0; i < n; i++)
			order[i].rank = order[i].s->values[k] * sign;
		clear_worse(order, n, k_of(ks[k], n), k, heap);
		r = k % 64 == 0 ? eval_tick(a->ev) : 0;
	}
	return r;
}

/* Those that have kept a value. */
static int put_best_first(struct fn_args *a, const struct ranked *order, size_t n,
                          struct series_set *ret)
{
	for (size_t i = n; i > 0; i--) {
		if (set_add(a->ev->arena, ret, *order[i - 1].s) < 0)
			return eval_no_memory(a->ev);
	}
	set_drop_empty(ret, a->g->n);
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
		r = keep_best(a, &groups[i], ks, sign, order);
		if (r == 0)
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

/* --- whole series, by one number of each ------------------------------------------------------ */

/* Largest, smallest, mean, median and last value; NaN for a series without any. */
static double whole_max(double *v, uint32_t n)
{
	return quantile_inplace(1, v, n);
}

static double whole_min(double *v, uint32_t n)
{
	return quantile_inplace(0, v, n);
}

static double whole_median(double *v, uint32_t n)
{
	return quantile_inplace(0.5, v, n);
}

static double whole_avg(double *v, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += v[i];
	return n > 0 ? sum / n : (double)NAN;
}

static double whole_last(double *v, uint32_t n)
{
	return n > 0 ? v[n - 1] : (double)NAN;
}

typedef double (*whole_f)(double *v, uint32_t n);

static void rank_whole(struct fn_args *a, struct aggr_group *gr, whole_f f, int sign, double *copy,
                       struct ranked *order)
{
	for (size_t i = 0; i < gr->in.n; i++) {
		struct series *s = &gr->in.v[i];
		uint32_t n = 0;

		for (uint32_t k = 0; k < a->g->n; k++) {
			if (!isnan(s->values[k]))
				copy[n++] = s->values[k];
		}
		order[i] = (struct ranked){ f(copy, n) * sign, s };
	}
	qsort(order, gr->in.n, sizeof(*order), ranked_cmp);
}

/* The sum of the series that are not chosen, as one more series: "label=value", or "label". */
static int put_rest(struct fn_args *a, const struct aggr_group *gr, const struct ranked *order,
                    const double *ks, struct str tag, struct series_set *ret)
{
	struct series s = { gr->mn, values_new(a->ev->arena, a->g->n, NAN) };
	struct str label, value;

	if (!str_cut(tag, '=', &label, &value))
		value = label = tag;
	if (!s.values || mname_set(a->ev->arena, &s.mn, label, value) < 0)
		return eval_no_memory(a->ev);
	for (uint32_t k = 0; k < a->g->n; k++) {
		for (size_t i = 0; i + k_of(ks[k], gr->in.n) < gr->in.n; i++) {
			double v = order[i].s->values[k];

			if (!isnan(v))
				s.values[k] = isnan(s.values[k]) ? v : s.values[k] + v;
		}
	}
	return set_add(a->ev->arena, ret, s) < 0 ? eval_no_memory(a->ev) : 0;
}

/* Of the ranked series of a group, the chosen ones; all others lose their values. */
static int put_chosen(struct fn_args *a, const struct aggr_group *gr, const struct ranked *order,
                      const double *ks, struct series_set *ret)
{
	size_t n = gr->in.n;

	for (uint32_t k = 0; k < a->g->n; k++) {
		for (size_t i = 0; i + k_of(ks[k], n) < n; i++)
			order[i].s->values[k] = NAN;
	}
	return put_best_first(a, order, n, ret);
}

/* (k, q) or (k, q, "label=value for the rest") */
static int best_whole(struct fn_args *a, whole_f f, int sign, struct series_set *ret)
{
	double *copy = values_new(a->ev->arena, a->g->n, 0);
	struct str rest = STR_NULL;
	struct aggr_group *groups;
	const double *ks;
	uint32_t n = 0;
	int r = copy ? args_scalar(a, 0, &ks) : eval_no_memory(a->ev);

	if (r == 0 && a->n > 2)
		r = args_string(a, 2, &rest);
	a->n = MIN(a->n, 2u);
	if (r == 0)
		r = aggr_groups(a, 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct ranked *order = ARENA_ARRAY(a->ev->arena, struct ranked, groups[i].in.n);

		if (!order)
			return eval_no_memory(a->ev);
		rank_whole(a, &groups[i], f, sign, copy, order);
		if (rest.len > 0)
			r = put_rest(a, &groups[i], order, ks, rest, ret);
		if (r == 0)
			r = put_chosen(a, &groups[i], order, ks, ret);
	}
	return r;
}

#define WHOLE(word)                                                          \
	static int topk_##word(struct fn_args *a, struct series_set *ret)    \
	{                                                                    \
		return best_whole(a, whole_##word, 1, ret);                  \
	}                                                                    \
	static int bottomk_##word(struct fn_args *a, struct series_set *ret) \
	{                                                                    \
		return best_whole(a, whole_##word, -1, ret);                 \
	}
WHOLE(max)
WHOLE(min)
WHOLE(avg)
WHOLE(median)
WHOLE(last)

/* --- outliersk() ---------------------------------------------------------------------------- */

/* The median of the group at each point. */
static int medians_of(struct fn_args *a, const struct aggr_group *gr, double **ret)
{
	double *column = values_new(a->ev->arena, (uint32_t)gr->in.n, 0);
	double *v = values_new(a->ev->arena, a->g->n, NAN);

	if (!column || !v)
		return eval_no_memory(a->ev);
	for (uint32_t k = 0; k < a->g->n; k++) {
		uint32_t n = 0;

		for (size_t i = 0; i < gr->in.n; i++) {
			if (!isnan(gr->in.v[i].values[k]))
				column[n++] = gr->in.v[i].values[k];
		}
		v[k] = quantile_inplace(0.5, column, n);
	}
	*ret = v;
	return 0;
}

static int outliersk_group(struct fn_args *a, struct aggr_group *gr, const double *ks,
                           struct series_set *ret)
{
	struct ranked *order = ARENA_ARRAY(a->ev->arena, struct ranked, gr->in.n);
	double *medians = NULL;
	int r = order ? medians_of(a, gr, &medians) : eval_no_memory(a->ev);

	if (r < 0)
		return r;
	for (size_t i = 0; i < gr->in.n; i++) {
		double sum = 0; /* NaN for a series with gaps: it is no outlier */

		for (uint32_t k = 0; k < a->g->n; k++) {
			double d = gr->in.v[i].values[k] - medians[k];

			sum += d * d;
		}
		order[i] = (struct ranked){ sum, &gr->in.v[i] };
	}
	qsort(order, gr->in.n, sizeof(*order), ranked_cmp);
	return put_chosen(a, gr, order, ks, ret);
}

static int outliersk(struct fn_args *a, struct series_set *ret)
{
	struct aggr_group *groups;
	const double *ks;
	uint32_t n = 0;
	int r = args_scalar(a, 0, &ks);

	if (r == 0)
		r = aggr_groups(a, 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = outliersk_group(a, &groups[i], ks, ret);
	return r;
}

#define CHOICE(fname, text) FN_AGGR_ROW(fname, fname, 2, 3, 1, FN_SORTED | FN_KEEP_SERIES, text)

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_ROW(topk, topk, 2, 2, 1, FN_SORTED | FN_KEEP_SERIES,
		    "The k largest series, point by point."),
	FN_AGGR_ROW(bottomk, bottomk, 2, 2, 1, FN_SORTED | FN_KEEP_SERIES,
		    "The k smallest series, point by point."),
	FN_AGGR_ROW(outliersk, outliersk, 2, 2, 1, FN_SORTED | FN_KEEP_SERIES,
		    "The k series that stray most from the group's median."),
	CHOICE(topk_max, "The k series with the largest maxima."),
	CHOICE(topk_min, "The k series with the largest minima."),
	CHOICE(topk_avg, "The k series with the largest means."),
	CHOICE(topk_median, "The k series with the largest medians."),
	CHOICE(topk_last, "The k series with the largest last values."),
	CHOICE(bottomk_max, "The k series with the smallest maxima."),
	CHOICE(bottomk_min, "The k series with the smallest minima."),
	CHOICE(bottomk_avg, "The k series with the smallest means."),
	CHOICE(bottomk_median, "The k series with the smallest medians."),
	CHOICE(bottomk_last, "The k series with the smallest last values."),
	/* clang-format on */
};

const struct fn_table fn_aggr_topk = { rows, ARRAY_SIZE(rows) };
