/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions of a range vector, and what they read: stored samples or the points of a subquery, in
 * windows that are open on the left.
 */
#include "api/mql/prom/prom.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/eval_rollup.h"
#include "api/mql/fetch.h"
#include "api/mql/stats.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define SUBQUERY_STEP_MS (60 * 1000ll) /* of [5m:]; Prometheus' default evaluation interval */

/* --- functions -------------------------------------------------------------------------------- */

/*
 * The growth between the first and the last sample, drawn out to the ends of the window as far as
 * the distance of samples makes it likely that the series was there.
 */
static bool extrapolated(const struct prom_window *w, bool counter, bool per_second, double *ret)
{
	uint32_t last = w->n - 1;
	double growth, to_start, to_end, sampled, step, limit;

	if (w->n < 2)
		return false;
	growth = w->v[last] - w->v[0];
	for (uint32_t i = 1; counter && i < w->n; i++) {
		if (w->v[i] < w->v[i - 1])
			growth += w->v[i - 1];
	}
	to_start = (double)(w->ts_ms[0] - w->start_ms) / 1000;
	to_end = (double)(w->end_ms - w->ts_ms[last]) / 1000;
	sampled = (double)(w->ts_ms[last] - w->ts_ms[0]) / 1000;
	step = sampled / last;
	limit = step * 1.1;
	if (to_start >= limit)
		to_start = step / 2;
	if (counter && growth > 0 && w->v[0] >= 0) /* not to before it was 0 */
		to_start = fmin(to_start, sampled * (w->v[0] / growth));
	if (to_end >= limit)
		to_end = step / 2;
	growth *= (sampled + to_start + to_end) / sampled;
	*ret = per_second ? growth / ((double)(w->end_ms - w->start_ms) / 1000) : growth;
	return true;
}

static bool f_rate(const struct prom_window *w, double *ret)
{
	return extrapolated(w, true, true, ret);
}

static bool f_increase(const struct prom_window *w, double *ret)
{
	return extrapolated(w, true, false, ret);
}

static bool f_delta(const struct prom_window *w, double *ret)
{
	return extrapolated(w, false, false, ret);
}

static bool last_two(const struct prom_window *w, bool counter, double *ret)
{
	uint32_t last = w->n - 1;

	if (w->n < 2)
		return false;
	*ret = counter && w->v[last] < w->v[last - 1] ? w->v[last] : w->v[last] - w->v[last - 1];
	return w->ts_ms[last] > w->ts_ms[last - 1];
}

static bool f_irate(const struct prom_window *w, double *ret)
{
	if (!last_two(w, true, ret))
		return false;
	*ret /= (double)(w->ts_ms[w->n - 1] - w->ts_ms[w->n - 2]) / 1000;
	return true;
}

static bool f_idelta(const struct prom_window *w, double *ret)
{
	return last_two(w, false, ret);
}

static bool f_changes(const struct prom_window *w, double *ret)
{
	*ret = 0;
	for (uint32_t i = 1; i < w->n; i++)
		*ret += w->v[i] != w->v[i - 1] && !(isnan(w->v[i]) && isnan(w->v[i - 1]));
	return true;
}

static bool f_resets(const struct prom_window *w, double *ret)
{
	*ret = 0;
	for (uint32_t i = 1; i < w->n; i++)
		*ret += w->v[i] < w->v[i - 1];
	return true;
}

/* Least squares; the value at @at_ms and the slope per second. */
static void line(const struct prom_window *w, int64_t at_ms, double *ret_slope, double *ret_value)
{
	double n = w->n, x = 0, y = 0, xy = 0, xx = 0;
	bool constant = true;

	for (uint32_t i = 0; i < w->n; i++) {
		double t = (double)(w->ts_ms[i] - at_ms) / 1000, v = w->v[i];

		constant &= v == w->v[0];
		x += t;
		y += v;
		xy += t * v;
		xx += t * t;
	}
	*ret_slope = constant ? 0 : (xy - x * y / n) / (xx - x * x / n);
	*ret_value = constant ? w->v[0] : y / n - *ret_slope * x / n;
	if (constant && isinf(w->v[0]))
		*ret_slope = *ret_value = NAN;
}

static bool f_deriv(const struct prom_window *w, double *ret)
{
	double value;

	if (w->n < 2)
		return false;
	line(w, w->ts_ms[0], ret, &value);
	return true;
}

