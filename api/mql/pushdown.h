/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Label filters that hold on one side of an operator, passed on to the selectors of the other side:
 * in foo{app="a"} / bar only series of bar with app="a" can find a partner, so no others need be
 * read. First by the text of the query, before anything is evaluated; then, at each operator, by
 * the labels of the series that one of its sides turned out to have.
 *
 * The rules are VictoriaMetrics', to the letter, because they show where a side has a series that
 * lacks the label: a scalar without labels has a partner everywhere, but with a filter on it it is
 * not found. The same holds for the gaps that "a default b" fills. Whoever wants to be sure writes
 * on(..), which takes no filters but those on its labels.
 */

#include "api/mql/ast.h"
#include "api/mql/series.h"
#include "userspace/base/arena.h"

/*
 * pushdown() - the tree with filters pushed where they can be, by its text.
 *
 * Nodes that change are new ones, since the old ones may be shared. Sets *@ret_err to -ENOSPC or
 * -ENOMEM when the arena is exhausted. Cost: O(size * height) at worst.
 */
struct ast *pushdown(struct ast *a, struct arena *arena, int *ret_err);

/* Can the labels of one side's series become filters of the other side of the operator @a? */
bool pushdown_may(const struct ast *a);

/*
 * @second with filters on the labels that all series of @first have; each names all values that
 * occur, if they are few. NULL when the arena is exhausted.
 */
const struct ast *pushdown_labels(const struct ast *a, const struct series_set *first,
                                  const struct ast *second, struct arena *arena);
