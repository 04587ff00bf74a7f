/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/texts.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"

void texts_done(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].ids);
	for (size_t i = 0; i < t->n_names; i++)
		free(t->names[i].values);
	free(t->names);
	free(t->v);
	free(t->table);
	arena_done(&t->arena);
	*t = (struct texts){ 0 };
}

/* ---- finding and making --------------------------------------------------- */

int64_t texts_find_name(const struct texts *t, struct str name)
{
	for (size_t i = 0; i < t->n_names; i++) { /* a few dozen */
		if (str_eq(t->names[i].text, name))
			return (int64_t)i;
	}
	return -1;
}

static uint32_t *slot_of(const struct texts *t, uint32_t name, struct str value)
{
	size_t mask = t->table_cap - 1;
	size_t at = hash_bytes(value.p ? value.p : "", value.len, name) & mask;

	for (; t->table[at] != 0; at = (at + 1) & mask) {
		const struct text *x = &t->v[t->table[at] - 1];

		if (x->name == name && str_eq(x->value, value))
			break;
	}
	return &t->table[at];
}

int64_t texts_find(const struct texts *t, struct str name, struct str value)
{
	int64_t i = texts_find_name(t, name);

	return i < 0 || t->table_cap == 0 ? -1 : (int64_t)*slot_of(t, (uint32_t)i, value) - 1;
}

static int add_name(struct texts *t, struct str name, uint32_t *ret)
{
	struct str text = arena_str(&t->arena, name);

	if (!text.p || MEM_GROW(t->names, t->names_cap, t->n_names + 1) < 0)
		return -ENOMEM;
	t->names[t->n_names] = (struct text_name){ .text = text };
	t->bytes += sizeof(struct text_name) + name.len;
	*ret = (uint32_t)t->n_names++;
	return 0;
}

static int table_reserve(struct texts *t)
{
	size_t cap = t->table_cap ? t->table_cap * 2 : 64;

	if ((t->n + 1) * 2 <= t->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	t->bytes += (cap - t->table_cap) * sizeof(*table);
	free(t->table);
	t->table = table;
	t->table_cap = cap;
	for (uint32_t i = 0; i < t->n; i++)
		*slot_of(t, t->v[i].name, t->v[i].value) = i + 1;
	return 0;
}

static int add_text(struct texts *t, uint32_t name, struct str value, uint32_t *slot)
{
	struct text_name *of = &t->names[name];
	struct str text = arena_str(&t->arena, value);

	if (!text.p || MEM_GROW(t->v, t->cap, t->n + 1) < 0 ||
	    MEM_GROW(of->values, of->values_cap, of->n_values + 1) < 0)
		return -ENOMEM;
	t->v[t->n] = (struct text){ .value = text, .name = name };
	of->values[of->n_values++] = (uint32_t)t->n;
	t->bytes += sizeof(struct text) + value.len + sizeof(*of->values);
	*slot = (uint32_t)++t->n;
	return 0;
}

int texts_intern(struct texts *t, const struct label *l, uint32_t *ret)
{
	int64_t found = texts_find_name(t, l->name);
	uint32_t name = (uint32_t)found, *slot;
	int r = found < 0 ? add_name(t, l->name, &name) : 0;

	if (r == 0)
		r = table_reserve(t);
	if (r < 0)
		return r;
	slot = slot_of(t, name, l->value);
	if (*slot == 0)
		r = add_text(t, name, l->value, slot);
	if (r == 0)
		*ret = *slot - 1;
	return r;
}

/* ---- lists and ranks ------------------------------------------------------ */

int texts_index(struct texts *t, const uint32_t *labels, uint32_t n, uint32_t id)
{
	for (uint32_t i = 0; i < n; i++) {
		struct text *x = &t->v[labels[i]];
		uint32_t cap = x->ids_cap;

		if (x->n_ids > 0 && x->ids[x->n_ids - 1] == id)
			continue; /* a try before this one ended half-way */
		if (MEM_GROW(x->ids, x->ids_cap, (size_t)x->n_ids + 1) < 0)
			return -ENOMEM;
		t->bytes += (x->ids_cap - cap) * sizeof(*x->ids);
		x->ids[x->n_ids++] = id;
	}
	return 0;
}

static int cmp_text(const void *a, const void *b, void *ctx)
{
	const struct texts *t = ctx;
	const struct text *x = &t->v[*(const uint32_t *)a], *y = &t->v[*(const uint32_t *)b];
	int c = x->name == y->name ? 0 : str_cmp(t->names[x->name].text, t->names[y->name].text);

	return c != 0 ? c : str_cmp(x->value, y->value);
}

int texts_rank(struct texts *t)
{
	_cleanup_free_ uint32_t *order = NULL;

	if (t->n_ranked == t->n)
		return 0;
	order = mem_zalloc(t->n, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		order[i] = i;
	qsort_r(order, t->n, sizeof(*order), cmp_text, t);
	for (uint32_t i = 0; i < t->n; i++)
		t->v[order[i]].rank = i;
	t->n_ranked = (uint32_t)t->n;
	return 0;
}
