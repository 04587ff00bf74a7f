/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What an evaluation did, as a tree of steps with durations, for trace=1. Steps live in the
 * query's arena; without a trace every call here does nothing. Only the query's own thread takes
 * steps: what others helped with counts to the step that waited for them.
 */

#include "api/mql/eval.h"

struct trace_step;

/* A step below the one that is under way, which it becomes; NULL without a trace. */
struct trace_step *trace_begin(struct eval *ev);

/* Ends it, with what it was. Printing stops at the first error of memory; the query goes on. */
void trace_end(struct eval *ev, struct trace_step *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for an expression: its text, range and series. */
void trace_end_expr(struct eval *ev, struct trace_step *step, const struct grid *g,
                    const struct ast *a, const struct series_set *set);

/* {"duration_msec":1.234,"message":"..","children":[..]} of the outermost step; out->err. */
void trace_put_json(const struct trace_step *step, struct buf *out);
