/* SPDX-License-Identifier: BSD-2-Clause */
/* The index of a disk queue: which blocks wait, which may go next, what is dropped. */
#include "userspace/host/delivery/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/delivery/spool_int.h"

#define BLOCKS_MAX ((size_t)200000) /* of the index: 16 MiB */
#define LOOK_AHEAD 64u              /* blocks looked at for one that may go */
#define RETRY_NS   1000000000ull    /* between two tries of a disk that does not work */
#define TRUST_MS   600000           /* the clock is right by then: see age_ms() */
#define MS_NS      1000000ull
#define NO_BLOCK   SIZE_MAX

static int64_t mono_ms(void)
{
	return (int64_t)(clock_mono_ns() / MS_NS);
}

/* ---- index ---------------------------------------------------------------------------------- */

static struct block *block_at(const struct spool *s, size_t i)
{
	return &s->blocks[s->first + i];
}

/* Position of @seq, or of the first block behind it. */
static size_t lower_bound(const struct spool *s, uint64_t seq)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (block_at(s, mid)->seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct block *find_block(const struct spool *s, uint64_t seq)
{
	size_t i = lower_bound(s, seq);

	return i < s->n && block_at(s, i)->seq == seq ? block_at(s, i) : NULL;
}

static struct segment *find_segment(const struct spool *s, uint64_t number)
{
	for (size_t i = 0; i < s->n_segments; i++) {
		if (s->segments[i].number == number)
			return &s->segments[i];
	}
	return NULL;
}

int spool_add_block(struct spool *s, const struct block *b)
{
	if (s->first > s->n && s->first + s->n == s->blocks_cap) { /* moved seldom: O(1) each */
		memmove(s->blocks, s->blocks + s->first, s->n * sizeof(*s->blocks));
		s->first = 0;
	}
	int r = MEM_GROW(s->blocks, s->blocks_cap, s->first + s->n + 1);

	if (r < 0)
		return r;
	*block_at(s, s->n++) = *b;
	s->n_waiting++;
	s->n_samples += b->r.n_samples;
	return 0;
}

struct segment *spool_add_segment(struct spool *s, uint64_t number, uint64_t bytes)
{
	if (MEM_GROW(s->segments, s->segments_cap, s->n_segments + 1) < 0)
		return NULL;
	s->segments[s->n_segments] = (struct segment){ .number = number, .bytes = bytes };
	s->file_bytes += bytes;
	return &s->segments[s->n_segments++];
}

static void pop_settled(struct spool *s)
{
	while (s->n > 0 && block_at(s, 0)->state == BLOCK_SETTLED) {
		s->first++;
		s->n--;
	}
	if (s->n == 0)
		s->first = 0;
}

/* Under the lock, whenever it is about to be given up. */
static void publish(struct spool *s)
{
	struct spool_gauges *g = &s->gauges;

	atomic_store(&g->n_blocks, s->n_waiting);
	atomic_store(&g->n_samples, s->n_samples);
	atomic_store(&g->file_bytes, s->file_bytes);
	atomic_store(&g->memory_bytes, s->memory_bytes);
	atomic_store(&g->oldest_born_ms, s->n > 0 ? block_at(s, 0)->born_ms : INT64_MAX);
}

static void lock(struct spool *s)
{
	(void)pthread_mutex_lock(&s->lock);
}

static void unlock(struct spool *s)
{
	publish(s);
	(void)pthread_mutex_unlock(&s->lock);
}

static void changed(struct spool *s)
{
	s->n_changes++;
	(void)pthread_cond_broadcast(&s->changed);
}

/* ---- settling and dropping ------------------------------------------------------------------ */

static void remove_segment(struct spool *s, struct segment *seg)
{
	size_t i = (size_t)(seg - s->segments);

	s->file_bytes -= seg->bytes;
	spool_unlink(s, seg->number);
	memmove(seg, seg + 1, (s->n_segments - i - 1) * sizeof(*seg));
	s->n_segments--;
}

/* The block is done with, one way or the other; its file goes when it was the last in it. */
static void forget(struct spool *s, struct block *b)
{
	struct segment *seg = b->segment ? find_segment(s, b->segment) : NULL;

	assert(b->state != BLOCK_SETTLED);
	b->state = BLOCK_SETTLED;
	s->n_waiting--;
	s->n_samples -= b->r.n_samples;
	if (b->memory) {
		s->memory_bytes -= b->r.payload_bytes;
		free(b->memory);
		b->memory = NULL;
	}
	if (!seg)
		return;
	if (--seg->n_waiting == 0 && seg->number != s->active)
		remove_segment(s, seg);
	else
		spool_mark(s, b);
}

/* One that is under way may still arrive: what becomes of it is known when it comes back. */
static void drop(struct spool *s, struct block *b, enum drop_reason why)
{
	if (b->state == BLOCK_TAKEN) {
		b->state = BLOCK_DROPPED_WHILE_TAKEN;
		return;
	}
	if (b->state != BLOCK_WAITS)
		return;
	drops_add(s->drops, why, b->r.n_samples);
	forget(s, b);
}

static void end_segment(struct spool *s)
{
	struct segment *seg = find_segment(s, s->active);

	s->active = 0;
	if (seg && seg->n_waiting == 0)
		remove_segment(s, seg);
}

static void drop_oldest_file(struct spool *s, enum drop_reason why)
{
	uint64_t number = s->segments[0].number;

	if (number == s->active) {
		spool_close_segment(s);
		s->active = 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (block_at(s, i)->segment == number)
			drop(s, block_at(s, i), why);
	}
	if (s->n_segments > 0 && s->segments[0].number == number)
		remove_segment(s, &s->segments[0]); /* those under way have their bytes */
	pop_settled(s);
}

static bool drop_oldest_in_memory(struct spool *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (block_at(s, i)->memory && block_at(s, i)->state == BLOCK_WAITS) {
			drop(s, block_at(s, i), DROP_QUEUE_FULL);
			pop_settled(s);
			return true;
		}
	}
	return false;
}

