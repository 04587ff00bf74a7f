/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Hashes for tables in memory (XXH3). Never written to disk, never compared between processes. */

#include <stdint.h>

#include <xxhash.h>

#include "userspace/base/str.h"

static inline uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, len, seed);
}

static inline uint64_t hash_str(struct str s)
{
	return hash_bytes(s.p, s.len, 0);
}

struct hash128 {
	uint64_t lo, hi;
};

static inline struct hash128 hash_bytes128(const void *p, size_t len, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(p, len, seed);

	return (struct hash128){ h.low64, h.high64 };
}
