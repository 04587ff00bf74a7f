/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples of one series in memory, in ascending time. First the open ones, encoded as they come,
 * for each of them
 *
 *	time   varint(zigzag(step - step before)); of the first the time itself
 *	value  decimal modes: varint(zigzag(mantissa - mantissa before)), see decimal.h
 *	       CHUNK_BITS: the bits XORed with those before: a byte (zero bytes at the low end << 4
 *	       | bytes kept), then the bytes kept
 *
 * byte-aligned on purpose: appending costs a few nanoseconds. Then, a chunk at a time, as columns
 * like those on disk, which take a third of that, and decode faster. Neither is ever on disk:
 * blocks have columns of many more rows.
 *
 * Boundary  Chunks end after CHUNK_SAMPLES_MAX samples and at round times, so that series of one
 *           scrape, whenever they began, come to have equal columns of timestamps.
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/times.h"
#include "userspace/base/sample.h"
#include "userspace/base/varint.h"

#define CHUNK_SAMPLES_MAX 120u /* half an hour at 15 s */
#define CHUNK_ROUND_MS    (1800 * 1000ll)
#define CHUNK_BITS        7u                       /* mode; smaller ones are digits of decimals */
#define SAMPLE_BYTES_MAX  (2 * VARINT64_BYTES_MAX) /* bits: at most 9, and 8 more are written */
#define CHUNK_OPEN_MAX    (CHUNK_SAMPLES_MAX * SAMPLE_BYTES_MAX)

/* Where the next open sample is measured from. */
struct chunk_state {
	int64_t ts_ms, step_ms;
	uint64_t value; /* mantissa, or bits */
};

/*
 * chunk_put() - encodes @x, the @n-th open sample from 0, at @dst, which has SAMPLE_BYTES_MAX
 * bytes. Returns the byte behind, or NULL when the value does not fit @mode.
 */
uint8_t *chunk_put(uint8_t *dst, uint8_t mode, struct chunk_state *st, uint32_t n,
                   const struct sample *x);

/* The mode that all of @values[0..n) fit, from @from on. */
uint8_t chunk_mode_for(const double *values, uint32_t n, uint8_t from);

/* Decodes @n open samples; the bytes are our own. */
void chunk_get(const uint8_t *src, uint8_t mode, uint32_t n, int64_t *ts_ms, double *values);

struct chunk {
	struct times *times;
	uint32_t n, bytes;
	uint8_t data[]; /* a column of values */
};

/* Takes the reference to @times when it succeeds. NULL when out of memory. */
struct chunk *chunk_new(struct times *times, const double *values, uint32_t n);
void chunk_free(struct times_table *t, struct chunk *c);
void chunk_values(const struct chunk *c, double *ret);

static inline size_t chunk_memory(const struct chunk *c)
{
	return sizeof(*c) + c->bytes + 16; /* and what the heap adds */
}
