/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Sets of label filters and what expressions do to them. A filter on the metric name is never among
 * them. Arrays live in the arena; out of memory is the arena's sticky error, and leaves a set
 * smaller than it should be.
 */

#include "api/mql/ast.h"
#include "userspace/base/arena.h"

struct filters {
	const struct store_matcher **v;
	uint32_t n, cap;
};

void filters_add(struct arena *arena, struct filters *f, const struct store_matcher *m);

/* Do all arguments of a call of @fn give it series? Otherwise only one does. */
bool filters_pooled(const struct fn *fn);

/* Filters that hold for every series that @a can give. */
struct filters filters_common(struct arena *arena, const struct ast *a);

/* Those of @f on labels that come through the call from its series arguments as they are. */
struct filters filters_through_call(struct arena *arena, const struct ast_call *c,
                                    const struct filters *f);

/* Must the two sides of the operator agree in this label? */
bool filters_is_matched(const struct ast_binop *b, struct str label);
/* Those of @f on such labels. */
struct filters filters_matched(struct arena *arena, const struct ast_binop *b,
                               const struct filters *f);
