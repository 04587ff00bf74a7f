/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/maintain.h"

#include <time.h>

#include "store/flush.h"
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

static void wake(struct store *s)
{
	(void)pthread_mutex_lock(&s->maintain_lock);
	s->is_awaited = true;
	(void)pthread_cond_signal(&s->maintain_wake);
	(void)pthread_mutex_unlock(&s->maintain_lock);
}

void maintain_note_append(struct store *s)
{
	if (has_enough(s) && !atomic_exchange(&s->is_flush_wanted, true))
		wake(s);
}

void maintain_wake(struct store *s)
{
	if (!atomic_exchange(&s->is_flush_wanted, true))
		wake(s);
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
	if (is_short_of_memory(s) || now_ms - s->floor_mono_ms > FLOOR_MS) {
		flush_raise_floor(s);
		s->floor_mono_ms = now_ms;
	}
}

void maintain_round(struct store *s)
{
	uint64_t now_ms = clock_mono_ns() / MS_NS;

	flush_if_due(s, now_ms);
	flush_drop(s);
	forget_idle(s, now_ms);
}

/* ---- thread --------------------------------------------------------------- */

static void *run(void *ctx)
{
	struct store *s = ctx;
	struct timespec until;

	(void)pthread_mutex_lock(&s->maintain_lock);
	while (!s->is_closing) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += ROUND_S;
		if (!s->is_awaited)
			(void)pthread_cond_timedwait(&s->maintain_wake, &s->maintain_lock, &until);
		s->is_awaited = false;
		if (s->is_closing)
			break;
		(void)pthread_mutex_unlock(&s->maintain_lock);
		maintain_round(s);
		(void)pthread_mutex_lock(&s->maintain_lock);
	}
	(void)pthread_mutex_unlock(&s->maintain_lock);
	return NULL;
}

int maintain_start(struct store *s)
{
	int r;

	s->flushed_mono_ms = s->floor_mono_ms = s->idle_mono_ms = clock_mono_ns() / MS_NS;
	s->idle_epoch = s->epoch;
	if (s->conf.is_manual)
		return 0;
	r = -pthread_create(&s->maintainer, NULL, run, s);
	s->has_maintainer = r == 0;
	return r;
}

void maintain_stop(struct store *s)
{
	(void)pthread_mutex_lock(&s->maintain_lock);
	s->is_closing = true;
	(void)pthread_cond_signal(&s->maintain_wake);
	(void)pthread_mutex_unlock(&s->maintain_lock);
	if (s->has_maintainer)
		(void)pthread_join(s->maintainer, NULL);
	s->has_maintainer = false;
}
