/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Numbers of one width, packed without gaps.
 *
 * Bytes    number i takes the bits [i * width, (i + 1) * width) of a little-endian string of bits;
 *          the last byte is filled up with zeros.
 * Slack    both sides move whole words: bitpack_get() may read, and bitpack_put() may write,
 *          BITPACK_SLACK bytes behind the last one. Only the bytes of bitpack_bytes() mean
 *          anything.
 * Why      Each number is one unaligned load, a shift and a mask, independent of its neighbours:
 *          half a nanosecond, any width, any count. Layouts in vertical lanes unpack no faster
 *          here, where what follows is a prefix sum, and round the last group up.
 * Threads  Pure functions.
 */

#include <stddef.h>
#include <stdint.h>

#define BITPACK_SLACK 16u

static inline size_t bitpack_bytes(uint32_t n, unsigned width)
{
	return ((size_t)n * width + 7) / 8;
}

/* The number of bits that @v needs; 0 for 0. */
static inline unsigned bitpack_width(uint64_t v)
{
	return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

/* @width is 0 to 64, and no number needs more. Returns the byte behind. */
uint8_t *bitpack_put(uint8_t *dst, const uint64_t *v, uint32_t n, unsigned width);

/* Fills @ret[0..n) from bitpack_bytes(@n, @width) bytes; any bytes are numbers. */
void bitpack_get(const uint8_t *src, uint32_t n, unsigned width, uint64_t *ret);
