/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The work of a rollup, cut into blocks of series that are done on all cores. How it is cut depends
 * on the number of series only, and what the blocks give is put together in their order: so the
 * answer is the same, to the last bit, for any number of threads.
 */

#include "api/mql/eval.h"

#define BLOCK_SERIES 128u

struct aggr_state;

/* Where finished series go: into a set, or straight into an aggregate. */
struct sink {
	struct series_set *set;
	struct aggr_state *aggr;
};

/* Takes over @values, which may be used again after it if the sink is an aggregate. */
int sink_take(struct eval *ev, const struct sink *to, const struct mname *mn, double *values);

static inline size_t blocks_count(size_t n_series)
{
	return (n_series + BLOCK_SERIES - 1) / BLOCK_SERIES;
}

/* Does block @i; @ev is that of the thread. */
typedef int (*block_f)(struct eval *ev, void *ctx, size_t i, const struct sink *to);

/* Blocks 0 .. @n - 1 into @to. The error is that of the first block that has one. */
int blocks_run(struct eval *ev, size_t n, block_f f, void *ctx, const struct sink *to);
