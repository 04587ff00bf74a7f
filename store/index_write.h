/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The labels and series of a block being written, in memory until the last one is known, and then
 * its index file. Used by block_write.c only.
 *
 * Shape    labels are interned in the order they come in; at the end they are sorted, which gives
 *          them their numbers, and the series' lists of labels are turned round: for each label the
 *          series that carry it.
 */

#include "store/block_format.h"
#include "store/outfile.h"
#include "userspace/base/arena.h"

struct index_text {
	struct str name, value;
	uint32_t org;
	uint32_t n_series;
	uint32_t number; /* among all, sorted */
};

struct index_writer {
	struct arena arena; /* of the texts */
	struct index_text *texts;
	size_t n_texts, texts_cap;
	uint32_t *table; /* of texts by hash: open addressing, number + 1 */
	size_t table_cap;
	struct block_org *orgs;
	size_t n_orgs, orgs_cap;
	uint32_t *labels; /* of all series, one behind the other */
	size_t n_labels, labels_cap;
	size_t *ends; /* in @labels, of each series */
	size_t n_series, ends_cap;
};

void index_writer_done(struct index_writer *w);
int index_writer_org(struct index_writer *w, struct str org);
int index_writer_text(struct index_writer *w, struct str name, struct str value, uint32_t *ret);
int index_writer_series(struct index_writer *w, const uint32_t *texts, uint32_t n);
/* Of the last organisation and series. */
void index_writer_count(struct index_writer *w, uint64_t n_samples, int64_t min_ms, int64_t max_ms);

/* Fills the rest of @meta. The file is complete but not yet synced. */
int index_writer_finish(struct index_writer *w, const struct block_slice *slices,
                        struct block_meta *meta, struct page_packer *packer, struct outfile *f);
