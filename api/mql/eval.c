/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/eval.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "api/mql/aggr.h"
#include "api/mql/binop.h"
#include "api/mql/numtext.h"
#include "api/mql/plan.h"
#include "api/mql/pushdown.h"
#include "api/mql/rollup.h"
#include "api/mql/rollup_many.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define LONG_WINDOW_MS (3 * 3600 * 1000ll)

void eval_done(struct eval *ev)
{
	free(ev->values);
	free(ev->scratch);
	free(ev->ts_ms);
}

int eval_no_memory(struct eval *ev)
{
	int code = arena_error(ev->arena) < 0 ? arena_error(ev->arena) : -ENOMEM;

	if (code == -ENOSPC)
		return err_set(ev->e, code,
		               "the query needs more than its memory limit of %zu bytes",
		               ev->limits->memory_bytes_max);
	return err_set(ev->e, code, "out of memory");
}

int eval_fail(struct eval *ev, const struct ast *at, const char *fmt, ...)
{
	char msg[sizeof(ev->e->msg)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return err_set_at(ev->e, -EINVAL, (int)at->pos, "%s", msg);
}

int eval_tick(struct eval *ev)
{
	uint64_t deadline_ns = ev->q->deadline_mono_ns;

	if (ev->q->cancelled && atomic_load_explicit(ev->q->cancelled, memory_order_relaxed))
		return err_set(ev->e, -ECANCELED, "the client has hung up");
	if (deadline_ns == 0 || clock_mono_ns() < deadline_ns)
		return 0;
	return err_set(ev->e, -ECANCELED, "the query took longer than its time limit");
}

int eval_grid(struct eval *ev, int64_t start_ms, int64_t end_ms, int64_t step_ms, uint64_t max,
              const char *what, struct grid *ret)
{
	int64_t span;
	uint64_t n;

	if (__builtin_sub_overflow(end_ms, start_ms, &span) || span < 0)
		return err_set(ev->e, -EINVAL, "the time range is out of bounds");
	n = (uint64_t)(span / step_ms) + 1;
	if (n > max)
		return err_set(ev->e, -ENOSPC,
		               "%llu points for each series exceed the limit of %llu %s; use a "
		               "larger step or a shorter range",
		               (unsigned long long)n, (unsigned long long)max, what);
	*ret = (struct grid){ start_ms, end_ms, step_ms, (uint32_t)n };
	return 0;
}

int eval_number(struct eval *ev, const struct grid *g, double v, struct series_set *ret)
{
	struct series s = { .values = values_new(ev->arena, g->n, v) };

	if (!s.values || set_add(ev->arena, ret, s) < 0)
		return eval_no_memory(ev);
	return 0;
}

/* A string is a series without values that is named by the text. */
static int eval_string(struct eval *ev, const struct grid *g, struct str text,
                       struct series_set *ret)
{
	int r = eval_number(ev, g, NAN, ret);

	if (r == 0)
		ret->v[ret->n - 1].mn.name = text;
	return r;
}

static int duration_ms(struct eval *ev, const struct ast *at, struct str text, int64_t step_ms,
                       int64_t *ret_ms)
{
	*ret_ms = 0;
	if (text.len == 0 || numtext_duration_ms(text, step_ms, ret_ms) == 0)
		return 0;
	return eval_fail(ev, at, "bad duration %.*s", STR_FMT(text));
}

/* --- arguments of transforms and aggregates ------------------------------------------------- */

int args_scalar(const struct fn_args *a, uint32_t i, const double **ret)
{
	if (a->v[i].n != 1)
		return eval_fail(a->ev, a->call->call.args[i],
		                 "argument %u of %s() must be one number, it is %zu series", i + 1,
		                 a->call->call.fn->name, a->v[i].n);
	*ret = a->v[i].v[0].values;
	return 0;
}

int args_string(const struct fn_args *a, uint32_t i, struct str *ret)
{
	const struct ast *arg = a->call->call.args[i];

	if (arg->kind != AST_STRING)
		return eval_fail(a->ev, arg, "argument %u of %s() must be a string", i + 1,
		                 a->call->call.fn->name);
	*ret = arg->string;
	return 0;
}

bool args_keep_names(const struct fn_args *a)
{
	return (a->call->call.fn->flags & FN_KEEP_NAME) || a->call->call.keep_metric_names;
}

/* --- rollups -------------------------------------------------------------------------------- */

/* Where finished series go: into a set, or straight into an aggregate. */
struct sink {
	struct series_set *set;
	struct aggr_state *aggr;
};

struct rollup_job {
	struct rollup_conf conf;
	const struct ast *call; /* for positions */
	struct rollup_many_call many;
	bool keep_names;
};

static int sink_take(struct eval *ev, const struct sink *to, struct mname *mn, double *values)
{
	if (to->aggr)
		return aggr_feed(to->aggr, mn, values);
	return set_add(ev->arena, to->set, (struct series){ *mn, values }) < 0 ? eval_no_memory(ev)
	                                                                       : 0;
}

static int reserve(struct eval *ev, size_t n)
{
	if (MEM_GROW(ev->values, ev->values_cap, n) < 0 || MEM_GROW(ev->ts_ms, ev->ts_cap, n) < 0 ||
	    MEM_GROW(ev->scratch, ev->scratch_cap, n) < 0)
		return err_set(ev->e, -ENOMEM, "out of memory");
	return 0;
}

static int roll_many(struct eval *ev, const struct rollup_job *job, const struct mname *mn,
                     uint32_t n, const struct sink *to)
{
	struct series_set made = { 0 };
	int r = rollup_many_run(ev, &job->many, &job->conf, mn, ev->values, ev->ts_ms, n,
	                        ev->scratch, &made);

	for (size_t i = 0; r == 0 && i < made.n; i++)
		r = sink_take(ev, to, &made.v[i].mn, made.v[i].values);
	return r < 0 ? r : eval_tick(ev);
}

/* The samples are in ev->values and ev->ts_ms. @reuse: values of an aggregate, or NULL. */
static int roll_one(struct eval *ev, const struct rollup_job *job, struct mname mn, uint32_t n,
                    double *reuse, const struct sink *to)
{
	double *dst;

	if (!job->keep_names)
		mn.name = STR_NULL;
	if (job->conf.fn->many)
		return roll_many(ev, job, &mn, n, to);
	dst = reuse ? reuse : values_new(ev->arena, job->conf.grid.n, NAN);
	if (!dst)
		return eval_no_memory(ev);
	rollup_run(&job->conf, ev->values, ev->ts_ms, n, ev->scratch, dst);
	int r = sink_take(ev, to, &mn, dst);

	return r < 0 ? r : eval_tick(ev);
}

static int scan_failed(struct eval *ev, int code)
{
	if (code == -ENOSPC)
		return err_set(ev->e, code,
		               "the query reads more than its limit of %llu series or %llu samples",
		               (unsigned long long)ev->limits->series_max,
		               (unsigned long long)ev->limits->samples_max);
	if (code == -ECANCELED)
		return err_set(ev->e, code, "the query took longer than its time limit");
	if (code == -ENOMEM)
		return err_set(ev->e, code, "out of memory");
	return err_set(ev->e, code, "stored data cannot be read");
}

static void scan_closep(struct store_scan **scan)
{
	if (*scan)
		store_scan_close(*scan);
}

/* Counts what a scan brought against the query's limits. */
static int account(struct eval *ev, const struct store_series *in)
{
	ev->series_fetched++;
	ev->samples_read += in->n;
	return ev->samples_read > ev->limits->samples_max ? scan_failed(ev, -ENOSPC) : 0;
}

static int open_scan(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
                     struct store_scan **ret)
{
	struct store_select sel;
	int r = plan_select(ev, selector, min_ms, max_ms, &sel);

	if (r < 0)
		return r;
	r = store_scan_open(ev->store, &sel, ret, ev->e);
	return r < 0 ? scan_failed(ev, r) : 0;
}

/* Series of an aggregate are gone when the next comes: they share one array of values. */
static int rollup_selector(struct eval *ev, const struct rollup_job *job,
                           const struct ast *selector, const struct sink *to)
{
	_cleanup_(scan_closep) struct store_scan *scan = NULL;
	struct store_series in;
	struct mname mn;
	double *reuse = to->aggr ? values_new(ev->arena, job->conf.grid.n, NAN) : NULL;
	int r = open_scan(ev, selector,
	                  plan_min_ms(job->conf.fn, &job->conf.grid, job->conf.window_ms),
	                  job->conf.grid.end_ms, &scan);

	if (to->aggr && !reuse)
		return eval_no_memory(ev);
	while (r == 0 && (r = store_scan_next(scan, &in)) == 0) {
		r = account(ev, &in);
		if (r == 0)
			r = reserve(ev, in.n);
		if (r < 0)
			return r;
		memcpy(ev->values, in.values, in.n * sizeof(*in.values));
		memcpy(ev->ts_ms, in.ts_ms, in.n * sizeof(*in.ts_ms));
		if (mname_copy(ev->arena, in.labels, in.n_labels, &mn) < 0)
			return eval_no_memory(ev);
		r = roll_one(ev, job, mn, in.n, reuse, to);
	}
	return r < 0 ? scan_failed(ev, r) : 0;
}

/* Floor and ceiling to multiples of the step, for negative times too. */
static int64_t align_down(int64_t t, int64_t step)
{
	int64_t rest = t % step;

	return t - rest - (rest < 0 ? step : 0);
}

static uint32_t samples_of(const struct grid *g, const double *values, struct eval *ev)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		if (isnan(values[i]))
			continue;
		ev->values[n] = values[i];
		ev->ts_ms[n++] = grid_ts(g, i);
	}
	return n;
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

