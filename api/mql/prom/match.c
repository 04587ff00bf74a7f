/* SPDX-License-Identifier: BSD-2-Clause */
/* Operators of PromQL: matching of series is checked point by point. */
#include <errno.h>
#include <math.h>

#include "api/mql/binop.h"
#include "api/mql/prom/prom.h"
#include "userspace/base/util.h"

double prom_number(const struct binop *op, double l, double r)
{
	switch (op->name[0]) {
	case '+':
		return l + r;
	case '-':
		return l - r;
	case '*':
		return l * r;
	case '/':
		return l / r;
	case '%':
		return fmod(l, r);
	case '^':
		return pow(l, r);
	case 'a':
		return atan2(l, r);
	case '=':
		return l == r;
	case '!':
		return l != r;
	case '<':
		return op->name[1] == '=' ? l <= r : l < r;
	default:
		return op->name[1] == '=' ? l >= r : l > r;
	}
}

/* The value of "l op r" in a vector; a comparison that fails is absent. @kept: what it keeps. */
static double element(const struct ast_binop *b, double l, double r, double kept)
{
	double v = prom_number(b->op, l, r);

	if (!(b->op->flags & BINOP_CMP) || b->is_bool)
		return v;
	return v != 0 ? kept : prom_absent();
}

static bool drops_name(const struct ast_binop *b)
{
	return !(b->op->flags & BINOP_CMP) || b->is_bool;
}

/* --- with a number ---------------------------------------------------------------------------- */

static int with_scalar(struct eval *ev, const struct grid *g, const struct ast *a,
                       struct series_set *vector, const double *scalar, bool scalar_left,
                       struct series_set *ret)
{
	const struct ast_binop *b = &a->binop;

	*ret = *vector;
	for (size_t i = 0; i < ret->n; i++) {
		double *v = ret->v[i].values;

		for (uint32_t k = 0; k < g->n; k++) {
			if (prom_is_absent(v[k]))
				continue;
			v[k] = scalar_left ? element(b, scalar[k], v[k], v[k])
			                   : element(b, v[k], scalar[k], v[k]);
		}
	}
	if (!drops_name(b))
		return 0;
	prom_drop_names(ret);
	return prom_unite(ev, g, a, ret);
}

/* --- matching --------------------------------------------------------------------------------- */

static int signature(struct eval *ev, const struct ast_binop *b, struct mname *mn)
{
	int r;

	if (b->match == AST_MATCH_ON) {
		r = mname_keep(ev->arena, mn, &b->labels);
	} else {
		r = mname_drop(ev->arena, mn, &b->labels);
		mn->name = STR_NULL;
	}
	mn->as_stored = false;
	return r < 0 ? eval_no_memory(ev) : 0;
}

/* The number of each series' signature. */
static int signatures(struct eval *ev, const struct ast_binop *b, const struct series_set *set,
                      struct mname_map *map, uint32_t **ret)
{
	uint32_t *ids = ARENA_ARRAY(ev->arena, uint32_t, set->n + 1);

	if (!ids)
		return eval_no_memory(ev);
	for (size_t i = 0; i < set->n; i++) {
		struct mname mn = set->v[i].mn;

		if (signature(ev, b, &mn) < 0 ||
		    mname_map_add(ev->arena, map, &mn, false, &ids[i]) < 0)
			return eval_no_memory(ev);
	}
	*ret = ids;
	return 0;
}

/* What operators work on: @one is the side of which a signature has one series. */
struct sides {
	struct eval *ev;
	const struct grid *g;
	const struct ast *a;
	struct series_set *many, *one;
	uint32_t *many_ids, *one_ids;
	uint32_t n_ids;
	bool swapped;    /* @many is the right side */
	uint32_t *at;    /* by signature: the series of @one that has a value at the point, + 1 */
	uint32_t *taken; /* by signature: points + 1 at which @many had a value */
};

static int many_matches(struct sides *s, bool on_one)
{
	if (!on_one)
		return eval_fail(s->ev, s->a,
		                 "multiple matches for labels: many-to-one matching must be "
		                 "explicit (group_left/group_right)");
	return eval_fail(s->ev, s->a,
	                 "found duplicate series for the match group on the %s hand-side of the "
	                 "operation;many-to-many matching not allowed: matching labels must be "
	                 "unique on one side",
	                 s->swapped ? "left" : "right");
}

