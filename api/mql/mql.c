/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of the engine: which range a query is evaluated over, and what its series look like to
 * the caller. The tree, the intermediate series and the answer live in two arenas; the first is
 * freed before mql_eval() returns.
 */
#include "api/mql/mql.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/binop.h"
#include "api/mql/eval_rollup.h"
#include "api/mql/mname_map.h"
#include "api/mql/numtext.h"
#include "api/mql/parse.h"
#include "api/mql/plan.h"
#include "api/mql/prom/answer.h"
#include "api/mql/pushdown.h"
#include "api/mql/trace.h"
#include "userspace/base/util.h"

#define INSTANT_STEP_MS    (5 * 60 * 1000ll) /* when neither step nor max_lookback is given */
#define ALIGN_POINTS_MIN   50                /* shorter ranges are never aligned */
#define INCOMPLETE_STEP_MS (60 * 1000ll)     /* below it the newest points are not trusted */

const struct mql_limits mql_limits_default = {
	.text_bytes_max = 16 << 10,
	.points_max = 30000,
	.subquery_points_max = 100000,
	.series_max = 300000,
	.samples_max = 1000000000,
	.memory_bytes_max = (size_t)1 << 30,
};

struct run {
	struct eval ev;
	const struct mql_query *q;
	struct ast *root;
	int64_t step_ms;
	int64_t stamp_shift_ms; /* added to the times of an instant answer */
	struct mql_result *ret;
};

/* --- series of the answer ------------------------------------------------------------------- */

static int answer_no_memory(struct run *run)
{
	int code = arena_error(&run->ret->arena);

	if (code == -ENOSPC)
		return err_set(run->ev.e, code,
		               "the answer needs more than the query's memory limit of %zu bytes",
		               run->ev.limits->memory_bytes_max);
	return err_set(run->ev.e, code < 0 ? code : -ENOMEM, "out of memory");
}

static int answer_labels(struct run *run, const struct mname *mn, struct mql_series *out)
{
	return mname_labels(&run->ret->arena, mn, &out->labels, &out->n_labels) < 0
	               ? answer_no_memory(run)
	               : 0;
}

static double round_digits(double v, int digits)
{
	double p;

	if (digits <= -MQL_ROUND_OFF || digits >= MQL_ROUND_OFF)
		return v;
	p = pow(10, digits);
	return round(v * p) / p;
}

/* The times of all series of the answer. */
static const int64_t *answer_times(struct run *run, const struct grid *g)
{
	int64_t *ts_ms = arena_alloc(&run->ret->arena, g->n * sizeof(*ts_ms));

	for (uint32_t i = 0; ts_ms && i < g->n; i++)
		ts_ms[i] = grid_ts(g, i) + run->stamp_shift_ms;
	return ts_ms;
}

static int answer_points(struct run *run, const struct grid *g, const double *values,
                         struct mql_series *out)
{
	double *v = arena_memdup(&run->ret->arena, values, g->n * sizeof(*values));

	if (!v)
		return answer_no_memory(run);
	for (uint32_t i = 0; run->q->round_digits != MQL_ROUND_OFF && i < g->n; i++)
		v[i] = round_digits(v[i], run->q->round_digits);
	out->n = g->n;
	out->gaps = true;
	out->values = v;
	return 0;
}

static int check_duplicates(struct run *run, const struct series_set *set)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct mname_map names = { 0 };

	for (size_t i = 0; i < set->n; i++) {
		uint32_t number;

		if (mname_map_add(run->ev.arena, &names, &set->v[i].mn, false, &number) < 0)
			return eval_no_memory(&run->ev);
		if (number == i)
			continue;
		mname_print(&set->v[i].mn, &text);
		return err_set(run->ev.e, -EINVAL, "duplicate output timeseries: %.200s",
		               buf_cstr(&text));
	}
	return 0;
}

