/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/rollup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/fn.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

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

void rollup_room_done(struct rollup_room *room)
{
	free(room->values);
	free(room->scratch);
	free(room->ts_ms);
	windows_done(&room->windows);
	*room = (struct rollup_room){ 0 };
}

/* --- samples -------------------------------------------------------------------------------- */

/* Without a branch for each value, so that the compiler can look at several at once. */
static bool any_nan(const double *v, uint32_t n)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < n; i++)
		found |= (uint64_t)(v[i] != v[i]);
	return found != 0;
}

/* Does it fall anywhere, or hold a NaN? */
static bool any_fall(const double *v, uint32_t n)
{
	uint64_t found = n > 0 && isnan(v[0]);

	for (uint32_t i = 1; i < n; i++)
		found |= (uint64_t) !(v[i] >= v[i - 1]);
	return found != 0;
}

/* Must the values change before they are rolled up? */
static bool is_rough(const struct rollup_conf *c, const double *values, uint32_t n)
{
	if (c->flags & FN_COUNTER)
		return any_fall(values, n);
	return !(c->flags & FN_STALE_MARKS) && any_nan(values, n);
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

/* The columns get copies in the room, which may be changed. */
static int make_own(struct rollup_room *room, struct rollup_series *s)
{
	if (MEM_GROW(room->values, room->values_cap, MAX(s->n, 1u)) < 0 ||
	    MEM_GROW(room->ts_ms, room->ts_cap, MAX(s->n, 1u)) < 0)
		return -ENOMEM;
	if (s->n > 0) {
		memcpy(room->values, s->values, s->n * sizeof(*s->values));
		memcpy(room->ts_ms, s->ts_ms, s->n * sizeof(*s->ts_ms));
	}
	s->values = room->values;
	s->ts_ms = room->ts_ms;
	return 0;
}

static void smooth(struct rollup_room *room, const struct rollup_conf *c, struct rollup_series *s)
{
	if (!(c->flags & FN_STALE_MARKS))
		s->n = drop_stale_marks(room->values, room->ts_ms, s->n);
	if (c->flags & FN_COUNTER)
		remove_resets(room->values, room->ts_ms, s->n,
		              c->lookback_ms > 0 ? c->lookback_ms + c->window_ms : 0);
}

int rollup_prepare(struct rollup_room *room, const struct rollup_conf *c, const double *values,
                   const int64_t *ts_ms, uint32_t n, rollup_prepare_f prepare,
                   struct rollup_series *ret)
{
	struct rollup_series s = { c, &room->windows, values, ts_ms, n, NULL };
	bool rough = is_rough(c, values, n);

	if (MEM_GROW(room->scratch, room->scratch_cap, MAX(n, 1u)) < 0 ||
	    ((rough || prepare) && make_own(room, &s) < 0))
		return -ENOMEM;
	s.scratch = room->scratch;
	if (rough)
		smooth(room, c, &s);
	if (prepare && s.n > 0)
		prepare(room->values, room->ts_ms, s.n);
	*ret = s;
	return windows_find(&room->windows, c, s.ts_ms, s.n);
}

/* --- windows -------------------------------------------------------------------------------- */

static double real_prev(const struct rollup_conf *c, const struct rollup_window *w,
                        const struct rollup_series *s, uint32_t first)
{
	int64_t from_ms = w->n > 0 ? w->ts_ms[0] : w->now_ms - w->window_ms;

	if (first == 0 || (c->lookback_ms > 0 && from_ms - s->ts_ms[first - 1] >= c->lookback_ms))
		return NAN;
	return s->values[first - 1];
}

void rollup_window_at(const struct rollup_series *s, uint32_t k, struct rollup_window *ret)
{
	const struct rollup_conf *c = s->conf;
	const struct windows *all = s->windows;
	uint32_t first = all->first[k], end = all->end[k];
	bool has_prev = all->from[k] < first;
	int64_t now_ms = grid_ts(&c->grid, k);

	*ret = (struct rollup_window){
		.values = s->values + first,
		.ts_ms = s->ts_ms + first,
		.n = end - first,
		.prev_value = has_prev ? s->values[first - 1] : (double)NAN,
		.prev_ts_ms =
			has_prev ? s->ts_ms[first - 1] : now_ms - all->window_ms - all->max_prev_ms,
		.real_next_value = end < s->n ? s->values[end] : (double)NAN,
		.now_ms = now_ms,
		.window_ms = all->window_ms,
		.scratch = s->scratch,
	};
	ret->real_prev_value = real_prev(c, ret, s, first);
	for (uint32_t a = 0; a < ROLLUP_ARGS_MAX; a++)
		ret->args[a] = c->args[a] ? c->args[a][k] : NAN;
}

void rollup_run(const struct rollup_series *s, double *dst)
{
	const struct fn *fn = s->conf->fn;
	struct rollup_window w;

	if (fn->kernel) {
		fn->kernel(s, dst);
		return;
	}
	for (uint32_t k = 0; k < s->conf->grid.n; k++) {
		rollup_window_at(s, k, &w);
		dst[k] = fn->impl.rollup(&w);
	}
}