static bool f_predict_linear(const struct prom_window *w, double *ret)
{
	double slope, value;

	if (w->n < 2)
		return false;
	line(w, w->at_ms, &slope, &value);
	*ret = slope * w->args[0][w->point] + value;
	return true;
}

static bool f_sum(const struct prom_window *w, double *ret)
{
	*ret = prom_sum(w->v, w->n);
	return true;
}

static bool f_avg(const struct prom_window *w, double *ret)
{
	*ret = prom_mean(w->v, w->n);
	return true;
}

static bool f_count(const struct prom_window *w, double *ret)
{
	*ret = w->n;
	return true;
}

static bool f_min(const struct prom_window *w, double *ret)
{
	*ret = w->v[0];
	for (uint32_t i = 1; i < w->n; i++)
		*ret = w->v[i] < *ret || isnan(*ret) ? w->v[i] : *ret;
	return true;
}

static bool f_max(const struct prom_window *w, double *ret)
{
	*ret = w->v[0];
	for (uint32_t i = 1; i < w->n; i++)
		*ret = w->v[i] > *ret || isnan(*ret) ? w->v[i] : *ret;
	return true;
}

static bool f_last(const struct prom_window *w, double *ret)
{
	*ret = w->v[w->n - 1];
	return true;
}

static bool f_present(const struct prom_window *w, double *ret)
{
	(void)w;
	*ret = 1;
	return true;
}

static bool f_stdvar(const struct prom_window *w, double *ret)
{
	prom_variance(w->v, w->n, ret);
	return true;
}

static bool f_stddev(const struct prom_window *w, double *ret)
{
	prom_variance(w->v, w->n, ret);
	*ret = sqrt(*ret);
	return true;
}

static bool f_quantile(const struct prom_window *w, double *ret)
{
	memcpy(w->sorted, w->v, w->n * sizeof(*w->v));
	*ret = prom_quantile(w->args[0][w->point], w->sorted, w->n);
	return true;
}

static bool f_mad(const struct prom_window *w, double *ret)
{
	double median;

	memcpy(w->sorted, w->v, w->n * sizeof(*w->v));
	median = prom_quantile(0.5, w->sorted, w->n);
	for (uint32_t i = 0; i < w->n; i++)
		w->sorted[i] = fabs(w->v[i] - median);
	*ret = prom_quantile(0.5, w->sorted, w->n);
	return true;
}

/* --- windows ---------------------------------------------------------------------------------- */

struct range_job {
	const struct prom_fn *f;
	const struct grid *g;
	const double *const *args;
	int64_t window_ms, offset_ms;
	bool fixed; /* an @: the window is the same at all points */
	int64_t at_ms;
	struct fetch fetch;
};

static int range_times(struct eval *ev, const struct grid *g, const struct ast *a,
                       struct range_job *job)
{
	const struct ast_rollup *ru = &a->rollup;
	const struct ast *at = ru->at;
	int r = eval_duration_ms(ev, a, ru->window, g->step_ms, &job->window_ms);

	if (r == 0)
		r = eval_duration_ms(ev, a, ru->offset, g->step_ms, &job->offset_ms);
	if (r < 0 || !at)
		return r;
	job->fixed = true;
	if (at->kind == AST_NUMBER)
		job->at_ms = (int64_t)(at->number.value * 1000);
	else if (at->kind == AST_CALL && str_eqc(at->call.name, "start") && at->call.n_args == 0)
		job->at_ms = ev->q->start_ms;
	else if (at->kind == AST_CALL && str_eqc(at->call.name, "end") && at->call.n_args == 0)
		job->at_ms = ev->q->end_ms;
	else
		return eval_fail(ev, at, "@ needs a number, start() or end()");
	return 0;
}

/* The end of the window of point @i. */
static int64_t window_end(const struct range_job *job, uint32_t i)
{
	return (job->fixed ? job->at_ms : grid_ts(job->g, i)) - job->offset_ms;
}

/* Room for one series after the other. */
struct range_room {
	double *dst;    /* of a series that turned out to have no value; NULL = none */
	double *sorted; /* see prom_window */
	int64_t *ts_ms; /* without stale marks */
	double *v;
	uint32_t cap;
};

