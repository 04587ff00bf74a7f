/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/pushdown.h"

#include <stdlib.h>

#include "api/mql/binop.h"
#include "api/mql/filters.h"
#include "api/mql/fn.h"
#include "userspace/base/buf.h"

#define VALUES_MAX 100u /* of one label; more are no help to the index */

static struct ast *push(struct arena *arena, struct ast *a, const struct filters *f);

/* The arena's error is looked at once, at the end; until then a tree may keep an old node. */
static struct ast *copy_of(struct arena *arena, struct ast *a)
{
	struct ast *copy = arena_memdup(arena, a, sizeof(*a));

	return copy ? copy : a;
}

/* --- into a selector ------------------------------------------------------------------------ */

static bool set_has(const struct store_match_set *set, const struct store_matcher *m)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->v[i].op == m->op && str_eq(set->v[i].name, m->name) &&
		    str_eq(set->v[i].value, m->value))
			return true;
	}
	return false;
}

static int matcher_cmp(const void *a, const void *b)
{
	const struct store_matcher *x = a, *y = b;
	int c = str_cmp(x->name, y->name);

	return c != 0 ? c : str_cmp(x->value, y->value);
}

/* In order, as VictoriaMetrics prints them; the name stays in front. */
static void sort_set(struct store_matcher *v, size_t n)
{
	size_t first = n > 0 && v[0].op == STORE_EQ && str_eqc(v[0].name, LABEL_NAME);

	if (n > first)
		qsort(v + first, n - first, sizeof(*v), matcher_cmp);
}

static struct store_match_set with(struct arena *arena, const struct store_match_set *set,
                                   const struct filters *f)
{
	struct store_matcher *v = ARENA_ARRAY(arena, struct store_matcher, set->n + f->n + 1);
	struct store_match_set r = { v, 0 };

	for (size_t i = 0; v && i < set->n; i++)
		v[r.n++] = set->v[i];
	for (uint32_t i = 0; v && i < f->n; i++) {
		if (!set_has(&r, f->v[i]))
			v[r.n++] = *f->v[i];
	}
	if (v)
		sort_set(v, r.n);
	return v ? r : *set;
}

static struct ast *push_selector(struct arena *arena, struct ast *a, const struct filters *f)
{
	size_t n = a->selector.n_sets;
	struct store_match_set *sets = ARENA_ARRAY(arena, struct store_match_set, n + 1);
	struct ast *copy = copy_of(arena, a);

	if (!sets || copy == a)
		return a;
	for (size_t i = 0; i < n; i++)
		sets[i] = with(arena, &a->selector.sets[i], f);
	copy->selector.sets = sets;
	return copy;
}

/* --- through other nodes -------------------------------------------------------------------- */

static struct ast *with_expr(struct arena *arena, struct ast *a, struct ast *expr, struct ast *at)
{
	struct ast *copy = expr != a->rollup.expr || at != a->rollup.at ? copy_of(arena, a) : a;

	if (copy == a)
		return a;
	copy->rollup.expr = expr;
	copy->rollup.at = at;
	return copy;
}

static struct ast *with_arg(struct arena *arena, struct ast *a, uint32_t i, struct ast *arg)
{
	struct ast **args, *copy;

	if (arg == a->call.args[i])
		return a;
	args = arena_memdup(arena, a->call.args, a->call.n_args * sizeof(*args));
	copy = copy_of(arena, a);
	if (!args || copy == a)
		return a;
	args[i] = arg;
	copy->call.args = args;
	return copy;
}

static struct ast *with_sides(struct arena *arena, struct ast *a, struct ast *left,
                              struct ast *right)
{
	struct ast *copy = left != a->binop.left || right != a->binop.right ? copy_of(arena, a) : a;

	if (copy == a)
		return a;
	copy->binop.left = left;
	copy->binop.right = right;
	return copy;
}

static struct ast *push_call(struct arena *arena, struct ast *a, const struct filters *f)
{
	struct filters through = filters_through_call(arena, &a->call, f);
	int only = fn_series_index(a->call.fn, a->call.n_args);

	for (uint32_t i = 0; through.n > 0 && i < a->call.n_args; i++) {
		if ((int)i == only || filters_pooled(a->call.fn))
			a = with_arg(arena, a, i, push(arena, a->call.args[i], &through));
	}
	return a;
}

static struct ast *push_binop(struct arena *arena, struct ast *a, const struct filters *f)
{
	struct filters matched = filters_matched(arena, &a->binop, f);

	if (matched.n == 0)
		return a;
	return with_sides(arena, a, push(arena, a->binop.left, &matched),
	                  push(arena, a->binop.right, &matched));
}

