/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/eval_rollup.h"

#include <errno.h>
#include <math.h>

#include "api/mql/fetch.h"
#include "api/mql/plan.h"
#include "api/mql/rollup_many.h"
#include "api/mql/trace.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define LONG_WINDOW_MS (3 * 3600 * 1000ll)

struct rollup_job {
	struct rollup_conf conf;
	const struct ast *call; /* for positions */
	struct rollup_many_call many;
	bool keep_names;
};

/* --- one series ----------------------------------------------------------------------------- */

static int roll_many(struct eval *ev, const struct rollup_job *job, const struct mname *mn,
                     const struct rollup_series *s, const struct sink *to)
{
	struct series_set made = { 0 };
	int r = rollup_many_run(ev, &job->many, s, mn, &made);

	for (size_t i = 0; r == 0 && i < made.n; i++)
		r = sink_take(ev, to, &made.v[i].mn, made.v[i].values);
	return r < 0 ? r : eval_tick(ev);
}

/* One call for each window; long ones are many samples between two looks at the clock. */
static int roll_windows(struct eval *ev, const struct rollup_series *s, double *dst)
{
	const struct fn *fn = s->conf->fn;
	struct rollup_window w;
	struct eval_work work = { 0 };
	int r = 0;

	if (fn->kernel) {
		rollup_run(s, dst);
		return 0;
	}
	for (uint32_t k = 0; r == 0 && k < s->conf->grid.n; k++) {
		rollup_window_at(s, k, &w);
		dst[k] = fn->impl.rollup(&w);
		r = eval_worked(ev, &work, w.n);
	}
	return r;
}

/* @reuse: room for the values of a series that goes into an aggregate, or NULL. */
static int roll_one(struct eval *ev, const struct rollup_job *job, struct mname mn,
                    const struct store_series *in, double *reuse, const struct sink *to)
{
	const struct rollup_many *many = job->conf.fn->many;
	struct rollup_series s;
	double *dst;
	int r;

	if (!job->keep_names)
		mn.name = STR_NULL;
	if (rollup_prepare(&ev->room, &job->conf, in->values, in->ts_ms, in->n,
	                   many ? many->prepare : NULL, &s) < 0)
		return err_set(ev->e, -ENOMEM, "out of memory");
	if (many)
		return roll_many(ev, job, &mn, &s, to);
	dst = reuse ? reuse : values_new(ev->arena, job->conf.grid.n, NAN);
	if (!dst)
		return eval_no_memory(ev);
	r = roll_windows(ev, &s, dst);
	return r < 0 ? r : sink_take(ev, to, &mn, dst);
}

/* --- stored series -------------------------------------------------------------------------- */

struct selector_job {
	const struct rollup_job *job;
	struct fetch fetch;
};

/* The labels are borrowed if @room holds them, else copied. */
static int series_name(struct eval *ev, const struct store_series *in, bool copy,
                       struct label *room, struct mname *ret)
{
	if (copy && mname_copy(ev->arena, in->labels, in->n_labels, ret) < 0)
		return eval_no_memory(ev);
	if (!copy)
		mname_borrow(in->labels, in->n_labels, room, ret);
	return 0;
}

