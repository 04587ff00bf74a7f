/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/filters.h"

#include "api/mql/binop.h"
#include "api/mql/fn.h"

#define FILTERS_MAX 64u /* more of them are not worth their cost */

static bool same(const struct store_matcher *a, const struct store_matcher *b)
{
	return a->op == b->op && str_eq(a->name, b->name) && str_eq(a->value, b->value);
}

static bool has(const struct filters *f, const struct store_matcher *m)
{
	for (uint32_t i = 0; i < f->n; i++) {
		if (same(f->v[i], m))
			return true;
	}
	return false;
}

void filters_add(struct arena *arena, struct filters *f, const struct store_matcher *m)
{
	if (f->n == FILTERS_MAX || str_eqc(m->name, LABEL_NAME) || has(f, m))
		return;
	if (f->n == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 4;
		const struct store_matcher **v =
			ARENA_ARRAY(arena, const struct store_matcher *, cap);

		if (!v)
			return;
		if (f->n > 0)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = m;
}

static struct filters both(struct arena *arena, const struct filters *a, const struct filters *b)
{
	struct filters r = { 0 };

	for (uint32_t i = 0; i < a->n; i++)
		filters_add(arena, &r, a->v[i]);
	for (uint32_t i = 0; i < b->n; i++)
		filters_add(arena, &r, b->v[i]);
	return r;
}

static struct filters shared(struct arena *arena, const struct filters *a, const struct filters *b)
{
	struct filters r = { 0 };

	for (uint32_t i = 0; i < a->n; i++) {
		if (has(b, a->v[i]))
			filters_add(arena, &r, a->v[i]);
	}
	return r;
}

static bool named(const struct ast_names *names, struct str name)
{
	for (uint32_t i = 0; i < names->n; i++) {
		if (str_eq(names->v[i], name))
			return true;
	}
	return false;
}

/* Those whose label is among @names, or is not. */
static struct filters of_labels(struct arena *arena, const struct filters *f,
                                const struct ast_names *names, bool among)
{
	struct filters r = { 0 };

	for (uint32_t i = 0; i < f->n; i++) {
		if (named(names, f->v[i]->name) == among)
			filters_add(arena, &r, f->v[i]);
	}
	return r;
}

/* --- calls ---------------------------------------------------------------------------------- */

/*
 * The labels that arguments @from, @from + @step, .. name. False when one is no plain string: then
 * nothing is known.
 */
static bool label_args(struct arena *arena, const struct ast_call *c, uint32_t from, uint32_t step,
                       uint32_t end, struct ast_names *ret)
{
	*ret = (struct ast_names){ .v = ARENA_ARRAY(arena, struct str, c->n_args + 1) };
	for (uint32_t i = from; ret->v && i < end && i < c->n_args; i += step) {
		if (c->args[i]->kind != AST_STRING)
			return false;
		ret->v[ret->n++] = c->args[i]->string;
	}
	return ret->v != NULL;
}

/* The labels that the call changes, or keeps if that is what its row says. False: any. */
static bool labels_of(struct arena *arena, const struct ast_call *c, struct ast_names *ret)
{
	unsigned flags = c->fn->flags;

	*ret = (struct ast_names){ 0 };
	if (flags & FN_LABELS_FIRST)
		return label_args(arena, c, 0, 1, 1, ret);
	if (flags & FN_LABELS_SECOND)
		return label_args(arena, c, 1, 1, 2, ret);
	if (flags & (FN_LABELS_LIST | FN_LABELS_KEEP))
		return label_args(arena, c, 1, 1, c->n_args, ret);
	if (flags & FN_LABELS_SET)
		return label_args(arena, c, 1, 2, c->n_args, ret);
	if (flags & FN_LABELS_TARGETS)
		return label_args(arena, c, 2, 2, c->n_args, ret);
	return true;
}

/* Only the labels of the groups come through an aggregate. */
static struct filters through_groups(struct arena *arena, const struct ast_call *c,
                                     const struct filters *f)
{
	if (c->group == AST_GROUP_NONE)
		return (struct filters){ 0 };
	return of_labels(arena, f, &c->labels, c->group == AST_GROUP_BY);
}

struct filters filters_through_call(struct arena *arena, const struct ast_call *c,
                                    const struct filters *f)
{
	struct ast_names names;
	struct filters r;

	if ((c->fn->flags & (FN_LABELS_LOST | FN_ABSENT)) || c->fn->series_arg == FN_NO_SERIES ||
	    !labels_of(arena, c, &names))
		return (struct filters){ 0 };
	r = of_labels(arena, f, &names, (c->fn->flags & FN_LABELS_KEEP) != 0);
	return c->fn->kind == FN_AGGR ? through_groups(arena, c, &r) : r;
}

/* What label_set() says of its result. */
static void add_set_labels(struct arena *arena, const struct ast_call *c, struct filters *f)
{
	for (uint32_t i = 1; i + 1 < c->n_args; i += 2) {
		struct store_matcher *m = ARENA_NEW(arena, struct store_matcher);

		if (!m || c->args[i]->kind != AST_STRING || c->args[i + 1]->kind != AST_STRING)
			return;
		*m = (struct store_matcher){ STORE_EQ, c->args[i]->string, c->args[i + 1]->string };
		filters_add(arena, f, m);
	}
}

bool filters_pooled(const struct fn *fn)
{
	return (fn->flags & FN_LABELS_UNION) ||
	       (fn->kind == FN_AGGR && fn->args_max == FN_VARIADIC && fn->series_arg == 0);
}

static struct filters common_of_call(struct arena *arena, const struct ast_call *c)
{
	int first = fn_series_index(c->fn, c->n_args);
	struct filters f = { 0 };

	if (first < 0 || (uint32_t)first >= c->n_args)
		return f;
	f = filters_common(arena, c->args[first]);
	for (uint32_t i = 1; filters_pooled(c->fn) && i < c->n_args; i++) {
		struct filters more = filters_common(arena, c->args[i]);

		f = shared(arena, &f, &more);
	}
	f = filters_through_call(arena, c, &f);
	if (c->fn->flags & FN_LABELS_SET)
		add_set_labels(arena, c, &f);
	return f;
}

/* --- operators ------------------------------------------------------------------------------ */

bool filters_is_matched(const struct ast_binop *b, struct str label)
{
	return named(&b->labels, label) == (b->match == AST_MATCH_ON);
}

struct filters filters_matched(struct arena *arena, const struct ast_binop *b,
                               const struct filters *f)
{
	return of_labels(arena, f, &b->labels, b->match == AST_MATCH_ON);
}

static struct filters common_of_binop(struct arena *arena, const struct ast_binop *b)
{
	struct filters l = filters_common(arena, b->left), r;

	if (b->op->flags & BINOP_LEFT_LABELS)
		return filters_matched(arena, b, &l);
	r = filters_common(arena, b->right);
	if (b->op->flags & BINOP_EITHER) {
		r = shared(arena, &l, &r);
		return filters_matched(arena, b, &r);
	}
	/* The series of the many side of a join keep their labels. */
	if (b->join != AST_JOIN_LEFT)
		l = filters_matched(arena, b, &l);
	if (b->join != AST_JOIN_RIGHT)
		r = filters_matched(arena, b, &r);
	return both(arena, &l, &r);
}

static struct filters common_of_selector(struct arena *arena, const struct ast *a)
{
	struct filters f = { 0 };

	for (size_t i = 0; i < a->selector.n_sets; i++) {
		const struct store_match_set *set = &a->selector.sets[i];
		struct filters one = { 0 };

		for (size_t k = 0; k < set->n; k++)
			filters_add(arena, &one, &set->v[k]);
		f = i == 0 ? one : shared(arena, &f, &one);
	}
	return f;
}

struct filters filters_common(struct arena *arena, const struct ast *a)
{
	switch (a->kind) {
	case AST_SELECTOR:
		return common_of_selector(arena, a);
	case AST_ROLLUP:
		return filters_common(arena, a->rollup.expr);
	case AST_CALL:
		return common_of_call(arena, &a->call);
	case AST_BINOP:
		return common_of_binop(arena, &a->binop);
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_WITH:
		break;
	}
	return (struct filters){ 0 };
}
