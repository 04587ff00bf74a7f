/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A scan; private to scan*.c.
 *
 *	scan.c        opening: the moment, the sources, their series put together in key order
 *	scan_head.c   the head as a source
 *	scan_block.c  a block as a source
 *	scan_read.c   samples of a series from all its sources
 *
 * Sources  Each gives its series in key order, as lists of its own numbers of labels. These become
 *          the scan's numbers, so that series of different sources are compared, and joined, by
 *          numbers.
 * Threads  opening: one; then everything but warnings and costs is immutable, and each reader has
 *          one owner.
 */

#include <roaring/roaring.h>

#include "store/block_text.h"
#include "store/columns.h"
#include "store/hidden.h"
#include "store/store_int.h"
#include "userspace/base/arena.h"

#define HEAD_SOURCE UINT32_MAX

/* The labels of a scan, each once. */
struct scan_labels {
	struct arena arena; /* of the texts of blocks; those of the head stay where they are */
	struct label *v;
	size_t n, cap;
	uint32_t *table; /* by hash; number + 1 */
	size_t table_cap;
	struct str *names; /* a few dozen */
	size_t n_names, names_cap;
};

/* Series of one source, in key order, with the scan's numbers of their labels. */
struct series_list {
	uint32_t *series; /* numbers in the source */
	size_t n, cap;
	uint32_t *labels; /* one series behind the other */
	size_t n_labels, labels_cap;
	size_t *ends; /* of each in @labels */
	size_t ends_cap;
};

/* A series of the head, and which of its samples were there at the scan's moment. */
struct head_series {
	struct series *series;
	struct position from, to;
};

struct block_source {
	struct block *block;
	struct series_list list;
	struct hidden hidden; /* what is deleted of it */
};

/* Where a part of a series' samples is. */
struct part {
	uint32_t source; /* of blocks[], or HEAD_SOURCE */
	uint32_t series; /* number in the block, or of heads[] */
};

struct scan_series {
	size_t labels; /* its first, of ids[] */
	size_t parts;  /* its first, of parts[] */
	uint32_t n_labels, n_parts;
};

struct store_scan {
	struct store *s;
	int64_t min_ms, max_ms;
	uint64_t deadline_mono_ns, series_max, samples_max;
	const _Atomic bool *cancelled;
	struct tenant *tenant; /* NULL = nothing in the head */
	bool has_pin;
	uint32_t pin;         /* parity of the floor */
	uint32_t floor_epoch; /* blocks of this epoch and later ones are in the head, too */
	struct view *view;
	struct scan_labels labels;
	struct head_series *heads;
	size_t n_heads, heads_cap;
	struct series_list head_list;
	struct block_source *blocks;
	uint32_t n_blocks;
	struct scan_series *series;
	size_t n_series, series_cap;
	uint32_t *ids;
	size_t n_ids, ids_cap;
	struct part *parts;
	size_t n_parts, parts_cap;
	pthread_mutex_t lock; /* of the warning */
	struct err warning;
	uint64_t n_warnings;
	_Atomic uint64_t n_samples, n_pages, n_page_bytes;
	/* Of store_scan_next(). */
	struct store_reader *reader;
	size_t next;
	struct label next_labels[LABELS_MAX];
};

/* 0, -ECANCELED with @e past the deadline or when somebody called it off. */
int scan_check(const struct store_scan *scan, struct err *e);

/* Remembers that something was left out. */
void scan_warn(struct store_scan *scan, const struct err *why);

/* The scan's number of a label; texts that @are_kept stay valid as long as the scan. -ENOMEM. */
int scan_label(struct scan_labels *l, const struct label *label, bool are_kept, uint32_t *ret);

/* Adds a series with these of the scan's numbers. -ENOMEM. */
int series_list_add(struct series_list *l, uint32_t series, const uint32_t *labels, uint32_t n);
void series_list_done(struct series_list *l);

/* The series of the head that are selected and have a sample in range, at one moment. */
int scan_head(struct store_scan *scan, const struct selection *sel, struct err *e);
/* Those of a block; a block that is damaged where it matters is a warning, and gives nothing. */
int scan_block(struct store_scan *scan, struct block_source *src, const struct block_org *org,
               const struct selection *sel, struct block_reader *reader, struct err *e);
