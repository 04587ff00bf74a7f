/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Evaluation of a tree over a grid. Policy - which samples are fetched, whether a name is kept, how
 * a missing window is chosen - is applied here and in eval_rollup.c from the flags of function
 * rows.
 *
 * Threads  One struct eval for each thread of a query: its arena and its scratch room. The caller's
 *          is the first; the others come into being when there is work for them (blocks.h). The
 *          limits they share are in struct eval_shared.
 */

#include <stdatomic.h>

#include "api/mql/ast.h"
#include "api/mql/fn.h"
#include "api/mql/mql.h"
#include "api/mql/rollup.h"
#include "api/mql/series.h"

struct pool;

struct eval_shared {
	struct pool *pool;
	struct arena_budget budget; /* of all arenas */
	_Atomic uint64_t series_fetched, samples_read;
	struct str warning; /* the first of the store, or "" */
	uint64_t n_rollups; /* so far; numbers them */
};

struct eval {
	struct store *store;
	const struct mql_query *q;
	const struct mql_limits *limits;
	struct eval_shared *shared;
	struct eval_worker *workers; /* of the first one: the others */
	unsigned n_workers;
	struct arena *arena;
	struct err *e;
	struct rollup_room room;
	struct trace_step *trace_step; /* the one under way; see trace.h */
};

/* What a transform or aggregate function gets: its evaluated arguments, which it may change. */
struct fn_args {
	struct eval *ev;
	const struct grid *g;
	const struct ast *call;
	struct series_set *v;
	uint32_t n;
};

/* Frees what threads have; series that they made are gone with it. */
void eval_done(struct eval *ev);

/* How many threads a job may have, at least 1; those beyond the first are ready afterwards. */
unsigned eval_workers(struct eval *ev);
/* That of thread 1 and up. */
struct eval *eval_worker(struct eval *ev, unsigned worker);

/* Number of points, checked against @max ("points" names it in the message). */
int eval_grid(struct eval *ev, int64_t start_ms, int64_t end_ms, int64_t step_ms, uint64_t max,
              const char *what, struct grid *ret);

int eval_expr(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret);

/* -ENOMEM or -ENOSPC with the sentence, for whoever got NULL from the arena. */
int eval_no_memory(struct eval *ev);
int eval_arena_failed(struct eval *ev, const struct arena *arena);
/* An error at the call's position. */
int eval_fail(struct eval *ev, const struct ast *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* -ECANCELED past the deadline; cheap enough for each series, too dear for each point. */
int eval_tick(struct eval *ev);
int eval_cancelled(struct eval *ev); /* that error */

/* For long loops: eval_tick() after each million of what has been worked off. */
struct eval_work {
	uint64_t units;
};

static inline int eval_worked(struct eval *ev, struct eval_work *w, uint64_t units)
{
	w->units += units + 1;
	if (w->units < 1000000)
		return 0;
	w->units = 0;
	return eval_tick(ev);
}

/* One series with the same value at each point. */
int eval_number(struct eval *ev, const struct grid *g, double v, struct series_set *ret);

/* Milliseconds of a duration as the query has it, 0 if it is empty. */
int eval_duration_ms(struct eval *ev, const struct ast *at, struct str text, int64_t step_ms,
                     int64_t *ret_ms);

/* Argument @i as one value for each point; an error unless it is exactly one series. */
int args_scalar(const struct fn_args *a, uint32_t i, const double **ret);
/* Argument @i as a string. */
int args_string(const struct fn_args *a, uint32_t i, struct str *ret);
/* Does the call keep metric names, by its row or by keep_metric_names? */
bool args_keep_names(const struct fn_args *a);