/* Series of an aggregate are gone when the next comes: they share one array of values. */
static int roll_selector_block(struct eval *ev, void *ctx, size_t i, const struct sink *to)
{
	struct selector_job *sj = ctx;
	double *reuse = to->aggr ? values_new(ev->arena, sj->job->conf.grid.n, NAN) : NULL;
	struct label room[LABELS_MAX];
	struct store_series in;
	struct mname mn;
	int r;

	if (to->aggr && !reuse)
		return eval_no_memory(ev);
	while ((r = fetch_next(ev, &sj->fetch, i, &in)) == 0) {
		r = series_name(ev, &in, !to->aggr, room, &mn);
		if (r == 0)
			r = roll_one(ev, sj->job, mn, &in, reuse, to);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int rollup_selector(struct eval *ev, const struct rollup_job *job,
                           const struct ast *selector, const struct sink *to)
{
	struct selector_job sj = { .job = job };
	int64_t min_ms = plan_min_ms(job->conf.fn, &job->conf.grid, job->conf.window_ms);
	struct trace_step *step = trace_begin(ev);
	int r = fetch_open(ev, selector, min_ms, job->conf.grid.end_ms, &sj.fetch);

	if (r == 0)
		r = blocks_run(ev, sj.fetch.n_blocks, roll_selector_block, &sj, to);
	fetch_trace(ev, &sj.fetch, step, sj.fetch.n_blocks);
	fetch_close(&sj.fetch);
	return r;
}

/* --- subqueries ----------------------------------------------------------------------------- */

/* Floor and ceiling to multiples of the step, for negative times too. */
static int64_t align_down(int64_t t, int64_t step)
{
	int64_t rest = t % step;

	return t - rest - (rest < 0 ? step : 0);
}

static int subquery_grid(struct eval *ev, const struct rollup_job *job, int64_t step_ms,
                         struct grid *ret)
{
	const struct grid *g = &job->conf.grid;
	int64_t back, start_ms, end_ms;

	if (__builtin_add_overflow(job->conf.window_ms, step_ms + ROLLUP_SILENCE_MS, &back) ||
	    __builtin_sub_overflow(g->start_ms, back, &start_ms) ||
	    __builtin_add_overflow(g->end_ms, step_ms, &end_ms))
		return err_set(ev->e, -EINVAL, "the time range of a subquery is out of bounds");
	start_ms = align_down(start_ms, step_ms);
	if (end_ms % step_ms != 0)
		end_ms = align_down(end_ms, step_ms) + step_ms;
	return eval_grid(ev, start_ms, end_ms, step_ms, ev->limits->subquery_points_max,
	                 "points in a subquery", ret);
}

struct subquery_job {
	const struct rollup_job *job;
	const struct grid *g;
	const struct series_set *in;
};

/* The points that have a value, as samples in @ts_ms and @values (room for all). */
static uint32_t samples_of(const struct grid *g, const double *from, int64_t *ts_ms, double *values)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		if (isnan(from[i]))
			continue;
		values[n] = from[i];
		ts_ms[n++] = grid_ts(g, i);
	}
	return n;
}

static int roll_subquery_block(struct eval *ev, void *ctx, size_t i, const struct sink *to)
{
	const struct subquery_job *sj = ctx;
	size_t from = i * BLOCK_SERIES, end = MIN(from + BLOCK_SERIES, sj->in->n);
	int64_t *ts_ms = ARENA_ARRAY(ev->arena, int64_t, sj->g->n);
	double *values = values_new(ev->arena, sj->g->n, 0);
	int r = ts_ms && values ? 0 : eval_no_memory(ev);

	for (; r == 0 && from < end; from++) {
		const struct series *s = &sj->in->v[from];
		struct store_series in = { .ts_ms = ts_ms, .values = values };

		in.n = samples_of(sj->g, s->values, ts_ms, values);
		r = roll_one(ev, sj->job, s->mn, &in, NULL, to);
		if (r == 0)
			r = eval_tick(ev);
	}
	return r;
}

/* The inner expression on its own grid; its points are the samples of the rollup. */
static int rollup_subquery(struct eval *ev, const struct rollup_job *job, const struct ast *inner,
                           int64_t step_ms, const struct sink *to)
{
	struct series_set in = { 0 };
	struct grid g;
	struct subquery_job sj = { job, &g, &in };
	int r = subquery_grid(ev, job, step_ms, &g);

	if (r == 0)
		r = eval_expr(ev, &g, inner, &in);
	return r < 0 ? r : blocks_run(ev, blocks_count(in.n), roll_subquery_block, &sj, to);
}

/* m[w:s] rolls up the points of m, not its samples: an implicit default_rollup(m). */
static int inner_points(struct eval *ev, const struct ast *selector, const struct ast **ret)
{
	struct ast *a = ARENA_NEW(ev->arena, struct ast);
	struct ast **args = ARENA_ARRAY(ev->arena, struct ast *, 1);

	if (!a || !args)
		return eval_no_memory(ev);
	a->kind = AST_ROLLUP;
	a->pos = selector->pos;
	a->rollup.expr = args[0] = arena_memdup(ev->arena, selector, sizeof(*selector));
	*ret = a;
	return a->rollup.expr ? 0 : eval_no_memory(ev);
}

