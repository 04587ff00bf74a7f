/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/keys.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

#define CAP_MIN 1024u

void keys_init(struct keys *k, uint64_t seed)
{
	*k = (struct keys){ .seed = seed };
	(void)pthread_rwlock_init(&k->lock, NULL);
}

void keys_done(struct keys *k)
{
	free(k->slots);
	(void)pthread_rwlock_destroy(&k->lock);
}

static void insert(struct key_slot *slots, size_t cap, struct key_slot one)
{
	size_t at = one.lo & (cap - 1);

	while (slots[at].series)
		at = (at + 1) & (cap - 1);
	slots[at] = one;
}

/* At most two thirds full. */
static int reserve(struct keys *k, int64_t *ret_bytes)
{
	size_t cap = k->cap ? k->cap * 2 : CAP_MIN;
	struct key_slot *slots;

	if ((k->n + 1) * 3 <= k->cap * 2)
		return 0;
	slots = mem_zalloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < k->cap; i++) {
		if (k->slots[i].series)
			insert(slots, cap, k->slots[i]);
	}
	*ret_bytes += (int64_t)((cap - k->cap) * sizeof(*slots));
	free(k->slots);
	k->slots = slots;
	k->cap = cap;
	return 0;
}

int keys_put(struct keys *k, struct key_hash h, struct series *series, int64_t *ret_bytes)
{
	int r = 0;

	(void)pthread_rwlock_wrlock(&k->lock);
	if (!keys_find(k, h)) {
		r = reserve(k, ret_bytes);
		if (r == 0) {
			insert(k->slots, k->cap, (struct key_slot){ h.lo, h.hi, series });
			k->n++;
		}
	}
	(void)pthread_rwlock_unlock(&k->lock);
	return r;
}
