/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Raw samples of one series into one value for each point of a grid.
 *
 * Windows     See windows.h. real_prev is the sample before the window whatever its age.
 * Policy      Reset removal, stale marks and the widening of a missing window follow from the
 *             function's flags and are applied here, never by the function.
 * Functions   A row has a function of one window; those that dashboards wait for have, beside it,
 *             one that fills a whole series at once and must give the same bits (fn.h, kernel).
 */

#include <stdint.h>

#include "api/mql/series.h"
#include "api/mql/windows.h"

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
	uint64_t id;    /* of this rollup, among those of one query */
	uint32_t flags; /* of the row, or of the rows that aggr_over_time() names */
	struct grid grid;
	int64_t window_ms;                   /* 0 = missing */
	int64_t lookback_ms;                 /* max_lookback; 0 = not set */
	const double *args[ROLLUP_ARGS_MAX]; /* one value for each point; NULL = no such argument */
};

/* What a thread needs to work on one series after the other. Zeroed at first. */
struct rollup_room {
	double *values, *scratch;
	int64_t *ts_ms;
	uint32_t values_cap, scratch_cap, ts_cap;
	struct windows windows;
};

void rollup_room_done(struct rollup_room *room);

/* One series, ready to be rolled up: stale marks dropped and resets removed. */
struct rollup_series {
	const struct rollup_conf *conf;
	struct windows *windows;
	const double *values;
	const int64_t *ts_ms;
	uint32_t n;
	double *scratch; /* room for n values */
};

/*
 * rollup_prepare() - @n samples in ascending time into *@ret, which is good until the room's next
 * series and borrows the columns if nothing had to change. With @prepare, all values are changed
 * by it first. -ENOMEM.
 */
typedef void (*rollup_prepare_f)(double *values, const int64_t *ts_ms, uint32_t n);
int rollup_prepare(struct rollup_room *room, const struct rollup_conf *c, const double *values,
                   const int64_t *ts_ms, uint32_t n, rollup_prepare_f prepare,
                   struct rollup_series *ret);

/* The window of point @k. */
void rollup_window_at(const struct rollup_series *s, uint32_t k, struct rollup_window *ret);

/* @dst[0 .. grid.n) */
void rollup_run(const struct rollup_series *s, double *dst);

/* Linear interpolation between the sorted values; -Inf, +Inf, NaN for phi outside 0..1. */
double quantile_sorted(double phi, const double *sorted, uint32_t n);
/* The same of unsorted values without NaN, which get sorted. */
double quantile_inplace(double phi, double *v, uint32_t n);

/* The straight line through a window's samples by least squares, at the window's end. */
struct rollup_fit {
	double value, slope; /* NaN without samples; slope per second, 0 for a constant */
};
struct rollup_fit rollup_line(const struct rollup_window *w);