/*
 * Of a block that an earlier run left behind only the wall clock tells the age, and after a boot
 * that may be far off: it is not believed before the daemon has run for a while.
 */
static int64_t age_ms(const struct spool *s, const struct block *b)
{
	int64_t now_ms = mono_ms(), up_ms = now_ms - s->opened_ms;

	if (!b->found)
		return now_ms - b->born_ms;
	return up_ms < TRUST_MS ? up_ms : MAX(clock_unix_ms() - b->r.appended_ms, up_ms);
}

static void drop_too_old(struct spool *s)
{
	while (s->limits.age_ms_max > 0 && s->n > 0) {
		struct block *b = block_at(s, 0);

		if (b->state != BLOCK_WAITS || age_ms(s, b) <= s->limits.age_ms_max)
			return;
		drop(s, b, DROP_TOO_OLD);
		pop_settled(s);
	}
}

/* ---- appending ------------------------------------------------------------------------------ */

/* A block that has just been written: its file counts it. */
static void account(struct spool *s, const struct block *b)
{
	struct segment *seg = find_segment(s, b->segment);

	if (!seg) {
		if (s->active != 0)
			end_segment(s);
		seg = spool_add_segment(s, b->segment, 0);
	}
	s->active = b->segment;
	if (!seg) /* no memory: the file is found again after a restart */
		return;
	s->file_bytes += s->fd_bytes - seg->bytes;
	seg->bytes = s->fd_bytes;
	seg->n_waiting++;
}

static void note_disk(struct spool *s, int r)
{
	s->disk_error = r;
	s->retry_ns = r < 0 ? clock_mono_ns() + RETRY_NS : 0;
	if (s->disk_works == (r == 0))
		return;
	s->disk_works = r == 0;
	atomic_store(&s->gauges.disk_works, r == 0);
	if (r < 0)
		log_error("queue: the disk takes nothing, samples wait in memory",
		          STRV("folder", s->dir), STRV("why", strerror(-r)));
	else
		log_info("queue: the disk takes samples again", STRV("folder", s->dir));
}

static bool may_try_disk(const struct spool *s)
{
	return s->has_dir && (s->retry_ns == 0 || clock_mono_ns() >= s->retry_ns);
}

