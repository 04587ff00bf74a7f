/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

/* Lives on the stack of whoever runs it, who waits until nobody else knows it any more. */
struct job {
	struct job *next;
	pool_piece_f f;
	void *ctx;
	size_t n;
	_Atomic size_t begun;
	unsigned workers, workers_max; /* that ever took part */
	unsigned helping;              /* that take part now, without the caller */
};

struct pool {
	pthread_mutex_t lock; /* of everything but @begun */
	pthread_cond_t work, done;
	struct job *oldest, **newest;
	bool stopping;
	unsigned n;
	pthread_t threads[];
};

static void do_pieces(struct job *j, unsigned worker)
{
	size_t i;

	while ((i = atomic_fetch_add_explicit(&j->begun, 1, memory_order_relaxed)) < j->n)
		j->f(j->ctx, worker, i);
}

static bool wants_help(const struct job *j)
{
	return j->workers < j->workers_max &&
	       atomic_load_explicit(&j->begun, memory_order_relaxed) < j->n;
}

static struct job *find_job(const struct pool *p)
{
	struct job *j = p->oldest;

	while (j && !wants_help(j))
		j = j->next;
	return j;
}

static void *help(void *ctx)
{
	struct pool *p = ctx;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		struct job *j = find_job(p);

		if (!j) {
			(void)pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		unsigned worker = j->workers++;

		j->helping++;
		(void)pthread_mutex_unlock(&p->lock);
		do_pieces(j, worker);
		(void)pthread_mutex_lock(&p->lock);
		if (--j->helping == 0)
			(void)pthread_cond_broadcast(&p->done);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

int pool_new(struct pool **ret, unsigned n_threads)
{
	struct pool *p = mem_zalloc(1, sizeof(*p) + n_threads * sizeof(p->threads[0]));
	char name[16];
	int r = 0;

	if (!p)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->work, NULL);
	(void)pthread_cond_init(&p->done, NULL);
	p->newest = &p->oldest;
	while (r == 0 && p->n < n_threads) {
		r = -pthread_create(&p->threads[p->n], NULL, help, p);
		if (r < 0)
			break;
		(void)snprintf(name, sizeof(name), "pool-%u", p->n);
		(void)pthread_setname_np(p->threads[p->n++], name);
	}
	if (r < 0) {
		pool_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	assert(!p->oldest);
	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	(void)pthread_cond_broadcast(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n; i++)
		(void)pthread_join(p->threads[i], NULL);
	(void)pthread_cond_destroy(&p->done);
	(void)pthread_cond_destroy(&p->work);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

unsigned pool_threads(const struct pool *p)
{
	return p ? p->n : 0;
}

static void offer(struct pool *p, struct job *j, unsigned helpers)
{
	(void)pthread_mutex_lock(&p->lock);
	*p->newest = j;
	p->newest = &j->next;
	for (unsigned i = 0; i < helpers; i++)
		(void)pthread_cond_signal(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
}

/* From here on nobody joins in; waits for those who have. */
static void withdraw(struct pool *p, struct job *j)
{
	struct job **at = &p->oldest;

	(void)pthread_mutex_lock(&p->lock);
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (p->newest == &j->next)
		p->newest = at;
	while (j->helping > 0)
		(void)pthread_cond_wait(&p->done, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, unsigned workers_max, size_t n, pool_piece_f f, void *ctx)
{
	struct job j = { .f = f, .ctx = ctx, .n = n, .workers = 1, .workers_max = workers_max };
	size_t helpers = n > 0 ? MIN(n - 1, (size_t)pool_threads(p)) : 0;

	assert(workers_max > 0);
	helpers = MIN(helpers, (size_t)workers_max - 1);
	atomic_init(&j.begun, 0);
	if (helpers > 0)
		offer(p, &j, (unsigned)helpers);
	do_pieces(&j, 0);
	if (helpers > 0)
		withdraw(p, &j);
}
