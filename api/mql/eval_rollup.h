/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Rollups: from a selector, or from the points of an expression, through windows to series. offset,
 * @, subqueries and missing windows are dealt with here.
 */

#include "api/mql/blocks.h"

/* A call of a rollup function. */
int eval_rollup_call(struct eval *ev, const struct grid *g, const struct ast *a,
                     const struct sink *to);

/* A selector or expr[w:s] outside of any: default_rollup(). */
int eval_default_rollup(struct eval *ev, const struct grid *g, const struct ast *a,
                        const struct sink *to);

/* Can the series of this argument go into an aggregate one by one? */
bool eval_is_streamable(const struct ast *a);
/* Is it a rollup of stored samples, and not of the points of a subquery? */
bool eval_is_direct(const struct ast *a);

/*
 * absent_over_time() of @call's selector: what @set says of each series (1 where it has no sample)
 * becomes the one series of the call.
 */
int eval_absent_as_one(struct eval *ev, const struct grid *g, const struct ast *call,
                       struct series_set *set);

/* Raw samples of a selector in [min, max], as series with their own times. */
struct raw_series {
	struct mname mn;
	const int64_t *ts_ms;
	const double *values;
	uint32_t n;
};
int eval_raw(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
             struct raw_series **ret, size_t *ret_n);
