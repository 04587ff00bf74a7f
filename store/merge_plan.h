/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Which blocks are to be merged next.
 *
 *	promote  when a window of a level (store/windows.h) is over, all blocks of it that are of
 *	         lower levels become one of this level: each sample is written once a level
 *	gather   blocks of one level and window that are about equally small become one: what comes
 *	         late, or faster than windows end, does not pile up, and is written again only when
 *	         its block grows by half at least
 *	rewrite  a block of which something is to go for good: what is older than the retention of
 *	         its organisation, or deleted
 *
 * A function of its arguments and of nothing else.
 */

#include <stdbool.h>
#include <stddef.h>

#include "store/view.h"
#include "store/windows.h"

#define MERGE_BLOCKS_MAX 64u

struct merge_rules {
	struct windows windows;
	int64_t now_ms;
	uint32_t floor_epoch; /* blocks of later epochs are still in the head, and wait */
	bool is_forced;       /* all windows are taken as over, and nothing waits */
	/* Is something of @b to go? */
	bool (*is_stale)(void *ctx, struct block *b);
	void *ctx;
};

struct merge_job {
	struct block *blocks[MERGE_BLOCKS_MAX]; /* borrowed from the view */
	size_t n;
	uint32_t level;           /* of the outcome */
	uint64_t bytes;           /* of all of them */
	int64_t begin_ms, end_ms; /* all their samples are in there; end exclusive */
};

/* false when there is nothing to do. */
bool merge_plan(const struct view *v, const struct merge_rules *rules, struct merge_job *ret);

uint64_t block_bytes(const struct block *b); /* on disk */
