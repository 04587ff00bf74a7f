/* SPDX-License-Identifier: BSD-2-Clause */
/* Aggregates of PromQL: groups of series, point by point. */
#include "api/mql/aggr.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/prom/prom.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

struct group {
	struct mname mn;
	struct series **v;
	uint32_t n, cap;
};

static int group_add(struct eval *ev, struct group *g, struct series *s)
{
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 8;
		struct series **v = ARENA_ARRAY(ev->arena, struct series *, cap);

		if (!v)
			return eval_no_memory(ev);
		if (g->n > 0)
			memcpy(v, g->v, g->n * sizeof(*v));
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = s;
	return 0;
}

static int groups_of(struct eval *ev, const struct ast_call *c, struct series_set *in,
                     struct group **ret, uint32_t *ret_n)
{
	struct mname_map names = { 0 };
	struct group *all = ARENA_ARRAY(ev->arena, struct group, in->n + 1);

	if (!all)
		return eval_no_memory(ev);
	for (size_t i = 0; i < in->n; i++) {
		struct mname mn = in->v[i].mn;
		uint32_t number;

		if (aggr_group_name(ev, c, &mn) < 0 ||
		    mname_map_add(ev->arena, &names, &mn, false, &number) < 0)
			return eval_no_memory(ev);
		all[number].mn = mn;
		if (group_add(ev, &all[number], &in->v[i]) < 0)
			return eval_no_memory(ev);
	}
	*ret = all;
	*ret_n = names.n;
	return 0;
}

/* --- one value of each group ------------------------------------------------------------------ */

static double fold_sum(double *v, uint32_t n, double arg)
{
	(void)arg;
	return prom_sum(v, n);
}

static double fold_avg(double *v, uint32_t n, double arg)
{
	(void)arg;
	return prom_mean(v, n);
}

static double fold_min(double *v, uint32_t n, double arg)
{
	double min = v[0];

	(void)arg;
	for (uint32_t i = 1; i < n; i++)
		min = v[i] < min || isnan(min) ? v[i] : min;
	return min;
}

static double fold_max(double *v, uint32_t n, double arg)
{
	double max = v[0];

	(void)arg;
	for (uint32_t i = 1; i < n; i++)
		max = v[i] > max || isnan(max) ? v[i] : max;
	return max;
}

static double fold_count(double *v, uint32_t n, double arg)
{
	(void)v;
	(void)arg;
	return n;
}

static double fold_group(double *v, uint32_t n, double arg)
{
	(void)v;
	(void)n;
	(void)arg;
	return 1;
}

static double fold_stdvar(double *v, uint32_t n, double arg)
{
	double ret;

	(void)arg;
	prom_variance(v, n, &ret);
	return ret;
}

static double fold_stddev(double *v, uint32_t n, double arg)
{
	return sqrt(fold_stdvar(v, n, arg));
}

static double fold_quantile(double *v, uint32_t n, double phi)
{
	return prom_quantile(phi, v, n);
}

static const struct {
	const char *name;
	aggr_fold_f fold;
} folds[] = {
	{ "sum", fold_sum },       { "avg", fold_avg },       { "min", fold_min },
	{ "max", fold_max },       { "count", fold_count },   { "group", fold_group },
	{ "stdvar", fold_stdvar }, { "stddev", fold_stddev }, { "quantile", fold_quantile },
};

static aggr_fold_f fold_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(folds); i++) {
		if (strcmp(folds[i].name, name) == 0)
			return folds[i].fold;
	}
	return NULL;
}

/* The values at point @k into @column; how many there are. */
static uint32_t column_of(const struct group *gr, uint32_t k, double *column)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < gr->n; i++) {
		if (!prom_is_absent(gr->v[i]->values[k]))
			column[n++] = gr->v[i]->values[k];
	}
	return n;
}

static int fold_groups(struct eval *ev, const struct grid *g, const struct group *groups,
                       uint32_t n, aggr_fold_f fold, const double *args, struct series_set *ret)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		double *column = values_new(ev->arena, groups[i].n, 0);
		double *dst = prom_values(ev, g);

		if (!column || !dst)
			return eval_no_memory(ev);
		for (uint32_t k = 0; k < g->n; k++) {
			uint32_t values = column_of(&groups[i], k, column);

			if (values > 0)
				dst[k] = fold(column, values, args ? args[k] : 0);
		}
		r = prom_put(ev, ret, groups[i].mn, dst);
		if (r == 0)
			r = eval_tick(ev);
	}
	return r;
}

/* --- series of each group --------------------------------------------------------------------- */

struct pick {
	double v;
	uint32_t i; /* series of the group */
};

