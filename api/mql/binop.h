/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Binary operators: one row each. The parser reads precedence and flags, the evaluator the rest. */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"

enum binop_flags {
	BINOP_CMP = 1 << 0,         /* filters, or gives 0/1 with bool */
	BINOP_RIGHT = 1 << 1,       /* a ^ b ^ c is a ^ (b ^ c) */
	BINOP_NO_JOIN = 1 << 2,     /* group_left and group_right make no sense */
	BINOP_OWN_ORDER = 1 << 3,   /* at the top of a query: the API must not sort */
	BINOP_STRINGS = 1 << 4,     /* "a" + "b" */
	BINOP_MEMBER = 1 << 5,      /* with a union() on one side it tests membership */
	BINOP_RIGHT_FIRST = 1 << 6, /* the right side is the smaller one as a rule */
	BINOP_BOTH = 1 << 7,        /* has a result even if one side is empty */
	BINOP_LEFT_LABELS = 1 << 8, /* result series are left ones, whatever is on the right */
	BINOP_EITHER = 1 << 9,      /* result series come from both sides */
};

struct eval;
struct grid;
struct ast_binop;
struct series_set;

typedef int (*binop_set_f)(struct eval *ev, const struct grid *g, const struct ast_binop *b,
                           struct series_set *left, struct series_set *right,
                           struct series_set *ret);

struct binop {
	const char *name; /* lower case */
	uint8_t precedence;
	uint16_t flags;
	double (*number)(double left, double right); /* of two constants; for BINOP_CMP 0 or 1 */
	binop_set_f set;                             /* NULL: point by point with number() */
	const char *mirrored;                        /* BINOP_CMP: the operator for swapped sides */
};

const struct binop *binop_find(struct str name); /* NULL: no operator of this name */

/* What two constants make, as constant folding needs it. */
double binop_numbers(const struct binop *op, double left, double right, bool is_bool);

/* Series by series. @left and @right are consumed. */
int binop_eval(struct eval *ev, const struct grid *g, const struct ast_binop *b,
               struct series_set *left, struct series_set *right, struct series_set *ret);
