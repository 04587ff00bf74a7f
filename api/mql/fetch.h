/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Stored series of a selector, in blocks that threads can read on their own. */

#include "api/mql/eval.h"

/* A run of the scan's series, read by one thread at a time. */
struct fetch_block {
	struct store_reader *reader; /* NULL before its first series and behind its last one */
	size_t next, end;
	struct label labels[LABELS_MAX]; /* of the series that came last */
};

struct fetch {
	struct store_scan *scan; /* NULL when it is closed */
	struct fetch_block *blocks;
	size_t n_blocks;
};

/* Finds the series; @ret is closed by fetch_close(), whatever happened. */
int fetch_open(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
               struct fetch *ret);
void fetch_close(struct fetch *f);

/* Before it is closed: takes the store's warnings, and ends @step with what it took. */
struct trace_step;
void fetch_trace(struct eval *ev, const struct fetch *f, struct trace_step *step, size_t n_blocks);

/* At most so many series come. */
size_t fetch_series_max(const struct fetch *f);

/* The next series of block @i, counted against the limits: 0, 1 at the end of the block, < 0. */
int fetch_next(struct eval *ev, struct fetch *f, size_t i, struct store_series *ret);
