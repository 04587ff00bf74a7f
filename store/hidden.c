/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/hidden.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

bool hidden_may_be(const struct block *b, const struct block_org *org, const struct tombstone *x)
{
	return x->number > b->meta.deleted && x->min_ms <= org->max_ms &&
	       x->max_ms >= org->min_ms && str_eq(x->org, org->name);
}

static int add(struct hidden *h, struct block_select *block, const struct tombstone *x,
               struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *set = NULL;
	struct selection sel = { 0 };
	int r = selection_init(&sel, x->sets, x->n_sets, &x->enforced, e);

	if (r == 0)
		r = block_select(block, &sel, &set, e);
	selection_done(&sel);
	if (r < 0 || roaring_bitmap_is_empty(set))
		return r;
	if (MEM_GROW(h->v, h->cap, h->n + 1) < 0)
		return -ENOMEM;
	h->v[h->n++] = (struct hidden_range){ TAKE_PTR(set), x->min_ms, x->max_ms };
	return 0;
}

int hidden_init(struct hidden *h, struct block_select *block, const struct tombstones *t,
                uint64_t above, struct err *e)
{
	int r = 0;

	*h = (struct hidden){ 0 };
	for (size_t i = 0; r == 0 && i < t->n; i++) {
		if (t->v[i].number > above && hidden_may_be(block->b, block->org, &t->v[i]))
			r = add(h, block, &t->v[i], e);
	}
	return r;
}

void hidden_done(struct hidden *h)
{
	for (size_t i = 0; i < h->n; i++)
		roaring_bitmap_free(h->v[i].series);
	free(h->v);
	*h = (struct hidden){ 0 };
}

void hidden_from_set(const struct hidden *h, int64_t min_ms, int64_t max_ms, roaring_bitmap_t *set)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].min_ms <= min_ms && h->v[i].max_ms >= max_ms)
			roaring_bitmap_andnot_inplace(set, h->v[i].series);
	}
}

static void cut(const struct hidden_range *x, struct columns *c, size_t from)
{
	size_t kept = from;

	for (size_t i = from; i < c->n; i++) {
		if (c->ts_ms[i] >= x->min_ms && c->ts_ms[i] <= x->max_ms)
			continue;
		c->ts_ms[kept] = c->ts_ms[i];
		c->values[kept++] = c->values[i];
	}
	c->n = kept;
}

void hidden_cut(const struct hidden *h, uint32_t series, struct columns *c, size_t from)
{
	for (size_t i = 0; i < h->n && c->n > from; i++) {
		if (roaring_bitmap_contains(h->v[i].series, series))
			cut(&h->v[i], c, from);
	}
}
