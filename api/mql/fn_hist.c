/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histograms: series with an upper bound in "le". Those with a range in "vmrange" are converted
 * first. Buckets of one histogram are the series that agree in all other labels; the metric name
 * does not count.
 */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <math.h>
#include <stdlib.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

struct bucket {
	double le;
	double *values;
};

struct histogram {
	struct mname mn; /* without le and name */
	struct bucket *v;
	uint32_t n, cap;
};

struct histograms {
	struct histogram *v;
	struct keymap keys;
	uint32_t cap;
};

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

/* The histogram that @s is a bucket of, by its labels without @bound. */
static int find_histogram(struct fn_args *a, struct histograms *hs, const struct series *s,
                          struct str bound, struct histogram **ret)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	struct mname mn = s->mn;
	uint32_t number;

	mn.name = STR_NULL;
	if (mname_set(a->ev->arena, &mn, bound, STR_NULL) < 0)
		return eval_no_memory(a->ev);
	mname_key(&mn, &key);
	if (key.err < 0 || keymap_add(a->ev->arena, &hs->keys, buf_str(&key), &number) < 0)
		return eval_no_memory(a->ev);
	if (number >= hs->cap && grow(a, hs) < 0)
		return eval_no_memory(a->ev);
	hs->v[number].mn = mn;
	*ret = &hs->v[number];
	return 0;
}

static int bucket_cmp(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->le, y = ((const struct bucket *)b)->le;

	return x < y ? -1 : x > y;
}

/* Buckets with the same bound, such as 1 and 1.0, are one. */
static void merge_same_bounds(struct histogram *h, uint32_t n_points)
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

/* At one point counts never fall from bucket to bucket; broken ones are lifted. */
static void repair(struct histogram *h, uint32_t n_points)
{
	for (uint32_t k = 0; k < n_points; k++) {
		double below = 0;

		for (uint32_t i = 0; i < h->n; i++) {
			double *v = &h->v[i].values[k];

			if (isnan(*v) || *v < below)
				*v = below;
			below = *v;
		}
	}
}

/* "low...high" of a range bucket. */
static bool parse_range(struct str text, double *ret_low, double *ret_high)
{
	static const char dots[] = "...";
	const char *at = memmem(text.p, text.len, dots, sizeof(dots) - 1);
	size_t n = at ? (size_t)(at - text.p) : 0;

	return at && num_parse_double((struct str){ text.p, n }, ret_low) == 0 &&
	       num_parse_double(str_skip(text, n + sizeof(dots) - 1), ret_high) == 0;
}

/* Ranges hold their own counts; bounds hold the count of everything below. */
static void accumulate(struct histogram *h, uint32_t n_points)
{
	for (uint32_t k = 0; k < n_points; k++) {
		double sum = 0;

		for (uint32_t i = 0; i < h->n; i++) {
			double *v = &h->v[i].values[k];

			sum += isnan(*v) ? 0 : *v;
			*v = sum;
		}
	}
}

static int add_range(struct fn_args *a, struct histograms *hs, const struct series *s,
                     struct str text)
{
	double low, high, *zero;
	struct histogram *h;

	if (!parse_range(text, &low, &high))
		return 0;
	int r = find_histogram(a, hs, s, STR("vmrange"), &h);

	if (r < 0)
		return r;
	zero = values_new(a->ev->arena, a->g->n, 0);
	if (!zero)
		return eval_no_memory(a->ev);
	r = add_bucket(a, h, low, zero); /* nothing below the range's start */
	return r < 0 ? r : add_bucket(a, h, high, s->values);
}

static int add_le(struct fn_args *a, struct histograms *hs, const struct series *s)
{
	struct str text = mname_get(&s->mn, STR("le"));
	struct histogram *h;
	double le;

	if (text.len == 0 || num_parse_double(text, &le) < 0 || isnan(le))
		return 0;
	int r = find_histogram(a, hs, s, STR("le"), &h);

	return r < 0 ? r : add_bucket(a, h, le, s->values);
}

static void finish(struct histograms *hs, uint32_t n_points, bool ranges)
{
	for (uint32_t i = 0; i < hs->keys.n; i++) {
		struct histogram *h = &hs->v[i];

		qsort(h->v, h->n, sizeof(*h->v), bucket_cmp);
		merge_same_bounds(h, n_points);
		if (ranges)
			accumulate(h, n_points);
		repair(h, n_points);
	}
}

/* All histograms of @set: those of ranges, then those of bounds. */
static int read_histograms(struct fn_args *a, const struct series_set *set,
                           struct histograms *ranges, struct histograms *bounds)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		struct str range = mname_get(&set->v[i].mn, STR("vmrange"));

		r = range.len > 0 ? add_range(a, ranges, &set->v[i], range)
		                  : add_le(a, bounds, &set->v[i]);
	}
	finish(ranges, a->g->n, true);
	finish(bounds, a->g->n, false);
	return r;
}

/* Linear inside the bucket that holds the rank; the lowest one starts at 0. */
static double quantile_at(const struct histogram *h, uint32_t k, double phi)
{
	double total = h->n > 0 ? h->v[h->n - 1].values[k] : 0, below = 0, start = 0;

	if (total == 0 || isnan(phi))
		return NAN;
	if (phi < 0)
		return -INFINITY;
	if (phi > 1)
		return INFINITY;
	double rank = total * phi;

	for (uint32_t i = 0; i < h->n; i++) {
		double v = h->v[i].values[k], le = h->v[i].le;

		if (v <= 0) {
			start = le;
			continue;
		}
		if (v < rank) {
			below = v;
			start = le;
			continue;
		}
		if (isinf(le))
			return start;
		if (v == below)
			return start;
		return start + (le - start) * (rank - below) / (v - below);
	}
	return isinf(h->v[h->n - 1].le) ? start : h->v[h->n - 1].le;
}

static int quantiles_of(struct fn_args *a, const struct histograms *hs, const double *phi,
                        struct series_set *ret)
{
	for (uint32_t i = 0; i < hs->keys.n; i++) {
		struct series s = { hs->v[i].mn, values_new(a->ev->arena, a->g->n, NAN) };

		if (!s.values || set_add(a->ev->arena, ret, s) < 0)
			return eval_no_memory(a->ev);
		for (uint32_t k = 0; k < a->g->n; k++)
			s.values[k] = quantile_at(&hs->v[i], k, phi[k]);
	}
	return 0;
}

static int histogram_quantile(struct fn_args *a, struct series_set *ret)
{
	struct histograms ranges = { 0 }, bounds = { 0 };
	const double *phi;
	int r = args_scalar(a, 0, &phi);

	if (r == 0)
		r = read_histograms(a, &a->v[1], &ranges, &bounds);
	if (r == 0)
		r = quantiles_of(a, &ranges, phi, ret);
	return r < 0 ? r : quantiles_of(a, &bounds, phi, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(histogram_quantile, histogram_quantile, 2, 2, 1, 0,
			 "The phi-quantile of a histogram's buckets."),
	/* clang-format on */
};

const struct fn_table fn_hist = { rows, ARRAY_SIZE(rows) };
