/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Raw samples of one series into one value for each point of a grid.
 *
 * Window      (t - window, t]: the sample exactly at its start is outside.
 * Previous    The last sample before the window, if the fetched data goes on after the window's
 *             start and the sample is not older than the largest expected gap ("max previous
 *             interval"); real_prev is that sample whatever its age.
 * Policy      Reset removal, stale marks and the widening of a missing window follow from the
 *             function's flags and are applied here, never by the function.
 */

#include <stdint.h>

#include "api/mql/series.h"

#define ROLLUP_ARGS_MAX   2u
#define ROLLUP_SILENCE_MS (5 * 60 * 1000ll) /* how far back a previous sample is looked for */

struct rollup_window {
	const double *values; /* no NaN, unless the row has FN_STALE_MARKS */
	const int64_t *ts_ms;
	uint32_t n;
	double prev_value; /* NaN = none; then prev_ts_ms is the oldest time it could have had */
	int64_t prev_ts_ms;
	double real_prev_value, real_next_value; /* NaN = none in the fetched data */
	int64_t now_ms, window_ms;               /* the window's end and width */
	double args[ROLLUP_ARGS_MAX];            /* the scalar arguments at this point */
	double *scratch;                         /* room for n values, to sort them */
};

struct rollup_conf {
	const struct fn *fn;
	uint32_t flags; /* of the row, or of the rows that aggr_over_time() names */
	struct grid grid;
	int64_t window_ms;                   /* 0 = missing */
	int64_t lookback_ms;                 /* max_lookback; 0 = not set */
	const double *args[ROLLUP_ARGS_MAX]; /* one value for each point; NULL = no such argument */
};

/* Walks the windows of one series, in ascending time. */
struct rollup_cursor {
	const struct rollup_conf *conf;
	double *values;
	int64_t *ts_ms;
	uint32_t n, first, end; /* the samples, and the current window in them */
	int64_t max_prev_ms;
	struct rollup_window w;
};

/*
 * rollup_samples() - makes @n samples in ascending time ready: stale marks are dropped and resets
 * removed, in place. Returns how many are left.
 */
uint32_t rollup_samples(const struct rollup_conf *c, double *values, int64_t *ts_ms, uint32_t n);

/* From the start, over ready samples. @scratch: room for @n. */
struct rollup_cursor rollup_walk(const struct rollup_conf *c, double *values, int64_t *ts_ms,
                                 uint32_t n, double *scratch);
/* The window of point @k, not before that of the last call. */
const struct rollup_window *rollup_window_at(struct rollup_cursor *cur, uint32_t k);

/* @dst[0 .. grid.n) from samples in ascending time; @values and @ts_ms are garbage afterwards. */
void rollup_run(const struct rollup_conf *c, double *values, int64_t *ts_ms, uint32_t n,
                double *scratch, double *dst);

/* Linear interpolation between the sorted values; -Inf, +Inf, NaN for phi outside 0..1. */
double quantile_sorted(double phi, const double *sorted, uint32_t n);
/* The same of unsorted values without NaN, which get sorted. */
double quantile_inplace(double phi, double *v, uint32_t n);

/* The straight line through a window's samples by least squares, at the window's end. */
struct rollup_fit {
	double value, slope; /* NaN without samples; slope per second, 0 for a constant */
};
struct rollup_fit rollup_line(const struct rollup_window *w);
