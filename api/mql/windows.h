/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Where the windows of a grid lie in a column of timestamps. Series of one target have the same
 * column, scrape after scrape, so it is worked out once and kept for the next series that has it.
 *
 * Window    (t - window, t] of point t: samples first .. end - 1, none if they are equal.
 * Previous  from = first - 1 where the sample before the window counts as its start: the column
 *           goes on after the window's start, and the sample is no older than the largest expected
 *           gap ("max previous interval"). Elsewhere from = first.
 */

#include <stdbool.h>
#include <stdint.h>

struct rollup_conf;

struct windows {
	uint32_t *first, *end, *from; /* one for each point */
	int64_t window_ms;            /* what it came to, when the query gives none */
	int64_t max_prev_ms;
	const double *spans_s; /* see windows_spans() */

	/* What it was worked out for. */
	uint64_t conf_id;
	int64_t *ts_ms;
	uint32_t n;

	double *spans_room;
	uint32_t points_cap, ts_cap;
};

void windows_done(struct windows *w);

/*
 * windows_find() - for the @n ascending times of a column. -ENOMEM.
 *
 * Cost: O(n) to see that it is that of the last call, else O(n + points).
 */
int windows_find(struct windows *w, const struct rollup_conf *c, const int64_t *ts_ms, uint32_t n);

/*
 * Seconds from the first to the last sample of each window, the previous one included; NaN where
 * there are no two of them. An empty window with a previous sample has a span of 1 s, from that
 * sample to itself. Worked out at most once for a column.
 */
const double *windows_spans(struct windows *w, const int64_t *ts_ms, uint32_t n_points);
