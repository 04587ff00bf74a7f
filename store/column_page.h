/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Pages of columns being filled, and the directory of those that are full.
 *
 *	raw page   varint columns, varint first number, then for each: varint distance to the number
 *	           before, (values: zigzag distance of the column of timestamps; timestamps: varint
 *	           rows), varint bytes; then the columns
 *	directory  varint pages, then for each: varint distance of its first number from the one
 *	           before, zigzag distance of its place from the end of the one before, varint bytes
 *
 * Values are numbered by their series, timestamps by themselves.
 */

#include "store/outfile.h"
#include "store/page.h"

/* A list of pages, as it is written. */
struct directory {
	struct buf raw; /* without the count */
	uint32_t n, last_first;
	uint64_t last_end;
};

void directory_add(struct directory *d, uint32_t first, struct page_ref page);
void directory_done(struct directory *d);
/* Appends it as a page. */
int directory_put(const struct directory *d, struct page_packer *packer, struct outfile *f,
                  struct page_ref *ret);

struct column_page {
	enum page_kind kind;
	struct buf heads, columns;
	uint32_t n, first, last;
	uint32_t last_times; /* of values */
	struct directory directory;
};

/*
 * Room for a column of at most @bytes_max; NULL without memory. The caller writes it there and then
 * calls column_page_add(): @what is the number of the column of timestamps, or of rows.
 */
uint8_t *column_page_room(struct column_page *p, size_t bytes_max);
void column_page_add(struct column_page *p, uint32_t number, uint32_t what, size_t bytes);

/* Writes what there is as a page, when it has @bytes_min at least. */
int column_page_step(struct column_page *p, size_t bytes_min, struct page_packer *packer,
                     struct outfile *f);
void column_page_done(struct column_page *p);