/* The best first; NaN is the worst, and equals stay in their order. */
static int cmp_picks(const void *a, const void *b, void *ctx)
{
	const struct pick *x = a, *y = b;
	int sign = *(const int *)ctx;

	if (isnan(x->v) || isnan(y->v))
		return isnan(x->v) != isnan(y->v) ? isnan(x->v) - isnan(y->v)
		                                  : (x->i > y->i) - (x->i < y->i);
	if (x->v != y->v)
		return (x->v < y->v ? 1 : -1) * sign;
	return (x->i > y->i) - (x->i < y->i);
}

/* @sign 1: the largest, -1: the smallest, 0: the first. @order gets the best first; how many. */
static uint32_t pick_at(const struct group *gr, uint32_t k, double want, int sign,
                        struct pick *order)
{
	uint32_t n = 0, n_best;

	for (uint32_t s = 0; s < gr->n; s++) {
		if (!prom_is_absent(gr->v[s]->values[k]))
			order[n++] = (struct pick){ gr->v[s]->values[k], s };
	}
	if (sign != 0 && n > 1)
		qsort_r(order, n, sizeof(*order), cmp_picks, &sign);
	n_best = want >= 1 ? (uint32_t)fmin(want, n) : 0;
	for (uint32_t s = n_best; s < n; s++)
		gr->v[order[s].i]->values[k] = prom_absent();
	return n_best;
}

/* The values that are not among the best become absent. At one moment the best come first. */
static int pick_groups(struct eval *ev, const struct grid *g, const struct group *groups,
                       uint32_t n_groups, const double *ks, int sign, struct series_set *ret)
{
	int r = 0;

	for (uint32_t i = 0; i < n_groups; i++) {
		const struct group *gr = &groups[i];
		struct pick *order = ARENA_ARRAY(ev->arena, struct pick, gr->n);
		uint32_t n = 0;

		if (!order)
			return eval_no_memory(ev);
		for (uint32_t k = 0; k < g->n; k++)
			n = pick_at(gr, k, ks[k], sign, order);
		if (g->n > 1)
			n = gr->n;
		for (uint32_t s = 0; r == 0 && s < n; s++) {
			const struct series *best = gr->v[g->n > 1 ? s : order[s].i];

			r = prom_put(ev, ret, best->mn, best->values);
		}
		if (r == 0)
			r = eval_tick(ev);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- count_values ----------------------------------------------------------------------------- */

static int count_values(struct eval *ev, const struct grid *g, const struct ast *a,
                        struct series_set *in, struct series_set *ret)
{
	struct str label = a->call.args[0]->string;
	struct mname_map names = { 0 };

	for (size_t i = 0; i < in->n; i++) {
		for (uint32_t k = 0; k < g->n; k++) {
			char text[NUM_DOUBLE_BYTES_MAX];
			double v = in->v[i].values[k], *dst;
			struct mname mn = in->v[i].mn;
			uint32_t number;

			if (prom_is_absent(v))
				continue;
			struct str value = { text, num_format_double(v, text) };

			if (aggr_group_name(ev, &a->call, &mn) < 0 ||
			    mname_set(ev->arena, &mn, label, arena_str(ev->arena, value)) < 0 ||
			    mname_map_add(ev->arena, &names, &mn, false, &number) < 0)
				return eval_no_memory(ev);
			if (number == ret->n && prom_put(ev, ret, mn, prom_values(ev, g)) < 0)
				return eval_no_memory(ev);
			dst = &ret->v[number].values[k];
			*dst = prom_is_absent(*dst) ? 1 : *dst + 1;
		}
		int r = eval_tick(ev);

		if (r < 0)
			return r;
	}
	return 0;
}

int prom_aggregate(struct eval *ev, const struct grid *g, const struct ast *a,
                   struct series_set *ret)
{
	const char *name = a->call.fn->name;
	const struct ast *vector = a->call.args[a->call.n_args - 1];
	struct series_set in = { 0 }, arg = { 0 };
	struct group *groups;
	uint32_t n = 0;
	int r = prom_eval(ev, g, vector, &in);

	if (r == 0 && a->call.n_args > 1 && a->call.args[0]->kind != AST_STRING)
		r = prom_eval(ev, g, a->call.args[0], &arg);
	if (r < 0)
		return r;
	if (strcmp(name, "count_values") == 0)
		return count_values(ev, g, a, &in, ret);
	r = groups_of(ev, &a->call, &in, &groups, &n);
	if (r < 0)
		return r;
	aggr_fold_f fold = fold_of(name);

	if (fold)
		return fold_groups(ev, g, groups, n, fold, arg.n > 0 ? arg.v[0].values : NULL, ret);
	int sign = strcmp(name, "topk") == 0 ? 1 : strcmp(name, "bottomk") == 0 ? -1 : 0;

	return pick_groups(ev, g, groups, n, arg.v[0].values, sign, ret);
}
