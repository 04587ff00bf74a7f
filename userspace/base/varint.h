/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * LEB128 varints, as protobuf and our own formats use them. The reader takes untrusted bytes and
 * never looks at @end or beyond.
 */

#include <stddef.h>
#include <stdint.h>

#define VARINT64_BYTES_MAX 10u

static inline uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (0 - ((uint64_t)v >> 63));
}

static inline int64_t unzigzag(uint64_t z)
{
	return (int64_t)((z >> 1) ^ (0 - (z & 1)));
}

/* @dst must have VARINT64_BYTES_MAX bytes of room. Returns the byte behind. */
static inline uint8_t *varint_put(uint8_t *dst, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*dst++ = (uint8_t)(v | 0x80);
	*dst++ = (uint8_t)v;
	return dst;
}

/* Returns the byte behind, or NULL when the text is unfinished or above 64 bits. */
static inline const uint8_t *varint_get(const uint8_t *src, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	if (src < end && *src < 0x80) { /* nearly all: tags, short lengths, small deltas */
		*ret = *src;
		return src + 1;
	}
	for (uint32_t shift = 0; shift < 64 && src < end; shift += 7) {
		uint8_t byte = *src++;

		if (shift == 63 && byte > 1)
			return NULL;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = v;
			return src;
		}
	}
	return NULL;
}
