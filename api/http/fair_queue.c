/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parties that have work stand in a ring. A pop looks at them from where the last one ended, takes
 * from the first that may have another worker, and moves on behind it. A party that may not is
 * passed over, so a pop costs at most the number of parties with work; they are few, for each has a
 * request under way.
 */
#include "api/http/fair_queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

struct fifo {
	struct fair_item *first, *last;
	size_t n;
};

struct fair_party {
	struct fair_party *prev, *next; /* in the ring of all parties */
	struct fifo fresh, more;
	unsigned busy, open;
	struct str name; /* behind the struct */
};

struct fair_queue {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct fair_limits limits;
	struct fair_party *ring; /* whose turn it is; NULL = there are none */
	size_t n_parties, waiting;
	bool closed;
};

int fair_queue_new(struct fair_queue **ret, const struct fair_limits *limits)
{
	struct fair_queue *q = mem_zalloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->limits = *limits;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	*ret = q;
	return 0;
}

void fair_queue_free(struct fair_queue *q)
{
	if (!q)
		return;
	while (q->ring) {
		struct fair_party *p = q->ring;

		q->ring = p->next == p ? NULL : p->next;
		p->prev->next = p->next;
		p->next->prev = p->prev;
		free(p);
	}
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void fifo_push(struct fifo *f, struct fair_item *item)
{
	item->next = NULL;
	*(f->last ? &f->last->next : &f->first) = item;
	f->last = item;
	f->n++;
}

static struct fair_item *fifo_pop(struct fifo *f)
{
	struct fair_item *item = f->first;

	f->first = item->next;
	if (!f->first)
		f->last = NULL;
	f->n--;
	return item;
}

/* --- parties ---------------------------------------------------------------------------------- */

static struct fair_party *party_find(const struct fair_queue *q, struct str name)
{
	struct fair_party *p = q->ring;

	for (size_t i = 0; i < q->n_parties; i++, p = p->next) {
		if (str_eq(p->name, name))
			return p;
	}
	return NULL;
}

/* Behind the one whose turn it is, that is, last. */
static struct fair_party *party_add(struct fair_queue *q, struct str name)
{
	struct fair_party *p = mem_zalloc(1, sizeof(*p) + name.len);

	if (!p)
		return NULL;
	p->name = (struct str){ (const char *)(p + 1), name.len };
	if (name.len > 0)
		memcpy(p + 1, name.p, name.len);
	if (q->ring) {
		p->next = q->ring;
		p->prev = q->ring->prev;
		p->prev->next = p;
		p->next->prev = p;
	} else {
		p->next = p->prev = q->ring = p;
	}
	q->n_parties++;
	return p;
}

static void party_forget_if_idle(struct fair_queue *q, struct fair_party *p)
{
	if (p->fresh.n > 0 || p->more.n > 0 || p->busy > 0 || p->open > 0)
		return;
	if (q->ring == p)
		q->ring = p->next == p ? NULL : p->next;
	p->prev->next = p->next;
	p->next->prev = p->prev;
	q->n_parties--;
	free(p);
}

/* What a worker may do for @p now. */
static struct fifo *party_work(const struct fair_queue *q, struct fair_party *p)
{
	if (p->busy >= q->limits.busy_max)
		return NULL;
	if (p->more.n > 0)
		return &p->more;
	return p->fresh.n > 0 && p->open < q->limits.open_max ? &p->fresh : NULL;
}

/* --- the queue -------------------------------------------------------------------------------- */

static int push(struct fair_queue *q, struct str name, struct fair_item *item)
{
	struct fair_party *p;

	if (q->closed)
		return -EPIPE;
	if (q->waiting >= q->limits.waiting_max)
		return -ENOSPC;
	p = party_find(q, name);
	if (!p)
		p = party_add(q, name);
	if (!p)
		return -ENOMEM;
	if (p->fresh.n >= q->limits.waiting_max_of_party)
		return -EDQUOT;
	item->party = p;
	fifo_push(&p->fresh, item);
	q->waiting++;
	return 0;
}

int fair_push(struct fair_queue *q, struct str party, struct fair_item *item)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = push(q, party, item);
	if (r == 0)
		pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	return r;
}

int fair_push_more(struct fair_queue *q, struct fair_item *item)
{
	int r = -EPIPE;

	pthread_mutex_lock(&q->lock);
	if (!q->closed) {
		fifo_push(&item->party->more, item);
		q->waiting++;
		r = 0;
		pthread_cond_signal(&q->wake);
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* NULL when nobody has work that may be done now. */
static struct fair_item *take(struct fair_queue *q)
{
	struct fair_party *p = q->ring;

	for (size_t i = 0; i < q->n_parties; i++, p = p->next) {
		struct fifo *work = party_work(q, p);

		if (!work)
			continue;
		p->open += work == &p->fresh;
		p->busy++;
		q->waiting--;
		q->ring = p->next;
		return fifo_pop(work);
	}
	return NULL;
}

int fair_pop(struct fair_queue *q, struct fair_item **ret)
{
	struct fair_item *item;

	pthread_mutex_lock(&q->lock);
	while (!(item = take(q)) && !(q->closed && q->waiting == 0))
		pthread_cond_wait(&q->wake, &q->lock);
	pthread_mutex_unlock(&q->lock);
	if (!item)
		return -EPIPE;
	*ret = item;
	return 0;
}

/* A place has become free: whoever waits for it may sleep in any of the workers. */
static void wake_if_waiting(struct fair_queue *q)
{
	if (q->waiting > 0 || q->closed)
		pthread_cond_broadcast(&q->wake);
}

void fair_idle(struct fair_queue *q, struct fair_item *item)
{
	pthread_mutex_lock(&q->lock);
	assert(item->party->busy > 0);
	item->party->busy--;
	wake_if_waiting(q);
	pthread_mutex_unlock(&q->lock);
}

void fair_leave(struct fair_queue *q, struct fair_item *item)
{
	struct fair_party *p = item->party;

	pthread_mutex_lock(&q->lock);
	assert(p->open > 0);
	p->open--;
	item->party = NULL;
	party_forget_if_idle(q, p);
	wake_if_waiting(q);
	pthread_mutex_unlock(&q->lock);
}

void fair_close(struct fair_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

void fair_get_stats(struct fair_queue *q, struct fair_stats *ret)
{
	pthread_mutex_lock(&q->lock);
	*ret = (struct fair_stats){ q->waiting, q->n_parties };
	pthread_mutex_unlock(&q->lock);
}
