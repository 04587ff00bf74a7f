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

/* --- series by series ----------------------------------------------------------------------- */

static int no_memory(struct aggr_state *st)
{
	return eval_arena_failed(st->ev, st->arena);
}

static bool names_have(const struct ast_names *names, struct str label)
{
	for (uint32_t i = 0; i < names->n; i++) {
		if (str_eq(names->v[i], label))
			return true;
	}
	return false;
}

/* The group's labels, borrowed; only good until the next series. */
static int group_labels(struct aggr_state *st, const struct mname *mn, struct mname *ret)
{
	const struct ast_call *c = st->call;
	bool by = c->group != AST_GROUP_WITHOUT;

	if (mn->n_tags > st->labels_cap) {
		st->labels = ARENA_ARRAY(st->arena, struct label, mn->n_tags * 2);
		st->labels_cap = st->labels ? mn->n_tags * 2 : 0;
		if (!st->labels)
			return no_memory(st);
	}
	*ret = (struct mname){ .tags = st->labels };
	if (by && names_have(&c->labels, STR(LABEL_NAME)))
		ret->name = mn->name;
	if (by && c->labels.n == 0)
		return 0;
	for (uint32_t i = 0; i < mn->n_tags; i++) {
		if (names_have(&c->labels, mn->tags[i].name) == by)
			st->labels[ret->n_tags++] = mn->tags[i];
	}
	return 0;
}

/* Room for group @number. */
static int state_grow(struct aggr_state *st, uint32_t number)
{
	uint32_t cap = st->cap ? st->cap * 2 : 8;
	struct aggr_acc *accs;

	if (number < st->cap)
		return 0;
	accs = ARENA_ARRAY(st->arena, struct aggr_acc, cap);
	if (!accs)
		return no_memory(st);
	if (st->cap > 0)
		memcpy(accs, st->accs, st->cap * sizeof(*accs));
	st->accs = accs;
	st->cap = cap;
	return 0;
}

/* The accumulator of the group with these labels, NULL in *@ret when the "limit" is reached. */
static int find_acc(struct aggr_state *st, const struct mname *group, struct aggr_acc **ret)
{
	uint32_t limit = st->call->limit, number;
	int r;

	*ret = NULL;
	if (limit > 0 && st->groups.n >= limit && !mname_map_find(&st->groups, group, &number))
		return 0;
	if (mname_map_add(st->arena, &st->groups, group, true, &number) < 0)
		return no_memory(st);
	r = state_grow(st, number);
	if (r == 0)
		*ret = &st->accs[number];
	return r;
}

static int acc_start(struct aggr_state *st, struct aggr_acc *acc)
{
	acc->n = st->g->n;
	acc->v = values_new(st->arena, acc->n, 0);
	acc->count = values_new(st->arena, acc->n, 0);
	return acc->v && acc->count ? 0 : no_memory(st);
}

int aggr_feed(struct aggr_state *st, const struct mname *mn, const double *values)
{
	struct aggr_acc *acc;
	struct mname group;
	int r;

	if (!st->with_empty && !has_value(values, st->g->n))
		return 0;
	r = group_labels(st, mn, &group);
	if (r == 0)
		r = find_acc(st, &group, &acc);
	if (r < 0 || !acc)
		return r;
	if (!acc->v)
		r = acc_start(st, acc);
	if (r == 0)
		st->call->fn->impl.incr->add(acc, values);
	return r;
}

int aggr_merge(struct aggr_state *st, const struct aggr_state *part)
{
	struct aggr_acc *acc;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < part->groups.n; i++) {
		r = find_acc(st, &part->groups.v[i], &acc);
		if (r < 0 || !acc)
			continue;
		if (acc->v) {
			st->call->fn->impl.incr->merge(acc, &part->accs[i]);
			continue;
		}
		r = acc_start(st, acc);
		if (r < 0)
			continue;
		memcpy(acc->v, part->accs[i].v, acc->n * sizeof(*acc->v));
		memcpy(acc->count, part->accs[i].count, acc->n * sizeof(*acc->count));
	}
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
		if (set_add(st->ev->arena, ret, (struct series){ st->groups.v[i], acc->v }) < 0)
			return eval_no_memory(st->ev);
	}
	return 0;
}

/* --- whole groups --------------------------------------------------------------------------- */

struct grouping {
	struct mname_map names;
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

static int grouping_add(struct fn_args *a, struct grouping *gr, struct series s)
{
	uint32_t limit = a->call->call.limit, number;
	struct mname group = s.mn;
	int r = aggr_group_name(a->ev, &a->call->call, &group);

	if (r < 0)
		return r;
	if (limit > 0 && gr->names.n >= limit && !mname_map_find(&gr->names, &group, &number))
		return 0;
	if (mname_map_add(a->ev->arena, &gr->names, &group, false, &number) < 0)
		return eval_no_memory(a->ev);
	r = number >= gr->cap ? grouping_grow(a->ev, gr) : 0;
	if (r < 0)
		return r;
	gr->v[number].mn = group;
	return set_add(a->ev->arena, &gr->v[number].in, s) < 0 ? eval_no_memory(a->ev) : 0;
}

int aggr_groups(struct fn_args *a, uint32_t first, struct aggr_group **ret, uint32_t *ret_n)
{
	struct grouping gr = { 0 };
	int r = 0;

	for (uint32_t i = first; i < a->n; i++) {
		set_drop_empty(&a->v[i], a->g->n);
		for (size_t k = 0; r == 0 && k < a->v[i].n; k++)
			r = grouping_add(a, &gr, a->v[i].v[k]);
	}
	*ret = gr.v;
	*ret_n = gr.names.n;
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
