/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The disk queue of one destination: blocks of samples between the moment they were collected and
 * the moment the destination has them (or will never have them). What was committed survives kill
 * -9 at any instruction, and a power cut.
 *
 * Files    DIR/<16 hex digits>.seg: append-only, checksummed (docs/format/spool.md). A block that
 *          is settled is marked in place; a file whose blocks all are goes away. A mark that a
 *          crash loses makes a block go out twice, never not at all: receivers take the same sample
 *          twice.
 * Lanes    Blocks of one lane hold the same series in the order of time, blocks of different lanes
 *          hold different series. So one block of each lane may be under way at a time. Blocks
 *          that were cut into another number of lanes wait for those before them.
 * Live     A block younger than spool_want.live_ms is live and goes before the backlog; among live
 *          blocks, and within the backlog, the oldest goes first.
 * Limits   bytes_max of files and age_ms_max: beyond them the oldest file or block is dropped, and
 *          its samples are counted: new samples are worth more than old ones.
 * Trouble  While the disk takes nothing (full, read-only, broken), blocks wait in memory, at most
 *          memory_bytes_max, and go to disk when it takes them again.
 *
 * Threads  One appender: spool_append(), spool_commit(). Any number of takers. The rest on any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/drops.h"

struct spool;

#define SPOOL_TAKERS_MAX 32u /* blocks under way at a time */

struct spool_limits {
	uint64_t bytes_max;
	int64_t age_ms_max; /* 0 = any age */
	size_t memory_bytes_max;
	bool sync; /* spool_commit() waits for the disk: a power cut loses nothing */
};

/*
 * Reads what is in @dir, which is created when it is missing; NULL: no files, all in memory. A disk
 * that does not work is no error: it is tried again later, and spool_stats tells.
 * -ENOMEM, or -ENOTSUP with @e for files of a later version.
 */
int spool_open(struct spool **ret, const char *dir, const struct spool_limits *limits,
               struct drops *drops, struct err *e);
/* What waits in memory goes to disk if it can, else it is dropped and counted. NULL is fine. */
void spool_close(struct spool *s);
void spool_set_limits(struct spool *s, const struct spool_limits *limits);

/* Takes a copy of @payload in; what there is no room for is counted. @lane < @lanes <= 8. */
void spool_append(struct spool *s, struct str payload, uint32_t n_samples, uint8_t lane,
                  uint8_t lanes);
/* What was appended before is now as safe as the limits ask for. Drops what is too old. */
void spool_commit(struct spool *s);

struct spool_want {
	int64_t live_ms; /* INT64_MAX: no block is backlog, all go in order */
	bool backlog_too;
};

struct spool_item {
	uint64_t seq;
	uint32_t n_samples;
	bool is_backlog;
};

/*
 * spool_take() - the next block that may go; @payload's content is replaced by it.
 *
 * It stays in the queue until spool_settle(), or until spool_return() says that it was not taken.
 * 0, -EAGAIN when none may go now, -ENOMEM.
 */
int spool_take(struct spool *s, const struct spool_want *want, struct spool_item *ret,
               struct buf *payload);
void spool_settle(struct spool *s, const struct spool_item *item);
void spool_return(struct spool *s, const struct spool_item *item);

/*
 * spool_wait() - until something may be taken that could not before, or @until_mono_ns.
 *
 * @seen is the count of changes that the caller acted on; returns the count of now, 0 to begin
 * with.
 */
uint64_t spool_wait(struct spool *s, uint64_t seen, uint64_t until_mono_ns);
void spool_wake(struct spool *s); /* all that wait */

struct spool_stats {
	uint64_t n_blocks, n_samples; /* not settled */
	uint64_t file_bytes, memory_bytes;
	int64_t oldest_ms; /* age of the oldest block; 0: none waits */
	bool disk_works;
};

/* Waits for nobody, not even for a disk that hangs. */
void spool_stats(struct spool *s, struct spool_stats *ret);
