/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of instant vectors and scalars. */
#include "api/mql/prom/prom.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "api/mql/fn.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

/* --- numbers ---------------------------------------------------------------------------------- */

static double f_deg(double v)
{
	return v * 180 / M_PI;
}

static double f_rad(double v)
{
	return v * M_PI / 180;
}

static double f_sgn(double v)
{
	return v < 0 ? -1 : v > 0 ? 1 : v;
}

/* As Go's math.Max and math.Min: NaN wins. */
static double larger(double a, double b)
{
	return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b);
}

static double smaller(double a, double b)
{
	return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b);
}

/* Applies @f with the scalars of the point. */
static int each(struct prom_call *c, double (*f)(double v, double x, double y),
                struct series_set *ret)
{
	const double *x = c->n > 1 ? c->v[1].v[0].values : NULL;
	const double *y = c->n > 2 ? c->v[2].v[0].values : NULL;

	*ret = c->v[0];
	for (size_t i = 0; i < ret->n; i++) {
		double *v = ret->v[i].values;

		for (uint32_t k = 0; k < c->g->n; k++) {
			if (!prom_is_absent(v[k]))
				v[k] = f(v[k], x ? x[k] : 1, y ? y[k] : 0);
		}
	}
	prom_drop_names(ret);
	return 0;
}

static double n_clamp(double v, double min, double max)
{
	return max < min ? prom_absent() : larger(min, smaller(max, v));
}

static double n_clamp_min(double v, double min, double unused)
{
	(void)unused;
	return larger(min, v);
}

static double n_clamp_max(double v, double max, double unused)
{
	(void)unused;
	return smaller(max, v);
}

static double n_round(double v, double to, double unused)
{
	double inverse = 1 / to;

	(void)unused;
	return floor(v * inverse + 0.5) / inverse;
}

static int c_clamp(struct prom_call *c, struct series_set *ret)
{
	return each(c, n_clamp, ret);
}

static int c_clamp_min(struct prom_call *c, struct series_set *ret)
{
	return each(c, n_clamp_min, ret);
}

static int c_clamp_max(struct prom_call *c, struct series_set *ret)
{
	return each(c, n_clamp_max, ret);
}

static int c_round(struct prom_call *c, struct series_set *ret)
{
	return each(c, n_round, ret);
}

/* --- types and time --------------------------------------------------------------------------- */

static int c_scalar(struct prom_call *c, struct series_set *ret)
{
	double *v = values_new(c->ev->arena, c->g->n, NAN);

	for (uint32_t k = 0; v && k < c->g->n; k++) {
		size_t n = 0;

		for (size_t i = 0; i < c->v[0].n; i++) {
			if (prom_is_absent(c->v[0].v[i].values[k]))
				continue;
			v[k] = n++ == 0 ? c->v[0].v[i].values[k] : (double)NAN;
		}
	}
	return prom_put(c->ev, ret, (struct mname){ 0 }, v);
}

static int c_vector(struct prom_call *c, struct series_set *ret)
{
	*ret = c->v[0];
	return 0;
}

static int c_pi(struct prom_call *c, struct series_set *ret)
{
	return prom_scalar(c->ev, c->g, M_PI, ret);
}

static int c_time(struct prom_call *c, struct series_set *ret)
{
	double *v = prom_values(c->ev, c->g);

	for (uint32_t k = 0; v && k < c->g->n; k++)
		v[k] = (double)grid_ts(c->g, k) / 1000;
	return prom_put(c->ev, ret, (struct mname){ 0 }, v);
}

static int c_timestamp(struct prom_call *c, struct series_set *ret)
{
	*ret = c->v[0];
	for (size_t i = 0; i < ret->n; i++) {
		for (uint32_t k = 0; k < c->g->n; k++) {
			if (!prom_is_absent(ret->v[i].values[k]))
				ret->v[i].values[k] = (double)grid_ts(c->g, k) / 1000;
		}
	}
	prom_drop_names(ret);
	return 0;
}

/* A function that both languages have; points without a value stay so. */
static int as_metricsql(struct prom_call *c, struct series_set *ret)
{
	struct fn_args args = { c->ev, c->g, c->at, c->v, c->n };
	uint8_t *holes;
	int r;

	if (c->n > 0) {
		size_t n = c->v[0].n * c->g->n;

		holes = arena_alloc(c->ev->arena, n + 1);
		if (!holes)
			return eval_no_memory(c->ev);
		for (size_t i = 0; i < n; i++)
			holes[i] = prom_is_absent(c->v[0].v[i / c->g->n].values[i % c->g->n]);
		r = c->at->call.fn->impl.series(&args, ret);
		for (size_t i = 0; r == 0 && i < n; i++) {
			if (holes[i])
				ret->v[i / c->g->n].values[i % c->g->n] = prom_absent();
		}
		return r;
	}
	return c->at->call.fn->impl.series(&args, ret);
}

