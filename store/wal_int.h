/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The log itself; private to wal.c and wal_replay.c. */

#include <limits.h>
#include <pthread.h>

#include "store/wal.h"

/* What one leader writes; everybody in it shares its fate. Freed by the last who leaves. */
struct group {
	struct buf bytes;
	bool done;
	int result;
	unsigned n_members;
};

struct segment {
	uint64_t number, bytes;
};

struct wal {
	struct wal_conf conf;
	char dir[PATH_MAX - 32];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct group *gathering; /* frames that wait for a leader */
	struct buf spare;        /* of the group that was written last, to be used again */
	bool writing, closing, dirty;
	int fd; /* of the newest segment; -1 = the next frame begins one */
	uint64_t next_number, epoch;
	uint32_t chain;
	struct segment *segments; /* ascending, the newest last */
	size_t n_segments, segments_cap;
	struct wal_stats stats;
	pthread_t syncer;
	bool has_syncer;
};

void wal_segment_path(const struct wal *w, uint64_t number, char *dst, size_t cap);
int wal_segment_add(struct wal *w, uint64_t number, uint64_t bytes);
int wal_replay(struct wal *w, wal_frame_f fn, void *ctx, struct err *e);
