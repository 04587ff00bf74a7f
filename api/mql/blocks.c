/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/blocks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "api/mql/aggr.h"
#include "userspace/base/alloc.h"
#include "userspace/base/pool.h"

int sink_take(struct eval *ev, const struct sink *to, const struct mname *mn, double *values)
{
	if (to->aggr)
		return aggr_feed(to->aggr, mn, values);
	return set_add(ev->arena, to->set, (struct series){ *mn, values }) < 0 ? eval_no_memory(ev)
	                                                                       : 0;
}

/* What a block has of an aggregate; used again for later blocks. */
struct part {
	struct arena arena;
	struct aggr_state state;
	struct part *next;
};

struct block {
	struct series_set set;
	struct part *part;
	_Atomic bool done;
};

struct blocks {
	struct eval *ev;
	block_f f;
	void *ctx;
	const struct sink *to;
	struct block *v;
	size_t n, merged;
	_Atomic size_t failed; /* the first block that did; SIZE_MAX = none */
	pthread_mutex_t lock;  /* of what follows */
	struct part *free;
	int r;
	struct err e; /* of the first that failed */
};

static struct part *part_get(struct blocks *b, struct eval *ev)
{
	struct part *p;

	(void)pthread_mutex_lock(&b->lock);
	p = b->free;
	if (p)
		b->free = p->next;
	(void)pthread_mutex_unlock(&b->lock);
	if (!p) {
		p = mem_zalloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->arena = ARENA_SHARE(&ev->shared->budget);
	}
	p->state = (struct aggr_state){
		.ev = ev,
		.arena = &p->arena,
		.g = b->to->aggr->g,
		.call = b->to->aggr->call,
		.with_empty = b->to->aggr->with_empty,
	};
	return p;
}

static void part_put(struct blocks *b, struct part *p)
{
	if (!p)
		return;
	arena_reset(&p->arena);
	(void)pthread_mutex_lock(&b->lock);
	p->next = b->free;
	b->free = p;
	(void)pthread_mutex_unlock(&b->lock);
}

static void fail(struct blocks *b, size_t i, int r, const struct err *e)
{
	(void)pthread_mutex_lock(&b->lock);
	if (i < atomic_load(&b->failed)) {
		atomic_store(&b->failed, i);
		b->r = r;
		b->e = *e;
	}
	(void)pthread_mutex_unlock(&b->lock);
}

static int do_block(struct blocks *b, struct eval *ev, size_t i)
{
	struct block *block = &b->v[i];
	struct sink to = { .set = &block->set };

	if (b->to->aggr) {
		block->part = part_get(b, ev);
		if (!block->part)
			return err_set(ev->e, -ENOMEM, "out of memory");
		to.aggr = &block->part->state;
	}
	return b->f(ev, b->ctx, i, &to);
}

/* Puts together what is complete so far. Only the caller's thread does. */
static void merge_done(struct blocks *b)
{
	struct err e = ERR_INIT, *before = b->ev->e;

	b->ev->e = &e;
	while (b->merged < b->n &&
	       atomic_load_explicit(&b->v[b->merged].done, memory_order_acquire)) {
		struct block *block = &b->v[b->merged];
		int r = 0;

		if (atomic_load(&b->failed) == SIZE_MAX && block->part)
			r = aggr_merge(b->to->aggr, &block->part->state);
		for (size_t i = 0; r == 0 && i < block->set.n; i++)
			r = sink_take(b->ev, b->to, &block->set.v[i].mn, block->set.v[i].values);
		if (r < 0)
			fail(b, b->merged, r, &e);
		part_put(b, block->part);
		block->part = NULL;
		b->merged++;
	}
	b->ev->e = before;
}

static void piece(void *ctx, unsigned worker, size_t i)
{
	struct blocks *b = ctx;
	struct eval *ev = worker == 0 ? b->ev : eval_worker(b->ev, worker);
	struct err e = ERR_INIT, *before = ev->e;
	int r = 0;

	ev->e = &e;
	if (atomic_load(&b->failed) == SIZE_MAX)
		r = do_block(b, ev, i);
	ev->e = before;
	if (r < 0)
		fail(b, i, r, &e);
	atomic_store_explicit(&b->v[i].done, true, memory_order_release);
	if (worker == 0)
		merge_done(b);
}

static int blocks_finish(struct blocks *b)
{
	merge_done(b);
	for (struct part *p = b->free, *next; p; p = next) {
		next = p->next;
		arena_done(&p->arena);
		free(p);
	}
	(void)pthread_mutex_destroy(&b->lock);
	if (b->r < 0 && b->ev->e && b->ev->e->code == 0)
		*b->ev->e = b->e;
	return b->r;
}

int blocks_run(struct eval *ev, size_t n, block_f f, void *ctx, const struct sink *to)
{
	struct blocks b = { .ev = ev, .f = f, .ctx = ctx, .to = to, .n = n };

	if (n <= 1)
		return n == 0 ? 0 : f(ev, ctx, 0, to);
	b.v = ARENA_ARRAY(ev->arena, struct block, n);
	if (!b.v)
		return eval_no_memory(ev);
	atomic_init(&b.failed, SIZE_MAX);
	(void)pthread_mutex_init(&b.lock, NULL);
	pool_run(ev->shared->pool, eval_workers(ev), n, piece, &b);
	return blocks_finish(&b);
}
