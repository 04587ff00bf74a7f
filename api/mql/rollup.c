/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/rollup.h"

#include <math.h>
#include <stdlib.h>

#include "api/mql/fn.h"
#include "userspace/base/util.h"

#define INTERVALS_MAX 20u /* the newest ones that the scrape interval is guessed from */

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double quantile_sorted(double phi, const double *sorted, uint32_t n)
{
	if (n == 0 || isnan(phi))
		return NAN;
	if (phi < 0)
		return -INFINITY;
	if (phi > 1)
		return INFINITY;
	double rank = phi * (n - 1), low = floor(rank), weight = rank - low;
	uint32_t i = (uint32_t)low, next = MIN(i + 1, n - 1);

	return sorted[i] * (1 - weight) + sorted[next] * weight;
}

double quantile_inplace(double phi, double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), double_cmp);
	return quantile_sorted(phi, v, n);
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

static uint32_t drop_stale_marks(double *values, int64_t *ts_ms, uint32_t n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (is_stale_mark(values[i]))
			continue;
		values[kept] = values[i];
		ts_ms[kept++] = ts_ms[i];
	}
	return kept;
}

/*
 * Makes a counter rise for ever. A drop of less than 1/8 is a partial reset (one of several
 * replicas lags), a larger one a restart from zero. With @gap_ms set, a longer silence forgets the
 * correction, since whatever comes after it counts as a new series.
 */
static void remove_resets(double *values, const int64_t *ts_ms, uint32_t n, int64_t gap_ms)
{
	double correction = 0, prev = n > 0 ? values[0] : 0;

	for (uint32_t i = 0; i < n; i++) {
		double v = values[i], d = v - prev;

		if (d < 0)
			correction += -d * 8 < prev ? -d : prev;
		if (i > 0 && gap_ms > 0 && ts_ms[i] - ts_ms[i - 1] > gap_ms) {
			correction = 0;
			prev = v;
			continue;
		}
		prev = v;
		values[i] = v + correction;
		if (i > 0 && values[i] < values[i - 1]) /* float error */
			values[i] = values[i - 1];
	}
}

/* Index of the first sample after @t_ms, not before @from. Windows move slowly: look near first. */
static uint32_t first_after(const int64_t *ts_ms, uint32_t n, uint32_t from, int64_t t_ms)
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

static double real_prev(const struct rollup_conf *c, const struct rollup_window *w,
                        const double *values, const int64_t *ts_ms, uint32_t i)
{
	int64_t from_ms = w->n > 0 ? w->ts_ms[0] : w->now_ms - w->window_ms;

	if (i == 0 || (c->lookback_ms > 0 && from_ms - ts_ms[i - 1] >= c->lookback_ms))
		return NAN;
	return values[i - 1];
}

uint32_t rollup_samples(const struct rollup_conf *c, double *values, int64_t *ts_ms, uint32_t n)
{
	if (!(c->flags & FN_STALE_MARKS))
		n = drop_stale_marks(values, ts_ms, n);
	if (c->flags & FN_COUNTER)
		remove_resets(values, ts_ms, n,
		              c->lookback_ms > 0 ? c->lookback_ms + c->window_ms : 0);
	return n;
}

struct rollup_cursor rollup_walk(const struct rollup_conf *c, double *values, int64_t *ts_ms,
                                 uint32_t n, double *scratch)
{
	struct rollup_cursor cur = { .conf = c, .values = values, .ts_ms = ts_ms, .n = n };

	cur.max_prev_ms = max_prev_interval(c, ts_ms, n);
	cur.w.window_ms = effective_window(c, cur.max_prev_ms);
	cur.w.scratch = scratch;
	return cur;
}

const struct rollup_window *rollup_window_at(struct rollup_cursor *cur, uint32_t k)
{
	const struct rollup_conf *c = cur->conf;
	struct rollup_window *w = &cur->w;
	uint32_t i, n = cur->n;

	w->now_ms = grid_ts(&c->grid, k);
	int64_t start_ms = w->now_ms - w->window_ms;

	cur->first = i = first_after(cur->ts_ms, n, cur->first, start_ms);
	cur->end = first_after(cur->ts_ms, n, MAX(i, cur->end), w->now_ms);
	w->values = cur->values + i;
	w->ts_ms = cur->ts_ms + i;
	w->n = cur->end - i;
	w->prev_value = NAN;
	w->prev_ts_ms = start_ms - cur->max_prev_ms;
	if (i > 0 && i < n && cur->ts_ms[i - 1] > w->prev_ts_ms) {
		w->prev_value = cur->values[i - 1];
		w->prev_ts_ms = cur->ts_ms[i - 1];
	}
	w->real_prev_value = real_prev(c, w, cur->values, cur->ts_ms, i);
	w->real_next_value = cur->end < n ? cur->values[cur->end] : NAN;
	for (uint32_t a = 0; a < ROLLUP_ARGS_MAX; a++)
		w->args[a] = c->args[a] ? c->args[a][k] : NAN;
	return w;
}

void rollup_run(const struct rollup_conf *c, double *values, int64_t *ts_ms, uint32_t n,
                double *scratch, double *dst)
{
	struct rollup_cursor cur;

	n = rollup_samples(c, values, ts_ms, n);
	cur = rollup_walk(c, values, ts_ms, n, scratch);
	for (uint32_t k = 0; k < c->grid.n; k++)
		dst[k] = c->fn->impl.rollup(rollup_window_at(&cur, k));
}