static int room_for(struct eval *ev, const struct grid *g, uint32_t n, struct range_room *room)
{
	if (!room->dst)
		room->dst = prom_values(ev, g);
	if (n > room->cap) {
		room->cap = MAX(n, room->cap * 2);
		room->sorted = values_new(ev->arena, room->cap, 0);
		room->v = values_new(ev->arena, room->cap, 0);
		room->ts_ms = ARENA_ARRAY(ev->arena, int64_t, room->cap);
	}
	return room->dst && (n == 0 || (room->sorted && room->v && room->ts_ms))
	               ? 0
	               : eval_no_memory(ev);
}

static int range_series(struct eval *ev, const struct range_job *job, struct mname mn,
                        const struct prom_samples *in, struct range_room *room,
                        const struct sink *to)
{
	struct prom_window w = { .sorted = room->sorted };
	double *dst = room->dst;
	uint32_t from = 0, end = 0;
	bool any = false;
	int r = 0;

	if (job->args)
		memcpy(w.args, job->args, sizeof(w.args));
	for (uint32_t i = 0; r == 0 && i < job->g->n; i++) {
		w.end_ms = window_end(job, i);
		w.start_ms = w.end_ms - job->window_ms;
		w.at_ms = grid_ts(job->g, i);
		w.point = i;
		while (end < in->n && in->ts_ms[end] <= w.end_ms)
			end++;
		while (from < end && in->ts_ms[from] <= w.start_ms)
			from++;
		w.ts_ms = &in->ts_ms[from];
		w.v = &in->v[from];
		w.n = end - from;
		if (w.n > 0 && job->f->range(&w, &dst[i]))
			any = true;
		else
			dst[i] = prom_absent();
		r = i % 1024 == 1023 ? eval_tick(ev) : 0;
	}
	if (!job->f->keeps_name)
		mn.name = STR_NULL;
	if (r < 0 || !any)
		return r;
	room->dst = NULL; /* the sink has it */
	return sink_take(ev, to, &mn, dst);
}

/* Without the stale marks. */
static uint32_t drop_marks(int64_t *ts_ms, double *v, const struct store_series *in)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->n; i++) {
		if (is_stale_mark(in->values[i]))
			continue;
		ts_ms[n] = in->ts_ms[i];
		v[n++] = in->values[i];
	}
	return n;
}

static int copy_samples(struct eval *ev, const struct store_series *in, struct prom_samples *ret)
{
	ret->ts_ms = ARENA_ARRAY(ev->arena, int64_t, in->n);
	ret->v = values_new(ev->arena, in->n, 0);
	if (!ret->ts_ms || !ret->v || mname_copy(ev->arena, in->labels, in->n_labels, &ret->mn) < 0)
		return eval_no_memory(ev);
	ret->n = drop_marks(ret->ts_ms, ret->v, in);
	return 0;
}

