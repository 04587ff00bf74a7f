/* SPDX-License-Identifier: BSD-2-Clause */
/* A list under one lock: a push or a take is a few pointers, once in a collection. */
#include "userspace/host/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/metrics.h"
#include "userspace/host/batch.h"
#include "userspace/host/drops.h"

static struct metric waiting = METRIC_GAUGE("periscope_host_outbox_samples", "",
                                            "Samples collected that are not in the queues yet.");
METRIC_REGISTER(waiting);

struct node {
	struct node *next;
	struct batch *batch;
	bool may_wait;
};

struct outbox {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct node *first, **end;
	size_t n_samples, samples_max; /* n_samples: the taken batch included */
	bool closed;
};

int outbox_new(struct outbox **ret, size_t samples_max)
{
	struct outbox *o = mem_zalloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o)
		return -ENOMEM;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&o->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&o->lock, NULL);
	o->end = &o->first;
	o->samples_max = samples_max;
	*ret = o;
	return 0;
}

static void forget(struct outbox *o, size_t n_samples)
{
	o->n_samples -= n_samples;
	metric_set(&waiting, (int64_t)o->n_samples);
}

static struct batch *pop(struct outbox *o)
{
	struct node *first = o->first;
	struct batch *b = first->batch;

	o->first = first->next;
	if (!o->first)
		o->end = &o->first;
	free(first);
	return b;
}

static void drop_first(struct outbox *o, enum drop_reason why)
{
	struct batch *b = pop(o);

	forget(o, batch_n_samples(b));
	drops_add(&drops_common, why, batch_n_samples(b));
	batch_free(b);
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	while (o->first)
		drop_first(o, DROP_STOPPED);
	(void)pthread_cond_destroy(&o->changed);
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

/* The last one stays, however large: it is what was just pushed. */
static void make_room(struct outbox *o)
{
	while (o->n_samples > o->samples_max && o->first && o->first->next)
		drop_first(o, DROP_OUTBOX_FULL);
}

void outbox_set_max(struct outbox *o, size_t samples_max)
{
	(void)pthread_mutex_lock(&o->lock);
	o->samples_max = samples_max;
	make_room(o);
	(void)pthread_mutex_unlock(&o->lock);
}

void outbox_push(struct outbox *o, struct batch *b, bool may_wait)
{
	struct node *node = mem_alloc(sizeof(*node));

	(void)pthread_mutex_lock(&o->lock);
	if (!node || o->closed) {
		drops_add(&drops_common, o->closed ? DROP_STOPPED : DROP_NO_MEMORY,
		          batch_n_samples(b));
		batch_free(b);
		free(node);
	} else {
		*node = (struct node){ .batch = b, .may_wait = may_wait };
		*o->end = node;
		o->end = &node->next;
		o->n_samples += batch_n_samples(b);
		make_room(o);
		metric_set(&waiting, (int64_t)o->n_samples);
		(void)pthread_cond_signal(&o->changed);
	}
	(void)pthread_mutex_unlock(&o->lock);
}

static int wait_for_one(struct outbox *o, uint64_t until_mono_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_mono_ns / 1000000000),
		                        .tv_nsec = (long)(until_mono_ns % 1000000000) };
	int r = 0;

	while (!o->first && !o->closed && r == 0)
		r = until_mono_ns == UINT64_MAX
		            ? pthread_cond_wait(&o->changed, &o->lock)
		            : pthread_cond_timedwait(&o->changed, &o->lock, &until);
	if (o->first)
		return 0;
	return o->closed ? -EPIPE : -EAGAIN;
}

int outbox_take(struct outbox *o, uint64_t until_mono_ns, struct batch **ret, bool *ret_may_wait)
{
	(void)pthread_mutex_lock(&o->lock);
	int r = wait_for_one(o, until_mono_ns);

	if (r == 0) {
		*ret_may_wait = o->first->may_wait;
		*ret = pop(o);
	}
	(void)pthread_mutex_unlock(&o->lock);
	return r;
}

void outbox_release(struct outbox *o, struct batch *taken)
{
	(void)pthread_mutex_lock(&o->lock);
	forget(o, batch_n_samples(taken));
	(void)pthread_mutex_unlock(&o->lock);
	batch_free(taken);
}

void outbox_close(struct outbox *o)
{
	(void)pthread_mutex_lock(&o->lock);
	o->closed = true;
	(void)pthread_cond_signal(&o->changed);
	(void)pthread_mutex_unlock(&o->lock);
}

size_t outbox_n_samples(struct outbox *o)
{
	(void)pthread_mutex_lock(&o->lock);
	size_t n = o->n_samples;

	(void)pthread_mutex_unlock(&o->lock);
	return n;
}
