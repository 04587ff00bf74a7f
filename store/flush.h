/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The samples of past epochs out of the head into new blocks.
 *
 *	turn     an epoch begins, and with it a chain of the log: what came before is flushed
 *	write    series by series, in key order; recent samples into blocks of two hours, old ones
 *	         into blocks of the last level
 *	publish  the blocks are in the manifest, and the log from before the turn is not needed
 *
 * A flush that fails leaves everything as it was but for the turn, and the next one writes the
 * same.
 *
 * Threads  any; one at a time works, others wait. Appends go on, except for the turn.
 */

#include <stdint.h>

struct store;

/* 0, -ENOSPC, -EIO, -ENOMEM. Cheap when there is nothing to flush. */
int flush_run(struct store *s);

/* From now on scans begin behind what is flushed. */
void flush_raise_floor(struct store *s);
/* Drops what is below the floor, when the last scan that may read it has ended. */
void flush_drop(struct store *s);

/*
 * flush_hold() - flushes, and raises the floor: scans that begin behind it read all that there was
 * from blocks. No flush comes until flush_release(). As flush_run(), or -EAGAIN when scans that
 * began before an earlier raise have not ended within @wait_ms.
 */
int flush_hold(struct store *s, uint64_t wait_ms);
void flush_release(struct store *s);