/* NaN is no time, and so the one that all of those are. */
static int c_calendar(struct prom_call *c, struct series_set *ret)
{
	for (size_t i = 0; c->n > 0 && i < c->v[0].n; i++) {
		double *v = c->v[0].v[i].values;

		for (uint32_t k = 0; k < c->g->n; k++) {
			if (isnan(v[k]) && !prom_is_absent(v[k]))
				v[k] = INFINITY;
		}
	}
	return as_metricsql(c, ret);
}

/* --- order ------------------------------------------------------------------------------------ */

static int cmp_values(const void *a, const void *b, void *ctx)
{
	const struct series *x = a, *y = b;
	int sign = *(const int *)ctx;
	double l = x->values[0], r = y->values[0];

	if (isnan(l) || isnan(r)) /* last, whatever the direction */
		return isnan(l) - isnan(r);
	if (l != r)
		return (l > r ? 1 : -1) * sign;
	return mname_cmp(&x->mn, &y->mn);
}

/* Of an instant query only: the order of a range is that of its labels. */
static int sorted(struct prom_call *c, int sign, struct series_set *ret)
{
	*ret = c->v[0];
	if (c->g->n == 1 && ret->n > 1)
		qsort_r(ret->v, ret->n, sizeof(*ret->v), cmp_values, &sign);
	return 0;
}

static int c_sort(struct prom_call *c, struct series_set *ret)
{
	return sorted(c, 1, ret);
}

static int c_sort_desc(struct prom_call *c, struct series_set *ret)
{
	return sorted(c, -1, ret);
}

/* --- histograms ------------------------------------------------------------------------------- */

struct bucket {
	double le;
	const double *values;
};

struct histogram {
	struct mname mn;
	struct bucket *v;
	uint32_t n, cap;
};

static int cmp_buckets(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->le, y = ((const struct bucket *)b)->le;

	return (x > y) - (x < y);
}

static int histogram_add(struct eval *ev, struct histogram *h, struct bucket b)
{
	if (h->n == h->cap) {
		uint32_t cap = h->cap ? h->cap * 2 : 16;
		struct bucket *v = ARENA_ARRAY(ev->arena, struct bucket, cap);

		if (!v)
			return eval_no_memory(ev);
		if (h->n > 0)
			memcpy(v, h->v, h->n * sizeof(*v));
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = b;
	return 0;
}

/* The bucket series of @set by their other labels; what has no number in le is no bucket. */
static int histograms(struct eval *ev, const struct series_set *set, struct histogram **ret,
                      uint32_t *ret_n)
{
	struct mname_map names = { 0 };
	struct histogram *all = ARENA_ARRAY(ev->arena, struct histogram, set->n + 1);

	if (!all)
		return eval_no_memory(ev);
	for (size_t i = 0; i < set->n; i++) {
		struct bucket b = { .values = set->v[i].values };
		struct str le = mname_get(&set->v[i].mn, STR("le"));
		struct mname mn = set->v[i].mn;
		uint32_t number;

		if (le.len == 0 || num_parse_double(le, &b.le) < 0)
			continue;
		mn.name = STR_NULL;
		if (mname_set(ev->arena, &mn, STR("le"), STR_NULL) < 0 ||
		    mname_map_add(ev->arena, &names, &mn, false, &number) < 0)
			return eval_no_memory(ev);
		all[number].mn = mn;
		if (histogram_add(ev, &all[number], b) < 0)
			return eval_no_memory(ev);
	}
	*ret = all;
	*ret_n = names.n;
	return 0;
}

/* Cumulative counts of the point into @counts, equal bounds united; how many bounds there are. */
static uint32_t counts_at(const struct histogram *h, uint32_t k, struct bucket *at, double *counts)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		if (prom_is_absent(h->v[i].values[k]))
			continue;
		if (n > 0 && at[n - 1].le == h->v[i].le) {
			counts[n - 1] += h->v[i].values[k];
			continue;
		}
		at[n].le = h->v[i].le;
		counts[n++] = h->v[i].values[k];
	}
	for (uint32_t i = 1; i < n; i++)
		counts[i] = fmax(counts[i], counts[i - 1]);
	return n;
}