static bool has_own_order(const struct ast *a)
{
	if (a->kind == AST_CALL)
		return (a->call.fn->flags & FN_SORTED) != 0;
	return a->kind == AST_BINOP && (a->binop.op->flags & BINOP_OWN_ORDER);
}

static int answer(struct run *run, const struct grid *g, struct series_set *set)
{
	struct arena *arena = &run->ret->arena;
	const int64_t *ts_ms;
	struct mql_series *v;
	int r = 0;

	set_drop_empty(set, g->n);
	if (!has_own_order(run->root) && set_sort(run->ev.arena, set) < 0)
		r = eval_no_memory(&run->ev);
	if (r == 0)
		r = check_duplicates(run, set);
	v = ARENA_ARRAY(arena, struct mql_series, set->n + 1);
	ts_ms = answer_times(run, g);
	if (r == 0 && (!v || !ts_ms))
		return answer_no_memory(run);
	for (size_t i = 0; r == 0 && i < set->n; i++) {
		v[i].ts_ms = ts_ms;
		r = answer_labels(run, &set->v[i].mn, &v[i]);
		if (r == 0)
			r = answer_points(run, g, set->v[i].values, &v[i]);
	}
	run->ret->series = v;
	run->ret->n_series = set->n;
	return r;
}

/* --- raw samples: an instant query of a bare selector[d] ------------------------------------ */

static int raw_cmp(const void *a, const void *b)
{
	return mname_cmp(&((const struct raw_series *)a)->mn, &((const struct raw_series *)b)->mn);
}

/* All samples as they are: a stale mark is a NaN. */
static int answer_raw_points(struct run *run, const struct raw_series *in, struct mql_series *out)
{
	struct arena *arena = &run->ret->arena;

	out->ts_ms = arena_memdup(arena, in->ts_ms, in->n * sizeof(*in->ts_ms));
	out->values = arena_memdup(arena, in->values, in->n * sizeof(*in->values));
	out->n = in->n;
	return out->ts_ms && out->values ? 0 : answer_no_memory(run);
}

static int answer_raw(struct run *run, struct raw_series *raw, size_t n_raw)
{
	struct mql_series *v = ARENA_ARRAY(&run->ret->arena, struct mql_series, n_raw + 1);
	size_t n = 0;
	int r = v ? 0 : answer_no_memory(run);

	if (n_raw > 1)
		qsort(raw, n_raw, sizeof(*raw), raw_cmp);
	for (size_t i = 0; r == 0 && i < n_raw; i++) {
		v[n] = (struct mql_series){ 0 };
		r = answer_labels(run, &raw[i].mn, &v[n]);
		if (r == 0)
			r = answer_raw_points(run, &raw[i], &v[n]);
		n += v[n].n > 0;
	}
	run->ret->type = MQL_MATRIX;
	run->ret->series = v;
	run->ret->n_series = n;
	return r;
}

static int text_ms(struct run *run, struct str text, int64_t step_ms, int64_t *ret_ms)
{
	*ret_ms = 0;
	if (text.len == 0 || numtext_duration_ms(text, step_ms, ret_ms) == 0)
		return 0;
	return err_set(run->ev.e, -EINVAL, "bad duration %.*s", STR_FMT(text));
}

/* Start and end that an instant query of x[w] offset o means. */
static int window_range(struct run *run, const struct ast_rollup *ru, int64_t step_ms,
                        int64_t *ret_start_ms, int64_t *ret_end_ms)
{
	int64_t window_ms, offset_ms, end_ms = 0, start_ms = 0;
	int r = text_ms(run, ru->window, step_ms, &window_ms);

	if (r == 0)
		r = text_ms(run, ru->offset, step_ms, &offset_ms);
	if (r < 0)
		return r;
	if (__builtin_sub_overflow(run->q->start_ms, offset_ms, &end_ms) ||
	    __builtin_sub_overflow(end_ms, window_ms, &start_ms))
		return err_set(run->ev.e, -EINVAL, "the time range is out of bounds");
	*ret_start_ms = start_ms;
	*ret_end_ms = end_ms;
	return 0;
}

