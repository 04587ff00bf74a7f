/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Whether what was read of a guest from outside is what the guest says itself: two texts, one of
 * guest/text.h and one of the guest's own files, both in parts that begin with "== name".
 *
 *	== clock      CLOCK_MONOTONIC of the guest, in nanoseconds, when it read its files
 *	== meminfo    /proc/meminfo, and so on: loadavg, stat, diskstats, net (/proc/net/dev),
 *	              files (/proc/sys/fs/file-nr), vmstat, pressure (/proc/pressure/memory)
 *	== statfs     for each filesystem on a block device: mount point, block size, blocks, free,
 *	              available
 *	== after ...  the same files again, some time later: what differs from the first reading may
 *	              have moved, and is good when it is between the two
 */

#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/str.h"

struct verify_result {
	uint32_t n, n_equal, n_moved; /* fields; moved: not equal, but good */
};

/* Appends a line for every field that is not equal, or that only one has. 0 or -ENOMEM. */
int verify_compare(struct str guests, struct str ours, struct verify_result *ret, struct buf *out);

/* The guest's clock by its text; 0 when it does not say. */
uint64_t verify_clock_ns(struct str guests);
