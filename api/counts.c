/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/counts.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"

void counts_done(struct counts *c)
{
	for (size_t i = 0; i < c->cap; i++)
		free(c->slots[i]);
	free(c->slots);
	*c = COUNTS_INIT(c->n_max);
}

/* The place of @text: its counter, or where it would go. */
static struct count **place_of(const struct counts *c, struct str text, uint64_t hash)
{
	size_t at = hash & (c->cap - 1);

	while (c->slots[at] &&
	       (c->slots[at]->hash != hash || !str_eq(count_text(c->slots[at]), text)))
		at = (at + 1) & (c->cap - 1);
	return &c->slots[at];
}

static bool grow(struct counts *c)
{
	size_t cap = c->cap ? 2 * c->cap : 64;
	struct counts bigger = { .cap = cap };

	if (4 * (c->n + 1) <= 3 * c->cap)
		return true;
	bigger.slots = mem_zalloc(cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < c->cap; i++) {
		struct count *one = c->slots[i];

		if (one)
			*place_of(&bigger, count_text(one), one->hash) = one;
	}
	free(c->slots);
	c->slots = bigger.slots;
	c->cap = cap;
	return true;
}

struct count *counts_find(const struct counts *c, struct str text)
{
	return c->cap > 0 ? *place_of(c, text, hash_str(text)) : NULL;
}

struct count *counts_at(struct counts *c, struct str text)
{
	uint64_t hash = hash_str(text);
	struct count **place, *one;

	if (!grow(c))
		return NULL;
	place = place_of(c, text, hash);
	if (*place)
		return *place;
	if (c->n_max > 0 && c->n >= c->n_max) {
		c->refused++;
		return NULL;
	}
	one = mem_alloc(sizeof(*one) + text.len);
	if (!one)
		return NULL;
	*one = (struct count){ .hash = hash, .len = text.len };
	if (text.len > 0)
		memcpy(one->text, text.p, text.len);
	*place = one;
	c->n++;
	return one;
}

static int larger_first(const void *a, const void *b)
{
	const struct count *x = *(const struct count *const *)a;
	const struct count *y = *(const struct count *const *)b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return str_cmp(count_text(x), count_text(y));
}

const struct count **counts_sort(const struct counts *c)
{
	const struct count **v = mem_alloc((c->n + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;
	for (size_t i = 0; i < c->cap; i++) {
		if (c->slots[i])
			v[n++] = c->slots[i];
	}
	qsort(v, n, sizeof(*v), larger_first);
	return v;
}
