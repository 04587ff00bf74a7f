/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Stale marks: a series that was in the tick before and is not in this one has ended, and saying so
 * at once keeps graphs from drawing its last value for five minutes more (Prometheus does the same
 * for a vanished target).
 *
 * It is general on purpose: it compares series, not VMs, so a VM that is gone, a disk that was
 * unplugged and a source that failed all end their series by the same few lines.
 *
 * Threads  The collector thread.
 */

#include <stddef.h>
#include <stdint.h>

struct batch;

/*
 * stale_mark_ended() - adds to @now a stale mark, stamped @ts_ms, for every series of @before that
 * @now lacks. Stale marks of @before are not repeated; @before may be NULL (the first tick).
 *
 * Returns how many were added, or -ENOMEM; marks that do not fit the batch are counted there as
 * refused. Cost: O(samples of both), one table of 8 bytes x 2 x samples of @now.
 */
int64_t stale_mark_ended(struct batch *now, const struct batch *before, int64_t ts_ms);

/*
 * stale_mark_vm() - the same at once for a VM that ended between two ticks; not for what @now has
 * of it, its last samples.
 *
 * The next tick marks its series once more, which says nothing new and does no harm.
 */
int64_t stale_mark_vm(struct batch *now, const struct batch *before, uint64_t vm_id, int64_t ts_ms);
