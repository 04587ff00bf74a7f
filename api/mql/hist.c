/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/hist.h"

#include <math.h>
#include <stdlib.h>

#include "userspace/base/num.h"

/* --- groups of buckets ---------------------------------------------------------------------- */

static int grow(struct fn_args *a, struct histograms *hs)
{
	uint32_t cap = hs->cap ? hs->cap * 2 : 8;
	struct histogram *v = ARENA_ARRAY(a->ev->arena, struct histogram, cap);

	if (!v)
		return eval_no_memory(a->ev);
	if (hs->cap > 0)
		memcpy(v, hs->v, hs->cap * sizeof(*v));
	hs->v = v;
	hs->cap = cap;
	return 0;
}

static int add_bucket(struct fn_args *a, struct histogram *h, double le, double *values)
{
	if (h->n == h->cap) {
		uint32_t cap = h->cap ? h->cap * 2 : 16;
		struct bucket *v = ARENA_ARRAY(a->ev->arena, struct bucket, cap);

		if (!v)
			return eval_no_memory(a->ev);
		if (h->n > 0)
			memcpy(v, h->v, h->n * sizeof(*v));
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = (struct bucket){ le, values };
	return 0;
}

static int find_histogram(struct fn_args *a, struct histograms *hs, const struct mname *mn,
                          struct histogram **ret)
{
	uint32_t number;

	if (mname_map_add(a->ev->arena, &hs->names, mn, false, &number) < 0)
		return eval_no_memory(a->ev);
	if (number >= hs->cap && grow(a, hs) < 0)
		return eval_no_memory(a->ev);
	hs->v[number].mn = *mn;
	*ret = &hs->v[number];
	return 0;
}

static int bucket_cmp(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->le, y = ((const struct bucket *)b)->le;

	return x < y ? -1 : x > y;
}

void hist_merge_bounds(struct histogram *h, uint32_t n_points)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		if (n == 0 || h->v[n - 1].le != h->v[i].le) {
			h->v[n++] = h->v[i];
			continue;
		}
		for (uint32_t k = 0; k < n_points; k++)
			h->v[n - 1].values[k] += h->v[i].values[k];
	}
	h->n = n;
}

void hist_repair(struct histogram *h, uint32_t k)
{
	double below = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		double *v = &h->v[i].values[k];

		if (isnan(*v) || *v < below)
			*v = below;
		below = *v;
	}
}

/* --- vmrange to le -------------------------------------------------------------------------- */

struct range {
	struct str low_text, high_text;
	double low, high;
	struct series s; /* labels without vmrange and le */
};

struct range_group {
	struct range *v;
	uint32_t n, cap;
};

struct range_groups {
	struct range_group *v;
	struct mname_map names;
	uint32_t cap;
};

/* "low...high" */
static bool parse_range(struct str text, struct range *ret)
{
	static const char dots[] = "...";
	const char *at = memmem(text.p, text.len, dots, sizeof(dots) - 1);

	if (!at)
		return false;
	ret->low_text = (struct str){ text.p, (size_t)(at - text.p) };
	ret->high_text = str_skip(text, ret->low_text.len + sizeof(dots) - 1);
	return num_parse_double(ret->low_text, &ret->low) == 0 &&
	       num_parse_double(ret->high_text, &ret->high) == 0;
}

static int groups_grow(struct fn_args *a, struct range_groups *gs)
{
	uint32_t cap = gs->cap ? gs->cap * 2 : 8;
	struct range_group *v = ARENA_ARRAY(a->ev->arena, struct range_group, cap);

	if (!v)
		return eval_no_memory(a->ev);
	if (gs->cap > 0)
		memcpy(v, gs->v, gs->cap * sizeof(*v));
	gs->v = v;
	gs->cap = cap;
	return 0;
}

static int group_add(struct fn_args *a, struct range_groups *gs, const struct range *range)
{
	struct range_group *g;
	uint32_t number;

	if (mname_map_add(a->ev->arena, &gs->names, &range->s.mn, false, &number) < 0)
		return eval_no_memory(a->ev);
	if (number >= gs->cap && groups_grow(a, gs) < 0)
		return eval_no_memory(a->ev);
	g = &gs->v[number];
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 16;
		struct range *v = ARENA_ARRAY(a->ev->arena, struct range, cap);

		if (!v)
			return eval_no_memory(a->ev);
		if (g->n > 0)
			memcpy(v, g->v, g->n * sizeof(*v));
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = *range;
	return 0;
}

static int range_cmp(const void *a, const void *b)
{
	double x = ((const struct range *)a)->high, y = ((const struct range *)b)->high;

	return x < y ? -1 : x > y;
}

