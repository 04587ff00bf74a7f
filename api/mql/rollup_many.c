/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/rollup_many.h"

#include <math.h>

#include "api/mql/numtext.h"

/* --- arguments ------------------------------------------------------------------------------ */

static int string_arg(struct eval *ev, const struct ast *call, uint32_t i, struct str *ret)
{
	const struct ast *arg = call->call.args[i];

	if (arg->kind != AST_STRING)
		return eval_fail(ev, arg, "argument %u of %s() must be a string", i + 1,
		                 call->call.fn->name);
	*ret = arg->string;
	return 0;
}

static int room(struct eval *ev, struct rollup_many_call *ret, uint32_t n)
{
	ret->v = ARENA_ARRAY(ev->arena, struct rollup_variant, n + 1);
	return ret->v ? 0 : eval_no_memory(ev);
}

static int start_family(struct eval *ev, const struct ast *call, struct rollup_many_call *ret)
{
	const struct rollup_many *m = ret->many;
	struct str tag = STR_NULL;
	int r = room(ev, ret, (uint32_t)m->n_variants);

	if (r == 0 && call->call.n_args > 1)
		r = string_arg(ev, call, 1, &tag);
	for (size_t i = 0; r == 0 && i < m->n_variants; i++) {
		if (call->call.n_args > 1 && !str_eqc(tag, m->variants[i].tag))
			continue;
		ret->v[ret->n] = m->variants[i];
		if (call->call.n_args > 1 && !m->label_always)
			ret->v[ret->n].tag = "";
		ret->n++;
	}
	if (r == 0 && ret->n == 0)
		return eval_fail(ev, call->call.args[1], "%s() has no series called %.*s",
		                 call->call.fn->name, STR_FMT(tag));
	return r;
}

static int add_named(struct eval *ev, const struct ast *arg, struct rollup_conf *conf,
                     struct rollup_many_call *ret)
{
	const struct fn *f = arg->kind == AST_STRING ? fn_find_in_aggr(arg->string) : NULL;

	if (arg->kind != AST_STRING)
		return eval_fail(ev, arg, "aggr_over_time() takes names of functions as strings");
	if (!f)
		return eval_fail(ev, arg, "%.*s cannot be used in aggr_over_time()",
		                 STR_FMT(arg->string));
	/* One function that needs resets removed makes all of them see the result. */
	conf->flags |= f->flags & FN_COUNTER;
	ret->v[ret->n++] = (struct rollup_variant){ fn_name_in_aggr(f), f->impl.rollup };
	return 0;
}

static int start_named(struct eval *ev, const struct ast *call, struct rollup_conf *conf,
                       struct rollup_many_call *ret)
{
	const struct ast *arg = call->call.args[0];
	bool list = arg->kind == AST_CALL && arg->call.fn == fn_union;
	int r = room(ev, ret, list ? arg->call.n_args : 1);

	if (r == 0 && !list)
		return add_named(ev, arg, conf, ret);
	for (uint32_t i = 0; r == 0 && i < arg->call.n_args; i++)
		r = add_named(ev, arg->call.args[i], conf, ret);
	if (r == 0 && ret->n == 0)
		return eval_fail(ev, arg, "aggr_over_time() needs the name of a function");
	return r;
}

static int add_number(struct eval *ev, const struct grid *g, const struct ast *call, uint32_t i,
                      struct rollup_many_call *ret)
{
	char text[NUMTEXT_GENERAL_BYTES_MAX];
	struct series_set set = { 0 };
	int r = eval_expr(ev, g, call->call.args[i], &set);

	if (r < 0)
		return r;
	if (set.n != 1)
		return eval_fail(ev, call->call.args[i],
		                 "argument %u of %s() must be one number, it is %zu series", i + 1,
		                 call->call.fn->name, set.n);
	double v = set.v[0].values[0];

	ret->numbers[ret->n_numbers] = v;
	ret->texts[ret->n_numbers++] =
		arena_str(ev->arena, (struct str){ text, numtext_general(v, text) });
	return arena_error(ev->arena) < 0 ? eval_no_memory(ev) : 0;
}

/* (label, numbers.., series) or (series). */
static int start_spread(struct eval *ev, const struct ast *call, const struct grid *g,
                        struct rollup_many_call *ret)
{
	uint32_t n = call->call.n_args;
	int r = 0;

	if (ret->many->label)
		return 0;
	r = string_arg(ev, call, 0, &ret->label);
	ret->numbers = values_new(ev->arena, n, 0);
	ret->texts = ARENA_ARRAY(ev->arena, struct str, n);
	if (!ret->numbers || !ret->texts)
		return eval_no_memory(ev);
	for (uint32_t i = 1; r == 0 && i + 1 < n; i++)
		r = add_number(ev, g, call, i, ret);
	return r;
}