static int write_block(struct spool *s, struct block *b, struct str payload)
{
	if (spool_segment_is_full(s))
		spool_close_segment(s);
	int r = spool_write(s, b, payload);

	note_disk(s, r);
	return r;
}

/* What waits in memory goes to disk, oldest first. Under the lock: this is rare. */
static void flush_memory(struct spool *s)
{
	for (size_t i = 0; i < s->n && s->memory_bytes > 0 && may_try_disk(s); i++) {
		struct block *b = block_at(s, i);

		if (!b->memory || b->state == BLOCK_SETTLED)
			continue;
		const struct str payload = { b->memory, b->r.payload_bytes };

		if (write_block(s, b, payload) < 0)
			return;
		account(s, b);
		s->memory_bytes -= b->r.payload_bytes;
		free(b->memory);
		b->memory = NULL;
	}
}

/* A full disk is ours to make room on; a broken one would only lose what can still be read. */
static void enforce(struct spool *s)
{
	while (s->n_segments > 0 && (s->file_bytes > s->limits.bytes_max || s->n > BLOCKS_MAX))
		drop_oldest_file(s, DROP_QUEUE_FULL);
	while (s->memory_bytes > s->limits.memory_bytes_max) {
		if (s->disk_error == -ENOSPC && s->n_segments > 0) {
			drop_oldest_file(s, DROP_QUEUE_FULL);
			s->retry_ns = 0;
			flush_memory(s);
		} else if (!drop_oldest_in_memory(s)) {
			return; /* all of it is under way */
		}
	}
}

static int keep_in_memory(struct spool *s, struct block *b, struct str payload)
{
	b->memory = mem_strndup(payload.p, payload.len);
	if (!b->memory)
		return -ENOMEM;
	s->memory_bytes += payload.len;
	return 0;
}

static void add(struct spool *s, struct block *b, struct str payload)
{
	int r = b->segment == 0 ? keep_in_memory(s, b, payload) : 0;

	if (b->segment != 0)
		account(s, b);
	if (r == 0)
		r = spool_add_block(s, b);
	if (r < 0) { /* one that is on disk goes out after a restart: it was not settled */
		free(b->memory);
		s->memory_bytes -= b->memory ? payload.len : 0;
		if (b->segment == 0)
			drops_add(s->drops, DROP_NO_MEMORY, b->r.n_samples);
		return;
	}
	enforce(s);
}

void spool_append(struct spool *s, struct str payload, uint32_t n_samples, uint8_t lane,
                  uint8_t lanes)
{
	struct block b = {
		.seq = ++s->last_seq,
		.r = { .appended_ms = clock_unix_ms(),
		       .payload_bytes = (uint32_t)payload.len,
		       .payload_crc = spool_payload_crc(payload),
		       .n_samples = n_samples,
		       .lane = lane,
		       .lanes = lanes },
		.born_ms = mono_ms(),
	};

	assert(payload.len <= SPOOL_PAYLOAD_BYTES_MAX);
	assert(lane < lanes);
	assert(lanes <= SPOOL_LANES_MAX);
	lock(s);
	s->limits = s->next_limits;
	flush_memory(s);
	bool in_order = s->memory_bytes == 0; /* the older ones go first */

	unlock(s);
	if (in_order && may_try_disk(s))
		(void)write_block(s, &b, payload);
	lock(s);
	add(s, &b, payload);
	unlock(s);
}

