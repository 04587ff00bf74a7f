/* SPDX-License-Identifier: BSD-2-Clause */
/* Buckets out of values, and out of other buckets. */
#include "api/mql/aggr.h"
#include "api/mql/fn_tables.h"
#include "api/mql/hist.h"
#include "api/mql/vmrange.h"

#include <math.h>
#include <stdlib.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define LIMIT_MIN 3u /* the first and the last bucket stay, for the extremes */

static int prometheus_buckets(struct fn_args *a, struct series_set *ret)
{
	return hist_to_le(a, &a->v[0], ret);
}

/* --- histogram() ---------------------------------------------------------------------------- */

/* The counts of one group at all points, by bucket; NULL where a bucket never got a value. */
struct table {
	double *v[VMRANGE_BUCKETS];
};

static int count_point(struct fn_args *a, const struct aggr_group *gr, uint32_t k, struct table *t)
{
	struct vmrange_counts counts = { 0 };

	for (size_t i = 0; i < gr->in.n; i++)
		vmrange_count(&counts, gr->in.v[i].values[k]);
	for (uint32_t b = 0; b < VMRANGE_BUCKETS; b++) {
		if (counts.v[b] == 0)
			continue;
		if (!t->v[b])
			t->v[b] = values_new(a->ev->arena, a->g->n, 0);
		if (!t->v[b])
			return eval_no_memory(a->ev);
		t->v[b][k] = counts.v[b];
	}
	return 0;
}

static int count_group(struct fn_args *a, const struct aggr_group *gr, struct series_set *ret)
{
	struct series_set ranges = { 0 };
	struct table t = { 0 };
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < a->g->n; k++)
		r = count_point(a, gr, k, &t);
	for (uint32_t b = 0; r == 0 && b < VMRANGE_BUCKETS; b++) {
		struct series s = { gr->mn, t.v[b] };

		if (t.v[b] &&
		    (mname_set(a->ev->arena, &s.mn, STR("vmrange"), vmrange_text(b)) < 0 ||
		     set_add(a->ev->arena, &ranges, s) < 0))
			r = eval_no_memory(a->ev);
	}
	if (r == 0)
		r = hist_to_le(a, &ranges, ret);
	return r < 0 ? r : eval_tick(a->ev);
}

static int histogram(struct fn_args *a, struct series_set *ret)
{
	struct aggr_group *groups;
	uint32_t n;
	int r = aggr_groups(a, 0, &groups, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = count_group(a, &groups[i], ret);
	return r;
}

/* --- buckets_limit() ------------------------------------------------------------------------ */

struct weighed {
	double le, hits;
	struct series *s;
};

struct weighed_group {
	struct weighed *v;
	uint32_t n, cap;
};

static int weighed_cmp(const void *a, const void *b)
{
	double x = ((const struct weighed *)a)->le, y = ((const struct weighed *)b)->le;

	return x < y ? -1 : x > y;
}

/* What each bucket holds itself, over all points. */
static void weigh(struct weighed_group *g, uint32_t n_points)
{
	for (uint32_t k = 0; k < n_points; k++) {
		double below = 0;

		for (uint32_t i = 0; i < g->n; i++) {
			double v = g->v[i].s->values[k];

			g->v[i].hits += v - below;
			below = v;
		}
	}
}

/* Merges the neighbours that hold least, until @limit buckets are left. */
static int shrink(struct fn_args *a, struct weighed_group *g, uint32_t limit)
{
	while (g->n > limit) {
		uint32_t least = 1;

		for (uint32_t i = 1; i + 2 < g->n; i++) {
			if (g->v[i].hits + g->v[i + 1].hits <
			    g->v[least].hits + g->v[least + 1].hits)
				least = i;
		}
		g->v[least + 1].hits += g->v[least].hits;
		g->n--;
		memmove(&g->v[least], &g->v[least + 1], (g->n - least) * sizeof(*g->v));
		int r = eval_tick(a->ev);

		if (r < 0)
			return r;
	}
	return 0;
}

static int weighed_add(struct fn_args *a, struct weighed_group *g, struct weighed w)
{
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 16;
		struct weighed *v = ARENA_ARRAY(a->ev->arena, struct weighed, cap);

		if (!v)
			return eval_no_memory(a->ev);
		if (g->n > 0)
			memcpy(v, g->v, g->n * sizeof(*v));
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = w;
	return 0;
}

/* The buckets of @les by histogram, metric names counted. @groups has room for each its own. */
static int weighed_groups(struct fn_args *a, struct series_set *les, struct weighed_group *groups,
                          uint32_t *ret_n)
{
	struct mname_map names = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < les->n; i++) {
		struct weighed w = { .s = &les->v[i] };
		struct mname mn = w.s->mn;
		uint32_t number;

		if (num_parse_double(mname_get(&mn, STR("le")), &w.le) < 0)
			continue;
		if (mname_set(a->ev->arena, &mn, STR("le"), STR_NULL) < 0)
			return eval_no_memory(a->ev);
		if (mname_map_add(a->ev->arena, &names, &mn, false, &number) < 0)
			return eval_no_memory(a->ev);
		r = weighed_add(a, &groups[number], w);
	}
	*ret_n = names.n;
	return r;
}

static int limit_group(struct fn_args *a, struct weighed_group *g, uint32_t limit,
                       struct series_set *ret)
{
	int r = 0;

	if (g->n > limit) {
		qsort(g->v, g->n, sizeof(*g->v), weighed_cmp);
		weigh(g, a->g->n);
		r = shrink(a, g, limit);
	}
	for (uint32_t i = 0; r == 0 && i < g->n; i++) {
		if (set_add(a->ev->arena, ret, *g->v[i].s) < 0)
			r = eval_no_memory(a->ev);
	}
	return r;
}

static int buckets_limit(struct fn_args *a, struct series_set *ret)
{
	struct weighed_group *groups;
	struct series_set les = { 0 };
	const double *limits;
	uint32_t n = 0, limit;
	int r = args_scalar(a, 0, &limits);

	if (r < 0 || !(limits[0] >= 1))
		return r;
	limit = limits[0] > UINT32_MAX ? UINT32_MAX : (uint32_t)limits[0];
	r = hist_to_le(a, &a->v[1], &les);
	groups = ARENA_ARRAY(a->ev->arena, struct weighed_group, les.n + 1);
	if (r == 0 && !groups)
		r = eval_no_memory(a->ev);
	if (r == 0)
		r = weighed_groups(a, &les, groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = limit_group(a, &groups[i], MAX(limit, LIMIT_MIN), ret);
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_ROW(histogram, histogram, 1, FN_VARIADIC, 0, 0,
		    "The values' histogram, as buckets with an upper bound in le."),
	FN_TRANSFORM_ROW(prometheus_buckets, prometheus_buckets, 1, 1, 0, 0,
			 "Buckets with a range in vmrange as buckets with a bound in le."),
	FN_TRANSFORM_ROW(buckets_limit, buckets_limit, 2, 2, 1, 0,
			 "A histogram with at most so many buckets; those that hold least merge."),
	/* clang-format on */
};

const struct fn_table fn_hist_buckets = { rows, ARRAY_SIZE(rows) };