/* Labels of the result of a pair. */
static int pair_labels(const struct sides *s, const struct mname *many, const struct mname *one,
                       struct mname *ret)
{
	const struct ast_binop *b = &s->a->binop;
	struct arena *arena = s->ev->arena;
	int r = 0;

	*ret = *many;
	if (drops_name(b))
		ret->name = STR_NULL;
	ret->as_stored = false;
	if (b->join == AST_JOIN_NONE)
		r = b->match == AST_MATCH_ON ? mname_keep(arena, ret, &b->labels)
		                             : mname_drop(arena, ret, &b->labels);
	for (uint32_t i = 0; r == 0 && b->join != AST_JOIN_NONE && i < b->join_labels.n; i++)
		r = mname_set(arena, ret, b->join_labels.v[i], mname_get(one, b->join_labels.v[i]));
	return r < 0 ? eval_no_memory(s->ev) : 0;
}

/* The result's series for each pair, made when it has its first point. */
struct results {
	struct mname_map names;
	uint32_t *of; /* by series of @many: result + 1 with the series of @one below */
	uint32_t *with;
	struct series_set *set;
};

static int result_of(struct sides *s, struct results *res, size_t many, uint32_t one, uint32_t *ret)
{
	struct mname mn;
	int r;

	if (res->of[many] != 0 && res->with[many] == one) {
		*ret = res->of[many] - 1;
		return 0;
	}
	r = pair_labels(s, &s->many->v[many].mn, &s->one->v[one].mn, &mn);
	if (r < 0)
		return r;
	if (mname_map_add(s->ev->arena, &res->names, &mn, false, ret) < 0)
		return eval_no_memory(s->ev);
	if (*ret == res->set->n)
		r = prom_put(s->ev, res->set, mn, prom_values(s->ev, s->g));
	res->of[many] = *ret + 1;
	res->with[many] = one;
	return r;
}

static int one_at(struct sides *s, uint32_t k)
{
	memset(s->at, 0, (s->n_ids + 1) * sizeof(*s->at));
	for (uint32_t i = 0; i < s->one->n; i++) {
		if (prom_is_absent(s->one->v[i].values[k]))
			continue;
		if (s->at[s->one_ids[i]] != 0)
			return many_matches(s, true);
		s->at[s->one_ids[i]] = i + 1;
	}
	return 0;
}

static bool any_at(const struct series_set *set, uint32_t k)
{
	for (size_t i = 0; i < set->n; i++) {
		if (!prom_is_absent(set->v[i].values[k]))
			return true;
	}
	return false;
}

static int match_at(struct sides *s, struct results *res, uint32_t k)
{
	const struct ast_binop *b = &s->a->binop;
	int r = any_at(s->many, k) ? one_at(s, k) : 0; /* else there is nothing to be wrong */

	for (size_t i = 0; r == 0 && i < s->many->n; i++) {
		uint32_t id = s->many_ids[i], one = s->at[id], to = 0;
		double m = s->many->v[i].values[k], o, v;

		if (prom_is_absent(m) || one == 0)
			continue; /* in that order: without any of @many, s->at is an older one */
		o = s->one->v[one - 1].values[k];
		v = s->swapped ? element(b, o, m, o) : element(b, m, o, m);
		if (prom_is_absent(v))
			continue;
		if (b->join == AST_JOIN_NONE && s->taken[id] == k + 1)
			return many_matches(s, false);
		s->taken[id] = k + 1;
		r = result_of(s, res, i, one - 1, &to);
		if (r < 0)
			return r;
		if (!prom_is_absent(res->set->v[to].values[k]))
			return eval_fail(s->ev, s->a,
			                 "multiple matches for labels: grouping labels must ensure "
			                 "unique matches");
		res->set->v[to].values[k] = v;
	}
	return r;
}

