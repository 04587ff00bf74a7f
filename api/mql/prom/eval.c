/* SPDX-License-Identifier: BSD-2-Clause */
/* Expressions of PromQL, and what their parts share. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/prom/prom.h"
#include "api/mql/trace.h"
#include "userspace/base/util.h"

double *prom_values(struct eval *ev, const struct grid *g)
{
	return values_new(ev->arena, g->n, prom_absent());
}

int prom_put(struct eval *ev, struct series_set *set, struct mname mn, double *values)
{
	if (!values || set_add(ev->arena, set, (struct series){ mn, values }) < 0)
		return eval_no_memory(ev);
	return 0;
}

int prom_scalar(struct eval *ev, const struct grid *g, double v, struct series_set *ret)
{
	return prom_put(ev, ret, (struct mname){ 0 }, values_new(ev->arena, g->n, v));
}

void prom_drop_names(struct series_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		set->v[i].mn.name = STR_NULL;
}

static int duplicate(struct eval *ev, const struct ast *at)
{
	return eval_fail(ev, at, "vector cannot contain metrics with the same labelset");
}

int prom_unite(struct eval *ev, const struct grid *g, const struct ast *at, struct series_set *set)
{
	struct mname_map names = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		uint32_t number;

		if (mname_map_add(ev->arena, &names, &set->v[i].mn, false, &number) < 0)
			return eval_no_memory(ev);
		if (number == n) {
			set->v[n++] = set->v[i];
			continue;
		}
		for (uint32_t k = 0; k < g->n; k++) {
			double *to = &set->v[number].values[k], from = set->v[i].values[k];

			if (prom_is_absent(from))
				continue;
			if (!prom_is_absent(*to))
				return duplicate(ev, at);
			*to = from;
		}
	}
	set->n = n;
	return eval_tick(ev);
}

/* The sum in two parts: what is lost of the first is in the second. */
static double sum_of(const double *v, uint32_t n, double *ret_rest)
{
	double sum = 0, rest = 0;

	for (uint32_t i = 0; i < n; i++) {
		double t = sum + v[i];

		if (isinf(t))
			rest = 0;
		else if (fabs(sum) >= fabs(v[i]))
			rest += (sum - t) + v[i];
		else
			rest += (v[i] - t) + sum;
		sum = t;
	}
	*ret_rest = rest;
	return sum;
}

double prom_sum(const double *v, uint32_t n)
{
	double rest, sum = sum_of(v, n, &rest);

	return sum + rest;
}

double prom_mean(const double *v, uint32_t n)
{
	double rest, sum = sum_of(v, n, &rest), mean = 0;

	if (isfinite(sum))
		return sum / n + rest / n;
	for (uint32_t i = 0; i < n; i++) /* the sum may be too large for a number */
		mean += v[i] / (i + 1) - mean / (i + 1);
	return mean;
}

void prom_variance(const double *v, uint32_t n, double *ret)
{
	double mean = 0, sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		double d = v[i] - mean;

		mean += d / (i + 1);
		sum += d * (v[i] - mean);
	}
	*ret = sum / n;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y)) /* NaN is the least */
		return isnan(y) - isnan(x);
	return (x > y) - (x < y);
}

double prom_quantile(double phi, double *v, uint32_t n)
{
	double rank, low, weight;

	if (n == 0 || isnan(phi))
		return NAN;
	if (phi < 0 || phi > 1)
		return phi < 0 ? -INFINITY : (double)INFINITY;
	qsort(v, n, sizeof(*v), cmp_double);
	rank = phi * (n - 1);
	low = fmax(0, floor(rank));
	weight = rank - floor(rank);
	return v[(size_t)low] * (1 - weight) + v[(size_t)fmin(n - 1, low + 1)] * weight;
}

/* --- calls ------------------------------------------------------------------------------------ */

static int range_function(struct eval *ev, const struct grid *g, const struct ast *a,
                          const struct prom_fn *f, struct series_set *ret)
{
	const double *args[PROM_ARGS_MAX] = { 0 };
	const struct ast *matrix = NULL;
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < a->call.n_args; i++) {
		struct series_set set = { 0 };

		if (f->args[i] == 'm') {
			matrix = a->call.args[i];
			continue;
		}
		r = prom_eval(ev, g, a->call.args[i], &set);
		if (r == 0)
			args[n++] = set.v[0].values;
	}
	if (r == 0)
		r = prom_range_call(ev, g, f, matrix, args, ret);
	return r < 0 || f->keeps_name ? r : prom_unite(ev, g, a, ret);
}