static int run_raw(struct run *run)
{
	const struct ast_rollup *ru = &run->root->rollup;
	struct raw_series *raw = NULL;
	int64_t start_ms, end_ms;
	size_t n = 0;
	int r = window_range(run, ru, run->step_ms, &start_ms, &end_ms);

	if (r == 0) /* the window is open on the left */
		r = eval_raw(&run->ev, ru->expr, start_ms + (start_ms < end_ms), end_ms, &raw, &n);
	return r < 0 ? r : answer_raw(run, raw, n);
}

/* --- ranges --------------------------------------------------------------------------------- */

/*
 * Long ranges are put on multiples of the step, so that a dashboard that reloads asks for the same
 * points again; the number of points stays.
 */
static void align_range(int64_t step_ms, int64_t *start_ms, int64_t *end_ms)
{
	int64_t points = (*end_ms - *start_ms) / step_ms + 1;
	int64_t rest = *end_ms % step_ms;

	if (points < ALIGN_POINTS_MIN)
		return;
	*start_ms -= *start_ms % step_ms;
	if (rest > 0)
		*end_ms += step_ms - rest;
	while ((*end_ms - *start_ms) / step_ms + 1 > points)
		*end_ms -= step_ms;
}

/*
 * Points newer than now - latency_offset may miss samples that are on their way: they repeat the
 * last trusted value. A series that an offset moved beyond now is left alone.
 */
static void repeat_trusted(const struct run *run, const struct grid *g, struct series_set *set)
{
	int64_t from_ms = run->q->now_ms - run->q->latency_offset_ms;
	int64_t until_ms = run->q->now_ms + g->step_ms;
	uint32_t first = 0;

	if (g->step_ms >= INCOMPLETE_STEP_MS || from_ms >= g->end_ms ||
	    grid_ts(g, g->n - 1) > until_ms)
		return;
	while (first < g->n && grid_ts(g, first) <= from_ms)
		first++;
	for (size_t i = 0; i < set->n; i++) {
		double *v = set->v[i].values;

		for (uint32_t k = first; k < g->n; k++)
			v[k] = first > 0 ? v[first - 1] : (double)NAN;
	}
}

static int run_range(struct run *run, const struct ast *a, int64_t start_ms, int64_t end_ms)
{
	struct series_set set = { 0 };
	struct grid g;
	int r;

	if (start_ms > end_ms)
		end_ms = start_ms + INSTANT_STEP_MS;
	r = eval_grid(&run->ev, start_ms, end_ms, run->step_ms, run->ev.limits->points_max,
	              "points per series (points_max)", &g);
	if (r < 0)
		return r;
	if (!run->q->nocache) {
		align_range(run->step_ms, &start_ms, &end_ms);
		g = (struct grid){ start_ms, end_ms, run->step_ms, g.n };
	}
	run->ret->type = MQL_MATRIX;
	r = eval_expr(&run->ev, &g, a, &set);
	if (r < 0)
		return r;
	repeat_trusted(run, &g, &set);
	return answer(run, &g, &set);
}

/* expr[w:s] asked at one moment is the range of its points over the window. */
static int run_windowed(struct run *run)
{
	const struct ast_rollup *ru = &run->root->rollup;
	int64_t start_ms, end_ms, step_ms;
	int r = text_ms(run, ru->step, run->step_ms, &step_ms);

	if (r == 0 && step_ms > 0)
		run->step_ms = step_ms;
	if (r == 0)
		r = window_range(run, ru, run->step_ms, &start_ms, &end_ms);
	return r < 0 ? r : run_range(run, ru->expr, start_ms, end_ms);
}

