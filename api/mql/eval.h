/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Evaluation of a tree over a grid. One struct eval for each query: its arena, its limits, its
 * counters. Policy - which samples are fetched, whether a name is kept, how a missing window is
 * chosen - is applied here from the flags of function rows.
 */

#include "api/mql/ast.h"
#include "api/mql/fn.h"
#include "api/mql/mql.h"
#include "api/mql/series.h"

struct eval {
	struct store *store;
	const struct mql_query *q;
	const struct mql_limits *limits;
	struct arena *arena;
	struct err *e;
	uint64_t series_fetched, samples_read;
	/* Reused for each series of a scan; freed by eval_done(). */
	double *values, *scratch;
	int64_t *ts_ms;
	size_t values_cap, scratch_cap, ts_cap;
};

/* What a transform or aggregate function gets: its evaluated arguments, which it may change. */
struct fn_args {
	struct eval *ev;
	const struct grid *g;
	const struct ast *call;
	struct series_set *v;
	uint32_t n;
};

void eval_done(struct eval *ev);

/* Number of points, checked against @max ("points" names it in the message). */
int eval_grid(struct eval *ev, int64_t start_ms, int64_t end_ms, int64_t step_ms, uint64_t max,
              const char *what, struct grid *ret);

int eval_expr(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret);

/* -ENOMEM or -ENOSPC with the sentence, for whoever got NULL from the arena. */
int eval_no_memory(struct eval *ev);
/* An error at the call's position. */
int eval_fail(struct eval *ev, const struct ast *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* -ECANCELED past the deadline; cheap enough for each series, too dear for each point. */
int eval_tick(struct eval *ev);

/* Raw samples of a selector in [min, max], as series with their own times. */
struct raw_series {
	struct mname mn;
	const int64_t *ts_ms;
	const double *values;
	uint32_t n;
};
int eval_raw(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
             struct raw_series **ret, size_t *ret_n);

/* One series with the same value at each point. */
int eval_number(struct eval *ev, const struct grid *g, double v, struct series_set *ret);

/* Argument @i as one value for each point; an error unless it is exactly one series. */
int args_scalar(const struct fn_args *a, uint32_t i, const double **ret);
/* Argument @i as a string. */
int args_string(const struct fn_args *a, uint32_t i, struct str *ret);
/* Does the call keep metric names, by its row or by keep_metric_names? */
bool args_keep_names(const struct fn_args *a);
