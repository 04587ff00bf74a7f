/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How time is cut for blocks. A block's samples are in one window of its level; merging turns the
 * blocks of a window into one, level by level:
 *
 *	level 0  a flush; 2 h      1  2 h      2  1 d      3  31 d, or a tenth of the retention
 *
 * So a sample is written by the log, a flush, and three merges. Windows are multiples of their
 * length since the epoch. Samples that are old when they come are flushed into windows of the
 * last level.
 */

#include <stdint.h>

#define WINDOW_LEVELS 4u

struct windows {
	int64_t length_ms[WINDOW_LEVELS];
	int64_t slice_ms[WINDOW_LEVELS]; /* of the columns of such a block */
};

struct windows windows_for(int64_t retention_ms);

/* The begin of the window that @t is in. */
int64_t window_begin(int64_t t, int64_t length_ms);
