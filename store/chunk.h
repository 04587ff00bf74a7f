/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A sealed run of samples of one series in memory, compressed; ascending times, no duplicates.
 *
 *	times   varint(zigzag(first)), then varint(zigzag(delta - previous delta))
 *	values  whole numbers: varint(zigzag(delta of int64)); anything else: XOR with the value
 *	        before, as one byte (zero bytes at the low end << 4 | bytes kept) and the bytes kept
 *
 * Byte-aligned on purpose: it decodes at memory speed without tables, and a counter scraped
 * every 15 s
 * costs two to three bytes a sample. Never on disk.
 */

#include <stdint.h>

#include "userspace/base/sample.h"

struct chunk {
	int64_t min_ms, max_ms;
	uint32_t n, bytes;
	uint8_t whole; /* values are int64 deltas */
	uint8_t data[];
};

/* NULL when out of memory. @v ascends, 0 < n. */
struct chunk *chunk_new(const struct sample *v, uint32_t n);
/* Fills @ret[0..n). Cannot fail: the bytes are our own. */
void chunk_decode(const struct chunk *c, struct sample *ret);
