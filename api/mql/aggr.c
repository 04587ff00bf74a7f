/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/aggr.h"

#include <math.h>

int aggr_group_name(struct eval *ev, const struct ast_call *c, struct mname *mn)
{
	int r;

	if (c->group == AST_GROUP_WITHOUT) {
		r = mname_drop(ev->arena, mn, &c->labels);
		mn->name = STR_NULL;
	} else {
		r = mname_keep(ev->arena, mn, &c->labels);
	}
	mn->as_stored = false;
	return r < 0 ? eval_no_memory(ev) : 0;
}

static bool has_value(const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!isnan(v[i]))
			return true;
	}
	return false;
}

/*
 * The number of @mn's group, or -1 in *@ret when the "limit" is reached. @mn becomes the group's
 * labels.
 */
static int find_group(struct eval *ev, const struct ast_call *c, struct keymap *groups,
                      struct buf *key, struct mname *mn, int64_t *ret)
{
	uint32_t number;
	int r = aggr_group_name(ev, c, mn);

	if (r < 0)
		return r;
	buf_clear(key);
	mname_key(mn, key);
	if (key->err < 0)
		return err_set(ev->e, key->err, "out of memory");
	*ret = -1;
	if (c->limit > 0 && groups->n >= c->limit && !keymap_find(groups, buf_str(key), &number))
		return 0;
	if (keymap_add(ev->arena, groups, buf_str(key), &number) < 0)
		return eval_no_memory(ev);
	*ret = number;
	return 0;
}

/* Room for group @number. */
static int state_grow(struct aggr_state *st, uint32_t number)
{
	struct arena *arena = st->ev->arena;
	uint32_t cap = st->cap ? st->cap * 2 : 8;
	struct mname *names;
	struct aggr_acc *accs;

	if (number < st->cap)
		return 0;
	names = ARENA_ARRAY(arena, struct mname, cap);
	accs = ARENA_ARRAY(arena, struct aggr_acc, cap);
	if (!names || !accs)
		return eval_no_memory(st->ev);
	if (st->cap > 0) {
		memcpy(names, st->names, st->cap * sizeof(*names));
		memcpy(accs, st->accs, st->cap * sizeof(*accs));
	}
	st->names = names;
	st->accs = accs;
	st->cap = cap;
	return 0;
}

static int acc_start(struct aggr_state *st, struct aggr_acc *acc)
{
	acc->n = st->g->n;
	acc->v = values_new(st->ev->arena, acc->n, 0);
	acc->count = values_new(st->ev->arena, acc->n, 0);
	return acc->v && acc->count ? 0 : eval_no_memory(st->ev);
}

int aggr_feed(struct aggr_state *st, const struct mname *mn, const double *values)
{
	struct mname group = *mn;
	int64_t number;
	int r;

	if (!st->with_empty && !has_value(values, st->g->n))
		return 0;
	r = find_group(st->ev, st->call, &st->groups, &st->key, &group, &number);
	if (r < 0 || number < 0)
		return r;
	r = state_grow(st, (uint32_t)number);
	if (r < 0)
		return r;
	struct aggr_acc *acc = &st->accs[number];

	if (!acc->v) {
		st->names[number] = group;
		r = acc_start(st, acc);
	}
	if (r == 0)
		st->call->fn->impl.incr->add(acc, values);
	return r;
}

int aggr_finish(struct aggr_state *st, struct series_set *ret)
{
	for (uint32_t i = 0; i < st->groups.n; i++) {
		struct aggr_acc *acc = &st->accs[i];

		st->call->fn->impl.incr->finish(acc);
		for (uint32_t k = 0; k < acc->n; k++) {
			if (acc->count[k] == 0)
				acc->v[k] = NAN;
		}
		if (set_add(st->ev->arena, ret, (struct series){ st->names[i], acc->v }) < 0)
			return eval_no_memory(st->ev);
	}
	return 0;
}

void aggr_done(struct aggr_state *st)
{
	buf_done(&st->key);
}

struct grouping {
	struct keymap keys;
	struct aggr_group *v;
	uint32_t cap;
};

static int grouping_grow(struct eval *ev, struct grouping *gr)
{
	uint32_t cap = gr->cap ? gr->cap * 2 : 8;
	struct aggr_group *v = ARENA_ARRAY(ev->arena, struct aggr_group, cap);

	if (!v)
		return eval_no_memory(ev);
	if (gr->cap > 0)
		memcpy(v, gr->v, gr->cap * sizeof(*v));
	gr->v = v;
	gr->cap = cap;
	return 0;
}

static int grouping_add(struct fn_args *a, struct grouping *gr, struct buf *key, struct series s)
{
	struct mname group = s.mn;
	int64_t number;
	int r = find_group(a->ev, &a->call->call, &gr->keys, key, &group, &number);

	if (r < 0 || number < 0)
		return r;
	if (number >= gr->cap)
		r = grouping_grow(a->ev, gr);
	if (r < 0)
		return r;
	gr->v[number].mn = group;
	return set_add(a->ev->arena, &gr->v[number].in, s) < 0 ? eval_no_memory(a->ev) : 0;
}

int aggr_groups(struct fn_args *a, uint32_t first, struct aggr_group **ret, uint32_t *ret_n)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	struct grouping gr = { 0 };
	int r = 0;

	for (uint32_t i = first; i < a->n; i++) {
		set_drop_empty(&a->v[i], a->g->n);
		for (size_t k = 0; r == 0 && k < a->v[i].n; k++)
			r = grouping_add(a, &gr, &key, a->v[i].v[k]);
	}
	*ret = gr.v;
	*ret_n = gr.keys.n;
	return r;
}

static int fold_group(struct fn_args *a, const struct aggr_group *gr, const double *args,
                      aggr_fold_f fold, struct series_set *ret)
{
	double *column = values_new(a->ev->arena, (uint32_t)gr->in.n, 0);
	double *out = values_new(a->ev->arena, a->g->n, NAN);

	if (!column || !out)
		return eval_no_memory(a->ev);
	for (uint32_t k = 0; k < a->g->n; k++) {
		uint32_t n = 0;

		for (size_t i = 0; i < gr->in.n; i++) {
			if (!isnan(gr->in.v[i].values[k]))
				column[n++] = gr->in.v[i].values[k];
		}
		if (n > 0)
			out[k] = fold(column, n, args ? args[k] : (double)NAN);
	}
	if (set_add(a->ev->arena, ret, (struct series){ gr->mn, out }) < 0)
		return eval_no_memory(a->ev);
	return eval_tick(a->ev);
}

int aggr_columns(struct fn_args *a, uint32_t first, const double *args, aggr_fold_f fold,
                 struct series_set *ret)
{
	struct aggr_group *groups;
	uint32_t n;
	int r = aggr_groups(a, first, &groups, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = fold_group(a, &groups[i], args, fold, ret);
	return r;
}
