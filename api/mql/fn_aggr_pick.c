/* SPDX-License-Identifier: BSD-2-Clause */
/* Aggregates that keep some whole series of each group: outliers, or any k of them. */
#include "api/mql/aggr.h"
#include "api/mql/fn_tables.h"
#include "api/mql/label_order.h"
#include "api/mql/rollup.h"
#include "api/mql/stats.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "userspace/base/util.h"

struct band {
	double low, high;
};

/* What counts as ordinary at a point; @v are the values there, without gaps. */
typedef struct band (*band_f)(double *v, uint32_t n, double arg);

static struct band band_of_quartiles(double *v, uint32_t n, double unused)
{
	double low = quantile_inplace(0.25, v, n), high = quantile_sorted(0.75, v, n);
	double far = 1.5 * (high - low);

	(void)unused;
	return (struct band){ low - far, high + far };
}

static struct band band_of_median(double *v, uint32_t n, double tolerance)
{
	double median = quantile_inplace(0.5, v, n), far = stats_mad(v, n) * tolerance;

	return (struct band){ median - far, median + far };
}

/* The bands of all points. */
static int bands(struct fn_args *a, const struct aggr_group *gr, band_f f, const double *args,
                 struct band **ret)
{
	double *column = values_new(a->ev->arena, (uint32_t)gr->in.n, 0);
	struct band *v = ARENA_ARRAY(a->ev->arena, struct band, a->g->n);

	if (!column || !v)
		return eval_no_memory(a->ev);
	for (uint32_t k = 0; k < a->g->n; k++) {
		uint32_t n = 0;

		for (size_t i = 0; i < gr->in.n; i++) {
			if (!isnan(gr->in.v[i].values[k]))
				column[n++] = gr->in.v[i].values[k];
		}
		v[k] = f(column, n, args ? args[k] : (double)NAN);
	}
	*ret = v;
	return eval_tick(a->ev);
}

static bool ever_outside(const double *v, const struct band *b, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		if (v[k] > b[k].high || v[k] < b[k].low)
			return true;
	}
	return false;
}

/* The series that leave the band at some point, with all their values. */
static int outliers(struct fn_args *a, uint32_t first, band_f f, const double *args,
                    struct series_set *ret)
{
	struct aggr_group *groups;
	uint32_t n;
	int r = aggr_groups(a, first, &groups, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct band *b = NULL;

		r = bands(a, &groups[i], f, args, &b);
		for (size_t s = 0; r == 0 && s < groups[i].in.n; s++) {
			if (ever_outside(groups[i].in.v[s].values, b, a->g->n) &&
			    set_add(a->ev->arena, ret, groups[i].in.v[s]) < 0)
				r = eval_no_memory(a->ev);
		}
	}
	return r;
}

static int outliers_iqr(struct fn_args *a, struct series_set *ret)
{
	return outliers(a, 0, band_of_quartiles, NULL, ret);
}

static int outliers_mad(struct fn_args *a, struct series_set *ret)
{
	const double *tolerance;
	int r = args_scalar(a, 0, &tolerance);

	return r < 0 ? r : outliers(a, 1, band_of_median, tolerance, ret);
}

/* --- limitk() ------------------------------------------------------------------------------- */

struct hashed {
	uint64_t hash;
	const struct series *s;
};

/* XXH64 of name and labels: a choice that is even, and the same at every call and server. */
static uint64_t hash_of(const struct mname *mn, struct buf *b)
{
	uint8_t order[LABEL_ORDER_MAX];
	uint32_t n = label_order(mn, order);

	buf_clear(b);
	buf_put_str(b, mn->name);
	for (uint32_t i = 0; i < n; i++) {
		buf_put_str(b, mn->tags[order[i]].name);
		buf_put_str(b, mn->tags[order[i]].value);
	}
	return XXH64(buf_str(b).p, buf_str(b).len, 0);
}

static int hashed_cmp(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return mname_cmp(&x->s->mn, &y->s->mn);
}

static int limit_group(struct fn_args *a, const struct aggr_group *gr, double k, struct buf *key,
                       struct series_set *ret)
{
	struct hashed *v = ARENA_ARRAY(a->ev->arena, struct hashed, gr->in.n);

	if (!v)
		return eval_no_memory(a->ev);
	for (size_t i = 0; i < gr->in.n; i++)
		v[i] = (struct hashed){ hash_of(&gr->in.v[i].mn, key), &gr->in.v[i] };
	if (key->err < 0)
		return err_set(a->ev->e, key->err, "out of memory");
	qsort(v, gr->in.n, sizeof(*v), hashed_cmp);
	for (size_t i = 0; i < gr->in.n && (double)i + 1 <= k; i++) {
		if (set_add(a->ev->arena, ret, *v[i].s) < 0)
			return eval_no_memory(a->ev);
	}
	return 0;
}

static int limitk(struct fn_args *a, struct series_set *ret)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	struct aggr_group *groups;
	const double *k;
	uint32_t n = 0;
	int r = args_scalar(a, 0, &k);

	if (r == 0)
		r = aggr_groups(a, 1, &groups, &n);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = limit_group(a, &groups[i], k[0], &key, ret);
	return r;
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_AGGR_ROW(outliers_iqr, outliers_iqr, 1, 1, 0, FN_KEEP_SERIES,
		    "The series that once leave the range of the group's middle half."),
	FN_AGGR_ROW(outliers_mad, outliers_mad, 2, 2, 1, FN_KEEP_SERIES,
		    "The series that once stray from the median by so many absolute deviations."),
	FN_AGGR_ROW(limitk, limitk, 2, 2, 1, FN_KEEP_SERIES, "Any k series of the group."),
	/* clang-format on */
};

const struct fn_table fn_aggr_pick = { rows, ARRAY_SIZE(rows) };
