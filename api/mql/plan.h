/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From a selector to what is asked of the store. This is the one place where the organisation, the
 * enforced matchers of a token and the extra filters of a request enter a query: as data, AND-ed to
 * every selector, out of reach of the query's text.
 */

#include "api/mql/ast.h"
#include "api/mql/eval.h"
#include "store/store.h"

/* Oldest sample that @fn over @g with @window_ms (0 = missing) can look at. */
int64_t plan_min_ms(const struct fn *fn, const struct grid *g, int64_t window_ms);

/*
 * As the store is to be asked: label!~".*" means to the language what label!~".+" does, a label
 * that is missing. Returns @sets itself when there is no such matcher, NULL when @arena is
 * exhausted.
 */
const struct store_match_set *plan_matchers(struct arena *arena, const struct store_match_set *sets,
                                            size_t n_sets);

/* Fills *@ret for one scan of @selector's series; its sets live in the query's arena. */
int plan_select(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
                struct store_select *ret);