static bool has_counts(const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v[i] > 0)
			return true;
	}
	return false;
}

static int put_le(struct fn_args *a, const struct range *r, struct str le, double *values,
                  struct series_set *ret)
{
	struct series s = { r->s.mn, values };

	if (!values || mname_set(a->ev->arena, &s.mn, STR("le"), le) < 0 ||
	    set_add(a->ev->arena, ret, s) < 0)
		return eval_no_memory(a->ev);
	return 0;
}

/* Ranges hold their own counts; bounds hold the count of everything below. */
static void accumulate(struct series *v, size_t n, uint32_t n_points)
{
	for (uint32_t k = 0; k < n_points; k++) {
		double sum = 0;

		for (size_t i = 0; i < n; i++) {
			double *x = &v[i].values[k];

			sum += *x > 0 ? *x : 0;
			*x = sum;
		}
	}
}

/*
 * One histogram. Empty ranges are left out; where the next one does not begin at the end of the one
 * before, a bucket that adds nothing marks the gap; the last one is +Inf.
 */
static int group_to_le(struct fn_args *a, struct range_group *g, struct series_set *ret)
{
	struct keymap ends = { 0 };
	struct range *prev = NULL;
	size_t first = ret->n;
	uint32_t n_points = a->g->n, number;
	int r = 0;

	qsort(g->v, g->n, sizeof(*g->v), range_cmp);
	for (uint32_t i = 0; r == 0 && i < g->n; i++) {
		struct range *x = &g->v[i];

		if (!has_counts(x->s.values, n_points))
			continue;
		if (x->low != (prev ? prev->high : 0) &&
		    !keymap_find(&ends, x->low_text, &number)) {
			r = put_le(a, x, x->low_text, values_new(a->ev->arena, n_points, 0), ret);
			if (r == 0 && keymap_add(a->ev->arena, &ends, x->low_text, &number) < 0)
				r = eval_no_memory(a->ev);
		}
		prev = x;
		if (r < 0)
			break;
		if (keymap_find(&ends, x->high_text, &number))
			(void)series_merge(a->g, &ret->v[first + number], &x->s);
		else if (keymap_add(a->ev->arena, &ends, x->high_text, &number) < 0)
			r = eval_no_memory(a->ev);
		else
			r = put_le(a, x, x->high_text, x->s.values, ret);
	}
	if (r == 0 && prev && !isinf(prev->high))
		r = put_le(a, prev, STR("+Inf"), values_new(a->ev->arena, n_points, 0), ret);
	if (r == 0)
		accumulate(&ret->v[first], ret->n - first, n_points);
	return r;
}

static int add_range(struct fn_args *a, struct range_groups *gs, const struct series *s,
                     struct str text)
{
	struct range range = { .s = *s };

	if (!parse_range(text, &range))
		return 0;
	if (mname_set(a->ev->arena, &range.s.mn, STR("vmrange"), STR_NULL) < 0 ||
	    mname_set(a->ev->arena, &range.s.mn, STR("le"), STR_NULL) < 0)
		return eval_no_memory(a->ev);
	return group_add(a, gs, &range);
}

int hist_to_le(struct fn_args *a, const struct series_set *in, struct series_set *ret)
{
	struct range_groups gs = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->n; i++) {
		const struct series *s = &in->v[i];
		struct str range = mname_get(&s->mn, STR("vmrange"));

		if (range.len > 0)
			r = add_range(a, &gs, s, range);
		else if (mname_get(&s->mn, STR("le")).len > 0 && set_add(a->ev->arena, ret, *s) < 0)
			r = eval_no_memory(a->ev);
	}
	for (uint32_t i = 0; r == 0 && i < gs.names.n; i++)
		r = group_to_le(a, &gs.v[i], ret);
	return r;
}

int hist_read(struct fn_args *a, const struct series_set *set, struct histograms *ret)
{
	struct series_set les = { 0 };
	int r = hist_to_le(a, set, &les);

	for (size_t i = 0; r == 0 && i < les.n; i++) {
		struct mname mn = les.v[i].mn;
		struct histogram *h = NULL;
		double le;

		if (num_parse_double(mname_get(&mn, STR("le")), &le) < 0)
			continue;
		mn.name = STR_NULL;
		if (mname_set(a->ev->arena, &mn, STR("le"), STR_NULL) < 0)
			return eval_no_memory(a->ev);
		r = find_histogram(a, ret, &mn, &h);
		if (r == 0)
			r = add_bucket(a, h, le, les.v[i].values);
	}
	for (uint32_t i = 0; i < ret->names.n; i++)
		qsort(ret->v[i].v, ret->v[i].n, sizeof(struct bucket), bucket_cmp);
	return r;
}
