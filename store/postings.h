/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The series of one label within a block: ascending numbers, as they stand in its entry among the
 * labels (docs/format/block.md). Three forms:
 *
 *	run    the numbers from a first one on: metric names always, since series are sorted by them
 *	list   a few numbers, each as the distance from the one before
 *	page   many, as columns of integers in a page of their own
 *
 * Why      In memory sets of series are roaring bitmaps. Their frozen form, which could be used as
 *          it is read, "is not fixed and can be changed in future" by the library's own word, so it
 *          has no place in files that must open for ever; and a damaged one is not detected.
 *          Columns are a fourth of the size, and ascend by construction.
 * Threads  Pure functions over what they are given.
 */

#include <roaring/roaring.h>
#include <stdint.h>

#include "store/cursor.h"
#include "store/intcol.h"
#include "store/page.h"

#define POSTINGS_LIST_MAX 8u /* longer ones that are no run get a page */

struct postings {
	enum postings_form {
		POSTINGS_RUN,
		POSTINGS_LIST,
		POSTINGS_PAGE,
		POSTINGS_FORM_N
	} form;
	uint32_t n;
	uint32_t first;     /* of a run */
	struct cursor list; /* borrowed from the entry */
	struct page_ref page;
};

struct postings_scratch {
	int64_t numbers[COLUMN_ROWS_MAX];
	uint32_t ids[COLUMN_ROWS_MAX];
	uint64_t quotient[COLUMN_ROWS_MAX], step[COLUMN_ROWS_MAX], rest[COLUMN_ROWS_MAX];
};

/*
 * postings_put() - appends the entry of @ids[0..n), n > 0, to @entry, and their page, if they get
 * one, to @pages, whose first byte is at @pages_at of the file. -ENOMEM.
 */
int postings_put(struct page_packer *packer, struct postings_scratch *scratch, const uint32_t *ids,
                 uint32_t n, struct buf *entry, struct buf *pages, uint64_t pages_at);

/* Reads an entry; what is no such spoils the cursor. */
void postings_parse(struct cursor *c, struct postings *ret);

/*
 * postings_or() - adds the numbers to @to. -EBADMSG for damage, among it numbers that do not ascend
 * or reach @limit; -EIO, -ENOMEM.
 */
int postings_or(const struct postings *p, struct page_reader *reader, int fd, uint32_t limit,
                struct postings_scratch *scratch, roaring_bitmap_t *to);
