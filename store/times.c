/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/times.h"

#include <errno.h>
#include <stdlib.h>

#include "store/chunk.h"
#include "store/intcol.h"
#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"

#define FIRST_SLOTS 256u

int times_table_init(struct times_table *t)
{
	*t = (struct times_table){ .cap = FIRST_SLOTS };
	(void)pthread_mutex_init(&t->lock, NULL);
	t->slots = mem_zalloc(t->cap, sizeof(struct times *));
	return t->slots ? 0 : -ENOMEM;
}

void times_table_done(struct times_table *t)
{
	free(t->slots);
	(void)pthread_mutex_destroy(&t->lock);
}

/* Without memory for more slots the chains grow instead. */
static void grow(struct times_table *t)
{
	size_t cap = t->cap * 2;
	struct times **slots;

	if (t->n < t->cap)
		return;
	slots = mem_zalloc(cap, sizeof(struct times *));
	if (!slots)
		return;
	for (size_t i = 0; i < t->cap; i++) {
		for (struct times *x = t->slots[i], *next; x; x = next) {
			next = x->next;
			x->next = slots[x->hash & (cap - 1)];
			slots[x->hash & (cap - 1)] = x;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
}

static struct times *find(const struct times_table *t, uint64_t hash, const uint8_t *data,
                          size_t bytes, uint32_t n)
{
	struct times *x = t->slots[hash & (t->cap - 1)];

	while (x && (x->hash != hash || x->n != n || x->bytes != bytes ||
	             memcmp(x->data, data, bytes) != 0))
		x = x->next;
	return x;
}

static struct times *add(struct times_table *t, uint64_t hash, const uint8_t *data, size_t bytes,
                         const int64_t *ts_ms, uint32_t n)
{
	struct times *x = mem_alloc(sizeof(*x) + bytes);

	if (!x)
		return NULL;
	*x = (struct times){ .n = n,
		             .hash = hash,
		             .serial = ++t->n_made,
		             .min_ms = ts_ms[0],
		             .max_ms = ts_ms[n - 1],
		             .bytes = (uint32_t)bytes };
	memcpy(x->data, data, bytes);
	grow(t);
	x->next = t->slots[hash & (t->cap - 1)];
	t->slots[hash & (t->cap - 1)] = x;
	t->n++;
	atomic_fetch_add(&t->bytes, (int64_t)(sizeof(*x) + bytes));
	return x;
}

struct times *times_get(struct times_table *t, const int64_t *ts_ms, uint32_t n)
{
	uint64_t room[3][CHUNK_SAMPLES_MAX];
	const struct intcol_scratch scratch = { room[0], room[1], room[2] };
	uint8_t data[INTCOL_BOUND(CHUNK_SAMPLES_MAX)];
	size_t bytes = intcol_encode(ts_ms, n, data, &scratch);
	uint64_t hash = hash_bytes(data, bytes, n);
	struct times *x;

	(void)pthread_mutex_lock(&t->lock);
	x = find(t, hash, data, bytes, n);
	if (!x)
		x = add(t, hash, data, bytes, ts_ms, n);
	if (x)
		atomic_fetch_add(&x->refs, 1);
	(void)pthread_mutex_unlock(&t->lock);
	return x;
}

static void take_out(struct times_table *t, struct times *x)
{
	struct times **at = &t->slots[x->hash & (t->cap - 1)];

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	t->n--;
	atomic_fetch_sub(&t->bytes, (int64_t)(sizeof(*x) + x->bytes));
	free(x);
}

void times_unref(struct times_table *t, struct times *x)
{
	(void)pthread_mutex_lock(&t->lock);
	if (atomic_fetch_sub(&x->refs, 1) == 1)
		take_out(t, x);
	(void)pthread_mutex_unlock(&t->lock);
}

void times_decode(const struct times *x, int64_t *ret)
{
	uint8_t data[INTCOL_BOUND(CHUNK_SAMPLES_MAX)];

	memcpy(data, x->data, x->bytes);
	(void)intcol_decode(data, x->bytes, x->n, ret);
}
