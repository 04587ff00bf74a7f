/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * splitmix64: tiny, seedable, good enough for jitter and for picking test inputs. Not for
 * secrets.
 */

#include <stdint.h>

struct rng {
	uint64_t s;
};

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* In [0, @limit); @limit > 0. */
static inline uint32_t rng_below(struct rng *r, uint32_t limit)
{
	return (uint32_t)(rng_u64(r) % limit);
}
