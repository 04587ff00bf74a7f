/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Private to spool*.c: the index in memory (spool.c) and the files (spool_disk.c).
 *
 *	blocks     one entry for each block that is not settled, by ascending seq; settled ones
 *	           at the front are popped, those between stay until they get there
 *	segments   one entry for each file, by ascending number
 *
 * The appender alone owns @fd and what belongs to it; everything else is under @lock. Files are
 * opened for each read and each mark: a few a minute, and no limit of descriptors to hit.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "userspace/base/buf.h"
#include "userspace/host/delivery/spool.h"
#include "userspace/host/delivery/spool_format.h"

#define SPOOL_PATH_CAP 512

enum block_state {
	BLOCK_WAITS,
	BLOCK_TAKEN,
	BLOCK_DROPPED_WHILE_TAKEN,
	BLOCK_SETTLED
};

struct block {
	uint64_t seq; /* in order of appending; of this run alone */
	struct spool_record r;
	int64_t born_ms;  /* monotonic, ascending; estimated for what was found on disk */
	uint64_t segment; /* number; 0: in memory */
	char *memory;     /* payload, when in memory */
	uint64_t at;      /* of its header, in the file */
	enum block_state state;
	bool found; /* on disk, by spool_open() */
	bool taken_as_backlog;
};

struct segment {
	uint64_t number, bytes;
	uint32_t n_waiting; /* blocks that are not settled */
};

struct spool_gauges {
	_Atomic uint64_t n_blocks, n_samples, file_bytes, memory_bytes;
	_Atomic int64_t oldest_born_ms; /* monotonic; INT64_MAX: none waits */
	_Atomic bool disk_works;
};

struct spool {
	char dir[SPOOL_PATH_CAP];
	bool has_dir;
	struct drops *drops;
	int64_t opened_ms; /* monotonic */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t n_changes;
	struct block *blocks; /* blocks[first .. first + n) */
	size_t first, n, blocks_cap;
	struct segment *segments;
	size_t n_segments, segments_cap;
	uint64_t file_bytes, memory_bytes, n_samples, n_waiting;
	uint64_t active; /* number of the segment that is being written, which stays; 0 = none */
	uint64_t taken[SPOOL_TAKERS_MAX]; /* seq of the blocks that are under way */
	size_t n_taken;
	struct spool_limits next_limits; /* set by anybody, taken over by the appender */
	struct spool_gauges gauges; /* copies of some of this, for readers that must not wait */

	/* The appender's. */
	struct spool_limits limits;
	uint64_t last_seq, last_number;
	int fd; /* of the newest segment; -1: the next block begins one */
	uint64_t fd_bytes;
	bool dirty, new_file; /* not yet synced: bytes, a name */
	bool disk_works;
	uint64_t retry_ns; /* when to try the disk again */
	int disk_error;    /* that of the last try */
};

/* ---- spool.c, under the lock */
/* The last in the order; counts its samples, too. */
int spool_add_block(struct spool *s, const struct block *b);
struct segment *spool_add_segment(struct spool *s, uint64_t number, uint64_t bytes);

/* ---- spool_disk.c */
/* Fills blocks and segments from the folder, before any other thread. */
int spool_recover(struct spool *s, struct err *e);
/* By the appender: bytes behind the newest segment; sets segment and place of @b, and no more. */
int spool_write(struct spool *s, struct block *b, struct str payload);
void spool_close_segment(struct spool *s); /* the next write begins another */
bool spool_segment_is_full(const struct spool *s);
int spool_sync(struct spool *s);
/* The payload of @b, checked. -EBADMSG: it is not what was written; other errors of the disk. */
int spool_read(const struct spool *s, const struct block *b, struct buf *payload);
void spool_mark(const struct spool *s, const struct block *b);
void spool_unlink(const struct spool *s, uint64_t number);