static int range_block(struct eval *ev, void *ctx, size_t i, const struct sink *to)
{
	struct range_job *job = ctx;
	struct range_room room = { 0 };
	struct store_series in;
	int r;

	while ((r = fetch_next(ev, &job->fetch, i, &in)) == 0) {
		struct prom_samples s;
		struct mname mn;

		if (mname_copy(ev->arena, in.labels, in.n_labels, &mn) < 0)
			return eval_no_memory(ev);
		r = room_for(ev, job->g, in.n, &room);
		if (r < 0)
			return r;
		s = (struct prom_samples){ .ts_ms = room.ts_ms, .v = room.v };
		s.n = drop_marks(s.ts_ms, s.v, &in);
		r = s.n > 0 ? range_series(ev, job, mn, &s, &room, to) : 0;
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int range_selector(struct eval *ev, struct range_job *job, const struct ast *selector,
                          struct series_set *ret)
{
	const struct sink to = { .set = ret };
	int64_t first = window_end(job, 0), last = window_end(job, job->g->n - 1);
	int r = fetch_open(ev, selector, first - job->window_ms + 1, last, &job->fetch);

	if (r == 0)
		r = blocks_run(ev, job->fetch.n_blocks, range_block, job, &to);
	fetch_trace(ev, &job->fetch, NULL, job->fetch.n_blocks);
	fetch_close(&job->fetch);
	return r;
}

/* The points of @a's expression from after @from_ms to @until_ms, on multiples of its step. */
static int subquery_points(struct eval *ev, const struct grid *g, const struct ast *a,
                           int64_t from_ms, int64_t until_ms, struct grid *inner,
                           struct series_set *ret)
{
	int64_t step_ms, start_ms;
	int r = eval_duration_ms(ev, a, a->rollup.step, g->step_ms, &step_ms);

	if (r < 0)
		return r;
	if (step_ms <= 0)
		step_ms = SUBQUERY_STEP_MS;
	start_ms = from_ms / step_ms * step_ms;
	while (start_ms <= from_ms)
		start_ms += step_ms;
	*ret = (struct series_set){ 0 };
	if (start_ms > until_ms)
		return 0;
	r = eval_grid(ev, start_ms, until_ms, step_ms, ev->limits->subquery_points_max,
	              "points in a subquery", inner);
	return r < 0 ? r : prom_eval(ev, inner, a->rollup.expr, ret);
}

/* The points that are there; @ret has room for all. */
static void points_as_samples(const struct grid *g, const struct series *in,
                              struct prom_samples *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < g->n; i++) {
		if (prom_is_absent(in->values[i]))
			continue;
		ret->ts_ms[ret->n] = grid_ts(g, i);
		ret->v[ret->n++] = in->values[i];
	}
}

static int range_subquery(struct eval *ev, struct range_job *job, const struct ast *a,
                          struct series_set *ret)
{
	const struct sink to = { .set = ret };
	struct series_set in;
	struct grid inner = { 0 };
	int r = subquery_points(ev, job->g, a, window_end(job, 0) - job->window_ms,
	                        window_end(job, job->g->n - 1), &inner, &in);

	struct range_room room = { 0 };

	for (size_t i = 0; r == 0 && i < in.n; i++) {
		struct prom_samples s = { 0 };

		r = room_for(ev, job->g, inner.n, &room);
		if (r == 0) {
			s = (struct prom_samples){ .ts_ms = room.ts_ms, .v = room.v };
			points_as_samples(&inner, &in.v[i], &s);
			r = range_series(ev, job, in.v[i].mn, &s, &room, &to);
		}
		if (r == 0)
			r = eval_tick(ev);
	}
	return r;
}

int prom_range_call(struct eval *ev, const struct grid *g, const struct prom_fn *f,
                    const struct ast *matrix, const double *const *args, struct series_set *ret)
{
	struct range_job job = { .f = f, .g = g, .args = args };
	bool subquery = matrix->rollup.step.len > 0 || matrix->rollup.inherit_step;
	int r = range_times(ev, g, matrix, &job);

	if (r < 0)
		return r;
	return subquery ? range_subquery(ev, &job, matrix, ret)
	                : range_selector(ev, &job, matrix->rollup.expr, ret);
}

/* --- the last sample -------------------------------------------------------------------------- */

struct instant_job {
	struct range_job range;
	bool times;
};

static int instant_block(struct eval *ev, void *ctx, size_t i, const struct sink *to)
{
	struct instant_job *job = ctx;
	const struct grid *g = job->range.g;
	struct store_series in;
	int r;

	while ((r = fetch_next(ev, &job->range.fetch, i, &in)) == 0) {
		double *dst = prom_values(ev, g);
		struct mname mn;
		uint32_t end = 0;
		bool any = false;

		if (!dst || mname_copy(ev->arena, in.labels, in.n_labels, &mn) < 0)
			return eval_no_memory(ev);
		for (uint32_t k = 0; k < g->n; k++) {
			int64_t at_ms = window_end(&job->range, k);

			while (end < in.n && in.ts_ms[end] <= at_ms)
				end++;
			if (end == 0 || in.ts_ms[end - 1] <= at_ms - job->range.window_ms ||
			    is_stale_mark(in.values[end - 1]))
				continue;
			dst[k] = job->times ? (double)in.ts_ms[end - 1] / 1000 : in.values[end - 1];
			any = true;
		}
		r = any ? sink_take(ev, to, &mn, dst) : 0;
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int prom_instant_selector(struct eval *ev, const struct grid *g, const struct ast *a, bool times,
                          struct series_set *ret)
{
	const struct ast *selector = a->kind == AST_ROLLUP ? a->rollup.expr : a;
	struct instant_job job = { .range = { .g = g }, .times = times };
	struct range_job *range = &job.range;
	const struct sink to = { .set = ret };
	int r = a->kind == AST_ROLLUP ? range_times(ev, g, a, range) : 0;

	range->window_ms = ev->q->lookback_ms > 0 ? ev->q->lookback_ms : PROM_LOOKBACK_MS;
	if (r == 0)
		r = fetch_open(ev, selector, window_end(range, 0) - range->window_ms + 1,
		               window_end(range, g->n - 1), &range->fetch);
	if (r == 0)
		r = blocks_run(ev, range->fetch.n_blocks, instant_block, &job, &to);
	fetch_trace(ev, &range->fetch, NULL, range->fetch.n_blocks);
	fetch_close(&range->fetch);
	return r;
}

/* --- a matrix as the answer ------------------------------------------------------------------- */

struct samples_list {
	struct prom_samples *v;
	size_t n, cap;
};

static int list_add(struct eval *ev, struct samples_list *l, struct prom_samples s)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct prom_samples *v = ARENA_ARRAY(ev->arena, struct prom_samples, cap);

		if (!v)
			return eval_no_memory(ev);
		if (l->n > 0)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	if (s.n > 0)
		l->v[l->n++] = s;
	return 0;
}

static int stored_matrix(struct eval *ev, struct range_job *job, const struct ast *selector,
                         struct samples_list *to)
{
	int64_t end = window_end(job, 0);
	int r = fetch_open(ev, selector, end - job->window_ms + 1, end, &job->fetch);

	for (size_t i = 0; r == 0 && i < job->fetch.n_blocks; i++) {
		struct store_series in;

		while (r == 0 && (r = fetch_next(ev, &job->fetch, i, &in)) == 0) {
			struct prom_samples s;

			r = copy_samples(ev, &in, &s);
			if (r == 0)
				r = list_add(ev, to, s);
		}
		r = r > 0 ? 0 : r;
	}
	fetch_trace(ev, &job->fetch, NULL, job->fetch.n_blocks);
	fetch_close(&job->fetch);
	return r;
}

int prom_matrix(struct eval *ev, const struct grid *g, const struct ast *a,
                struct prom_samples **ret, size_t *ret_n)
{
	struct range_job job = { .g = g };
	bool subquery = a->rollup.step.len > 0 || a->rollup.inherit_step;
	struct samples_list list = { 0 };
	struct series_set in = { 0 };
	struct grid inner = { 0 };
	int r = range_times(ev, g, a, &job);

	if (r == 0 && !subquery)
		r = stored_matrix(ev, &job, a->rollup.expr, &list);
	else if (r == 0)
		r = subquery_points(ev, g, a, window_end(&job, 0) - job.window_ms,
		                    window_end(&job, 0), &inner, &in);
	for (size_t i = 0; r == 0 && i < in.n; i++) {
		struct prom_samples s = { .mn = in.v[i].mn,
			                  .ts_ms = ARENA_ARRAY(ev->arena, int64_t, inner.n),
			                  .v = values_new(ev->arena, inner.n, 0) };

		if (!s.ts_ms || !s.v)
			return eval_no_memory(ev);
		points_as_samples(&inner, &in.v[i], &s);
		r = list_add(ev, &list, s);
	}
	*ret = list.v;
	*ret_n = list.n;
	return r;
}

#define RANGE(fname, f)                                        \
	{                                                      \
#fname, "m", PROM_VECTOR, f, false, NULL, NULL \
	}
#define RANGE_ARG(fname, letters, f)                               \
	{                                                          \
#fname, letters, PROM_VECTOR, f, false, NULL, NULL \
	}

static const struct prom_fn rows[] = {
	/* clang-format off */
	RANGE(rate, f_rate),
	RANGE(increase, f_increase),
	RANGE(delta, f_delta),
	RANGE(irate, f_irate),
	RANGE(idelta, f_idelta),
	RANGE(changes, f_changes),
	RANGE(resets, f_resets),
	RANGE(deriv, f_deriv),
	RANGE_ARG(predict_linear, "ms", f_predict_linear),
	RANGE(sum_over_time, f_sum),
	RANGE(avg_over_time, f_avg),
	RANGE(count_over_time, f_count),
	RANGE(min_over_time, f_min),
	RANGE(max_over_time, f_max),
	{ "last_over_time", "m", PROM_VECTOR, f_last, true, NULL, NULL },
	RANGE(present_over_time, f_present),
	RANGE(stdvar_over_time, f_stdvar),
	RANGE(stddev_over_time, f_stddev),
	RANGE(mad_over_time, f_mad),
	RANGE_ARG(quantile_over_time, "sm", f_quantile),
	RANGE(absent_over_time, f_present),
	/* clang-format on */
};

const struct prom_fn_table prom_range_fns = { rows, ARRAY_SIZE(rows) };
