/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The samples of a block's series over all its slices: a cursor for each slice, opened when it is
 * first needed.
 *
 * Order    Series are asked for in ascending order, each once; to go back, close and open.
 * Threads  one owner.
 */

#include "store/block_column.h"
#include "store/columns.h"

struct block_cursors {
	struct block *b;
	struct column_cursor *v; /* by slice */
	bool *is_slice_open;
	bool is_open;
	uint32_t last;                  /* series that was read last */
	uint64_t n_pages, n_page_bytes; /* of what has been closed */
};

int block_cursors_open(struct block_cursors *c, struct block *b); /* -ENOMEM */
void block_cursors_close(struct block_cursors *c);                /* any number of times */

/* What to do about a part that is damaged: 0 = leave it out and go on, or a code to stop with. */
typedef int (*block_damage_f)(void *ctx, const struct err *why);

/*
 * Appends the samples of @series in [min_ms, max_ms] to @to, slice by slice. 0, -ENOMEM, or what
 * @damaged says.
 */
int block_cursors_read(struct block_cursors *c, uint32_t series, int64_t min_ms, int64_t max_ms,
                       struct columns *to, block_damage_f damaged, void *ctx);
