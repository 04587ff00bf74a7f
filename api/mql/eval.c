/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/eval.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "api/mql/aggr.h"
#include "api/mql/binop.h"
#include "api/mql/eval_rollup.h"
#include "api/mql/numtext.h"
#include "api/mql/pushdown.h"
#include "api/mql/trace.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/pool.h"
#include "userspace/base/util.h"

#define WORKERS_MAX 64u

/* --- threads -------------------------------------------------------------------------------- */

struct eval_worker {
	struct eval ev;
	struct arena arena;
};

void eval_done(struct eval *ev)
{
	rollup_room_done(&ev->room);
	for (unsigned i = 0; i < ev->n_workers; i++) {
		rollup_room_done(&ev->workers[i].ev.room);
		arena_done(&ev->workers[i].arena);
	}
	free(ev->workers);
	ev->workers = NULL;
	ev->n_workers = 0;
}

unsigned eval_workers(struct eval *ev)
{
	unsigned n = MIN(pool_threads(ev->shared->pool), WORKERS_MAX - 1);

	if (ev->n_workers > 0 || n == 0)
		return ev->n_workers + 1;
	ev->workers = mem_zalloc(n, sizeof(*ev->workers));
	if (!ev->workers)
		return 1; /* slower, but it works */
	ev->n_workers = n;
	for (unsigned i = 0; i < n; i++) {
		struct eval_worker *w = &ev->workers[i];

		w->arena = ARENA_SHARE(&ev->shared->budget);
		w->ev = (struct eval){ .store = ev->store,
			               .q = ev->q,
			               .limits = ev->limits,
			               .shared = ev->shared,
			               .arena = &w->arena };
	}
	return n + 1;
}

struct eval *eval_worker(struct eval *ev, unsigned worker)
{
	return &ev->workers[worker - 1].ev;
}

/* --- errors --------------------------------------------------------------------------------- */

int eval_arena_failed(struct eval *ev, const struct arena *arena)
{
	int code = arena_error(arena) < 0 ? arena_error(arena) : -ENOMEM;

	if (code == -ENOSPC)
		return err_set(ev->e, code,
		               "the query needs more than its memory limit of %zu bytes",
		               ev->limits->memory_bytes_max);
	return err_set(ev->e, code, "out of memory");
}

int eval_no_memory(struct eval *ev)
{
	return eval_arena_failed(ev, ev->arena);
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

static bool nobody_waits(const struct eval *ev)
{
	return ev->q->cancelled && atomic_load_explicit(ev->q->cancelled, memory_order_relaxed);
}

int eval_cancelled(struct eval *ev)
{
	return err_set(ev->e, -ECANCELED,
	               nobody_waits(ev) ? "the client has hung up"
	                                : "the query took longer than its time limit");
}

int eval_tick(struct eval *ev)
{
	uint64_t deadline_ns = ev->q->deadline_mono_ns;

	if (!nobody_waits(ev) && (deadline_ns == 0 || clock_mono_ns() < deadline_ns))
		return 0;
	return eval_cancelled(ev);
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

int eval_duration_ms(struct eval *ev, const struct ast *at, struct str text, int64_t step_ms,
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

static int feed_set(struct aggr_state *st, const struct series_set *set)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = aggr_feed(st, &set->v[i].mn, set->v[i].values);
	return r;
}

static int feed_arg(struct aggr_state *st, const struct ast *arg)
{
	const struct sink to = { .aggr = st };
	struct series_set set = { 0 };
	int r;

	if (eval_is_streamable(arg) && arg->kind == AST_CALL)
		return eval_rollup_call(st->ev, st->g, arg, &to);
	if (eval_is_streamable(arg))
		return eval_default_rollup(st->ev, st->g, arg, &to);
	r = eval_expr(st->ev, st->g, arg, &set);
	return r < 0 ? r : feed_set(st, &set);
}

static bool is_absent_call(const struct ast *a)
{
	return a->kind == AST_CALL && (a->call.fn->flags & FN_ABSENT);
}

/*
 * As in VictoriaMetrics, which has a way of its own for aggregates of plain rollups: series without
 * values count, and sum(absent_over_time(m)) is what absent_over_time() makes of the sums, so that
 * it tells where any series of a group is absent.
 */
static int eval_incremental(struct eval *ev, const struct grid *g, const struct ast *a,
                            struct series_set *ret)
{
	struct aggr_state st = { .ev = ev, .arena = ev->arena, .g = g, .call = &a->call };
	const struct sink to = { .aggr = &st };
	const struct ast *first = a->call.n_args > 0 ? a->call.args[0] : NULL;
	int r = 0;

	st.with_empty = a->call.n_args == 1 && eval_is_direct(first);
	if (st.with_empty && is_absent_call(first)) {
		r = eval_rollup_call(ev, g, first, &to);
		if (r == 0)
			r = aggr_finish(&st, ret);
		return r < 0 ? r : eval_absent_as_one(ev, g, first, ret);
	}
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

static int eval_node(struct eval *ev, const struct grid *g, const struct ast *a,
                     struct series_set *ret)
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
		r = eval_duration_ms(ev, a, a->duration, g->step_ms, &ms);
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

int eval_expr(struct eval *ev, const struct grid *g, const struct ast *a, struct series_set *ret)
{
	bool leaf = a->kind == AST_NUMBER || a->kind == AST_STRING || a->kind == AST_DURATION;
	struct trace_step *step = leaf ? NULL : trace_begin(ev);
	int r = eval_node(ev, g, a, ret);

	trace_end_expr(ev, step, g, a, ret);
	return r;
}
