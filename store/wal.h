/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The write-ahead log: numbered segments in wal/, each a header and CRC-checked frames
 * (docs/format/wal.md).
 *
 * Commit   Many threads hand in frames at once. The first of them becomes the leader: it writes
 *          what has gathered and syncs once for all, while the next group gathers.
 * Order    A frame is built by a callback under the log's lock, at its place in the log: what it
 *          registers is therefore before everything that refers to it.
 * Chain    What is registered holds for the segments of one chain. A flush begins a new one, so the
 *          segments before it are needed no longer once the flush is done.
 * Failure  After a failed write or sync nobody knows what is on disk. The group gets the error, the
 *          segment and its chain are closed for good, and the next frame begins new ones. (Asking
 *          the kernel to sync the same pages again would report success without writing them.)
 */

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "store/wal_frame.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"

#define WAL_SEGMENT_BYTES   ((uint64_t)64 << 20)
#define WAL_FRAME_BYTES_MAX ((size_t)256 << 20)

struct wal;

struct wal_conf {
	const char *dir;
	enum store_wal_sync sync;
	int64_t interval_ms; /* for STORE_SYNC_INTERVAL; 0 = never by itself */
	uint64_t first;      /* segments before this one are removed, not replayed */
	uint64_t epoch;      /* least one of new segments */
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes);
	void *progress_ctx;
};

struct wal_stats {
	uint64_t bytes, segments, syncs, errors, written_bytes;
	uint64_t replayed_frames, replayed_bytes, bad_frames, cut_bytes, replay_ms;
};

/*
 * Called for each intact frame, in order. -EBADMSG counts the frame as damaged; another negative
 * result ends the replay.
 */
typedef int (*wal_frame_f)(void *ctx, const struct wal_header *segment, struct str payload);

/* Replays what is there through @fn, then is ready to append. */
int wal_open(struct wal **ret, const struct wal_conf *conf, wal_frame_f fn, void *ctx,
             struct err *e);
void wal_close(struct wal *w); /* syncs; NULL is fine */

/*
 * Appends one frame and waits until it is as durable as configured. @build writes the payload; it
 * is told the chain that the frame will be in. Returns 0, -EIO, -ENOSPC (disk), -ENOMEM.
 */
typedef void (*wal_build_f)(void *ctx, uint32_t chain, struct buf *out);
int wal_append(struct wal *w, wal_build_f build, void *ctx);

/*
 * The next frame begins a segment and a chain, of this epoch. Nobody appends meanwhile. Returns the
 * number of that segment: those before it belong to earlier epochs.
 */
uint64_t wal_turn(struct wal *w, uint64_t epoch);
/* Removes segments before @number. What cannot be removed is tried again at the next start. */
int wal_remove_before(struct wal *w, uint64_t number);

void wal_stats(struct wal *w, struct wal_stats *ret);
uint64_t wal_bytes(struct wal *w);
