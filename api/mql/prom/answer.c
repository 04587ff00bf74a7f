/* SPDX-License-Identifier: BSD-2-Clause */
/* A PromQL query from its tree to the answer: types of results, moments and ranges. */
#include <errno.h>
#include <stdlib.h>

#include "api/mql/prom/answer.h"
#include "api/mql/prom/prom.h"
#include "userspace/base/util.h"

static int no_memory(struct eval *ev, const struct mql_result *res)
{
	return eval_arena_failed(ev, &res->arena);
}

static int put_labels(struct eval *ev, struct mql_result *res, const struct mname *mn,
                      struct mql_series *out)
{
	return mname_labels(&res->arena, mn, &out->labels, &out->n_labels) < 0 ? no_memory(ev, res)
	                                                                       : 0;
}

/* The points that are there, in times and values of their own. */
static int put_points(struct eval *ev, struct mql_result *res, const struct grid *g,
                      const double *values, struct mql_series *out)
{
	int64_t *ts_ms = ARENA_ARRAY(&res->arena, int64_t, g->n);
	double *v = values_new(&res->arena, g->n, 0);

	if (!ts_ms || !v)
		return no_memory(ev, res);
	for (uint32_t k = 0; k < g->n; k++) {
		if (prom_is_absent(values[k]))
			continue;
		ts_ms[out->n] = grid_ts(g, k);
		v[out->n++] = values[k];
	}
	out->ts_ms = ts_ms;
	out->values = v;
	return 0;
}

static int put_set(struct eval *ev, struct mql_result *res, const struct grid *g,
                   const struct series_set *set)
{
	struct mql_series *v = ARENA_ARRAY(&res->arena, struct mql_series, set->n + 1);
	size_t n = 0;
	int r = v ? 0 : no_memory(ev, res);

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		v[n] = (struct mql_series){ 0 };
		r = put_points(ev, res, g, set->v[i].values, &v[n]);
		if (r == 0 && v[n].n > 0)
			r = put_labels(ev, res, &set->v[i].mn, &v[n]);
		n += v[n].n > 0;
	}
	res->series = v;
	res->n_series = n;
	return r;
}

static int cmp_samples(const void *a, const void *b)
{
	return mname_cmp(&((const struct prom_samples *)a)->mn,
	                 &((const struct prom_samples *)b)->mn);
}

static int run_matrix(struct eval *ev, const struct grid *g, const struct ast *a,
                      struct mql_result *res)
{
	struct prom_samples *in;
	struct mql_series *v;
	size_t n = 0;
	int r = prom_matrix(ev, g, a, &in, &n);

	if (r < 0)
		return r;
	if (n > 1)
		qsort(in, n, sizeof(*in), cmp_samples);
	v = ARENA_ARRAY(&res->arena, struct mql_series, n + 1);
	r = v ? 0 : no_memory(ev, res);
	for (size_t i = 0; r == 0 && i < n; i++) {
		v[i] = (struct mql_series){ .n = in[i].n };
		v[i].ts_ms = arena_memdup(&res->arena, in[i].ts_ms, in[i].n * sizeof(*in[i].ts_ms));
		v[i].values = arena_memdup(&res->arena, in[i].v, in[i].n * sizeof(*in[i].v));
		r = v[i].ts_ms && v[i].values ? put_labels(ev, res, &in[i].mn, &v[i])
		                              : no_memory(ev, res);
	}
	res->type = MQL_MATRIX;
	res->series = v;
	res->n_series = n;
	return r;
}

static int cmp_series(const void *a, const void *b)
{
	return mname_cmp(&((const struct series *)a)->mn, &((const struct series *)b)->mn);
}

/* Does the expression say in which order its series come? */
static bool has_own_order(const struct ast *a)
{
	static const char *const names[] = { "sort", "sort_desc", "topk", "bottomk" };

	for (size_t i = 0; a->kind == AST_CALL && i < ARRAY_SIZE(names); i++) {
		if (str_eqc(a->call.name, names[i]))
			return true;
	}
	return false;
}

static int run_string(struct eval *ev, const struct grid *g, const struct ast *a,
                      struct mql_result *res)
{
	struct series_set set = { 0 };
	int r = prom_scalar(ev, g, 0, &set);

	res->type = MQL_STRING;
	res->text = arena_str(&res->arena, a->string);
	return r < 0 ? r : put_set(ev, res, g, &set);
}

static int run_points(struct eval *ev, const struct grid *g, const struct ast *a,
                      enum prom_type type, struct mql_result *res)
{
	struct series_set set = { 0 };
	int r = prom_eval(ev, g, a, &set);

	if (set.n > 1 && !(ev->q->instant && has_own_order(a)))
		qsort(set.v, set.n, sizeof(*set.v), cmp_series);
	res->type = !ev->q->instant ? MQL_MATRIX : type == PROM_SCALAR ? MQL_SCALAR : MQL_VECTOR;
	return r < 0 ? r : put_set(ev, res, g, &set);
}

int prom_run(struct eval *ev, const struct ast *a, struct mql_result *res)
{
	const struct mql_query *q = ev->q;
	struct grid g = { q->start_ms, q->start_ms, MAX(q->step_ms, 1), 1 };
	enum prom_type type;
	int r = prom_check(ev, a, &type);

	if (r < 0)
		return r;
	if (q->instant) {
		if (type == PROM_STRING)
			return run_string(ev, &g, a, res);
		return type == PROM_MATRIX ? run_matrix(ev, &g, a, res)
		                           : run_points(ev, &g, a, type, res);
	}
	if (type > PROM_VECTOR)
		return eval_fail(ev, a,
		                 "invalid expression type \"%s\" for range query, must be Scalar "
		                 "or instant Vector",
		                 type == PROM_STRING ? "string" : "range vector");
	if (q->step_ms <= 0)
		return err_set(ev->e, -EINVAL,
		               "zero or negative query resolution step widths are "
		               "not accepted. Try a positive integer");
	if (q->end_ms < q->start_ms)
		return err_set(ev->e, -EINVAL, "end timestamp must not be before start time");
	r = eval_grid(ev, q->start_ms, q->end_ms, q->step_ms, ev->limits->points_max,
	              "points per series (points_max)", &g);
	return r < 0 ? r : run_points(ev, &g, a, type, res);
}
