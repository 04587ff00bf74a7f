/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/maintain.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "store/flush.h"
#include "store/merge.h"
#include "store/store_int.h"
#include "userspace/base/clock.h"

#define ROUND_S         10
#define FLUSH_SAMPLES   (2000 * 1000ull) /* replaying so many takes some 50 ms */
#define FLUSH_OF_SERIES 3ull /* more for each series: blocks must be worth their index */
#define FLUSH_MS        (2 * 3600 * 1000ull)
#define FLUSH_WAL_BYTES ((uint64_t)256 << 20)
#define FLOOR_MS        (2 * 3600 * 1000ull) /* how long flushed samples stay in memory, at least */
#define MEMORY_SHARE    2u                   /* of the limit: above it they go earlier */
#define IDLE_MS         (3600 * 1000ull)     /* a series without appends is forgotten after this */
#define MS_NS           1000000ull
#define MERGER_NICE     10

static uint64_t unflushed(struct store *s)
{
	return atomic_load(&s->head.n_samples) - atomic_load(&s->samples_turned);
}

static uint64_t memory(struct store *s)
{
	return (uint64_t)(atomic_load(&s->head.bytes) + atomic_load(&s->head.times.bytes));
}

static bool has_enough(struct store *s)
{
	return unflushed(s) > FLUSH_SAMPLES + FLUSH_OF_SERIES * atomic_load(&s->head.n_series);
}

static bool is_short_of_memory(struct store *s)
{
	return s->conf.memory_max_bytes > 0 && memory(s) > s->conf.memory_max_bytes / MEMORY_SHARE;
}

static void wake(struct maintain_thread *t)
{
	(void)pthread_mutex_lock(&t->lock);
	t->is_awaited = true;
	(void)pthread_cond_signal(&t->wake);
	(void)pthread_mutex_unlock(&t->lock);
}

void maintain_note_append(struct store *s)
{
	if (has_enough(s) && !atomic_exchange(&s->is_flush_wanted, true))
		wake(&s->flusher);
}

void maintain_wake(struct store *s)
{
	if (!atomic_exchange(&s->is_flush_wanted, true))
		wake(&s->flusher);
}

/* ---- one round ------------------------------------------------------------ */

static bool flush_is_due(struct store *s, uint64_t now_ms)
{
	if (atomic_load(&s->head.n_samples) == 0)
		return false;
	return s->has_turned || atomic_load(&s->is_flush_wanted) || has_enough(s) ||
	       is_short_of_memory(s) || now_ms - s->flushed_mono_ms > FLUSH_MS ||
	       wal_bytes(s->wal) > FLUSH_WAL_BYTES;
}

/* Series without appends for an hour are those of an epoch that ended before. */
static void forget_idle(struct store *s, uint64_t now_ms)
{
	if (now_ms - s->idle_mono_ms < IDLE_MS)
		return;
	(void)pthread_mutex_lock(&s->flush_lock);
	(void)pthread_rwlock_wrlock(&s->epoch_lock);
	head_collect(&s->head, &s->keys, s->idle_epoch);
	s->idle_epoch = s->epoch;
	s->idle_mono_ms = now_ms;
	(void)pthread_rwlock_unlock(&s->epoch_lock);
	(void)pthread_mutex_unlock(&s->flush_lock);
}

static void flush_if_due(struct store *s, uint64_t now_ms)
{
	if (!flush_is_due(s, now_ms))
		return;
	atomic_store(&s->is_flush_wanted, false);
	if (flush_run(s) == 0)
		s->flushed_mono_ms = now_ms;
}

/* Flushed samples leave memory. */
static void raise_floor_if_due(struct store *s, uint64_t now_ms)
{
	if (!is_short_of_memory(s) && now_ms - s->floor_mono_ms <= FLOOR_MS)
		return;
	flush_raise_floor(s);
	s->floor_mono_ms = now_ms;
}

static void flush_round(struct store *s)
{
	uint64_t now_ms = clock_mono_ns() / MS_NS;

	flush_if_due(s, now_ms);
	raise_floor_if_due(s, now_ms);
	flush_drop(s);
	forget_idle(s, now_ms);
	wake(&s->merger);
}

static void merge_round(struct store *s)
{
	while (!atomic_load(&s->is_closing) && merge_step(s, false) > 0)
		continue;
}

void maintain_round(struct store *s)
{
	flush_round(s);
	merge_round(s);
}

/* ---- threads -------------------------------------------------------------- */

static void wait_for_round(struct maintain_thread *t)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ROUND_S;
	(void)pthread_mutex_lock(&t->lock);
	if (!t->is_awaited)
		(void)pthread_cond_timedwait(&t->wake, &t->lock, &until);
	t->is_awaited = false;
	(void)pthread_mutex_unlock(&t->lock);
}

static void *run_flusher(void *ctx)
{
	struct store *s = ctx;

	for (;;) {
		wait_for_round(&s->flusher);
		if (atomic_load(&s->is_closing))
			return NULL;
		flush_round(s);
	}
}

static void *run_merger(void *ctx)
{
	struct store *s = ctx;

	/* Of this thread only, as Linux has it: appends and queries go first. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), MERGER_NICE);
	for (;;) {
		wait_for_round(&s->merger);
		if (atomic_load(&s->is_closing))
			return NULL;
		merge_round(s);
	}
}

static void thread_init(struct maintain_thread *t)
{
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_cond_init(&t->wake, NULL);
}

static void thread_done(struct maintain_thread *t)
{
	(void)pthread_mutex_destroy(&t->lock);
	(void)pthread_cond_destroy(&t->wake);
}

static int thread_start(struct maintain_thread *t, void *(*run)(void *ctx), struct store *s)
{
	int r = -pthread_create(&t->thread, NULL, run, s);

	t->is_there = r == 0;
	return r;
}

static void thread_stop(struct maintain_thread *t)
{
	wake(t);
	if (t->is_there)
		(void)pthread_join(t->thread, NULL);
	t->is_there = false;
}

void maintain_init(struct store *s)
{
	thread_init(&s->flusher);
	thread_init(&s->merger);
}

void maintain_done(struct store *s)
{
	thread_done(&s->flusher);
	thread_done(&s->merger);
}

int maintain_start(struct store *s)
{
	int r;

	s->flushed_mono_ms = s->floor_mono_ms = s->idle_mono_ms = clock_mono_ns() / MS_NS;
	s->idle_epoch = s->epoch;
	if (s->conf.is_manual)
		return 0;
	r = thread_start(&s->flusher, run_flusher, s);
	return r == 0 ? thread_start(&s->merger, run_merger, s) : r;
}

void maintain_stop(struct store *s)
{
	atomic_store(&s->is_closing, true);
	thread_stop(&s->flusher);
	thread_stop(&s->merger);
}
