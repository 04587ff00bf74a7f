/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Query text into a tree, and a tree into canonical text. Function names, arities and modifiers
 * are checked here, so that a wrong query never touches data.
 */

#include "api/mql/ast.h"
#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"

/* 0; -EINVAL with @e: position, what was found, what was expected; -ENOMEM, -ENOSPC. */
int parse_query(struct str text, struct arena *arena, struct ast **ret, struct err *e);

/*
 * The same without expanding templates, to be printed and for nothing else: WITH stays, names may
 * stand for anything, calls may have any name and any number of arguments, strings and the values
 * of matchers keep their quotes, and a matcher without a value is the name of a template.
 */
int parse_as_written(struct str text, struct arena *arena, struct ast **ret, struct err *e);

/*
 * Folds constants (1 + 2, "a" == "a"). Never changes what a query means. Nodes are rewritten in
 * place; the returned root may be another one.
 */
struct ast *ast_fold(struct ast *a, struct arena *arena, int *ret_err);

/*
 * After folding: the tree that is evaluated, in which the vector's values survive "scalar cmp
 * vector". *@ret_err becomes arena_error(). The tree is written to.
 */
void ast_as_evaluated(struct ast *a, struct arena *arena, int *ret_err);

/* Canonical text; parse_query() of it prints the same text again. Check out->err. */
void ast_print(const struct ast *a, struct buf *out);

/* The text of a tree of parse_as_written(), broken into lines where one would be too long. */
void ast_print_pretty(const struct ast *a, struct buf *out);