/* The inner expression on its own grid; its points are the samples of the rollup. */
static int rollup_subquery(struct eval *ev, const struct rollup_job *job, const struct ast *inner,
                           int64_t step_ms, const struct sink *to)
{
	struct series_set in = { 0 };
	struct grid g;
	int r = subquery_grid(ev, job, step_ms, &g);

	if (r == 0)
		r = eval_expr(ev, &g, inner, &in);
	if (r == 0)
		r = reserve(ev, g.n);
	for (size_t i = 0; r == 0 && i < in.n; i++) {
		uint32_t n = samples_of(&g, in.v[i].values, ev);

		r = roll_one(ev, job, in.v[i].mn, n, NULL, to);
	}
	return r;
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
	int r = duration_ms(ev, at, ru->window, job->conf.grid.step_ms, &job->conf.window_ms);

	if (r == 0)
		r = duration_ms(ev, at, ru->step, job->conf.grid.step_ms, &step_ms);
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
	int r = duration_ms(ev, at, ru->offset, job->conf.grid.step_ms, &offset_ms);
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
                     const struct ast *at, struct series_set *ret)
{
	struct grid outer = job->conf.grid;
	struct grid *g = &job->conf.grid;
	struct series_set once = { 0 };
	struct sink to = { .set = &once };
	int r = at_moment(ev, &outer, ru->at, &g->start_ms);

	g->end_ms = g->start_ms;
	g->n = 1;
	if (r == 0)
		r = rollup_offset(ev, job, ru, at, &to);
	for (size_t i = 0; r == 0 && i < once.n; i++) {
		struct series s = { once.v[i].mn,
			            values_new(ev->arena, outer.n, once.v[i].values[0]) };

		if (!s.values || set_add(ev->arena, ret, s) < 0)
			r = eval_no_memory(ev);
	}
	return r;
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

static int collapse_absent(struct eval *ev, const struct grid *g, const struct ast *arg,
                           struct series_set *set)
{
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
	int r = ru->at ? rollup_at(ev, job, ru, arg, to->set) : rollup_offset(ev, job, ru, arg, to);

	if (r == 0 && (job->conf.fn->flags & FN_ABSENT))
		r = collapse_absent(ev, &g, arg, to->set);
	return r;
}

static struct rollup_job job_new(struct eval *ev, const struct grid *g, const struct fn *fn,
                                 const struct ast *call)
{
	return (struct rollup_job){
		.conf = { .fn = fn,
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

static int eval_rollup_call(struct eval *ev, const struct grid *g, const struct ast *a,
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

static int eval_default_rollup(struct eval *ev, const struct grid *g, const struct ast *a,
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

/* --- calls ---------------------------------------------------------------------------------- */

static int eval_args(struct eval *ev, const struct grid *g, const struct ast *a,
                     struct series_set **ret)
{
	struct series_set *v = ARENA_ARRAY(ev->arena, struct series_set, a->call.n_args + 1);
	int r = v ? 0 : eval_no_memory(ev);

	for (uint32_t i = 0; r == 0 && i < a->call.n_args; i++)
		r = eval_expr(ev, g, a->call.args[i], &v[i]);
	*ret = v;
	return r;
}

/* What a call rolls up, or @a itself. */
static const struct ast *rolled_up(const struct ast *a)
{
	if (a->kind != AST_CALL || a->call.fn->kind != FN_ROLLUP)
		return a;
	return a->call.args[fn_series_index(a->call.fn, a->call.n_args)];
}

/* Is it a rollup of stored samples, and not of the points of a subquery? */
static bool is_direct(const struct ast *a)
{
	const struct ast *m = rolled_up(a);

	if (m->kind == AST_ROLLUP && m->rollup.step.len == 0 && !m->rollup.inherit_step)
		m = m->rollup.expr;
	return m->kind == AST_SELECTOR;
}

/* Can the series of this argument go into an aggregate one by one? */
static bool is_streamable(const struct ast *a)
{
	const struct ast *m = rolled_up(a);

	if (m != a && (a->call.fn->flags & FN_ABSENT))
		return false;
	if (m->kind == AST_ROLLUP && !m->rollup.at)
		m = m->rollup.expr;
	return m->kind == AST_SELECTOR;
}

static int feed_set(struct aggr_state *st, const struct series_set *set)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = aggr_feed(st, &set->v[i].mn, set->v[i].values);
	return r;
}

static int feed_arg(struct aggr_state *st, const struct ast *arg)
{
	struct sink to = { .aggr = st };
	struct series_set set = { 0 };
	int r;

	if (is_streamable(arg) && arg->kind == AST_CALL)
		return eval_rollup_call(st->ev, st->g, arg, &to);
	if (is_streamable(arg))
		return eval_default_rollup(st->ev, st->g, arg, &to);
	r = eval_expr(st->ev, st->g, arg, &set);
	return r < 0 ? r : feed_set(st, &set);
}

static int eval_incremental(struct eval *ev, const struct grid *g, const struct ast *a,
                            struct series_set *ret)
{
	_cleanup_(aggr_done) struct aggr_state st = { .ev = ev, .g = g, .call = &a->call };

	/* As in VictoriaMetrics, which has a way of its own for aggregates of plain rollups. */
	st.with_empty = a->call.n_args == 1 && is_direct(a->call.args[0]);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < a->call.n_args; i++)
		r = feed_arg(&st, a->call.args[i]);
	return r < 0 ? r : aggr_finish(&st, ret);
}

static int eval_math(struct fn_args *a, struct series_set *ret)
{
	*ret = a->v[0];
	for (size_t i = 0; i < ret->n; i++) {
		struct series *s = &ret->v[i];

		if (!args_keep_names(a))
			s->mn.name = STR_NULL;
		for (uint32_t k = 0; k < a->g->n; k++)
			s->values[k] = a->call->call.fn->impl.math(s->values[k]);
	}
	return 0;
}

static int eval_series_call(struct eval *ev, const struct grid *g, const struct ast *a,
                            struct series_set *ret)
{
	struct fn_args args = { .ev = ev, .g = g, .call = a, .n = a->call.n_args };
	int r = eval_args(ev, g, a, &args.v);

	if (r == 0)
		r = a->call.fn->kind == FN_MATH ? eval_math(&args, ret)
		                                : a->call.fn->impl.series(&args, ret);
	return r < 0 ? r : eval_tick(ev);
}

static int eval_call(struct eval *ev, const struct grid *g, const struct ast *a,
                     struct series_set *ret)
{
	struct sink to = { .set = ret };

	if (a->call.fn->kind == FN_ROLLUP)
		return eval_rollup_call(ev, g, a, &to);
	if (a->call.fn->incremental)
		return eval_incremental(ev, g, a, ret);
	return eval_series_call(ev, g, a, ret);
}

/*
 * The second side of an operator: not at all when the first has no series and the result will have
 * none either, and otherwise with filters on the labels that those of the first side have.
 */
static int eval_second(struct eval *ev, const struct grid *g, const struct ast *a,
                       const struct series_set *first, const struct ast *second,
                       struct series_set *ret)
{
	if (!ev->q->no_pushdown && pushdown_may(a)) {
		if (first->n == 0)
			return 0;
		second = pushdown_labels(a, first, second, ev->arena);
		if (!second)
			return eval_no_memory(ev);
	}
	return eval_expr(ev, g, second, ret);
}

static int eval_binop(struct eval *ev, const struct grid *g, const struct ast *a,
                      struct series_set *ret)
{
	const struct ast_binop *b = &a->binop;
	bool right_first = (b->op->flags & BINOP_RIGHT_FIRST) != 0;
	struct series_set left = { 0 }, right = { 0 };
	struct series_set *first = right_first ? &right : &left;
	int r = eval_expr(ev, g, right_first ? b->right : b->left, first);

	if (r == 0)
		r = eval_second(ev, g, a, first, right_first ? b->left : b->right,
		                right_first ? &left : &right);
	if (r == 0)
		r = binop_eval(ev, g, b, &left, &right, ret);
	if (r < 0 && ev->e && ev->e->pos < 0 && r == -EINVAL)
		ev->e->pos = (int)a->pos;
	return r < 0 ? r : eval_tick(ev);
}

int eval_expr(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret)
{
	struct sink to = { .set = ret };
	int64_t ms;
	int r;

	switch (a->kind) {
	case AST_NUMBER:
		return eval_number(ev, g, a->number.value, ret);
	case AST_STRING:
		return eval_string(ev, g, a->string, ret);
	case AST_DURATION:
		r = duration_ms(ev, a, a->duration, g->step_ms, &ms);
		return r < 0 ? r : eval_number(ev, g, (double)ms / 1000, ret);
	case AST_SELECTOR:
	case AST_ROLLUP:
		return eval_default_rollup(ev, g, a, &to);
	case AST_CALL:
		return eval_call(ev, g, a, ret);
	case AST_BINOP:
		return eval_binop(ev, g, a, ret);
	case AST_WITH:
		break;
	}
	return eval_fail(ev, a, "this expression cannot be evaluated");
}

static int raw_copy(struct eval *ev, const struct store_series *in, struct raw_series *out)
{
	if (mname_copy(ev->arena, in->labels, in->n_labels, &out->mn) < 0)
		return eval_no_memory(ev);
	out->n = in->n;
	out->ts_ms = arena_memdup(ev->arena, in->ts_ms, in->n * sizeof(*in->ts_ms));
	out->values = arena_memdup(ev->arena, in->values, in->n * sizeof(*in->values));
	return out->ts_ms && out->values ? 0 : eval_no_memory(ev);
}

int eval_raw(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
             struct raw_series **ret, size_t *ret_n)
{
	_cleanup_(scan_closep) struct store_scan *scan = NULL;
	struct store_series in;
	int r = open_scan(ev, selector, min_ms, max_ms, &scan);
	size_t max = r == 0 ? store_scan_series_max(scan) : 0;
	struct raw_series *v = r == 0 ? ARENA_ARRAY(ev->arena, struct raw_series, max + 1) : NULL;
	size_t n = 0;

	if (r == 0 && !v)
		return eval_no_memory(ev);
	while (r == 0 && n < max && (r = store_scan_next(scan, &in)) == 0) {
		r = account(ev, &in);
		if (r == 0)
			r = raw_copy(ev, &in, &v[n++]);
		if (r == 0)
			r = eval_tick(ev);
	}
	*ret = v;
	*ret_n = n;
	return r < 0 ? scan_failed(ev, r) : 0;
}
