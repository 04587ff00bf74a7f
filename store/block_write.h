/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Writes one block: of what a flush takes out of the head, or a merge out of other blocks.
 *
 *	block_writer_new
 *	for each organisation, ascending:  block_writer_org
 *	        for each series, in key order:  block_writer_series (with labels by
 *	        block_writer_text)
 *	                block_writer_samples
 *	block_writer_finish                all of it is on disk; without it the files are garbage
 *	block_writer_free
 *
 * Cost     Columns go to disk as their pages fill. Labels and series stay in memory until the end,
 *          about 50 bytes a series: their numbers are known only then.
 * Threads  one owner.
 */

#include "store/block_format.h"

struct block_writer;

struct block_writer_conf {
	const char *dir;     /* made here; must not be there */
	uint32_t page_bytes; /* of columns, raw */
	int zstd_level;
	int64_t slice_ms; /* slices are multiples of it; made longer when there would be too many */
	int64_t min_ms, max_ms; /* all samples are in there */
};

int block_writer_new(struct block_writer **ret, const struct block_writer_conf *conf);
void block_writer_free(struct block_writer *w); /* NULL is fine */

int block_writer_org(struct block_writer *w, struct str org);

/* The number of a label of the current organisation, for block_writer_series(). -ENOMEM. */
int block_writer_text(struct block_writer *w, struct str name, struct str value, uint32_t *ret);

/* Begins a series; @texts are the metric name, then all labels by name. */
int block_writer_series(struct block_writer *w, const uint32_t *texts, uint32_t n);

/*
 * The samples of the series that has begun, ascending, @n > 0; called once or again with later
 * ones. 0, -ENOMEM, or what the disk says.
 */
int block_writer_samples(struct block_writer *w, const int64_t *ts_ms, const double *values,
                         size_t n);

uint32_t block_writer_n_series(const struct block_writer *w);

/* @meta gives level, epochs and tombstones, and gets the rest. Syncs files and folder. */
int block_writer_finish(struct block_writer *w, struct block_meta *meta);
