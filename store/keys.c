/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/keys.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

void keys_init(struct keys *k, uint64_t seed)
{
	*k = (struct keys){ .seed = seed };
	(void)pthread_rwlock_init(&k->lock, NULL);
}

void keys_done(struct keys *k)
{
	free(k->v);
	free(k->table);
	(void)pthread_rwlock_destroy(&k->lock);
}

static void table_put(struct keys *k, uint32_t number)
{
	size_t at = k->v[number].hash.lo & (k->table_cap - 1);

	while (k->table[at] != 0)
		at = (at + 1) & (k->table_cap - 1);
	k->table[at] = number + 1;
}

static int table_reserve(struct keys *k, int64_t *bytes)
{
	size_t cap = k->table_cap ? k->table_cap * 2 : 1024;

	if ((k->n + 1) * 2 <= k->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*bytes += (int64_t)((cap - k->table_cap) * sizeof(*table));
	free(k->table);
	k->table = table;
	k->table_cap = cap;
	for (uint32_t i = 0; i < k->n; i++)
		table_put(k, i);
	return 0;
}

/* By half: doubled, the array of a million keys would be half empty for long. */
static int reserve(struct keys *k, int64_t *bytes)
{
	size_t cap = k->cap < 64 ? 64 : k->cap + k->cap / 2;
	struct key *bigger;

	if (k->n < k->cap)
		return 0;
	if (k->n >= UINT32_MAX - 1)
		return -ENOMEM;
	bigger = mem_realloc(k->v, cap, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	*bytes += (int64_t)((cap - k->cap) * sizeof(*bigger));
	k->v = bigger;
	k->cap = cap;
	return 0;
}

int keys_put(struct keys *k, struct key_hash h, struct series *series, int64_t *bytes)
{
	size_t next = 0;
	int r = 0;

	(void)pthread_rwlock_wrlock(&k->lock);
	if (!keys_find(k, h, &next)) {
		r = table_reserve(k, bytes);
		if (r == 0)
			r = reserve(k, bytes);
		if (r == 0) {
			k->v[k->n] = (struct key){ h, series };
			table_put(k, (uint32_t)k->n++);
		}
	}
	(void)pthread_rwlock_unlock(&k->lock);
	return r;
}

void keys_sweep(struct keys *k, bool (*is_gone)(const struct series *s), int64_t *bytes)
{
	size_t n = 0;

	(void)pthread_rwlock_wrlock(&k->lock);
	for (size_t i = 0; i < k->n; i++) {
		if (!is_gone(k->v[i].series))
			k->v[n++] = k->v[i];
	}
	if (n < k->n) {
		k->n = n;
		if (k->table)
			memset(k->table, 0, k->table_cap * sizeof(*k->table));
		for (uint32_t i = 0; i < n; i++)
			table_put(k, i);
		if (n == 0) {
			*bytes -= (int64_t)(k->cap * sizeof(*k->v) +
			                    k->table_cap * sizeof(*k->table));
			free(k->v);
			free(k->table);
			k->v = NULL;
			k->table = NULL;
			k->cap = k->table_cap = 0;
		}
	}
	(void)pthread_rwlock_unlock(&k->lock);
}
