/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Series by the bytes in which their labels arrived. A host sends the same bytes every 15 s, so
 * nearly every sample finds its series here, with one hash and one probe; what the bytes mean is
 * looked at once.
 *
 * Identity  128 bits of XXH3 with a secret seed of this process, and no comparison of bytes: with
 *           a billion keys the chance that any two meet is below 1e-20. The seed keeps a client
 *           from choosing keys that meet; even then it would confuse only what its own scope
 *           (store.h) may write to.
 * Threads   keys_lock() for looking up, shared; keys_put() takes it alone.
 */

#include <pthread.h>
#include <stdint.h>

#include "userspace/base/hash.h"

struct series;

struct key_slot {
	uint64_t lo, hi;
	struct series *series; /* NULL = empty */
};

struct keys {
	pthread_rwlock_t lock;
	struct key_slot *slots;
	size_t n, cap; /* a power of two */
	uint64_t seed;
};

struct key_hash {
	uint64_t lo, hi;
};

void keys_init(struct keys *k, uint64_t seed);
void keys_done(struct keys *k);

static inline struct key_hash keys_hash(const struct keys *k, uint64_t scope, struct str bytes)
{
	struct hash128 h = hash_bytes128(bytes.p, bytes.len, k->seed ^ scope);

	return (struct key_hash){ h.lo, h.hi };
}

/* Between keys_lock() and keys_unlock(). */
static inline void keys_prefetch(const struct keys *k, struct key_hash h)
{
	if (k->cap > 0)
		__builtin_prefetch(&k->slots[h.lo & (k->cap - 1)]);
}

static inline struct series *keys_find(const struct keys *k, struct key_hash h)
{
	if (k->cap == 0)
		return NULL;
	for (size_t at = h.lo & (k->cap - 1); k->slots[at].series; at = (at + 1) & (k->cap - 1)) {
		if (k->slots[at].lo == h.lo && k->slots[at].hi == h.hi)
			return k->slots[at].series;
	}
	return NULL;
}

static inline void keys_lock(struct keys *k)
{
	(void)pthread_rwlock_rdlock(&k->lock);
}

static inline void keys_unlock(struct keys *k)
{
	(void)pthread_rwlock_unlock(&k->lock);
}

/* Nothing when it is there already. *@ret_bytes is raised by the memory it took. -ENOMEM. */
int keys_put(struct keys *k, struct key_hash h, struct series *series, int64_t *ret_bytes);
