/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the writer and the reader of a block share. docs/format/block.md is the normative text.
 *
 *	blocks/00000042/chunks     pages of columns: timestamps and values, slice by slice
 *	blocks/00000042/index      pages of label sets, labels, their series; directories; the root
 *	blocks/00000042/meta.json  the root's figures for people; never read
 *
 * Order    Series are numbered from 0 in the order of (organisation, metric name, other labels), so
 *          a query's series are neighbours, on disk and in compression. Labels are numbered alike,
 *          by (organisation, name, value); each name is also a label without value, which stands
 *          for all series that carry it.
 * Slices   A block's time is cut into a few slices. In each, the columns of neighbouring series
 *          share pages, and equal columns of timestamps are there once.
 */

#include <stdint.h>

#include "store/page.h"
#include "userspace/base/str.h"

#define BLOCK_VERSION        1u
#define BLOCK_CHUNKS_MARK    "PSCPCHK1"
#define BLOCK_INDEX_MARK     "PSCPIDX1"
#define BLOCK_TAIL_MARK      "PSCPEND1"
#define BLOCK_TAIL_BYTES     24u /* u64 at, u32 bytes of the root, u32 CRC of both, mark */
#define BLOCK_SLICES_MAX     64u /* of one block */
#define BLOCK_SERIES_OF_PAGE 128u
#define BLOCK_TEXTS_OF_PAGE  64u

/* One organisation in a block. */
struct block_org {
	struct str name;
	uint32_t first_series, n_series, first_text, n_texts;
	uint64_t n_samples;
	int64_t min_ms, max_ms;
};

/* One slice of a block's time, by the samples that are in it. */
struct block_slice {
	int64_t min_ms, max_ms;
	uint32_t n_times;              /* different columns of timestamps */
	struct page_ref values, times; /* directories */
};

/* The figures of a block. */
struct block_meta {
	uint32_t level;                /* of merging: 0 = flushed */
	uint64_t min_epoch, max_epoch; /* of the head, that its samples come from */
	uint64_t deleted;              /* tombstones up to this one are applied */
	int64_t min_ms, max_ms;
	uint64_t n_samples;
	uint32_t n_series, n_texts, n_orgs, n_slices;
	uint64_t chunks_bytes;         /* length of the file */
	struct page_ref series, texts; /* directories */
};