static struct ast *push(struct arena *arena, struct ast *a, const struct filters *f)
{
	switch (a->kind) {
	case AST_SELECTOR:
		return push_selector(arena, a, f);
	case AST_ROLLUP:
		return with_expr(arena, a, push(arena, a->rollup.expr, f), a->rollup.at);
	case AST_CALL:
		return push_call(arena, a, f);
	case AST_BINOP:
		return push_binop(arena, a, f);
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_WITH:
		break;
	}
	return a;
}

/* --- by the text: from the leaves up -------------------------------------------------------- */

static struct ast *visit(struct arena *arena, struct ast *a);

static struct ast *visit_call(struct arena *arena, struct ast *a)
{
	for (uint32_t i = 0; i < a->call.n_args; i++)
		a = with_arg(arena, a, i, visit(arena, a->call.args[i]));
	return a;
}

static struct ast *visit_binop(struct arena *arena, struct ast *a)
{
	struct filters f;

	a = with_sides(arena, a, visit(arena, a->binop.left), visit(arena, a->binop.right));
	f = filters_common(arena, a);
	return push_binop(arena, a, &f);
}

static struct ast *visit(struct arena *arena, struct ast *a)
{
	switch (a->kind) {
	case AST_ROLLUP:
		return with_expr(arena, a, visit(arena, a->rollup.expr),
		                 a->rollup.at ? visit(arena, a->rollup.at) : NULL);
	case AST_CALL:
		return visit_call(arena, a);
	case AST_BINOP:
		return visit_binop(arena, a);
	case AST_SELECTOR:
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_WITH:
		break;
	}
	return a;
}

struct ast *pushdown(struct ast *a, struct arena *arena, int *ret_err)
{
	a = visit(arena, a);
	if (arena_error(arena) < 0)
		*ret_err = arena_error(arena);
	return a;
}

/* --- by the labels of series ---------------------------------------------------------------- */

static bool is_ungrouped(const struct ast *a)
{
	return a->kind == AST_CALL && a->call.fn->kind == FN_AGGR && a->call.labels.n == 0;
}

bool pushdown_may(const struct ast *a)
{
	const struct ast_binop *b = &a->binop;

	return !(b->op->flags & BINOP_BOTH) && !is_ungrouped(b->left) && !is_ungrouped(b->right);
}

static int cmp_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Distinct values of @label in @ret, sorted; 0 when a series lacks it or there are too many. */
static uint32_t values_of(const struct series_set *set, struct str label, struct str *ret)
{
	uint32_t n = 0, k;

	for (size_t i = 0; i < set->n; i++) {
		struct str value = mname_get(&set->v[i].mn, label);

		for (k = 0; k < n && !str_eq(ret[k], value); k++)
			;
		if (value.len == 0 || k == VALUES_MAX)
			return 0;
		ret[k] = value;
		n += k == n;
	}
	qsort(ret, n, sizeof(*ret), cmp_text);
	return n;
}

/* "a|b", everything that means something in a regular expression escaped. */
static void put_choice(const struct str *values, uint32_t n, struct buf *out)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, '|');
		for (size_t k = 0; k < values[i].len; k++) {
			if (values[i].p[k] != '\0' && strchr("\\.+*?()|[]{}^$", values[i].p[k]))
				buf_putc(out, '\\');
			buf_putc(out, values[i].p[k]);
		}
	}
}

static struct store_matcher *matcher_of(struct arena *arena, struct str label,
                                        const struct str *values, uint32_t n)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct store_matcher *m = ARENA_NEW(arena, struct store_matcher);

	if (!m)
		return NULL;
	*m = (struct store_matcher){ STORE_EQ, label, values[0] };
	if (n == 1)
		return m;
	put_choice(values, n, &text);
	m->op = STORE_RE;
	m->value = arena_str(arena, buf_str(&text));
	return text.err < 0 || !m->value.p ? NULL : m;
}

const struct ast *pushdown_labels(const struct ast *a, const struct series_set *first,
                                  const struct ast *second, struct arena *arena)
{
	const struct mname *mn = first->n > 0 ? &first->v[0].mn : NULL;
	struct filters f = { 0 };
	struct str values[VALUES_MAX];
	union { /* what push() changes are copies */
		const struct ast *in;
		struct ast *out;
	} un = { .in = second };

	for (uint32_t i = 0; mn && i < mn->n_tags; i++) {
		struct str label = mn->tags[i].name;
		bool takes = filters_is_matched(&a->binop, label);
		uint32_t n = takes ? values_of(first, label, values) : 0;
		struct store_matcher *m = n > 0 ? matcher_of(arena, label, values, n) : NULL;

		if (n > 0 && !m)
			return NULL;
		if (m)
			filters_add(arena, &f, m);
	}
	un.out = f.n > 0 ? push(arena, un.out, &f) : un.out;
	return arena_error(arena) < 0 ? NULL : un.in;
}