void spool_commit(struct spool *s)
{
	int r = spool_sync(s);

	if (r < 0) { /* the kernel may forget those bytes without a further word: leave the file */
		note_disk(s, r);
		spool_close_segment(s);
	}
	lock(s);
	flush_memory(s);
	drop_too_old(s);
	changed(s);
	unlock(s);
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Position of the first block that is young enough to be live. */
static size_t live_from(const struct spool *s, int64_t live_ms)
{
	int64_t now_ms = mono_ms();
	size_t lo = 0, hi = s->n;

	if (live_ms == INT64_MAX)
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (now_ms - block_at(s, mid)->born_ms > live_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct lanes {
	uint32_t blocked; /* bits */
	uint8_t n;        /* into how many the blocks before were cut; 0: there are none */
};

/* Lanes that blocks of the same kind hold which are under way. */
static struct lanes lanes_under_way(const struct spool *s, bool backlog)
{
	struct lanes l = { 0 };

	for (size_t i = 0; i < s->n_taken; i++) {
		const struct block *b = find_block(s, s->taken[i]);

		if (b->taken_as_backlog != backlog)
			continue;
		l.blocked |= 1u << b->r.lane;
		l.n = b->r.lanes;
	}
	return l;
}

static size_t pick(const struct spool *s, size_t from, size_t to, bool backlog)
{
	struct lanes l = lanes_under_way(s, backlog);

	for (size_t i = from; i < MIN(to, from + LOOK_AHEAD); i++) {
		const struct block *b = block_at(s, i);

		if (b->state != BLOCK_WAITS)
			continue;
		if (l.n != 0 && b->r.lanes != l.n)
			return NO_BLOCK;
		if (!(l.blocked & 1u << b->r.lane))
			return i;
	}
	return NO_BLOCK;
}

static size_t first_waiting(const struct spool *s, size_t from, size_t to)
{
	while (from < to && block_at(s, from)->state != BLOCK_WAITS)
		from++;
	return from;
}

static struct block *next_block(struct spool *s, const struct spool_want *want)
{
	if (s->n_taken == SPOOL_TAKERS_MAX)
		return NULL;
	size_t live = live_from(s, want->live_ms);
	size_t i = pick(s, first_waiting(s, live, s->n), s->n, false);
	bool backlog = i == NO_BLOCK;

	if (backlog && want->backlog_too)
		i = pick(s, first_waiting(s, 0, live), live, true);
	if (i == NO_BLOCK)
		return NULL;
	block_at(s, i)->taken_as_backlog = backlog;
	return block_at(s, i);
}

static int copy_memory(const struct block *b, struct buf *payload)
{
	buf_clear(payload);
	buf_put(payload, b->memory, b->r.payload_bytes);
	return payload->err;
}

/* Nobody sends the block any more. */
static struct block *untake(struct spool *s, uint64_t seq)
{
	struct block *b = find_block(s, seq);

	assert(b);
	for (size_t i = 0; i < s->n_taken; i++) {
		if (s->taken[i] == seq) {
			s->taken[i] = s->taken[--s->n_taken];
			return b;
		}
	}
	assert(!"taken");
	return b;
}

/* @why: of a block that was not dropped meanwhile. */
static void untake_and_drop(struct spool *s, uint64_t seq, enum drop_reason why)
{
	struct block *b = untake(s, seq);

	if (b->state == BLOCK_DROPPED_WHILE_TAKEN)
		why = DROP_QUEUE_FULL;
	b->state = BLOCK_WAITS;
	drop(s, b, why);
	pop_settled(s);
}

/* What is gone from the disk, or is not what was written, will never arrive. */
static void drop_unreadable(struct spool *s, const struct block *b, int why)
{
	if (why != -ENOENT) /* else: dropped to make room, this very moment */
		log_error("queue: a block cannot be read back, its samples are lost",
		          STRV("folder", s->dir), U64("samples", b->r.n_samples),
		          STRV("why", strerror(-why)));
	lock(s);
	untake_and_drop(s, b->seq, DROP_DAMAGED);
	unlock(s);
}

/* 0 with a copy of the block that is now taken, and its payload if that was in memory. */
static int take_next(struct spool *s, const struct spool_want *want, struct block *ret,
                     struct buf *payload)
{
	int r = -EAGAIN;

	lock(s);
	struct block *b = next_block(s, want);

	if (b)
		r = b->memory ? copy_memory(b, payload) : 0;
	if (r == 0) {
		b->state = BLOCK_TAKEN;
		s->taken[s->n_taken++] = b->seq;
		*ret = *b;
	}
	unlock(s);
	return r;
}

int spool_take(struct spool *s, const struct spool_want *want, struct spool_item *ret,
               struct buf *payload)
{
	struct block b;
	int r;

	while ((r = take_next(s, want, &b, payload)) == 0) {
		if (!b.memory)
			r = spool_read(s, &b, payload);
		if (r == 0) {
			*ret = (struct spool_item){ b.seq, b.r.n_samples, b.taken_as_backlog };
			return 0;
		}
		if (r == -ENOMEM || r == -EMFILE || r == -ENFILE) {
			spool_return(s, &(struct spool_item){ .seq = b.seq });
			return -ENOMEM;
		}
		drop_unreadable(s, &b, r);
	}
	return r;
}

void spool_settle(struct spool *s, const struct spool_item *item)
{
	lock(s);
	forget(s, untake(s, item->seq));
	pop_settled(s);
	changed(s);
	unlock(s);
}

void spool_return(struct spool *s, const struct spool_item *item)
{
	lock(s);
	struct block *b = find_block(s, item->seq);

	if (b && b->state == BLOCK_DROPPED_WHILE_TAKEN)
		untake_and_drop(s, item->seq, DROP_QUEUE_FULL);
	else
		untake(s, item->seq)->state = BLOCK_WAITS;
	changed(s);
	unlock(s);
}

uint64_t spool_wait(struct spool *s, uint64_t seen, uint64_t until_mono_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_mono_ns / 1000000000),
		                        .tv_nsec = (long)(until_mono_ns % 1000000000) };
	int r = 0;

	lock(s);
	while (s->n_changes == seen && r == 0)
		r = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	uint64_t now = s->n_changes;

	unlock(s);
	return now;
}

void spool_wake(struct spool *s)
{
	lock(s);
	changed(s);
	unlock(s);
}

void spool_stats(struct spool *s, struct spool_stats *ret)
{
	struct spool_gauges *g = &s->gauges;
	int64_t born_ms = atomic_load(&g->oldest_born_ms);

	*ret = (struct spool_stats){
		.n_blocks = atomic_load(&g->n_blocks),
		.n_samples = atomic_load(&g->n_samples),
		.file_bytes = atomic_load(&g->file_bytes),
		.memory_bytes = atomic_load(&g->memory_bytes),
		.oldest_ms = born_ms == INT64_MAX ? 0 : mono_ms() - born_ms,
		.disk_works = atomic_load(&g->disk_works),
	};
}

/* ---- life ----------------------------------------------------------------------------------- */

static void init_lock(struct spool *s)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&s->lock, NULL);
}

