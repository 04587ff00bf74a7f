/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to the printers: the parts of a tree's text that stand on one line. */

#include "api/mql/parse.h"

struct printer {
	struct buf *out;
	bool as_written; /* the tree came of parse_as_written() */
};

void print_ast(struct printer *p, const struct ast *a);
void print_ast_parens(struct printer *p, const struct ast *a, bool parens);

/* What stands behind or between the parts that may get lines of their own. */
void print_call_name(struct printer *p, const struct ast_call *c);
void print_call_tail(struct printer *p, const struct ast_call *c);
void print_rollup_tail(struct printer *p, const struct ast_rollup *ru);
void print_operator(struct printer *p, const struct ast_binop *b);
void print_with_def_name(struct printer *p, const struct ast_with_def *d, const char *comma);
/* Matchers from @from on; @alone: there are no other sets. */
void print_set(struct printer *p, const struct store_match_set *set, size_t from, bool alone);

/* The name that stands in front of the braces of a selector, or "". */
struct str print_front_name(const struct printer *p, const struct ast *a);
void print_name(struct printer *p, struct str s);

bool print_left_parens(const struct ast_binop *b);
bool print_right_parens(const struct printer *p, const struct ast_binop *b);
bool print_rollup_parens(const struct ast_rollup *ru);
