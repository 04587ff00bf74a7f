/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Several blocks read as one: organisation by organisation, series by series in key order, with the
 * samples that all blocks have of a series.
 *
 * Ranks    The labels that an organisation has in any of the blocks get numbers in their order, so
 *          series are compared by numbers. They and their texts are in memory while the
 *          organisation is read: some 100 bytes a label.
 * Damage   Nothing else is left out: whatever cannot be read ends it, and marks the block.
 * Threads  one owner.
 */

#include "store/block_cursors.h"
#include "store/hidden.h"
#include "userspace/base/arena.h"

/* One block. */
struct merge_source {
	struct block *b;
	struct block_reader reader;
	struct block_cursors cursors;
	uint32_t next_org;
	const struct block_org *org; /* of the organisation at hand; NULL = has nothing of it */
	uint32_t *ranks;             /* of its labels, by number less that of the first */
	struct series_page *page;
	uint32_t series, end; /* the series at hand; behind the last one */
	uint32_t labels[LABELS_MAX];
	uint32_t n_labels;
	struct hidden hidden; /* what is deleted of the organisation at hand */
};

struct merge_input {
	struct merge_source *v;
	size_t n;
	const struct tombstones *deleted;
	struct str org; /* at hand */
	struct arena arena;
	struct label *labels; /* by rank */
	uint32_t n_labels;
	size_t labels_cap;
	size_t *least; /* sources that have the series at hand */
	size_t n_least;
};

/* -ENOMEM. All are borrowed. */
int merge_input_init(struct merge_input *in, struct block *const *blocks, size_t n,
                     const struct tombstones *deleted);
void merge_input_done(struct merge_input *in);

/* The next organisation: 0, 1 at the end. -EBADMSG and -EIO with @e, -ENOMEM. */
int merge_input_org(struct merge_input *in, struct err *e);

/*
 * The next series of the organisation: 0, 1 at its end. *@ret_labels are ranks, metric name first,
 * good until the next call.
 */
int merge_input_series(struct merge_input *in, const uint32_t **ret_labels, uint32_t *ret_n,
                       struct err *e);

/* Its samples of all blocks from @min_ms on, joined, without those that are deleted. */
int merge_input_samples(struct merge_input *in, int64_t min_ms, struct columns *to, struct err *e);