/*
 * VictoriaMetrics makes a mean over 3 h and more, asked for at one moment, from sums and counts
 * that it caches, and these have no name. Dashboards see that, unless they say nocache=1.
 */
static bool loses_name(const struct eval *ev, const struct rollup_job *job, const struct sink *to)
{
	return (job->conf.flags & FN_LONG_NO_NAME) && !ev->q->nocache && job->conf.grid.n == 1 &&
	       job->conf.window_ms >= LONG_WINDOW_MS && !to->aggr;
}

static int rollup_run_expr(struct eval *ev, struct rollup_job *job, const struct ast_rollup *ru,
                           const struct ast *at, const struct sink *to)
{
	const struct ast *inner = ru->expr;
	bool subquery = ru->step.len > 0 || ru->inherit_step;
	int64_t step_ms = 0;
	int r = eval_duration_ms(ev, at, ru->window, job->conf.grid.step_ms, &job->conf.window_ms);

	if (r == 0)
		r = eval_duration_ms(ev, at, ru->step, job->conf.grid.step_ms, &step_ms);
	if (r < 0)
		return r;
	if (job->conf.window_ms < 0 || step_ms < 0)
		return eval_fail(ev, at, "a window cannot be negative");
	if (inner->kind == AST_SELECTOR && inner->selector.n_sets == 0)
		return to->aggr ? 0 : eval_number(ev, &job->conf.grid, NAN, to->set);
	if (inner->kind == AST_SELECTOR && !subquery) {
		if (loses_name(ev, job, to))
			job->keep_names = job->call->call.keep_metric_names;
		return rollup_selector(ev, job, inner, to);
	}
	if (inner->kind == AST_SELECTOR)
		r = inner_points(ev, inner, &inner);
	return r < 0 ? r
	             : rollup_subquery(ev, job, inner,
	                               step_ms > 0 ? step_ms : job->conf.grid.step_ms, to);
}

/* offset shifts the grid back; values need no shift forth, since series hold no times. */
static int rollup_offset(struct eval *ev, struct rollup_job *job, const struct ast_rollup *ru,
                         const struct ast *at, const struct sink *to)
{
	int64_t offset_ms;
	int r = eval_duration_ms(ev, at, ru->offset, job->conf.grid.step_ms, &offset_ms);
	struct grid *g = &job->conf.grid;

	if (r < 0)
		return r;
	if ((job->conf.fn->flags & FN_STEP_AHEAD) &&
	    __builtin_sub_overflow(offset_ms, g->step_ms, &offset_ms))
		return eval_fail(ev, at, "the offset leaves the range of time");
	if (__builtin_sub_overflow(g->start_ms, offset_ms, &g->start_ms) ||
	    __builtin_sub_overflow(g->end_ms, offset_ms, &g->end_ms))
		return eval_fail(ev, at, "the offset leaves the range of time");
	return rollup_run_expr(ev, job, ru, at, to);
}

/* The single moment that an @ names: its first value. */
static int at_moment(struct eval *ev, const struct grid *g, const struct ast *at, int64_t *ret_ms)
{
	struct series_set set = { 0 };
	int r = eval_expr(ev, g, at, &set);

	if (r < 0)
		return r;
	if (set.n != 1)
		return eval_fail(ev, at, "@ needs one series, it has %zu", set.n);
	for (uint32_t i = 0; i < g->n; i++) {
		double ms = set.v[0].values[i] * 1000;

		if (isnan(ms))
			continue;
		if (!(fabs(ms) < 9e15))
			return eval_fail(ev, at, "@ leaves the range of time");
		*ret_ms = (int64_t)ms;
		return 0;
	}
	return eval_fail(ev, at, "@ needs a time, it has no value");
}

