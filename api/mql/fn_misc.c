/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions about whole series: presence, type, union. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/mname_map.h"

#include <math.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

/* A single series as a number; a string as the number it spells; NaN for all else. */
static int scalar(struct fn_args *a, struct series_set *ret)
{
	const struct ast *arg = a->call->call.args[0];
	double v = NAN;

	if (arg->kind == AST_STRING) {
		(void)num_parse_double(arg->string, &v); /* stays NaN when it spells none */
		return eval_number(a->ev, a->g, v, ret);
	}
	if (a->v[0].n != 1)
		return eval_number(a->ev, a->g, NAN, ret);
	*ret = a->v[0];
	ret->v[0].mn = (struct mname){ 0 };
	return 0;
}

static int vector(struct fn_args *a, struct series_set *ret)
{
	*ret = a->v[0];
	return 0;
}

static bool is_scalar_set(const struct series_set *set)
{
	return set->n == 1 && mname_is_empty(&set->v[0].mn);
}

/* The first of equal label sets wins; a union of numbers keeps them all. */
static int union_fn(struct fn_args *a, struct series_set *ret)
{
	struct mname_map names = { 0 };
	bool scalars = true;

	for (uint32_t i = 0; i < a->n; i++)
		scalars = scalars && is_scalar_set(&a->v[i]);
	for (uint32_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < a->v[i].n; k++) {
			uint32_t before = names.n, number;

			if (mname_map_add(a->ev->arena, &names, &a->v[i].v[k].mn, false, &number) <
			    0)
				return eval_no_memory(a->ev);
			if (number != before && !scalars)
				continue;
			if (set_add(a->ev->arena, ret, a->v[i].v[k]) < 0)
				return eval_no_memory(a->ev);
		}
	}
	return 0;
}

static int drop_empty_series(struct fn_args *a, struct series_set *ret)
{
	*ret = a->v[0];
	set_drop_empty(ret, a->g->n);
	return 0;
}

/* The labels that the argument's selector demands by "=". */
static int absent_labels(struct fn_args *a, struct mname *mn)
{
	const struct ast *s = a->call->call.args[0];

	if (s->kind != AST_SELECTOR || s->selector.n_sets != 1)
		return 0;
	for (size_t i = 0; i < s->selector.sets[0].n; i++) {
		const struct store_matcher *m = &s->selector.sets[0].v[i];

		if (m->op != STORE_EQ || str_eqc(m->name, LABEL_NAME))
			continue;
		if (mname_set(a->ev->arena, mn, m->name, m->value) < 0)
			return eval_no_memory(a->ev);
	}
	return 0;
}

/* 1 at the points where no series has a value. */
static int absent(struct fn_args *a, struct series_set *ret)
{
	int r = eval_number(a->ev, a->g, 1, ret);

	if (r == 0)
		r = absent_labels(a, &ret->v[0].mn);
	for (size_t i = 0; r == 0 && i < a->v[0].n; i++) {
		for (uint32_t k = 0; k < a->g->n; k++) {
			if (!isnan(a->v[0].v[i].values[k]))
				ret->v[0].values[k] = NAN;
		}
	}
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(union, union_fn, 0, FN_VARIADIC, 0, FN_UNION | FN_LABELS_UNION,
			 "All series of all arguments; also written (a, b)."),
	FN_TRANSFORM_ROW(scalar, scalar, 1, 1, 0, FN_LABELS_LOST, "The only series, as a number."),
	FN_TRANSFORM_ROW(vector, vector, 1, 1, 0, 0, "The number, as a series without labels."),
	FN_TRANSFORM_ROW(absent, absent, 1, 1, 0, FN_LABELS_LOST, "1 where the argument has no value."),
	FN_TRANSFORM_ROW(drop_empty_series, drop_empty_series, 1, 1, 0, 0,
			 "Without the series that have no value at all."),
	/* clang-format on */
};

const struct fn *const fn_union = &rows[0];

const struct fn_table fn_misc = { rows, ARRAY_SIZE(rows) };
