/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/series.h"

#include <math.h>
#include <stdlib.h>

#include "api/mql/label_order.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

static bool is_name_label(struct str label)
{
	return str_eqc(label, LABEL_NAME);
}

int mname_copy(struct arena *arena, const struct label *labels, uint32_t n, struct mname *ret)
{
	struct label *tags = ARENA_ARRAY(arena, struct label, n ? n : 1);
	struct mname mn = { .tags = tags, .as_stored = true };

	for (uint32_t i = 0; tags && i < n; i++) {
		struct str value = arena_str(arena, labels[i].value);

		if (is_name_label(labels[i].name)) {
			mn.name = value;
			continue;
		}
		tags[mn.n_tags].name = arena_str(arena, labels[i].name);
		tags[mn.n_tags++].value = value;
	}
	if (arena_error(arena) < 0)
		return arena_error(arena);
	*ret = mn;
	return 0;
}

void mname_borrow(const struct label *labels, uint32_t n, struct label *room, struct mname *ret)
{
	struct mname mn = { .tags = room, .as_stored = true };

	for (uint32_t i = 0; i < n; i++) {
		if (is_name_label(labels[i].name))
			mn.name = labels[i].value;
		else
			room[mn.n_tags++] = labels[i];
	}
	*ret = mn;
}

int mname_dup(struct arena *arena, const struct mname *mn, struct mname *ret)
{
	struct label *tags = ARENA_ARRAY(arena, struct label, mn->n_tags ? mn->n_tags : 1);

	*ret = *mn;
	ret->tags = tags;
	ret->name = arena_str(arena, mn->name);
	for (uint32_t i = 0; tags && i < mn->n_tags; i++)
		tags[i] = (struct label){ arena_str(arena, mn->tags[i].name),
			                  arena_str(arena, mn->tags[i].value) };
	return arena_error(arena);
}

struct str mname_get(const struct mname *mn, struct str label)
{
	if (is_name_label(label))
		return mn->name;
	for (uint32_t i = 0; i < mn->n_tags; i++) {
		if (str_eq(mn->tags[i].name, label))
			return mn->tags[i].value;
	}
	return STR_NULL;
}

int mname_labels(struct arena *arena, const struct mname *mn, const struct label **ret,
                 uint32_t *ret_n)
{
	struct label *labels = ARENA_ARRAY(arena, struct label, mn->n_tags + 1);
	uint32_t n = 0;

	if (!labels)
		return arena_error(arena);
	if (mn->name.len > 0)
		labels[n++] = (struct label){ STR(LABEL_NAME), arena_str(arena, mn->name) };
	for (uint32_t i = 0; i < mn->n_tags; i++)
		labels[n++] = (struct label){ arena_str(arena, mn->tags[i].name),
			                      arena_str(arena, mn->tags[i].value) };
	*ret = labels;
	*ret_n = n;
	return arena_error(arena);
}

int mname_add(struct arena *arena, struct mname *mn, struct str label, struct str value)
{
	struct label *tags = ARENA_ARRAY(arena, struct label, mn->n_tags + 1);
	uint32_t i = 0;

	if (!tags)
		return arena_error(arena);
	for (; i < mn->n_tags && str_cmp(mn->tags[i].name, label) <= 0; i++)
		tags[i] = mn->tags[i];
	tags[i] = (struct label){ label, value };
	if (i < mn->n_tags)
		memcpy(&tags[i + 1], &mn->tags[i], (mn->n_tags - i) * sizeof(*tags));
	mn->tags = tags;
	mn->n_tags++;
	return 0;
}

int mname_set(struct arena *arena, struct mname *mn, struct str label, struct str value)
{
	struct label *tags;
	uint32_t n = 0, i = 0;

	if (is_name_label(label)) {
		mn->name = value;
		return 0;
	}
	if (value.len == 0 && mname_get(mn, label).len == 0)
		return 0;
	tags = ARENA_ARRAY(arena, struct label, mn->n_tags + 1);
	if (!tags)
		return arena_error(arena);
	for (; i < mn->n_tags && str_cmp(mn->tags[i].name, label) < 0; i++)
		tags[n++] = mn->tags[i];
	if (value.len > 0)
		tags[n++] = (struct label){ label, value };
	if (i < mn->n_tags && str_eq(mn->tags[i].name, label))
		i++;
	for (; i < mn->n_tags; i++)
		tags[n++] = mn->tags[i];
	mn->tags = tags;
	mn->n_tags = n;
	return 0;
}

static bool names_have(const struct ast_names *names, struct str label)
{
	for (uint32_t i = 0; i < names->n; i++) {
		if (str_eq(names->v[i], label))
			return true;
	}
	return false;
}

static int filter(struct arena *arena, struct mname *mn, const struct ast_names *names, bool keep)
{
	struct label *tags = ARENA_ARRAY(arena, struct label, mn->n_tags ? mn->n_tags : 1);
	uint32_t n = 0;

	if (!tags)
		return arena_error(arena);
	for (uint32_t i = 0; i < mn->n_tags; i++) {
		if (names_have(names, mn->tags[i].name) == keep)
			tags[n++] = mn->tags[i];
	}
	if (names_have(names, STR(LABEL_NAME)) != keep)
		mn->name = STR_NULL;
	mn->tags = tags;
	mn->n_tags = n;
	return 0;
}

int mname_keep(struct arena *arena, struct mname *mn, const struct ast_names *names)
{
	return filter(arena, mn, names, true);
}

int mname_drop(struct arena *arena, struct mname *mn, const struct ast_names *names)
{
	return names->n > 0 ? filter(arena, mn, names, false) : 0;
}

