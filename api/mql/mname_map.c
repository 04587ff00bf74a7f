/* SPDX-License-Identifier: BSD-2-Clause */
/* Open addressing, linear probing, at most half full. */
#include "api/mql/mname_map.h"

#include "userspace/base/hash.h"

#define SLOTS_MIN 16u

struct mname_slot {
	uint64_t hash;
	uint32_t number; /* + 1; 0 = free */
};

static uint64_t hash_of(const struct mname *mn)
{
	uint64_t h = hash_bytes(mn->name.p, mn->name.len, 0);

	for (uint32_t i = 0; i < mn->n_tags; i++) {
		h = hash_bytes(mn->tags[i].name.p, mn->tags[i].name.len, h);
		h = hash_bytes(mn->tags[i].value.p, mn->tags[i].value.len, h + 1);
	}
	return h;
}

bool mname_eq(const struct mname *a, const struct mname *b)
{
	if (a->n_tags != b->n_tags || !str_eq(a->name, b->name))
		return false;
	for (uint32_t i = 0; i < a->n_tags; i++) {
		if (!str_eq(a->tags[i].name, b->tags[i].name) ||
		    !str_eq(a->tags[i].value, b->tags[i].value))
			return false;
	}
	return true;
}

static struct mname_slot *probe(const struct mname_map *m, const struct mname *mn, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & (m->n_slots - 1);

	while (m->slots[i].number != 0 &&
	       !(m->slots[i].hash == hash && mname_eq(&m->v[m->slots[i].number - 1], mn)))
		i = (i + 1) & (m->n_slots - 1);
	return &m->slots[i];
}

static int slots_grow(struct arena *arena, struct mname_map *m)
{
	uint32_t n = m->n_slots ? m->n_slots * 2 : SLOTS_MIN;
	struct mname_slot *slots = ARENA_ARRAY(arena, struct mname_slot, n);

	if (!slots)
		return arena_error(arena);
	for (uint32_t i = 0; i < m->n_slots; i++) {
		uint32_t k = (uint32_t)m->slots[i].hash & (n - 1);

		if (m->slots[i].number == 0)
			continue;
		while (slots[k].number != 0)
			k = (k + 1) & (n - 1);
		slots[k] = m->slots[i];
	}
	m->slots = slots;
	m->n_slots = n;
	return 0;
}

static int names_grow(struct arena *arena, struct mname_map *m)
{
	uint32_t cap = m->cap ? m->cap * 2 : SLOTS_MIN / 2;
	struct mname *v = ARENA_ARRAY(arena, struct mname, cap);

	if (!v)
		return arena_error(arena);
	if (m->n > 0)
		memcpy(v, m->v, m->n * sizeof(*v));
	m->v = v;
	m->cap = cap;
	return 0;
}

int mname_map_add(struct arena *arena, struct mname_map *m, const struct mname *mn, bool copy,
                  uint32_t *ret)
{
	uint64_t hash = hash_of(mn);
	struct mname own = *mn;
	struct mname_slot *slot;
	int r = m->n * 2 >= m->n_slots ? slots_grow(arena, m) : 0;

	if (r < 0)
		return r;
	slot = probe(m, mn, hash);
	if (slot->number == 0) {
		r = m->n == m->cap ? names_grow(arena, m) : 0;
		if (r == 0 && copy)
			r = mname_dup(arena, mn, &own);
		if (r < 0)
			return r;
		m->v[m->n] = own;
		*slot = (struct mname_slot){ hash, ++m->n };
	}
	*ret = slot->number - 1;
	return 0;
}

bool mname_map_find(const struct mname_map *m, const struct mname *mn, uint32_t *ret)
{
	const struct mname_slot *slot = m->n > 0 ? probe(m, mn, hash_of(mn)) : NULL;

	if (!slot || slot->number == 0)
		return false;
	*ret = slot->number - 1;
	return true;
}
