/* SPDX-License-Identifier: BSD-2-Clause */
/* Constant folding, and what a tree becomes before it is evaluated; see parse.h. */
#include <errno.h>
#include <math.h>

#include "api/mql/binop.h"
#include "api/mql/fn.h"
#include "api/mql/parse.h"

static void fold_slot(struct ast **slot, struct arena *arena, int *ret_err)
{
	if (*slot && *ret_err == 0)
		*slot = ast_fold(*slot, arena, ret_err);
}

static void become_number(struct ast *a, double value)
{
	a->kind = AST_NUMBER;
	a->number.value = value;
	a->number.text = STR_NULL;
}

/* The two strings in one, as "+" of strings. */
static void become_string(struct ast *a, struct arena *arena, int *ret_err)
{
	struct str l = a->binop.left->string, r = a->binop.right->string;
	char *both = arena_alloc(arena, l.len + r.len + 1);

	if (!both) {
		*ret_err = arena_error(arena);
		return;
	}
	memcpy(both, l.p, l.len);
	memcpy(both + l.len, r.p, r.len);
	a->kind = AST_STRING;
	a->string = (struct str){ both, l.len + r.len };
}

static void fold_strings(struct ast *a, struct arena *arena, int *ret_err)
{
	const struct ast_binop *b = &a->binop;

	if (b->op->flags & BINOP_STRINGS) {
		become_string(a, arena, ret_err);
	} else if (b->op->flags & BINOP_CMP) {
		bool yes = b->op->number(str_cmp(b->left->string, b->right->string), 0) != 0;

		become_number(a, yes ? 1 : b->is_bool ? 0 : (double)NAN);
	}
}

static void fold_binop(struct ast *a, struct arena *arena, int *ret_err)
{
	struct ast_binop *b = &a->binop;

	fold_slot(&b->left, arena, ret_err);
	fold_slot(&b->right, arena, ret_err);
	if (*ret_err < 0)
		return;
	if (b->left->kind == AST_NUMBER && b->right->kind == AST_NUMBER)
		become_number(a, binop_numbers(b->op, b->left->number.value, b->right->number.value,
		                               b->is_bool));
	else if (b->left->kind == AST_STRING && b->right->kind == AST_STRING)
		fold_strings(a, arena, ret_err);
}

struct ast *ast_fold(struct ast *a, struct arena *arena, int *ret_err)
{
	switch (a->kind) {
	case AST_ROLLUP:
		fold_slot(&a->rollup.expr, arena, ret_err);
		fold_slot(&a->rollup.at, arena, ret_err);
		break;
	case AST_CALL:
		for (uint32_t i = 0; i < a->call.n_args; i++)
			fold_slot(&a->call.args[i], arena, ret_err);
		break;
	case AST_BINOP:
		fold_binop(a, arena, ret_err);
		break;
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_WITH:
	case AST_SELECTOR:
		break;
	}
	return a;
}

/* --- as evaluated ----------------------------------------------------------------------------- */

static bool is_scalar_left(const struct ast *a)
{
	return a->kind == AST_NUMBER ||
	       (a->kind == AST_CALL && (a->call.fn->flags & FN_SCALAR_LEFT));
}

/* 0.5 < foo must keep the values of foo, so it becomes foo > 0.5. */
static void turn_comparison(struct ast_binop *b)
{
	struct ast *left = b->left;

	if (!(b->op->flags & BINOP_CMP) || b->right->kind == AST_NUMBER || !is_scalar_left(left))
		return;
	b->left = b->right;
	b->right = left;
	b->op = binop_find(str_from(b->op->mirrored));
}

/*
 * VictoriaMetrics loses the parentheses of (-2) ^ foo, when it copies a query, and evaluates
 * -2 ^ foo, which is -(2 ^ foo).
 */
static void loosen_minus(struct ast *a, struct arena *arena, int *ret_err)
{
	struct ast *left = a->binop.left, *power, *zero;

	if (a->binop.op != binop_find(STR("^")) || left->kind != AST_NUMBER ||
	    !(left->number.value < 0))
		return;
	power = arena_memdup(arena, a, sizeof(*a));
	zero = arena_memdup(arena, left, sizeof(*left));
	if (!power || !zero) {
		*ret_err = arena_error(arena);
		return;
	}
	become_number(left, -left->number.value);
	become_number(zero, 0);
	a->binop = (struct ast_binop){ .op = binop_find(STR("-")), .left = zero, .right = power };
}

static void evaluated_binop(struct ast *a, struct arena *arena, int *ret_err)
{
	ast_as_evaluated(a->binop.left, arena, ret_err);
	ast_as_evaluated(a->binop.right, arena, ret_err);
	if (*ret_err < 0)
		return;
	turn_comparison(&a->binop);
	loosen_minus(a, arena, ret_err);
}

void ast_as_evaluated(struct ast *a, struct arena *arena, int *ret_err)
{
	switch (a->kind) {
	case AST_ROLLUP:
		ast_as_evaluated(a->rollup.expr, arena, ret_err);
		if (a->rollup.at)
			ast_as_evaluated(a->rollup.at, arena, ret_err);
		break;
	case AST_CALL:
		for (uint32_t i = 0; i < a->call.n_args; i++)
			ast_as_evaluated(a->call.args[i], arena, ret_err);
		break;
	case AST_BINOP:
		evaluated_binop(a, arena, ret_err);
		break;
	case AST_NUMBER:
	case AST_STRING:
	case AST_DURATION:
	case AST_SELECTOR:
	case AST_WITH:
		break;
	}
}