/* Evaluated once, at the moment of @, and repeated on all points. */
static int rollup_at(struct eval *ev, struct rollup_job *job, const struct ast_rollup *ru,
                     const struct ast *at, const struct sink *to)
{
	struct grid outer = job->conf.grid;
	struct grid *g = &job->conf.grid;
	struct series_set once = { 0 };
	int r = at_moment(ev, &outer, ru->at, &g->start_ms);

	g->end_ms = g->start_ms;
	g->n = 1;
	if (r == 0)
		r = rollup_offset(ev, job, ru, at, &(struct sink){ .set = &once });
	for (size_t i = 0; r == 0 && i < once.n; i++) {
		double *values = values_new(ev->arena, outer.n, once.v[i].values[0]);

		r = values ? sink_take(ev, to, &once.v[i].mn, values) : eval_no_memory(ev);
	}
	return r;
}

/* What a call rolls up, or @a itself. */
static const struct ast *rolled_up(const struct ast *a)
{
	if (a->kind != AST_CALL || a->call.fn->kind != FN_ROLLUP)
		return a;
	return a->call.args[fn_series_index(a->call.fn, a->call.n_args)];
}

/*
 * absent_over_time: 1 where no series of the selector has data, labelled by what the selector
 * demands by "=". Labels come from a single set only, and only if no matcher names them twice.
 */
static int absent_labels(struct eval *ev, const struct ast *a, struct mname *mn)
{
	if (a->kind == AST_ROLLUP)
		a = a->rollup.expr;
	if (a->kind != AST_SELECTOR || a->selector.n_sets != 1)
		return 0;
	const struct store_match_set *set = &a->selector.sets[0];

	for (size_t i = 0; i < set->n; i++) {
		const struct store_matcher *m = &set->v[i];

		if (m->op != STORE_EQ || str_eqc(m->name, LABEL_NAME) || m->value.len == 0)
			continue;
		if (mname_set(ev->arena, mn, m->name, m->value) < 0)
			return eval_no_memory(ev);
	}
	return 0;
}

int eval_absent_as_one(struct eval *ev, const struct grid *g, const struct ast *call,
                       struct series_set *set)
{
	const struct ast *arg = rolled_up(call);
	struct series s = { .values = values_new(ev->arena, g->n, 1) };
	int r = s.values ? absent_labels(ev, arg, &s.mn) : eval_no_memory(ev);

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		for (uint32_t k = 0; k < g->n; k++) {
			if (isnan(set->v[i].values[k]))
				s.values[k] = NAN;
		}
	}
	set->n = 0;
	if (r == 0 && set_add(ev->arena, set, s) < 0)
		r = eval_no_memory(ev);
	return r;
}

/* A rollup argument, as written or made into a rollup with a missing window. */
static struct ast_rollup as_rollup(const struct ast *arg)
{
	union { /* the tree is never written to from here */
		const struct ast *in;
		struct ast *out;
	} un = { .in = arg };

	return arg->kind == AST_ROLLUP ? arg->rollup : (struct ast_rollup){ .expr = un.out };
}

static int eval_rollup(struct eval *ev, struct rollup_job *job, const struct ast_rollup *ru,
                       const struct ast *arg, const struct sink *to)
{
	struct grid g = job->conf.grid;
	int r = ru->at ? rollup_at(ev, job, ru, arg, to) : rollup_offset(ev, job, ru, arg, to);

	if (r == 0 && (job->conf.fn->flags & FN_ABSENT) && !to->aggr)
		r = eval_absent_as_one(ev, &g, job->call, to->set);
	return r;
}

static struct rollup_job job_new(struct eval *ev, const struct grid *g, const struct fn *fn,
                                 const struct ast *call)
{
	return (struct rollup_job){
		.conf = { .fn = fn,
		          .id = ++ev->shared->n_rollups,
		          .flags = fn->flags,
		          .grid = *g,
		          .lookback_ms = ev->q->lookback_ms },
		.call = call,
		.keep_names = (fn->flags & FN_KEEP_NAME) ||
		              (call->kind == AST_CALL && call->call.keep_metric_names),
	};
}

/* Arguments other than the series, in their order, one value for each point. */
static int job_args(struct eval *ev, struct rollup_job *job, const struct ast *a, uint32_t series)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->call.n_args; i++) {
		struct series_set set = { 0 };

		if (i == series)
			continue;
		int r = eval_expr(ev, &job->conf.grid, a->call.args[i], &set);

		if (r < 0)
			return r;
		if (set.n != 1)
			return eval_fail(ev, a->call.args[i],
			                 "argument %u of %s() must be one number, it is %zu series",
			                 i + 1, a->call.fn->name, set.n);
		if (n < ROLLUP_ARGS_MAX)
			job->conf.args[n++] = set.v[0].values;
	}
	return 0;
}