static void spool_free(struct spool *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(block_at(s, i)->memory);
	spool_close_segment(s);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->blocks);
	free(s->segments);
	free(s);
}

DEFINE_CLEANUP(struct spool *, spool_free);

/* Ages ascend with the order, whatever the wall clock did when the blocks were written. */
static void settle_ages(struct spool *s)
{
	if (s->n == 0)
		return;
	for (size_t i = s->n - 1; i-- > 0;)
		block_at(s, i)->born_ms = MIN(block_at(s, i)->born_ms, block_at(s, i + 1)->born_ms);
	log_info("queue: samples of an earlier run wait", STRV("folder", s->dir),
	         U64("samples", s->n_samples), U64("blocks", s->n));
}

int spool_open(struct spool **ret, const char *dir, const struct spool_limits *limits,
               struct drops *drops, struct err *e)
{
	_cleanup_(spool_freep) struct spool *s = mem_zalloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	init_lock(s);
	s->fd = -1;
	s->limits = s->next_limits = *limits;
	s->drops = drops;
	s->opened_ms = mono_ms();
	s->has_dir = s->disk_works = dir != NULL;
	if (dir && snprintf(s->dir, sizeof(s->dir), "%s", dir) >= 480)
		return err_set(e, -ENAMETOOLONG, "queue: the folder's path is too long");
	if (dir)
		r = spool_recover(s, e);
	if (r < 0)
		return r;
	settle_ages(s);
	atomic_store(&s->gauges.disk_works, s->disk_works);
	publish(s);
	*ret = TAKE_PTR(s);
	return 0;
}

void spool_set_limits(struct spool *s, const struct spool_limits *limits)
{
	lock(s);
	s->next_limits = *limits;
	unlock(s);
}

static void drop_memory(struct spool *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (block_at(s, i)->memory && block_at(s, i)->state == BLOCK_WAITS)
			drop(s, block_at(s, i), DROP_STOPPED);
	}
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	s->retry_ns = 0;
	flush_memory(s);
	drop_memory(s);
	spool_close_segment(s);
	end_segment(s);
	spool_free(s);
}
