/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/guest/profile_dir.h"

enum job_state {
	JOB_NONE,
	JOB_GIVEN,
	JOB_DONE,
	JOB_END
};

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum job_state state;
	struct guest *guest; /* the job */
	const struct profile *profile;
	uint32_t families;
	uint64_t host_ns;
	int r; /* its result */
	struct guest_sample sample;
	struct mem_cache cache;
};

struct guest_guard {
	struct worker *worker; /* NULL: none is idle */
	struct worker *hung[GUEST_GUARD_HUNG_MAX];
	uint32_t n_hung;
};

static void set_state(struct worker *w, enum job_state state)
{
	pthread_mutex_lock(&w->lock);
	w->state = state;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		while (w->state != JOB_GIVEN && w->state != JOB_END)
			pthread_cond_wait(&w->changed, &w->lock);
		enum job_state state = w->state;

		pthread_mutex_unlock(&w->lock);
		if (state == JOB_END)
			return NULL;
		w->r = guest_sample(w->guest, &w->cache, w->families, w->host_ns, &w->sample);
		set_state(w, JOB_DONE);
	}
}

static struct worker *start_worker(void)
{
	struct worker *w = mem_zalloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return NULL;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&w->thread, NULL, work, w) != 0) {
		free(w);
		return NULL;
	}
	(void)pthread_setname_np(w->thread, "guest");
	return w;
}

/* It has no job. */
static void end_worker(struct worker *w)
{
	set_state(w, JOB_END);
	(void)pthread_join(w->thread, NULL);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->changed);
	free(w);
}

static bool is_done(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool done = w->state == JOB_DONE;

	pthread_mutex_unlock(&w->lock);
	return done;
}

uint32_t guest_guard_n_hung(struct guest_guard *g)
{
	for (uint32_t i = g->n_hung; i-- > 0;) {
		struct worker *w = g->hung[i];

		if (!is_done(w))
			continue;
		guest_detach(w->guest);
		profile_unref(w->profile);
		end_worker(w);
		g->hung[i] = g->hung[--g->n_hung];
	}
	return g->n_hung;
}

/* False when it takes too long. */
static bool wait_for_it(struct worker *w)
{
	struct timespec until;
	int r = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GUEST_GUARD_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&w->lock);
	while (w->state != JOB_DONE && r == 0)
		r = pthread_cond_timedwait(&w->changed, &w->lock, &until);
	bool done = w->state == JOB_DONE;

	if (done)
		w->state = JOB_NONE;
	pthread_mutex_unlock(&w->lock);
	return done;
}

int guest_guard_sample(struct guest_guard *g, struct guest *guest, const struct profile *profile,
                       uint32_t families, uint64_t host_ns, struct guest_sample *ret)
{
	if (guest_guard_n_hung(g) == GUEST_GUARD_HUNG_MAX)
		return -EBUSY;
	if (!g->worker)
		g->worker = start_worker();
	if (!g->worker)
		return -ENOMEM;
	struct worker *w = g->worker;

	w->guest = guest;
	w->profile = profile;
	w->families = families;
	w->host_ns = host_ns;
	set_state(w, JOB_GIVEN);
	if (wait_for_it(w)) {
		*ret = w->sample;
		return w->r;
	}
	g->hung[g->n_hung++] = w;
	g->worker = NULL;
	return -ETIMEDOUT;
}

int guest_guard_new(struct guest_guard **ret)
{
	*ret = mem_zalloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void guest_guard_free(struct guest_guard *g)
{
	if (!g)
		return;
	(void)guest_guard_n_hung(g);
	if (g->worker)
		end_worker(g->worker);
	free(g);
}