static int run_instant(struct run *run)
{
	const struct mql_query *q = run->q;
	struct series_set set = { 0 };
	int64_t at_ms = q->start_ms;
	struct grid g;
	int r;

	/* The newest samples may still be on their way: ask a little earlier. */
	if (!q->nocache && q->now_ms - at_ms < q->latency_offset_ms &&
	    at_ms - q->now_ms < q->latency_offset_ms) {
		at_ms = q->now_ms - q->latency_offset_ms;
		run->stamp_shift_ms = q->start_ms - at_ms;
	}
	g = (struct grid){ at_ms, at_ms, run->step_ms, 1 };
	r = eval_expr(&run->ev, &g, run->root, &set);
	run->ret->type = MQL_VECTOR;
	return r < 0 ? r : answer(run, &g, &set);
}

static int run_query(struct run *run)
{
	const struct mql_query *q = run->q;
	const struct ast *a = run->root;
	bool windowed = a->kind == AST_ROLLUP && a->rollup.window.len > 0;

	run->step_ms = q->step_ms;
	if (!q->instant)
		return q->step_ms > 0 ? run_range(run, a, q->start_ms, q->end_ms)
		                      : err_set(run->ev.e, -EINVAL, "the step must be positive");
	if (run->step_ms <= 0)
		run->step_ms = q->lookback_ms > 0 ? q->lookback_ms : INSTANT_STEP_MS;
	if (windowed && a->rollup.step.len == 0 && a->rollup.expr->kind == AST_SELECTOR &&
	    a->rollup.expr->selector.n_sets > 0)
		return run_raw(run);
	return windowed ? run_windowed(run) : run_instant(run);
}

static int parse_text(struct run *run)
{
	const struct mql_limits *l = run->ev.limits;

	if (run->q->text.len > l->text_bytes_max)
		return err_set(run->ev.e, -ENOSPC,
		               "the query has %zu bytes, more than the limit of %zu",
		               run->q->text.len, l->text_bytes_max);
	return parse_query(run->q->text, run->ev.arena, &run->root, run->ev.e);
}

static int fold(struct run *run)
{
	int fold_err = 0;

	run->root = ast_fold(run->root, run->ev.arena, &fold_err);
	if (fold_err == 0 && !run->q->no_pushdown)
		run->root = pushdown(run->root, run->ev.arena, &fold_err);
	if (fold_err == 0)
		ast_as_evaluated(run->root, run->ev.arena, &fold_err);
	return fold_err < 0 ? eval_no_memory(&run->ev) : 0;
}

/* What the evaluation has to say beside its series. */
static int answer_remarks(struct run *run, struct trace_step *step)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct mql_result *res = run->ret;

	res->series_fetched = run->ev.shared->series_fetched;
	res->samples_read = run->ev.shared->samples_read;
	res->warning = arena_str(&res->arena, run->ev.shared->warning);
	trace_end(&run->ev, step, "%.*s: series fetched=%llu, samples=%llu, series=%zu",
	          (int)MIN(run->q->text.len, (size_t)300), run->q->text.p,
	          (unsigned long long)res->series_fetched, (unsigned long long)res->samples_read,
	          res->n_series);
	trace_put_json(step, &text);
	res->trace = arena_str(&res->arena, buf_str(&text));
	return text.err < 0 || arena_error(&res->arena) < 0 ? answer_no_memory(run) : 0;
}

