/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A block that is open for reading.
 *
 * Trust    Its bytes come from a disk. Every page has a checksum, and what passes it is still
 *          checked for every length and number: a damaged page is -EBADMSG, and costs what is on
 *          it.
 * Memory   The root at once; a directory when it is first needed, then for good: a few bytes a
 *          page. Pages are read into the caller's buffers; the kernel has the cache.
 * Life     Counted references; with the last one the files are closed and, when the block has been
 *          replaced, removed.
 * Threads  Any number of readers; each has buffers of its own (page_reader).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "store/block_format.h"
#include "store/column_page.h"
#include "userspace/base/err.h"

/* A list of pages, as it is read: page i has the numbers from first[i] to first[i + 1]. */
struct page_list {
	uint32_t n;
	uint32_t *first;
	struct page_ref *pages;
	struct str *keys; /* of labels: the first on each page; else NULL */
	char *text;
};

struct block_slice_view {
	struct block_slice meta;
	_Atomic(struct page_list *) values, times;
};

struct block {
	_Atomic unsigned refs;
	uint64_t number;
	char *dir;
	int index_fd, chunks_fd;
	uint64_t index_bytes;
	struct block_meta meta;
	struct block_org *orgs;
	struct block_slice_view *slices;
	char *root;           /* the organisations' names */
	pthread_mutex_t lock; /* of loading directories */
	_Atomic(struct page_list *) series, texts;
	_Atomic bool is_replaced;     /* remove the files with the last reference */
	_Atomic bool is_damaged;      /* somewhere: merges leave it as it is */
	_Atomic uint64_t n_bad_pages; /* read so far */
	_Atomic uint64_t nothing_to;  /* tombstones up to this one name nothing in it */
	_Atomic uint64_t memory_bytes;
};

/*
 * block_open() - opens DIR/blocks/NUMBER. -EBADMSG damaged beyond use, -EPROTO of a later version,
 * -ENOENT, -EIO, -ENOMEM, all with @e.
 */
int block_open(struct block **ret, const char *store_dir, uint64_t number, struct err *e);
struct block *block_ref(struct block *b);
void block_unref(struct block *b); /* NULL is fine */

/* Where block @number of a store is; @dst has PATH_MAX bytes. */
void block_path(const char *store_dir, uint64_t number, char *dst);
/* Removes the files of a block, whatever there is of them. */
int block_remove(const char *store_dir, uint64_t number);

/* The organisation, or NULL when it has nothing in this block. */
const struct block_org *block_find_org(const struct block *b, struct str org);

/* Directories, loaded when needed. -EBADMSG, -EIO, -ENOMEM. */
int block_series_pages(struct block *b, const struct page_list **ret);
int block_text_pages(struct block *b, const struct page_list **ret);
int block_value_pages(struct block *b, uint32_t slice, const struct page_list **ret);
int block_times_pages(struct block *b, uint32_t slice, const struct page_list **ret);

/* The page that has @number; the last one whose first is not above it. @l->n > 0. */
uint32_t page_list_find(const struct page_list *l, uint32_t number);

/* Counts a page that could not be used, and says which: "file: page at byte N: why". */
int block_bad_page(struct block *b, bool in_index, struct page_ref page, int code, struct err *e);