static int match(struct sides *s, struct series_set *ret)
{
	struct arena *arena = s->ev->arena;
	struct results res = { .of = ARENA_ARRAY(arena, uint32_t, s->many->n + 1),
		               .with = ARENA_ARRAY(arena, uint32_t, s->many->n + 1),
		               .set = ret };
	int r = res.of && res.with ? 0 : eval_no_memory(s->ev);

	for (uint32_t k = 0; r == 0 && k < s->g->n; k++) {
		r = match_at(s, &res, k);
		if (r == 0)
			r = eval_tick(s->ev);
	}
	return r;
}

/* --- and, or, unless -------------------------------------------------------------------------- */

/* @s->at by signature: 1 where a series of @set has a value at the point. */
static void present_at(struct sides *s, const struct series_set *set, const uint32_t *ids,
                       uint32_t k)
{
	memset(s->at, 0, (s->n_ids + 1) * sizeof(*s->at));
	for (size_t i = 0; i < set->n; i++) {
		if (!prom_is_absent(set->v[i].values[k]))
			s->at[ids[i]] = 1;
	}
}

static void keep_where(struct sides *s, struct series_set *set, const uint32_t *ids, uint32_t k,
                       uint32_t present)
{
	for (size_t i = 0; i < set->n; i++) {
		if (s->at[ids[i]] != present)
			set->v[i].values[k] = prom_absent();
	}
}

static int set_operator(struct sides *s, struct series_set *ret)
{
	bool is_or = s->a->binop.op->name[0] == 'o';
	uint32_t want = s->a->binop.op->name[0] == 'a';
	int r = 0;

	for (uint32_t k = 0; k < s->g->n; k++) {
		if (is_or) {
			present_at(s, s->many, s->many_ids, k);
			keep_where(s, s->one, s->one_ids, k, 0);
		} else {
			present_at(s, s->one, s->one_ids, k);
			keep_where(s, s->many, s->many_ids, k, want);
		}
	}
	*ret = *s->many;
	for (size_t i = 0; r == 0 && is_or && i < s->one->n; i++)
		r = prom_put(s->ev, ret, s->one->v[i].mn, s->one->v[i].values);
	return r < 0 ? r : prom_unite(s->ev, s->g, s->a, ret);
}

static int of_vectors(struct eval *ev, const struct grid *g, const struct ast *a,
                      struct series_set *left, struct series_set *right, struct series_set *ret)
{
	const struct ast_binop *b = &a->binop;
	struct sides s = { .ev = ev, .g = g, .a = a, .many = left, .one = right };
	struct mname_map map = { 0 };
	int r;

	s.swapped = b->join == AST_JOIN_RIGHT;
	if (s.swapped) {
		s.many = right;
		s.one = left;
	}
	r = signatures(ev, b, s.many, &map, &s.many_ids);
	if (r == 0)
		r = signatures(ev, b, s.one, &map, &s.one_ids);
	if (r < 0)
		return r;
	s.n_ids = map.n;
	s.at = ARENA_ARRAY(ev->arena, uint32_t, map.n + 1);
	s.taken = ARENA_ARRAY(ev->arena, uint32_t, map.n + 1);
	if (!s.at || !s.taken)
		return eval_no_memory(ev);
	return b->op->set ? set_operator(&s, ret) : match(&s, ret);
}

int prom_binop(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret)
{
	const struct ast_binop *b = &a->binop;
	bool left_scalar = prom_type_of(b->left) == PROM_SCALAR;
	bool right_scalar = prom_type_of(b->right) == PROM_SCALAR;
	struct series_set left = { 0 }, right = { 0 };
	int r = prom_eval(ev, g, b->left, &left);

	if (r == 0)
		r = prom_eval(ev, g, b->right, &right);
	if (r < 0)
		return r;
	if (left_scalar && right_scalar) {
		double *v = prom_values(ev, g);

		for (uint32_t k = 0; v && k < g->n; k++)
			v[k] = prom_number(b->op, left.v[0].values[k], right.v[0].values[k]);
		return prom_put(ev, ret, (struct mname){ 0 }, v);
	}
	if (left_scalar)
		return with_scalar(ev, g, a, &right, left.v[0].values, true, ret);
	if (right_scalar)
		return with_scalar(ev, g, a, &left, right.v[0].values, false, ret);
	return of_vectors(ev, g, a, &left, &right, ret);
}
