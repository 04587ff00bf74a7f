/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The samples of a block, series by series in ascending order.
 *
 * Shape    A cursor reads one slice. Series are asked for in ascending order; each page is read and
 *          decompressed once, and only the columns that are asked for are decoded. Columns of
 *          timestamps are kept decoded for the series that follow: neighbours share them.
 * Memory   two pages and a few columns of timestamps for each cursor.
 * Threads  one owner.
 */

#include "store/block.h"
#include "store/intcol.h"

#define TIMES_KEPT 8u /* decoded columns of timestamps; a power of two */

struct times_kept {
	bool is_there;
	uint32_t number, n;
	int64_t *ts_ms;
	uint32_t cap;
};

/* A page of columns that is in memory, with its heads parsed. */
struct open_page {
	struct page_reader reader;
	struct str raw;
	uint32_t page; /* of the list; UINT32_MAX = none */
	bool is_bad;
	uint32_t n, cap;
	uint32_t *numbers, *whats, *ends; /* ends: in @columns */
	const uint8_t *columns;
};

struct column_cursor {
	struct block *b;
	uint32_t slice;
	const struct page_list *values_list, *times_list;
	struct open_page values, times;
	uint32_t next_row; /* of the page of values */
	struct times_kept kept[TIMES_KEPT];
	uint64_t n_decoded; /* samples */
};

/* A part of a series' samples. */
struct column {
	uint32_t n;
	const int64_t *ts_ms; /* good until the cursor goes on; equal columns have equal pointers */
	const uint8_t *values; /* encoded; column_values() decodes */
	uint32_t values_bytes;
};

int column_cursor_open(struct column_cursor *c, struct block *b, uint32_t slice, struct err *e);
void column_cursor_close(struct column_cursor *c);

/*
 * column_cursor_next() - the next column of @series. 0, 1 when there is none (any more), -EBADMSG
 * with @e when it cannot be read; the next call goes on behind it.
 */
int column_cursor_next(struct column_cursor *c, uint32_t series, struct column *ret, struct err *e);

/* Decodes values into @ret[0..n). -EBADMSG with @e. */
int column_values(struct column_cursor *c, const struct column *col, double *ret, struct err *e);
