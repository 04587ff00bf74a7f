/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * /proc/diskstats, one line for each block device (Documentation/admin-guide/iostats.rst):
 *
 *	major minor name, then eleven numbers; newer kernels append discards and flushes, which
 *	are ignored.
 */

#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/str.h"

#define DISKSTATS_FIELDS 11

struct diskstats {
	dev_t dev;
	uint64_t v[DISKSTATS_FIELDS]; /* in the order of the file: reads completed … */
};

typedef int (*diskstats_f)(void *ctx, const struct diskstats *d);

/* A line that is not of this form is skipped; *@ret_bad (may be NULL) counts them. */
int diskstats_parse(struct str text, diskstats_f fn, void *ctx, uint64_t *ret_bad);
