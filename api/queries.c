/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/queries.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "api/counts.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

#define ORGS_MAX 20000u

struct past { /* texts behind the struct */
	struct query_past v;
	size_t bytes;
};

struct history { /* of one organisation */
	struct past *ring[QUERIES_KEPT];
	uint32_t n, next;
};

struct queries {
	pthread_mutex_t lock;
	struct query_run *first, *last; /* that run */
	uint64_t next_id;
	struct counts orgs; /* count.last: index of the history */
	struct history **histories;
	size_t n_histories, histories_cap;
	size_t bytes;
};

int queries_new(struct queries **ret)
{
	struct queries *q = mem_zalloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	q->orgs = COUNTS_INIT(ORGS_MAX);
	q->next_id = (uint64_t)clock_unix_ms() << 20; /* another one after a restart */
	*ret = q;
	return 0;
}

void queries_free(struct queries *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->n_histories; i++) {
		for (uint32_t k = 0; k < q->histories[i]->n; k++)
			free(q->histories[i]->ring[k]);
		free(q->histories[i]);
	}
	free(q->histories);
	counts_done(&q->orgs);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* --- those that run --------------------------------------------------------------------------- */

void queries_begin(struct queries *q, struct query_run *run)
{
	run->begin_mono_ns = clock_mono_ns();
	run->next = NULL;
	pthread_mutex_lock(&q->lock);
	run->id = q->next_id++;
	run->prev = q->last;
	*(q->last ? &q->last->next : &q->first) = run;
	q->last = run;
	pthread_mutex_unlock(&q->lock);
}

void queries_each(struct queries *q, query_run_f fn, void *ctx)
{
	pthread_mutex_lock(&q->lock);
	for (const struct query_run *run = q->first; run; run = run->next)
		fn(ctx, run);
	pthread_mutex_unlock(&q->lock);
}

/* --- those that ran --------------------------------------------------------------------------- */

static struct past *make_past(const struct query_run *run, const struct query_cost *cost)
{
	size_t text_len = MIN(run->text.len, (size_t)QUERY_TEXT_KEPT);
	size_t bytes = sizeof(struct past) + run->who.len + text_len;
	struct past *p = mem_alloc(bytes);

	if (!p)
		return NULL;
	char *at = (char *)(p + 1);

	if (run->who.len > 0)
		memcpy(at, run->who.p, run->who.len);
	memcpy(at + run->who.len, run->text.p, text_len);
	*p = (struct past){
		.v = { .who = { at, run->who.len },
		       .text = { at + run->who.len, text_len },
		       .text_hash = hash_str(run->text),
		       .range_s = (run->end_ms - run->start_ms) / 1000,
		       .end_mono_ns = run->begin_mono_ns + cost->took_ns,
		       .took_ns = cost->took_ns,
		       .memory_bytes = cost->memory_bytes },
		.bytes = bytes,
	};
	return p;
}

/* Made when @make, else NULL when there is none. */
static struct history *history_of(struct queries *q, struct str org, bool make)
{
	struct count *slot = make ? counts_at(&q->orgs, org) : counts_find(&q->orgs, org);
	struct history *h;

	if (slot && slot->n > 0)
		return q->histories[slot->last];
	if (!slot || !make || MEM_GROW(q->histories, q->histories_cap, q->n_histories + 1) < 0)
		return NULL;
	h = mem_zalloc(1, sizeof(*h));
	if (!h)
		return NULL;
	slot->n = 1;
	slot->last = q->n_histories;
	q->histories[q->n_histories++] = h;
	return h;
}

static void keep(struct queries *q, struct str org, struct past *p)
{
	struct history *h = history_of(q, org, true);
	bool full = h && (h->n == QUERIES_KEPT || q->bytes + p->bytes > QUERIES_BYTES_MAX);
	struct past **place;

	if (!h || (full && h->n == 0)) {
		free(p);
		return;
	}
	if (full)
		h->next %= h->n;
	place = &h->ring[full ? h->next : h->n++];
	h->next = full ? h->next + 1 : h->n % QUERIES_KEPT;
	if (full) {
		q->bytes -= (*place)->bytes;
		free(*place);
	}
	q->bytes += p->bytes;
	*place = p;
}

void queries_end(struct queries *q, struct query_run *run, const struct query_cost *cost)
{
	struct past *p = cost->took_ns >= QUERY_MIN_KEPT_NS ? make_past(run, cost) : NULL;

	pthread_mutex_lock(&q->lock);
	*(run->prev ? &run->prev->next : &q->first) = run->next;
	*(run->next ? &run->next->prev : &q->last) = run->prev;
	if (p)
		keep(q, run->org, p);
	pthread_mutex_unlock(&q->lock);
}

void queries_past(struct queries *q, struct str org, query_past_f fn, void *ctx)
{
	const struct history *h;

	pthread_mutex_lock(&q->lock);
	h = history_of(q, org, false);
	for (uint32_t i = 0; h && i < h->n; i++)
		fn(ctx, &h->ring[i]->v);
	pthread_mutex_unlock(&q->lock);
}
