/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/view.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"

static struct view *view_alloc(size_t n, const struct broken_block *broken, size_t n_broken,
                               struct tombstones *deleted)
{
	struct view *v = mem_zalloc(1, sizeof(*v) + n * sizeof(v->blocks[0]));

	if (!v)
		return NULL;
	v->broken = mem_zalloc(n_broken, sizeof(*broken));
	if (!v->broken) {
		free(v);
		return NULL;
	}
	if (n_broken > 0)
		memcpy(v->broken, broken, n_broken * sizeof(*broken));
	v->n_broken = n_broken;
	v->deleted = tombstones_ref(deleted);
	atomic_init(&v->refs, 1);
	return v;
}

static void add(struct view *v, struct block *b)
{
	v->blocks[v->n++] = block_ref(b);
}

struct view *view_new(struct block *const *blocks, size_t n, const struct broken_block *broken,
                      size_t n_broken, struct tombstones *deleted)
{
	struct view *v = view_alloc(n, broken, n_broken, deleted);

	for (size_t i = 0; v && i < n; i++)
		add(v, blocks[i]);
	return v;
}

struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	for (size_t i = 0; i < v->n; i++)
		block_unref(v->blocks[i]);
	tombstones_unref(v->deleted);
	free(v->broken);
	free(v);
}

static bool is_in(const struct block *b, struct block *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == b)
			return true;
	}
	return false;
}

struct view *view_changed(const struct view *v, struct block *const *gone, size_t n_gone,
                          struct block *const *fresh, size_t n_fresh)
{
	struct view *to = view_alloc(v->n + n_fresh, v->broken, v->n_broken, v->deleted);
	size_t k = 0;

	for (size_t i = 0; to && i < v->n; i++) {
		for (; k < n_fresh && fresh[k]->number < v->blocks[i]->number; k++)
			add(to, fresh[k]);
		if (!is_in(v->blocks[i], gone, n_gone))
			add(to, v->blocks[i]);
	}
	for (; to && k < n_fresh; k++)
		add(to, fresh[k]);
	return to;
}

struct view *view_deleted(const struct view *v, struct tombstones *deleted)
{
	return view_new(v->blocks, v->n, v->broken, v->n_broken, deleted);
}
