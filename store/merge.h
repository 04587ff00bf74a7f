/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Blocks into fewer, bigger ones, and what is older than the retention out of them.
 *
 *	expire   blocks of which nothing is within any retention go as they are
 *	merge    what store/merge_plan.h says, one job after the other
 *
 * A merge needs as much free space as the blocks that it reads, and disk_reserve_bytes beside it;
 * without that it is put off. It can be ended at any moment: what it had written is removed, now
 * or at the next start. A block that turns out to be damaged is left as it is, and read with a
 * warning, until its time is over.
 *
 * Threads  any; one at a time works, others wait.
 */

#include <stdbool.h>

struct store;

/*
 * merge_step() - one job. 1 = done, there may be more; 0 = nothing to do, or put off; -ECANCELED
 * when the store is being closed; -EIO, -ENOSPC, -ENOMEM, -EBADMSG. @is_forced: all windows are
 * taken as over.
 */
int merge_step(struct store *s, bool is_forced);
