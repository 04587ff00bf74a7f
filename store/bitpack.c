/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/bitpack.h"

#include <assert.h>
#include <string.h>

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v)); /* little-endian, as this machine */
	return v;
}

uint8_t *bitpack_put(uint8_t *dst, const uint64_t *v, uint32_t n, unsigned width)
{
	unsigned __int128 bits = 0;
	unsigned held = 0;

	assert(width <= 64);
	if (width == 0)
		return dst;
	for (uint32_t i = 0; i < n; i++) {
		bits |= (unsigned __int128)v[i] << held;
		held += width;
		if (held >= 64) {
			uint64_t word = (uint64_t)bits;

			memcpy(dst, &word, sizeof(word));
			dst += sizeof(word);
			bits >>= 64;
			held -= 64;
		}
	}
	uint64_t word = (uint64_t)bits;

	memcpy(dst, &word, sizeof(word));
	return dst + (held + 7) / 8;
}

/* Up to 57 bits: wherever a number begins within a byte, one load has all of it. */
static inline __attribute__((always_inline)) void get_narrow(const uint8_t *src, uint32_t n,
                                                             unsigned width, uint64_t *ret)
{
	uint64_t mask = (1ull << width) - 1;
	size_t bit = 0;

	for (uint32_t i = 0; i < n; i++, bit += width)
		ret[i] = (load64(src + bit / 8) >> (bit % 8)) & mask;
}

static void get_wide(const uint8_t *src, uint32_t n, unsigned width, uint64_t *ret)
{
	uint64_t mask = width == 64 ? ~0ull : (1ull << width) - 1;
	size_t bit = 0;

	for (uint32_t i = 0; i < n; i++, bit += width) {
		const uint8_t *p = src + bit / 8;
		unsigned __int128 both = load64(p) | (unsigned __int128)load64(p + 8) << 64;

		ret[i] = (uint64_t)(both >> (bit % 8)) & mask;
	}
}

/* With a constant width the compiler knows each shift: worth it for the widths of most columns. */
#define CASE(w)                             \
	case w:                             \
		get_narrow(src, n, w, ret); \
		return

void bitpack_get(const uint8_t *src, uint32_t n, unsigned width, uint64_t *ret)
{
	assert(width <= 64);
	switch (width) {
	case 0:
		memset(ret, 0, n * sizeof(*ret));
		return;
		CASE(1);
		CASE(2);
		CASE(3);
		CASE(4);
		CASE(5);
		CASE(6);
		CASE(7);
		CASE(8);
		CASE(10);
		CASE(12);
		CASE(16);
	default:
		if (width <= 57)
			get_narrow(src, n, width, ret);
		else
			get_wide(src, n, width, ret);
	}
}
