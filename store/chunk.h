/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples of one series in memory, compressed while they arrive; ascending times, no duplicates.
 * For each sample, byte-aligned:
 *
 *	time   varint(zigzag(step - step before))
 *	value  decimal modes: varint(zigzag(mantissa - mantissa before)), see decimal.h
 *	       CHUNK_XOR: the bits XORed with those before: a byte (zero bytes at the low end << 4
 *	       | bytes kept), then the bytes kept
 *
 * Byte-aligned on purpose: appending costs a few nanoseconds, and a counter scraped every 15 s two
 * to three bytes. Never on disk: blocks have formats of their own (docs/format/block.md).
 *
 * A chunk is open, and then only its owner touches it under the series' lock, or sealed, and then
 * it never changes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/sample.h"

#define CHUNK_SAMPLES_MAX 240u  /* an hour at 15 s */
#define CHUNK_BYTES_MAX   1000u /* a sample more than this seals it */
#define CHUNK_XOR         7u    /* mode; smaller ones are digits of decimals */

struct chunk {
	int64_t min_ms, max_ms;
	uint32_t epoch; /* of the head (head.h), when it was begun */
	uint16_t n, len, cap;
	uint8_t mode;
	uint8_t data[];
};

/* Where the next sample of an open chunk is measured from. */
struct chunk_state {
	int64_t step_ms;
	uint64_t value; /* mantissa, or bits */
};

/* Room for a first few samples. NULL when out of memory. */
struct chunk *chunk_new(uint8_t mode, uint32_t epoch);

enum chunk_result {
	CHUNK_ADDED,
	CHUNK_FULL,  /* begin another */
	CHUNK_MODE,  /* the value does not fit the mode: chunk_convert() */
	CHUNK_NO_MEM /* nothing changed */
};

/* @x is newer than what is in there. The chunk may move. */
enum chunk_result chunk_add(struct chunk **c, struct chunk_state *st, const struct sample *x);

/* The mode in which @c (NULL: nothing) and then @v fit, from the modes behind that of @c. */
uint8_t chunk_mode_for(const struct chunk *c, uint8_t from, double v);

/* @c written anew in @mode. -ENOMEM leaves all as it was. */
int chunk_convert(struct chunk **c, struct chunk_state *st, uint8_t mode);

/* Gives spare room back; the chunk may move. Cannot fail. */
void chunk_seal(struct chunk **c);

/* Fills @ts_ms and @values [0..n). Cannot fail: the bytes are our own. */
void chunk_decode(const struct chunk *c, int64_t *ts_ms, double *values);

static inline size_t chunk_memory(const struct chunk *c)
{
	return sizeof(*c) + c->cap;
}
