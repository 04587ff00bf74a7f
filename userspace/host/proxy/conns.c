/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open addressing with linear probing, at most three quarters full; removal moves the entries
 * behind it up, so there are no tombstones. It shrinks when it is mostly empty: one flood must not
 * cost its memory for ever.
 */
#include "userspace/host/proxy/conns.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define SLOTS_MIN 1024u

struct conns {
	struct pconn *slots; /* cookie 0: empty */
	size_t n, n_slots;
};

int conns_new(struct conns **ret)
{
	struct conns *t = mem_zalloc(1, sizeof(*t));

	if (t)
		t->slots = mem_zalloc(SLOTS_MIN, sizeof(*t->slots));
	if (!t || !t->slots) {
		free(t);
		return -ENOMEM;
	}
	t->n_slots = SLOTS_MIN;
	*ret = t;
	return 0;
}

void conns_free(struct conns *t)
{
	if (t)
		free(t->slots);
	free(t);
}

static size_t home_of(const struct conns *t, uint64_t cookie)
{
	return (size_t)((cookie * 0x9e3779b97f4a7c15u) >> 32) & (t->n_slots - 1);
}

static struct pconn *slot_of(const struct conns *t, uint64_t cookie)
{
	size_t at = home_of(t, cookie);

	while (t->slots[at].cookie != 0 && t->slots[at].cookie != cookie)
		at = (at + 1) & (t->n_slots - 1);
	return &t->slots[at];
}

static int resize(struct conns *t, size_t n_slots)
{
	struct conns bigger = { .n_slots = n_slots, .n = t->n };

	bigger.slots = mem_zalloc(n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_slots; i++) {
		if (t->slots[i].cookie != 0)
			*slot_of(&bigger, t->slots[i].cookie) = t->slots[i];
	}
	free(t->slots);
	*t = bigger;
	return 0;
}

struct pconn *conns_find(const struct conns *t, uint64_t cookie)
{
	struct pconn *c = slot_of(t, cookie);

	return c->cookie != 0 ? c : NULL;
}

struct pconn *conns_add(struct conns *t, uint64_t cookie)
{
	struct pconn *c;

	if (cookie == 0 || t->n >= CONNS_MAX)
		return NULL;
	if ((t->n + 1) * 4 > t->n_slots * 3 && resize(t, t->n_slots * 2) < 0)
		return NULL;
	c = slot_of(t, cookie);
	if (c->cookie == 0)
		t->n++;
	*c = (struct pconn){ .cookie = cookie };
	return c;
}

void conns_remove(struct conns *t, struct pconn *c)
{
	size_t mask = t->n_slots - 1, hole = (size_t)(c - t->slots);

	for (size_t at = (hole + 1) & mask; t->slots[at].cookie != 0; at = (at + 1) & mask) {
		/* An entry may move up to the hole unless it is at home between the two. */
		size_t way = (at - home_of(t, t->slots[at].cookie)) & mask;

		if (way < ((at - hole) & mask))
			continue;
		t->slots[hole] = t->slots[at];
		hole = at;
	}
	t->slots[hole].cookie = 0;
	t->n--;
}

void conns_sweep(struct conns *t, conns_f fn, void *ctx)
{
	/* Backwards, and a removal looks at the same slot again: nothing is skipped. */
	for (size_t i = t->n_slots; i-- > 0;) {
		while (t->slots[i].cookie != 0 && fn(ctx, &t->slots[i]))
			conns_remove(t, &t->slots[i]);
	}
	if (t->n_slots > SLOTS_MIN && t->n * 8 < t->n_slots)
		(void)resize(t, MAX(t->n_slots / 4, (size_t)SLOTS_MIN));
}

size_t conns_count(const struct conns *t)
{
	return t->n;
}

size_t conns_bytes(const struct conns *t)
{
	return t->n_slots * sizeof(*t->slots);
}