int mname_cmp(const struct mname *a, const struct mname *b)
{
	int c = str_cmp(a->name, b->name);

	for (uint32_t i = 0; c == 0 && i < a->n_tags && i < b->n_tags; i++) {
		c = str_cmp(a->tags[i].name, b->tags[i].name);
		if (c == 0)
			c = str_cmp(a->tags[i].value, b->tags[i].value);
	}
	if (c != 0)
		return c;
	return a->n_tags < b->n_tags ? -1 : a->n_tags > b->n_tags;
}

void mname_print(const struct mname *mn, struct buf *out)
{
	buf_put_str(out, mn->name);
	buf_putc(out, '{');
	for (uint32_t i = 0; i < mn->n_tags; i++)
		buf_printf(out, "%s%.*s=\"%.*s\"", i > 0 ? "," : "", STR_FMT(mn->tags[i].name),
		           STR_FMT(mn->tags[i].value));
	buf_putc(out, '}');
}

int set_add(struct arena *arena, struct series_set *set, struct series s)
{
	if (set->n == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 8;
		struct series *v = ARENA_ARRAY(arena, struct series, cap);

		if (!v)
			return arena_error(arena);
		if (set->n > 0)
			memcpy(v, set->v, set->n * sizeof(*v));
		set->v = v;
		set->cap = cap;
	}
	set->v[set->n++] = s;
	return 0;
}

static bool all_nan(const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!isnan(v[i]))
			return false;
	}
	return true;
}

void set_drop_empty(struct series_set *set, uint32_t n_points)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		if (!all_nan(set->v[i].values, n_points))
			set->v[n++] = set->v[i];
	}
	set->n = n;
}

struct sorted {
	struct series s;
	uint8_t n, order[LABEL_ORDER_MAX];
};

static int sorted_cmp(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int c = str_cmp(x->s.mn.name, y->s.mn.name);

	for (uint32_t i = 0; c == 0 && i < MIN(x->n, y->n); i++) {
		const struct label *p = &x->s.mn.tags[x->order[i]], *q = &y->s.mn.tags[y->order[i]];

		c = str_cmp(p->name, q->name);
		if (c == 0)
			c = str_cmp(p->value, q->value);
	}
	return c != 0 ? c : mname_cmp(&x->s.mn, &y->s.mn);
}

int set_sort(struct arena *arena, struct series_set *set)
{
	struct sorted *v = set->n > 1 ? ARENA_ARRAY(arena, struct sorted, set->n) : NULL;

	if (set->n < 2)
		return 0;
	if (!v)
		return arena_error(arena);
	for (size_t i = 0; i < set->n; i++) {
		v[i].s = set->v[i];
		v[i].n = (uint8_t)label_order(&set->v[i].mn, v[i].order);
	}
	qsort(v, set->n, sizeof(*v), sorted_cmp);
	for (size_t i = 0; i < set->n; i++)
		set->v[i] = v[i].s;
	return 0;
}

int series_cmp_values(const struct series *a, const struct series *b, uint32_t n_points, int sign)
{
	for (uint32_t k = n_points; k > 0; k--) {
		double x = a->values[k - 1], y = b->values[k - 1];

		if (isnan(x) != isnan(y))
			return isnan(x) ? -1 : 1;
		if (x < y || x > y)
			return x < y ? -sign : sign;
	}
	return mname_cmp(&a->mn, &b->mn);
}

bool series_merge(const struct grid *g, struct series *dst, const struct series *src)
{
	uint32_t overlaps = 0;

	for (uint32_t i = 0; i < g->n; i++)
		overlaps += !isnan(src->values[i]) && !isnan(dst->values[i]);
	if (overlaps > 2 || g->n <= 2)
		return false;
	for (uint32_t i = 0; i < g->n; i++) {
		if (!isnan(src->values[i]))
			dst->values[i] = src->values[i];
	}
	return true;
}

double *values_new(struct arena *arena, uint32_t n, double fill)
{
	double *v = arena_alloc(arena, (n ? n : 1) * sizeof(*v));

	for (uint32_t i = 0; v && i < n; i++)
		v[i] = fill;
	return v;
}

/* --- keymap: open addressing, linear probing, at most half full ----------------------------- */

struct keymap_slot {
	struct str key;
	uint32_t number; /* + 1; 0 = free */
};

static struct keymap_slot *probe(const struct keymap *m, struct str key)
{
	size_t i = hash_str(key) & (m->cap - 1);

	while (m->slots[i].number != 0 && !str_eq(m->slots[i].key, key))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static int keymap_grow(struct arena *arena, struct keymap *m)
{
	struct keymap bigger = { .cap = m->cap ? m->cap * 2 : 16, .n = m->n };

	bigger.slots = ARENA_ARRAY(arena, struct keymap_slot, bigger.cap);
	if (!bigger.slots)
		return arena_error(arena);
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].number != 0)
			*probe(&bigger, m->slots[i].key) = m->slots[i];
	}
	*m = bigger;
	return 0;
}

int keymap_add(struct arena *arena, struct keymap *m, struct str key, uint32_t *ret)
{
	int r = (size_t)m->n * 2 >= m->cap ? keymap_grow(arena, m) : 0;
	struct keymap_slot *slot;

	if (r < 0)
		return r;
	slot = probe(m, key);
	if (slot->number == 0) {
		slot->key = arena_str(arena, key);
		if (arena_error(arena) < 0)
			return arena_error(arena);
		slot->number = ++m->n;
	}
	*ret = slot->number - 1;
	return 0;
}

bool keymap_find(const struct keymap *m, struct str key, uint32_t *ret)
{
	const struct keymap_slot *slot = m->cap > 0 ? probe(m, key) : NULL;

	if (!slot || slot->number == 0)
		return false;
	*ret = slot->number - 1;
	return true;
}
