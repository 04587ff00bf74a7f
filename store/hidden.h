/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Which samples of one organisation in one block are deleted: the tombstones that are younger than
 * the block, turned into numbers of its series.
 *
 * Threads  made by one; then immutable.
 */

#include "store/block_select.h"
#include "store/columns.h"
#include "store/tombstones.h"

struct hidden_range {
	roaring_bitmap_t *series;
	int64_t min_ms, max_ms;
};

struct hidden {
	struct hidden_range *v;
	size_t n, cap;
};

/* Is there a tombstone for samples of @org that @b has not yet taken into account? */
bool hidden_may_be(const struct block *b, const struct block_org *org, const struct tombstone *x);

/* Only tombstones above @above are looked at. As block_select(). */
int hidden_init(struct hidden *h, struct block_select *block, const struct tombstones *t,
                uint64_t above, struct err *e);
void hidden_done(struct hidden *h);

/* Takes series out of @set of which no sample in [min_ms, max_ms] is left. */
void hidden_from_set(const struct hidden *h, int64_t min_ms, int64_t max_ms, roaring_bitmap_t *set);

/* Removes hidden samples of @series from what stands behind the first @from, all of this block. */
void hidden_cut(const struct hidden *h, uint32_t series, struct columns *c, size_t from);
