/* SPDX-License-Identifier: BSD-2-Clause */
/* Order and number of series. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

struct order {
	uint32_t n_points;
	int sign; /* 1 ascending, -1 descending */
	const struct ast_names *labels;
	int (*cmp)(const struct order *o, const struct series *a, const struct series *b);
};

struct placed {
	struct series s;
	size_t at; /* where it was: equals stay in their order */
};

static int order_cmp(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	const struct placed *x = a, *y = b;
	int c = o->cmp(o, &x->s, &y->s);

	return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static int sort_by(struct eval *ev, struct series_set *set, struct order *o)
{
	struct placed *v = ARENA_ARRAY(ev->arena, struct placed, set->n + 1);

	if (!v)
		return eval_no_memory(ev);
	for (size_t i = 0; i < set->n; i++)
		v[i] = (struct placed){ set->v[i], i };
	if (set->n > 1)
		qsort_r(v, set->n, sizeof(*v), order_cmp, o);
	for (size_t i = 0; i < set->n; i++)
		set->v[i] = v[i].s;
	return eval_tick(ev);
}

static int by_value(const struct order *o, const struct series *a, const struct series *b)
{
	return series_cmp_values(a, b, o->n_points, o->sign);
}

static int sort_values(struct fn_args *a, int sign, struct series_set *ret)
{
	struct order o = { .n_points = a->g->n, .sign = sign, .cmp = by_value };

	*ret = a->v[0];
	return sort_by(a->ev, ret, &o);
}

static int sort_fn(struct fn_args *a, struct series_set *ret)
{
	return sort_values(a, 1, ret);
}

static int sort_desc_fn(struct fn_args *a, struct series_set *ret)
{
	return sort_values(a, -1, ret);
}

static int by_label(const struct order *o, const struct series *a, const struct series *b)
{
	for (uint32_t i = 0; i < o->labels->n; i++) {
		int c = str_cmp(mname_get(&a->mn, o->labels->v[i]),
		                mname_get(&b->mn, o->labels->v[i]));

		if (c != 0)
			return c * o->sign;
	}
	return 0;
}

/* Length of the number at the front: a sign, digits, one point among them; 0 = none is there. */
static size_t number_len(struct str s)
{
	size_t n = s.len > 0 && (s.p[0] == '-' || s.p[0] == '+');
	bool digits = false, point = false;

	for (; n < s.len; n++) {
		if (isdigit((unsigned char)s.p[n]))
			digits = true;
		else if (s.p[n] == '.' && !point)
			point = true;
		else
			break;
	}
	return digits ? n : 0;
}

static size_t text_len(struct str s)
{
	size_t n = 0;

	while (n < s.len && !isdigit((unsigned char)s.p[n]))
		n++;
	return n;
}

static double number_of(struct str s)
{
	double v;

	if (s.p[0] == '+')
		s = str_skip(s, 1);
	if (s.p[s.len - 1] == '.')
		s.len--;
	return num_parse_double(s, &v) == 0 ? v : (double)NAN;
}

static int numbers_cmp(struct str a, struct str b)
{
	if (a.len == 0 || b.len == 0)
		return (a.len == 0) - (b.len == 0); /* a number comes before none */
	double x = number_of(a), y = number_of(b);

	return (x > y) - (x < y);
}

/* Numbers in the text compare as numbers: a2 before a10. */
static int natural_cmp(struct str a, struct str b)
{
	while (a.len > 0 && b.len > 0) {
		size_t na = number_len(a), nb = number_len(b);
		int c = numbers_cmp((struct str){ a.p, na }, (struct str){ b.p, nb });

		if (c != 0)
			return c;
		a = str_skip(a, na);
		b = str_skip(b, nb);
		na = text_len(a);
		nb = text_len(b);
		c = str_cmp((struct str){ a.p, na }, (struct str){ b.p, nb });
		if (c != 0)
			return c;
		a = str_skip(a, na);
		b = str_skip(b, nb);
	}
	return (a.len > 0) - (b.len > 0);
}

static int by_label_numeric(const struct order *o, const struct series *a, const struct series *b)
{
	for (uint32_t i = 0; i < o->labels->n; i++) {
		int c = natural_cmp(mname_get(&a->mn, o->labels->v[i]),
		                    mname_get(&b->mn, o->labels->v[i]));

		if (c != 0)
			return c * o->sign;
	}
	return 0;
}

static int sort_labels(struct fn_args *a, struct order o, struct series_set *ret)
{
	struct ast_names labels = { .v = ARENA_ARRAY(a->ev->arena, struct str, a->n) };
	int r = labels.v ? 0 : eval_no_memory(a->ev);

	for (uint32_t i = 1; r == 0 && i < a->n; i++)
		r = args_string(a, i, &labels.v[labels.n++]);
	*ret = a->v[0];
	o.labels = &labels;
	return r < 0 ? r : sort_by(a->ev, ret, &o);
}

static int sort_by_label(struct fn_args *a, struct series_set *ret)
{
	return sort_labels(a, (struct order){ .sign = 1, .cmp = by_label }, ret);
}

static int sort_by_label_desc(struct fn_args *a, struct series_set *ret)
{
	return sort_labels(a, (struct order){ .sign = -1, .cmp = by_label }, ret);
}

static int sort_by_label_numeric(struct fn_args *a, struct series_set *ret)
{
	return sort_labels(a, (struct order){ .sign = 1, .cmp = by_label_numeric }, ret);
}

static int sort_by_label_numeric_desc(struct fn_args *a, struct series_set *ret)
{
	return sort_labels(a, (struct order){ .sign = -1, .cmp = by_label_numeric }, ret);
}

/* limit_offset(limit, offset, q); series without any value do not count. */
static int limit_offset(struct fn_args *a, struct series_set *ret)
{
	const double *limit, *offset;
	int r = args_scalar(a, 0, &limit);

	if (r == 0)
		r = args_scalar(a, 1, &offset);
	if (r < 0)
		return r;
	set_drop_empty(&a->v[2], a->g->n);
	for (size_t i = 0; i < a->v[2].n; i++) {
		if (!((double)i + 1 > trunc(offset[0]) && (double)ret->n + 1 <= limit[0]))
			continue;
		if (set_add(a->ev->arena, ret, a->v[2].v[i]) < 0)
			return eval_no_memory(a->ev);
	}
	return 0;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(sort, sort_fn, 1, 1, 0, FN_SORTED, "Smallest last value first."),
	FN_TRANSFORM_ROW(sort_desc, sort_desc_fn, 1, 1, 0, FN_SORTED, "Largest last value first."),
	FN_TRANSFORM_ROW(limit_offset, limit_offset, 3, 3, 2, FN_SORTED,
			 "So many series, after leaving out so many."),
	FN_TRANSFORM_ROW(sort_by_label, sort_by_label, 2, FN_VARIADIC, 0, FN_SORTED,
			 "In the order of the labels."),
	FN_TRANSFORM_ROW(sort_by_label_desc, sort_by_label_desc, 2, FN_VARIADIC, 0, FN_SORTED,
			 "In the reverse order of the labels."),
	FN_TRANSFORM_ROW(sort_by_label_numeric, sort_by_label_numeric, 2, FN_VARIADIC, 0, FN_SORTED,
			 "In the order of the labels, numbers in them compared as numbers."),
	FN_TRANSFORM_ROW(sort_by_label_numeric_desc, sort_by_label_numeric_desc, 2, FN_VARIADIC, 0,
			 FN_SORTED,
			 "In the reverse order of the labels, numbers compared as numbers."),
	/* clang-format on */
};

const struct fn_table fn_sort = { rows, ARRAY_SIZE(rows) };
