/* SPDX-License-Identifier: BSD-2-Clause */
/* Labels as whole values: mapped, compared, cut at dots, dropped where all series agree. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <math.h>

#include "userspace/base/util.h"

/* label_map(q, "label", "from1", "to1", ..); the last of equal sources counts. */
static int label_map(struct fn_args *a, struct series_set *ret)
{
	struct str label, from, to;
	int r = args_string(a, 1, &label);

	*ret = a->v[0];
	if (a->n % 2 != 0)
		return eval_fail(a->ev, a->call, "label_map() needs pairs of values");
	for (uint32_t i = 2; r == 0 && i < a->n; i++)
		r = args_string(a, i, &from);
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		struct str value = mname_get(&ret->v[k].mn, label);

		for (uint32_t i = a->n; i > 2; i -= 2) {
			(void)args_string(a, i - 2, &from);
			(void)args_string(a, i - 1, &to);
			if (!str_eq(value, from))
				continue;
			if (mname_set(a->ev->arena, &ret->v[k].mn, label, to) < 0)
				return eval_no_memory(a->ev);
			break;
		}
	}
	return r;
}

/* labels_equal(q, "label1", "label2", ..) */
static int labels_equal(struct fn_args *a, struct series_set *ret)
{
	struct str first, label;
	int r = args_string(a, 1, &first);

	for (uint32_t i = 2; r == 0 && i < a->n; i++)
		r = args_string(a, i, &label);
	for (size_t k = 0; r == 0 && k < a->v[0].n; k++) {
		const struct series *s = &a->v[0].v[k];
		struct str value = mname_get(&s->mn, first);
		bool equal = true;

		for (uint32_t i = 2; i < a->n; i++) {
			(void)args_string(a, i, &label);
			equal = equal && str_eq(mname_get(&s->mn, label), value);
		}
		if (equal && set_add(a->ev->arena, ret, *s) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

/* The part of "a.b.c" with that index, or "". */
static struct str dotted_part(struct str name, double index)
{
	struct str part, rest = name;

	if (!(index >= 0))
		return STR_NULL;
	for (double i = 0; str_cut(rest, '.', &part, &rest); i++) {
		if (i + 1 > index)
			return part;
		if (!memchr(rest.p, '.', rest.len))
			return i + 2 > index ? rest : STR_NULL;
	}
	return index < 1 ? name : STR_NULL;
}

/* label_graphite_group(q, index, ..): the parts of a dotted name, joined again. */
static int label_graphite_group(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	int r = 0;

	*ret = a->v[0];
	for (uint32_t i = 1; r == 0 && i < a->n; i++) {
		const double *index;

		r = args_scalar(a, i, &index);
	}
	for (size_t k = 0; r == 0 && k < ret->n; k++) {
		buf_clear(&b);
		for (uint32_t i = 1; i < a->n; i++) {
			const double *index = a->v[i].v[0].values;

			if (i > 1)
				buf_putc(&b, '.');
			buf_put_str(&b, dotted_part(ret->v[k].mn.name, index[0]));
		}
		ret->v[k].mn.name = arena_str(a->ev->arena, buf_str(&b));
		if (b.err < 0 || arena_error(a->ev->arena) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

static bool all_have(const struct series_set *set, struct label l)
{
	for (size_t i = 0; i < set->n; i++) {
		if (!str_eq(mname_get(&set->v[i].mn, l.name), l.value))
			return false;
	}
	return true;
}

/* Only labels of the first series can be common to all; that includes the metric name. */
static int drop_common_labels(struct fn_args *a, struct series_set *ret)
{
	struct ast_names common = { 0 };

	for (uint32_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < a->v[i].n; k++) {
			if (set_add(a->ev->arena, ret, a->v[i].v[k]) < 0)
				return eval_no_memory(a->ev);
		}
	}
	if (ret->n == 0)
		return 0;
	const struct mname *first = &ret->v[0].mn;

	common.v = ARENA_ARRAY(a->ev->arena, struct str, first->n_tags + 1);
	if (!common.v)
		return eval_no_memory(a->ev);
	for (uint32_t i = 0; i < first->n_tags; i++) {
		if (all_have(ret, first->tags[i]))
			common.v[common.n++] = first->tags[i].name;
	}
	if (all_have(ret, (struct label){ STR(LABEL_NAME), first->name }))
		common.v[common.n++] = STR(LABEL_NAME);
	for (size_t k = 0; k < ret->n; k++) {
		if (mname_drop(a->ev->arena, &ret->v[k].mn, &common) < 0)
			return eval_no_memory(a->ev);
	}
	return 0;
}

#define LABELS(fname, amin, fl, text) \
	FN_TRANSFORM_ROW(fname, fname, amin, FN_VARIADIC, 0, FN_KEEP_NAME | fl, text)

static const struct fn rows[] = {
	/* clang-format off */
	LABELS(label_map, 2, FN_LABELS_SECOND, "Replaces values of the label: pairs of old and new."),
	LABELS(labels_equal, 3, FN_LABELS_LIST, "The series whose labels all have the same value."),
	LABELS(label_graphite_group, 2, 0, "The chosen parts of a dotted metric name, from 0."),
	LABELS(drop_common_labels, 1, FN_LABELS_LOST, "Without the labels that all series agree in."),
	/* clang-format on */
};

const struct fn_table fn_label_whole = { rows, ARRAY_SIZE(rows) };
