/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One epoll set for clients whose query runs. The kernel may report a socket that was taken out of
 * the set a moment ago, so an event names a slot and which turn of the slot it was for, and both
 * are compared under the lock.
 */
#include "api/http/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"

#define EVENTS_MAX 64
#define LOOK_MS    500
#define STOP_DATA  UINT64_MAX

struct slot {
	_Atomic bool *gone; /* NULL = free */
	uint32_t turn;
	uint32_t next_free; /* + 1; 0 = none */
};

struct watch {
	pthread_t thread;
	pthread_mutex_t lock;
	int epoll, stop;
	struct slot *slots;
	size_t n_slots, slots_cap;
	uint32_t first_free; /* + 1; 0 = none */
	struct watch_conn *conns;
	uint64_t request_timeout_ns;
	_Atomic uint64_t slow_closed;
};

/* --- clients ---------------------------------------------------------------------------------- */

static uint32_t take_slot(struct watch *w, _Atomic bool *gone)
{
	uint32_t i = w->first_free;

	if (i > 0) {
		w->first_free = w->slots[i - 1].next_free;
	} else {
		if (MEM_GROW(w->slots, w->slots_cap, w->n_slots + 1) < 0)
			return 0;
		w->slots[w->n_slots] = (struct slot){ 0 };
		i = (uint32_t)++w->n_slots;
	}
	w->slots[i - 1].gone = gone;
	return i;
}

static void free_slot(struct watch *w, uint32_t i)
{
	struct slot *s = &w->slots[i - 1];

	s->gone = NULL;
	s->turn++;
	s->next_free = w->first_free;
	w->first_free = i;
}

struct watch_ticket watch_client(struct watch *w, int fd, _Atomic bool *gone)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT };
	struct watch_ticket t = { 0 };

	pthread_mutex_lock(&w->lock);
	t.slot = take_slot(w, gone);
	if (t.slot > 0) {
		t.turn = w->slots[t.slot - 1].turn;
		ev.data.u64 = (uint64_t)t.slot << 32 | t.turn;
		t.valid = epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
		if (!t.valid)
			free_slot(w, t.slot);
	}
	pthread_mutex_unlock(&w->lock);
	return t;
}

void watch_client_done(struct watch *w, int fd, struct watch_ticket t)
{
	if (!t.valid)
		return;
	pthread_mutex_lock(&w->lock);
	(void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
	free_slot(w, t.slot);
	pthread_mutex_unlock(&w->lock);
}

static void client_event(struct watch *w, uint64_t data)
{
	uint32_t i = (uint32_t)(data >> 32), turn = (uint32_t)data;

	pthread_mutex_lock(&w->lock);
	if (i > 0 && i <= w->n_slots && w->slots[i - 1].turn == turn && w->slots[i - 1].gone)
		atomic_store(w->slots[i - 1].gone, true);
	pthread_mutex_unlock(&w->lock);
}

void watch_all_gone(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n_slots; i++) {
		if (w->slots[i].gone)
			atomic_store(w->slots[i].gone, true);
	}
	pthread_mutex_unlock(&w->lock);
}

/* --- connections ------------------------------------------------------------------------------ */

void watch_conn_add(struct watch *w, struct watch_conn *c, int fd)
{
	c->fd = fd;
	c->prev = NULL;
	watch_conn_has_request(c, false);
	pthread_mutex_lock(&w->lock);
	c->next = w->conns;
	if (c->next)
		c->next->prev = c;
	w->conns = c;
	pthread_mutex_unlock(&w->lock);
}

void watch_conn_del(struct watch *w, struct watch_conn *c)
{
	pthread_mutex_lock(&w->lock);
	*(c->prev ? &c->prev->next : &w->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	pthread_mutex_unlock(&w->lock);
}

void watch_conn_has_request(struct watch_conn *c, bool has)
{
	atomic_store_explicit(&c->since_ns, has ? 0 : clock_mono_ns(), memory_order_relaxed);
}

uint64_t watch_slow_closed(const struct watch *w)
{
	return atomic_load(&w->slow_closed);
}

static void close_slow(struct watch *w)
{
	uint64_t now_ns = clock_mono_ns();

	pthread_mutex_lock(&w->lock);
	for (struct watch_conn *c = w->conns; c; c = c->next) {
		uint64_t since_ns = atomic_load_explicit(&c->since_ns, memory_order_relaxed);

		if (since_ns == 0 || now_ns < since_ns + w->request_timeout_ns)
			continue;
		/* Counted first: whoever sees the end finds it in the count. */
		atomic_fetch_add(&w->slow_closed, 1);
		atomic_store_explicit(&c->since_ns, 0, memory_order_relaxed);
		(void)shutdown(c->fd, SHUT_RDWR); /* its owner sees the end and closes it */
	}
	pthread_mutex_unlock(&w->lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void *watch_run(void *arg)
{
	struct watch *w = arg;
	struct epoll_event events[EVENTS_MAX];
	uint64_t looked_ns = clock_mono_ns();

	for (;;) {
		int n = epoll_wait(w->epoll, events, EVENTS_MAX, LOOK_MS);

		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == STOP_DATA)
				return NULL;
			client_event(w, events[i].data.u64);
		}
		if (clock_mono_ns() - looked_ns < LOOK_MS * 1000000ull)
			continue;
		looked_ns = clock_mono_ns();
		close_slow(w);
	}
}

int watch_new(struct watch **ret, uint64_t request_timeout_ms)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = STOP_DATA };
	struct watch *w = mem_zalloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	w->request_timeout_ns = request_timeout_ms * 1000000;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->stop < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &ev) < 0)
		r = neg_errno();
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, watch_run, w);
	if (r < 0) {
		closep(&w->epoll);
		closep(&w->stop);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return r;
	}
	(void)pthread_setname_np(w->thread, "watch");
	*ret = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	(void)eventfd_write(w->stop, 1);
	(void)pthread_join(w->thread, NULL);
	closep(&w->epoll);
	closep(&w->stop);
	free(w->slots);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