int mql_eval(struct store *s, const struct mql_query *q, struct mql_result *ret, struct err *e)
{
	const struct mql_limits *l = q->limits ? q->limits : &mql_limits_default;
	struct eval_shared shared = { .pool = q->pool,
		                      .budget = { .max_bytes = l->memory_bytes_max } };
	_cleanup_(arena_done) struct arena work = ARENA_SHARE(&shared.budget);
	struct mql_result res = { .arena = ARENA_SHARE(&shared.budget) };
	struct run run = {
		.ev = { .store = s,
		        .q = q,
		        .limits = l,
		        .shared = &shared,
		        .arena = &work,
		        .e = e },
		.q = q,
		.ret = &res,
	};
	struct trace_step *step = trace_begin(&run.ev);
	int r = parse_text(&run);

	if (r == 0 && q->dialect == MQL_PROMQL)
		r = prom_run(&run.ev, run.root, &res);
	else if (r == 0)
		r = fold(&run);
	if (r == 0 && q->dialect == MQL_METRICSQL)
		r = run_query(&run);
	if (r == 0)
		r = answer_remarks(&run, step);
	eval_done(&run.ev);
	if (r < 0) {
		arena_done(&res.arena);
		return r;
	}
	res.arena.budget = NULL; /* it ends here */
	*ret = res;
	return 0;
}

void mql_result_done(struct mql_result *r)
{
	arena_done(&r->arena);
	*r = (struct mql_result){ 0 };
}

int mql_parse_selector(struct str text, struct arena *arena,
                       const struct store_match_set **ret_sets, size_t *ret_n, struct err *e)
{
	struct ast *a;
	int r;

	if (text.len > mql_limits_default.text_bytes_max)
		return err_set(e, -EINVAL, "the selector has more than %zu bytes",
		               mql_limits_default.text_bytes_max);
	r = parse_query(text, arena, &a, e);
	if (r < 0)
		return r;
	if (a->kind != AST_SELECTOR)
		return err_set_at(e, -EINVAL, 0, "expected a series selector such as m{a=\"b\"}");
	*ret_sets = plan_matchers(arena, a->selector.sets, a->selector.n_sets);
	*ret_n = a->selector.n_sets;
	if (!*ret_sets && *ret_n > 0)
		return err_set(e, arena_error(arena), "the selector needs too much memory");
	return 0;
}

typedef int (*parse_f)(struct str text, struct arena *arena, struct ast **ret, struct err *e);

static int parse_bounded(parse_f parse, struct str text, struct arena *arena, struct ast **ret,
                         struct err *e)
{
	if (text.len > mql_limits_default.text_bytes_max)
		return err_set(e, -ENOSPC, "the query has %zu bytes, more than the limit of %zu",
		               text.len, mql_limits_default.text_bytes_max);
	return parse(text, arena, ret, e);
}

int mql_format(struct str text, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena work = ARENA_INIT(mql_limits_default.memory_bytes_max);
	struct ast *a;
	int r = parse_bounded(parse_query, text, &work, &a, e);

	if (r < 0)
		return r;
	ast_print(a, out);
	return out->err < 0 ? err_set(e, out->err, "out of memory") : 0;
}

int mql_prettify(struct str text, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena work = ARENA_INIT(mql_limits_default.memory_bytes_max);
	struct ast *a;
	int r = parse_bounded(parse_as_written, text, &work, &a, e);

	if (r < 0)
		return r;
	ast_print_pretty(a, out);
	return out->err < 0 ? err_set(e, out->err, "out of memory") : 0;
}

int mql_expand(struct str text, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena work = ARENA_INIT(mql_limits_default.memory_bytes_max);
	struct ast *a;
	int fold_err = 0, r = parse_bounded(parse_query, text, &work, &a, e);

	if (r < 0)
		return r;
	a = ast_fold(a, &work, &fold_err);
	if (fold_err == 0)
		a = pushdown(a, &work, &fold_err);
	if (fold_err < 0)
		return err_set(e, fold_err, "the query needs too much memory to be read");
	ast_print(a, out);
	return out->err < 0 ? err_set(e, out->err, "out of memory") : 0;
}

int mql_parse_duration_ms(struct str text, int64_t *ret_ms)
{
	/* There is no step that "5i" or $__interval could be a multiple of. */
	for (size_t i = 0; i < text.len; i++) {
		if (strchr("iI$", text.p[i]))
			return -EINVAL;
	}
	return numtext_duration_ms(text, 0, ret_ms);
}
