/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Timestamps of collections. A collection that begins nearly when it should gets the nominal time:
 * equal steps compress to nothing, and all hosts agree. And no time is given twice: a second sample
 * of a series at the same millisecond would be lost, and that is what would happen after the wall
 * clock was set back, or when a first collection falls on the very moment of the next.
 *
 * Threads  One owner.
 */

#include <stddef.h>
#include <stdint.h>

#define STAMPS_REMEMBERED 4096u /* 17 hours of 15 s: a clock set back by more may repeat itself */

struct stamper {
	int64_t given[STAMPS_REMEMBERED]; /* a ring */
	size_t n;                         /* given so far */
};

/* The time of a collection that begins at @now_ms, of a row that is @interval_ms apart. */
int64_t stamp_next(struct stamper *s, int64_t now_ms, int64_t interval_ms);