int rollup_many_start(struct eval *ev, const struct ast *call, struct rollup_conf *conf,
                      struct rollup_many_call *ret)
{
	const struct rollup_many *m = call->call.fn->many;

	*ret = (struct rollup_many_call){
		.many = m,
		.label = m->label ? str_from(m->label) : STR_NULL,
	};
	if (m == &rollup_many_named)
		return start_named(ev, call, conf, ret);
	return m->spread ? start_spread(ev, call, &conf->grid, ret) : start_family(ev, call, ret);
}

/* --- series --------------------------------------------------------------------------------- */

/*
 * The label of a variant comes beside one that is there already: rollup_rate() of rollup_delta()
 * has two of one name, which makes up to nine series of one. What is spread by a value replaces it.
 */
static int put(struct eval *ev, const struct rollup_many_call *call, const struct mname *mn,
               struct str tag, double *values, struct series_set *ret)
{
	struct series s = { *mn, values };
	int r = 0;

	if (tag.len > 0)
		r = call->many->spread ? mname_set(ev->arena, &s.mn, call->label, tag)
		                       : mname_add(ev->arena, &s.mn, call->label, tag);
	return r < 0 || set_add(ev->arena, ret, s) < 0 ? eval_no_memory(ev) : 0;
}

static int run_variants(struct eval *ev, const struct rollup_many_call *call,
                        const struct rollup_series *from, const struct mname *mn,
                        struct series_set *ret)
{
	uint32_t n_points = from->conf->grid.n;
	struct eval_work work = { 0 };
	struct rollup_window w;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < call->n; i++) {
		double *dst = values_new(ev->arena, n_points, NAN);

		if (!dst)
			return eval_no_memory(ev);
		for (uint32_t k = 0; r == 0 && k < n_points; k++) {
			rollup_window_at(from, k, &w);
			dst[k] = call->v[i].f(&w);
			r = eval_worked(ev, &work, w.n);
		}
		if (r < 0)
			return r;
		r = put(ev, call, mn, str_from(call->v[i].tag), dst, ret);
	}
	return r;
}

struct rollup_slot {
	struct str tag;
	double *values;
};

static int slots_grow(struct rollup_spread *to)
{
	uint32_t cap = to->cap ? to->cap * 2 : 16;
	struct rollup_slot *v = ARENA_ARRAY(to->ev->arena, struct rollup_slot, cap);

	if (!v)
		return eval_no_memory(to->ev);
	if (to->cap > 0)
		memcpy(v, to->slots, to->cap * sizeof(*v));
	to->slots = v;
	to->cap = cap;
	return 0;
}

double *rollup_slot_of(struct rollup_spread *to, struct str tag)
{
	struct rollup_slot *slot;
	uint32_t before = to->keys.n, number;

	if (keymap_add(to->ev->arena, &to->keys, tag, &number) < 0) {
		(void)eval_no_memory(to->ev);
		return NULL;
	}
	if (number >= to->cap && slots_grow(to) < 0)
		return NULL;
	slot = &to->slots[number];
	if (number == before) {
		slot->tag = arena_str(to->ev->arena, tag);
		slot->values = values_new(to->ev->arena, to->n_points, NAN);
	}
	if (!slot->values || arena_error(to->ev->arena) < 0) {
		(void)eval_no_memory(to->ev);
		return NULL;
	}
	return &slot->values[to->point];
}

static int run_spread(struct eval *ev, const struct rollup_many_call *call,
                      const struct rollup_series *from, const struct mname *mn,
                      struct series_set *ret)
{
	struct rollup_spread to = { .ev = ev, .call = call, .n_points = from->conf->grid.n };
	struct eval_work work = { 0 };
	struct rollup_window w;
	int r = 0;

	for (; r == 0 && to.point < to.n_points; to.point++) {
		rollup_window_at(from, to.point, &w);
		r = call->many->spread(&to, &w);
		if (r == 0)
			r = eval_worked(ev, &work, w.n);
	}
	for (uint32_t i = 0; r == 0 && i < to.keys.n; i++)
		r = put(ev, call, mn, to.slots[i].tag, to.slots[i].values, ret);
	return r;
}

int rollup_many_run(struct eval *ev, const struct rollup_many_call *call,
                    const struct rollup_series *s, const struct mname *mn, struct series_set *ret)
{
	return call->many->spread ? run_spread(ev, call, s, mn, ret)
	                          : run_variants(ev, call, s, mn, ret);
}