int eval_rollup_call(struct eval *ev, const struct grid *g, const struct ast *a,
                     const struct sink *to)
{
	uint32_t series = (uint32_t)fn_series_index(a->call.fn, a->call.n_args);
	const struct ast *arg = a->call.args[series];
	struct rollup_job job = job_new(ev, g, a->call.fn, a);
	struct ast_rollup ru = as_rollup(arg);
	int r = a->call.fn->many ? rollup_many_start(ev, a, &job.conf, &job.many)
	                         : job_args(ev, &job, a, series);

	return r < 0 ? r : eval_rollup(ev, &job, &ru, arg, to);
}

int eval_default_rollup(struct eval *ev, const struct grid *g, const struct ast *a,
                        const struct sink *to)
{
	struct rollup_job job = job_new(ev, g, fn_default_rollup, a);
	struct ast_rollup ru = as_rollup(a);

	/* Outside a rollup function m[w:s] is m[w]. */
	if (ru.expr->kind == AST_SELECTOR) {
		ru.step = STR_NULL;
		ru.inherit_step = false;
	}
	return eval_rollup(ev, &job, &ru, a, to);
}

/* --- what an aggregate can make of an argument ---------------------------------------------- */

bool eval_is_direct(const struct ast *a)
{
	const struct ast *m = rolled_up(a);

	if (m->kind == AST_ROLLUP && m->rollup.step.len == 0 && !m->rollup.inherit_step)
		m = m->rollup.expr;
	return m->kind == AST_SELECTOR;
}

bool eval_is_streamable(const struct ast *a)
{
	const struct ast *m = rolled_up(a);

	if (m != a && (a->call.fn->flags & FN_ABSENT))
		return false;
	if (m->kind == AST_ROLLUP)
		m = m->rollup.expr;
	return m->kind == AST_SELECTOR;
}

/* --- raw samples ---------------------------------------------------------------------------- */

struct raw_job {
	struct fetch fetch;
	struct raw_series *v; /* blocks fill their own part; what is not there has n = 0 */
};

static int raw_copy(struct eval *ev, const struct store_series *in, struct raw_series *out)
{
	if (mname_copy(ev->arena, in->labels, in->n_labels, &out->mn) < 0)
		return eval_no_memory(ev);
	out->n = in->n;
	out->ts_ms = arena_memdup(ev->arena, in->ts_ms, in->n * sizeof(*in->ts_ms));
	out->values = arena_memdup(ev->arena, in->values, in->n * sizeof(*in->values));
	return out->ts_ms && out->values ? 0 : eval_no_memory(ev);
}

static int raw_block(struct eval *ev, void *ctx, size_t i, const struct sink *to)
{
	struct raw_job *job = ctx;
	struct raw_series *v = &job->v[i * (BLOCK_SERIES + 1)];
	struct store_series in;
	int r;

	(void)to;
	while ((r = fetch_next(ev, &job->fetch, i, &in)) == 0) {
		r = raw_copy(ev, &in, v++);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int eval_raw(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
             struct raw_series **ret, size_t *ret_n)
{
	struct sink none = { 0 };
	struct raw_job job = { 0 };
	size_t n = 0, max = 0;
	struct trace_step *step = trace_begin(ev);
	int r = fetch_open(ev, selector, min_ms, max_ms, &job.fetch);

	if (r == 0) {
		max = job.fetch.n_blocks * (BLOCK_SERIES + 1);
		job.v = ARENA_ARRAY(ev->arena, struct raw_series, max + 1);
		r = job.v ? blocks_run(ev, job.fetch.n_blocks, raw_block, &job, &none)
		          : eval_no_memory(ev);
	}
	fetch_trace(ev, &job.fetch, step, job.fetch.n_blocks);
	fetch_close(&job.fetch);
	for (size_t i = 0; r == 0 && i < max; i++) {
		if (job.v[i].n > 0)
			job.v[n++] = job.v[i];
	}
	*ret = job.v;
	*ret_n = n;
	return r;
}
