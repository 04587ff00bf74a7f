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
 * Folds constants (1 + 2, "a" == "a") and turns "scalar cmp vector" around, so that the vector's
 * values survive the comparison. Never changes what a query means. Nodes are rewritten in place;
 * the returned root may be another one.
 */
struct ast *ast_fold(struct ast *a, struct arena *arena, int *ret_err);

/* Canonical text; parse_query() of it prints the same text again. Check out->err. */
void ast_print(const struct ast *a, struct buf *out);
