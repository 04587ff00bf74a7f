/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Series by the bytes in which their labels arrived. A host sends the same bytes every 15 s, so
 * nearly every sample finds its series here; what the bytes mean is looked at once.
 *
 * Shape     keys in the order in which they first came, and a table of their numbers by hash. A
 *           sender sends its series in one order, so the key that follows is mostly the one behind
 *           the last: that is looked at first, and memory is then read straight on.
 * Identity  128 bits of XXH3 with a secret seed of this process, and no comparison of bytes: with
 *           a billion keys the chance that any two meet is below 1e-20. The seed keeps a client
 *           from choosing keys that meet; even then it would confuse only what its own scope
 *           (store.h) may write to.
 * Threads   keys_lock() for looking up, shared; keys_put() and keys_sweep() take it alone.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/hash.h"

struct series;

struct key_hash {
	uint64_t lo, hi;
};

struct key {
	struct key_hash hash;
	struct series *series;
};

struct keys {
	pthread_rwlock_t lock;
	struct key *v;
	size_t n, cap;
	uint32_t *table; /* number + 1 */
	size_t table_cap;
	uint64_t seed;
};

void keys_init(struct keys *k, uint64_t seed);
void keys_done(struct keys *k);

static inline struct key_hash keys_hash(const struct keys *k, uint64_t scope, struct str bytes)
{
	struct hash128 h = hash_bytes128(bytes.p, bytes.len, k->seed ^ scope);

	return (struct key_hash){ h.lo, h.hi };
}

static inline bool key_is(const struct key *key, struct key_hash h)
{
	return key->hash.lo == h.lo && key->hash.hi == h.hi;
}

/*
 * Between keys_lock() and keys_unlock(): the series of @h, or NULL. *@next is where the one behind
 * the last found is, and is moved on; begin with 0.
 */
static inline struct series *keys_find(const struct keys *k, struct key_hash h, size_t *next)
{
	if (*next < k->n && key_is(&k->v[*next], h))
		return k->v[(*next)++].series;
	if (k->table_cap == 0)
		return NULL;
	for (size_t at = h.lo & (k->table_cap - 1); k->table[at] != 0;
	     at = (at + 1) & (k->table_cap - 1)) {
		if (key_is(&k->v[k->table[at] - 1], h)) {
			*next = k->table[at];
			return k->v[k->table[at] - 1].series;
		}
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

/* Nothing when it is there already. *@bytes is raised by the memory it took. -ENOMEM. */
int keys_put(struct keys *k, struct key_hash h, struct series *series, int64_t *bytes);

/* Forgets the keys of series for which @is_gone says so. */
void keys_sweep(struct keys *k, bool (*is_gone)(const struct series *s), int64_t *bytes);
