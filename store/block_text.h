/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The labels and label sets of a block: look-up, walks in order, and the labels of a series.
 *
 * Errors   -EBADMSG, -EIO with a sentence (block_bad_page), -ENOMEM.
 * Threads  a reader has one owner.
 */

#include "store/block.h"
#include "store/postings.h"
#include "userspace/base/sample.h"

/* Buffers for reading any number of blocks, one page at a time. */
struct block_reader {
	struct page_reader texts, others;
	struct postings_scratch *postings;
	struct buf key; /* of the text in hand */
};

void block_reader_done(struct block_reader *r);

/* A label; @value is empty for the one that stands for all values of a name. Borrowed. */
struct text_entry {
	uint32_t number, org;
	struct str name, value;
	struct postings postings;
};

/* A walk over labels in order; one at a time for each reader. */
struct text_walk {
	struct block *b;
	struct block_reader *r;
	const struct page_list *pages;
	uint32_t page; /* the next one */
	struct cursor c;
	uint32_t left, number; /* on the page in hand */
	bool is_ahead;         /* @entry has been read, and is the next one */
	struct text_entry entry;
};

/* Before the first label whose name and value are not below these. */
int text_walk_start(struct text_walk *w, struct block *b, struct block_reader *r, uint32_t org,
                    struct str name, struct str value, struct err *e);
/* 0 a label, 1 the end. It is good until the next call, and until text_or() of it. */
int text_walk_next(struct text_walk *w, struct text_entry *ret, struct err *e);

/* The page that has label @number, and its labels only: 1 at the end of the page. */
int text_walk_page(struct text_walk *w, struct block *b, struct block_reader *r, uint32_t number,
                   struct err *e);
int text_walk_next_on_page(struct text_walk *w, struct text_entry *ret, struct err *e);

/* Adds the series of @entry. */
int text_or(struct block *b, struct block_reader *r, const struct text_entry *entry,
            roaring_bitmap_t *to, struct err *e);

/* Adds the series of one label; none when it does not exist. */
int text_or_exact(struct block *b, struct block_reader *r, uint32_t org, struct str name,
                  struct str value, roaring_bitmap_t *to, struct err *e);

/* Label sets of one page of series, as numbers of labels; metric name first. */
struct series_page {
	uint32_t first, n;
	uint32_t ends[BLOCK_SERIES_OF_PAGE]; /* in @texts */
	uint32_t texts[BLOCK_SERIES_OF_PAGE * LABELS_MAX];
};

/* The page that has series @number. */
int series_page_read(struct block *b, struct block_reader *r, uint32_t number,
                     struct series_page *ret, struct err *e);