/* Labels of absent(): those that the selector demands, each by a single "=". */
static int absent_labels(struct eval *ev, const struct ast *a, struct mname *mn)
{
	const struct store_match_set *set;

	if (a->kind == AST_ROLLUP)
		a = a->rollup.expr;
	if (a->kind != AST_SELECTOR || a->selector.n_sets != 1)
		return 0;
	set = &a->selector.sets[0];
	for (size_t i = 0; i < set->n; i++) {
		const struct store_matcher *m = &set->v[i];
		size_t same = 0;

		for (size_t k = 0; k < set->n; k++)
			same += str_eq(set->v[k].name, m->name);
		if (m->op == STORE_EQ && same == 1 && !str_eqc(m->name, LABEL_NAME) &&
		    mname_set(ev->arena, mn, m->name, m->value) < 0)
			return eval_no_memory(ev);
	}
	return 0;
}

static int absent_of(struct eval *ev, const struct grid *g, const struct ast *arg,
                     const struct series_set *in, struct series_set *ret)
{
	struct mname mn = { 0 };
	double *v = prom_values(ev, g);
	int r = v ? absent_labels(ev, arg, &mn) : eval_no_memory(ev);

	for (uint32_t k = 0; r == 0 && k < g->n; k++) {
		bool any = false;

		for (size_t i = 0; i < in->n; i++)
			any |= !prom_is_absent(in->v[i].values[k]);
		if (!any)
			v[k] = 1;
	}
	*ret = (struct series_set){ 0 };
	return r < 0 ? r : prom_put(ev, ret, mn, v);
}

static int math_function(const struct grid *g, const struct prom_fn *f, struct series_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		double *v = set->v[i].values;

		for (uint32_t k = 0; k < g->n; k++) {
			if (!prom_is_absent(v[k]))
				v[k] = f->math(v[k]);
		}
	}
	prom_drop_names(set);
	return 0;
}

static int call_function(struct eval *ev, const struct grid *g, const struct ast *a,
                         const struct prom_fn *f, struct series_set *ret)
{
	struct series_set args[PROM_ARGS_MAX] = { 0 };
	struct series_set *v = a->call.n_args > PROM_ARGS_MAX
	                               ? ARENA_ARRAY(ev->arena, struct series_set, a->call.n_args)
	                               : args;
	struct prom_call c = { ev, g, a, v, a->call.n_args };
	int r = v ? 0 : eval_no_memory(ev);

	if (str_eqc(a->call.name, "timestamp") && a->call.args[0]->kind != AST_CALL &&
	    a->call.args[0]->kind != AST_BINOP) {
		r = prom_instant_selector(ev, g, a->call.args[0], true, ret);
		prom_drop_names(ret);
		return r < 0 ? r : prom_unite(ev, g, a, ret);
	}
	for (uint32_t i = 0; r == 0 && i < c.n; i++) {
		if (a->call.args[i]->kind != AST_STRING)
			r = prom_eval(ev, g, a->call.args[i], &v[i]);
	}
	if (r < 0)
		return r;
	if (f->math) {
		*ret = v[0];
		r = math_function(g, f, ret);
	} else {
		r = f->call(&c, ret);
	}
	return r < 0 || f->type == PROM_SCALAR ? r : prom_unite(ev, g, a, ret);
}

static int prom_function(struct eval *ev, const struct grid *g, const struct ast *a,
                         struct series_set *ret)
{
	const struct prom_fn *f = prom_fn_find(a->call.name);
	struct series_set in = { 0 };
	int r;

	if (str_eqc(a->call.name, "absent_over_time")) {
		r = prom_range_call(ev, g, f, a->call.args[0], NULL, &in);
		return r < 0 ? r : absent_of(ev, g, a->call.args[0], &in, ret);
	}
	if (str_eqc(a->call.name, "absent")) {
		r = prom_eval(ev, g, a->call.args[0], &in);
		return r < 0 ? r : absent_of(ev, g, a->call.args[0], &in, ret);
	}
	return f->range ? range_function(ev, g, a, f, ret) : call_function(ev, g, a, f, ret);
}

static int node(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret)
{
	int64_t ms;
	int r;

	switch (a->kind) {
	case AST_NUMBER:
		return prom_scalar(ev, g, a->number.value, ret);
	case AST_DURATION:
		r = eval_duration_ms(ev, a, a->duration, g->step_ms, &ms);
		return r < 0 ? r : prom_scalar(ev, g, (double)ms / 1000, ret);
	case AST_SELECTOR:
	case AST_ROLLUP:
		return prom_instant_selector(ev, g, a, false, ret);
	case AST_CALL:
		return a->call.fn->kind == FN_AGGR ? prom_aggregate(ev, g, a, ret)
		                                   : prom_function(ev, g, a, ret);
	case AST_BINOP:
		return prom_binop(ev, g, a, ret);
	case AST_STRING:
	case AST_WITH:
		break;
	}
	return eval_fail(ev, a, "this expression cannot be evaluated");
}

int prom_eval(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret)
{
	struct trace_step *step = trace_begin(ev);
	int r = node(ev, g, a, ret);

	trace_end_expr(ev, step, g, a, ret);
	return r < 0 ? r : eval_tick(ev);
}