static double bucket_quantile(double q, const struct bucket *b, const double *counts, uint32_t n)
{
	double rank, start = 0, below = 0;
	uint32_t i = 0;

	if (isnan(q))
		return NAN;
	if (q < 0 || q > 1)
		return q < 0 ? -INFINITY : (double)INFINITY;
	if (n < 2 || !(isinf(b[n - 1].le) && b[n - 1].le > 0) || counts[n - 1] == 0 ||
	    isnan(counts[n - 1]))
		return NAN;
	rank = q * counts[n - 1];
	while (i < n - 1 && counts[i] < rank)
		i++;
	if (i == n - 1)
		return b[n - 2].le;
	if (i == 0 && b[0].le <= 0)
		return b[0].le;
	if (i > 0) {
		start = b[i - 1].le;
		below = counts[i - 1];
	}
	return start + (b[i].le - start) * ((rank - below) / (counts[i] - below));
}

static int c_histogram_quantile(struct prom_call *c, struct series_set *ret)
{
	const double *q = c->v[0].v[0].values;
	struct histogram *all = NULL;
	uint32_t n = 0;
	int r = histograms(c->ev, &c->v[1], &all, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct bucket *at = ARENA_ARRAY(c->ev->arena, struct bucket, all[i].n);
		double *counts = values_new(c->ev->arena, all[i].n, 0);
		double *dst = prom_values(c->ev, c->g);

		if (!at || !counts || !dst)
			return eval_no_memory(c->ev);
		qsort(all[i].v, all[i].n, sizeof(*all[i].v), cmp_buckets);
		for (uint32_t k = 0; k < c->g->n; k++) {
			uint32_t bounds = counts_at(&all[i], k, at, counts);

			if (bounds > 0)
				dst[k] = bucket_quantile(q[k], at, counts, bounds);
		}
		r = prom_put(c->ev, ret, all[i].mn, dst);
	}
	return r;
}

#define MATH(fname, f)                                         \
	{                                                      \
#fname, "v", PROM_VECTOR, NULL, false, NULL, f \
	}
#define CALL(fname, letters, f)                                    \
	{                                                          \
#fname, letters, PROM_VECTOR, NULL, false, f, NULL \
	}
#define SCALAR(fname, letters, f)                                  \
	{                                                          \
#fname, letters, PROM_SCALAR, NULL, false, f, NULL \
	}

static const struct prom_fn rows[] = {
	/* clang-format off */
	MATH(abs, fabs), MATH(ceil, ceil), MATH(floor, floor), MATH(exp, exp), MATH(sqrt, sqrt),
	MATH(ln, log), MATH(log2, log2), MATH(log10, log10), MATH(sgn, f_sgn), MATH(deg, f_deg),
	MATH(rad, f_rad), MATH(sin, sin), MATH(cos, cos), MATH(tan, tan), MATH(asin, asin),
	MATH(acos, acos), MATH(atan, atan), MATH(sinh, sinh), MATH(cosh, cosh), MATH(tanh, tanh),
	MATH(asinh, asinh), MATH(acosh, acosh), MATH(atanh, atanh),
	CALL(clamp, "vss", c_clamp),
	CALL(clamp_min, "vs", c_clamp_min),
	CALL(clamp_max, "vs", c_clamp_max),
	CALL(round, "v?s", c_round),
	SCALAR(scalar, "v", c_scalar),
	SCALAR(pi, "", c_pi),
	SCALAR(time, "", c_time),
	CALL(vector, "s", c_vector),
	CALL(timestamp, "v", c_timestamp),
	CALL(absent, "v", c_vector), /* see prom_function() */
	CALL(minute, "?v", c_calendar),
	CALL(hour, "?v", c_calendar),
	CALL(day_of_week, "?v", c_calendar),
	CALL(day_of_month, "?v", c_calendar),
	CALL(day_of_year, "?v", c_calendar),
	CALL(days_in_month, "?v", c_calendar),
	CALL(month, "?v", c_calendar),
	CALL(year, "?v", c_calendar),
	CALL(sort, "v", c_sort),
	CALL(sort_desc, "v", c_sort_desc),
	CALL(histogram_quantile, "sv", c_histogram_quantile),
	/* clang-format on */
};

const struct prom_fn_table prom_call_fns = { rows, ARRAY_SIZE(rows) };

/* Labels only: values pass. */
static const struct prom_fn label_rows[] = {
	{ "label_replace", "vtttt", PROM_VECTOR, NULL, true, as_metricsql, NULL },
	{ "label_join", "vtt?t*", PROM_VECTOR, NULL, true, as_metricsql, NULL },
};

const struct prom_fn_table prom_label_fns = { label_rows, ARRAY_SIZE(label_rows) };
