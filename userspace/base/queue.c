/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "userspace/base/alloc.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t not_empty; /* on CLOCK_MONOTONIC */
	bool closed;
	size_t first, n, cap;
	void *items[];
};

int queue_new(struct queue **ret, size_t items_max)
{
	pthread_condattr_t attr;
	struct queue *q;
	size_t bytes;

	if (items_max == 0 || __builtin_mul_overflow(items_max, sizeof(q->items[0]), &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*q), &bytes))
		return -EINVAL;
	q = mem_zalloc(1, bytes);
	if (!q)
		return -ENOMEM;
	q->cap = items_max;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->not_empty, &attr);
	pthread_condattr_destroy(&attr);
	*ret = q;
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->not_empty);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void *take_first(struct queue *q)
{
	void *item = q->items[q->first];

	q->first = (q->first + 1) % q->cap;
	q->n--;
	return item;
}

static int put_last(struct queue *q, void *item)
{
	if (q->closed)
		return -EPIPE;
	if (q->n == q->cap)
		return -ENOSPC;
	q->items[(q->first + q->n++) % q->cap] = item;
	pthread_cond_signal(&q->not_empty);
	return 0;
}

int queue_push(struct queue *q, void *item)
{
	pthread_mutex_lock(&q->lock);
	int r = put_last(q, item);

	pthread_mutex_unlock(&q->lock);
	return r;
}

int queue_push_drop(struct queue *q, void *item, void **ret_dropped)
{
	void *dropped = NULL;

	pthread_mutex_lock(&q->lock);
	if (!q->closed && q->n == q->cap)
		dropped = take_first(q);
	int r = put_last(q, item);

	pthread_mutex_unlock(&q->lock);
	if (r == 0)
		*ret_dropped = dropped;
	return r;
}

static struct timespec deadline_in(int64_t ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

int queue_pop(struct queue *q, int64_t timeout_ms, void **ret_item)
{
	struct timespec deadline = deadline_in(timeout_ms > 0 ? timeout_ms : 0);
	int r = 0;

	pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->closed && r == 0) {
		if (timeout_ms < 0)
			r = pthread_cond_wait(&q->not_empty, &q->lock);
		else
			r = pthread_cond_timedwait(&q->not_empty, &q->lock, &deadline);
	}
	if (q->n > 0) {
		*ret_item = take_first(q);
		r = 0;
	} else {
		r = q->closed ? -EPIPE : -EAGAIN;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->not_empty);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_n(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	size_t n = q->n;

	pthread_mutex_unlock(&q->lock);
	return n;
}
