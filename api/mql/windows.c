/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/windows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/mql/fn.h"
#include "api/mql/rollup.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define INTERVALS_MAX 20u /* the newest ones that the scrape interval is guessed from */

void windows_done(struct windows *w)
{
	free(w->first);
	free(w->end);
	free(w->from);
	free(w->ts_ms);
	free(w->spans_room);
	*w = (struct windows){ 0 };
}

/* The distance between samples that most of the newest intervals do not exceed. */
static int64_t scrape_interval(const int64_t *ts_ms, uint32_t n, int64_t fallback_ms)
{
	double intervals[INTERVALS_MAX];
	uint32_t m = 0;

	if (n < 2)
		return fallback_ms;
	for (uint32_t i = n - 1; i > 0 && m < INTERVALS_MAX; i--)
		intervals[m++] = (double)(ts_ms[i] - ts_ms[i - 1]);
	int64_t interval_ms = (int64_t)quantile_inplace(0.6, intervals, m);

	return interval_ms > 0 ? interval_ms : fallback_ms;
}

/* The shorter the interval, the larger the jitter that must not make a gap. */
static int64_t with_jitter(int64_t interval_ms)
{
	if (interval_ms <= 2000)
		return interval_ms * 5;
	if (interval_ms <= 4000)
		return interval_ms * 3;
	if (interval_ms <= 8000)
		return interval_ms * 2;
	if (interval_ms <= 16000)
		return interval_ms + interval_ms / 2;
	if (interval_ms <= 32000)
		return interval_ms + interval_ms / 4;
	return interval_ms + interval_ms / 8;
}

static int64_t max_prev_interval(const struct rollup_conf *c, const int64_t *ts_ms, uint32_t n)
{
	int64_t ms = c->grid.step_ms;

	if (c->grid.start_ms < c->grid.end_ms)
		ms = with_jitter(scrape_interval(ts_ms, n, c->grid.step_ms));
	return c->lookback_ms > 0 ? MIN(ms, c->lookback_ms) : ms;
}

static int64_t effective_window(const struct rollup_conf *c, int64_t max_prev_ms)
{
	int64_t ms = c->grid.step_ms;

	if (c->window_ms > 0)
		return c->window_ms;
	if ((c->flags & FN_WIDEN) && ms < max_prev_ms)
		ms = max_prev_ms;
	if ((c->flags & FN_LOOKBACK) && c->lookback_ms > 0)
		ms = MIN(ms, c->lookback_ms);
	return ms;
}

static int reserve(struct windows *w, uint32_t n_points, uint32_t n)
{
	uint32_t cap = MAX(n_points, 1u);

	if (n_points > w->points_cap) {
		free(w->first);
		free(w->end);
		free(w->from);
		free(w->spans_room);
		w->first = mem_alloc(cap * sizeof(*w->first));
		w->end = mem_alloc(cap * sizeof(*w->end));
		w->from = mem_alloc(cap * sizeof(*w->from));
		w->spans_room = mem_alloc(cap * sizeof(*w->spans_room));
		w->points_cap = w->first && w->end && w->from && w->spans_room ? cap : 0;
		if (w->points_cap == 0)
			return -ENOMEM;
	}
	return MEM_GROW(w->ts_ms, w->ts_cap, MAX(n, 1u));
}

/*
 * The grid and the column both ascend, so both ends of the window only move on. In a column that is
 * much longer than the grid they jump: then strides double until they have passed the time.
 */
static uint32_t move_past(const int64_t *ts_ms, uint32_t n, uint32_t from, int64_t t_ms)
{
	uint32_t lo = from, hi, stride = 1;

	while (lo < n && ts_ms[lo] <= t_ms && lo + stride < n && ts_ms[lo + stride] <= t_ms) {
		lo += stride;
		stride *= 2;
	}
	hi = MIN(n, lo + stride);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ts_ms[mid] <= t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void work_out(struct windows *w, const struct rollup_conf *c, const int64_t *ts_ms,
                     uint32_t n)
{
	uint32_t first = 0, end = 0;

	for (uint32_t k = 0; k < c->grid.n; k++) {
		int64_t now_ms = grid_ts(&c->grid, k), start_ms = now_ms - w->window_ms;

		first = move_past(ts_ms, n, first, start_ms);
		end = move_past(ts_ms, n, MAX(first, end), now_ms);
		w->first[k] = first;
		w->end[k] = end;
		w->from[k] = first > 0 && first < n && ts_ms[first - 1] > start_ms - w->max_prev_ms
		                     ? first - 1
		                     : first;
	}
}

int windows_find(struct windows *w, const struct rollup_conf *c, const int64_t *ts_ms, uint32_t n)
{
	if (w->conf_id == c->id && w->n == n && w->points_cap > 0 &&
	    memcmp(w->ts_ms, ts_ms, n * sizeof(*ts_ms)) == 0)
		return 0;
	w->n = UINT32_MAX; /* of no column, until all is done */
	if (reserve(w, c->grid.n, n) < 0)
		return -ENOMEM;
	if (n > 0)
		memcpy(w->ts_ms, ts_ms, n * sizeof(*ts_ms));
	w->max_prev_ms = max_prev_interval(c, ts_ms, n);
	w->window_ms = effective_window(c, w->max_prev_ms);
	w->spans_s = NULL;
	work_out(w, c, ts_ms, n);
	w->conf_id = c->id;
	w->n = n;
	return 0;
}

const double *windows_spans(struct windows *w, const int64_t *ts_ms, uint32_t n_points)
{
	if (w->spans_s)
		return w->spans_s;
	for (uint32_t k = 0; k < n_points; k++) {
		uint32_t from = w->from[k], end = w->end[k];
		double *span = &w->spans_room[k];

		if (end == w->first[k])
			*span = from < end ? 1 : (double)NAN;
		else
			*span = from + 1 < end ? (double)(ts_ms[end - 1] - ts_ms[from]) * 1e-3
			                       : (double)NAN;
	}
	w->spans_s = w->spans_room;
	return w->spans_s;
}
