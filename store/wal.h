/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The write-ahead log: numbered segments in wal/, each a header and CRC-checked frames
 * (docs/format/wal.md).
 *
 * Commit   Many threads hand in frames at once. The first of them becomes the leader: it writes
 *          what
 *          has gathered and syncs once for all, while the next group gathers.
 * Order    A frame is built by a callback under the log's lock, at its place in the log: what it
 *          registers is therefore before everything that refers to it.
 * Failure  After a failed write or sync nobody knows what is on disk. The group gets the error, the
 *          segment is closed for good, and the next frame begins a new one. (Asking the kernel
 *          to sync the same pages again would report success without writing them.)
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"

#define WAL_SEGMENT_BYTES   ((uint64_t)64 << 20)
#define WAL_FRAME_BYTES_MAX ((size_t)256 << 20)

struct wal;

struct wal_conf {
	const char *dir;
	enum store_wal_sync sync;
	int64_t interval_ms;
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes);
	void *progress_ctx;
};

struct wal_stats {
	uint64_t bytes, segments, syncs, errors;
	uint64_t replayed_frames, bad_frames, cut_bytes, replay_ms;
};

/* Calls for each intact frame, in order; segment numbers grow. @max_ts_ms is raised to the newest
 * sample's time. -EBADMSG counts the frame as damaged; another negative result ends the replay. */
typedef int (*wal_frame_f)(void *ctx, uint64_t segment, struct str payload, int64_t *max_ts_ms);

/* Replays what is there through @fn, then is ready to append. */
int wal_open(struct wal **ret, const struct wal_conf *conf, wal_frame_f fn, void *ctx,
             struct err *e);
void wal_close(struct wal *w); /* syncs; NULL is fine */

/*
 * Appends one frame and waits until it is as durable as configured. @build writes the payload;
 * it is
 * told the segment that the frame will be in. Returns 0, -EIO, -ENOSPC (disk), -ENOMEM.
 */
typedef void (*wal_build_f)(void *ctx, uint64_t segment, struct buf *out);
int wal_append(struct wal *w, wal_build_f build, void *ctx, int64_t max_ts_ms);

/* Deletes whole segments whose newest sample is older than @before_ms. */
int wal_drop_before(struct wal *w, int64_t before_ms);

void wal_stats(struct wal *w, struct wal_stats *ret);
