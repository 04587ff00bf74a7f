/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers out of histograms: quantiles and shares, with bounds if a label for them is given. */
#include "api/mql/fn_tables.h"
#include "api/mql/hist.h"
#include "api/mql/numtext.h"

#include <math.h>

#include "userspace/base/util.h"

struct estimate {
	double value, lower, upper;
};

#define ESTIMATE(v) ((struct estimate){ v, v, v })

/* Of the repaired histogram @h at point @k. */
typedef struct estimate (*estimate_f)(const struct histogram *h, uint32_t k, double arg);

/* --- estimates ------------------------------------------------------------------------------ */

static double highest_bound(const struct histogram *h)
{
	for (uint32_t i = h->n; i > 0; i--) {
		if (!isinf(h->v[i - 1].le))
			return h->v[i - 1].le;
	}
	return NAN;
}

/* Linear inside the bucket that holds the rank; the lowest one starts at 0. */
static struct estimate quantile_of(const struct histogram *h, uint32_t k, double phi)
{
	double total = h->n > 0 ? h->v[h->n - 1].values[k] : 0, below = 0, start = 0;

	if (total == 0 || isnan(phi))
		return ESTIMATE(NAN);
	if (phi < 0)
		return (struct estimate){ -INFINITY, -INFINITY, h->v[0].values[k] };
	if (phi > 1)
		return (struct estimate){ INFINITY, total, INFINITY };
	double rank = total * phi;

	for (uint32_t i = 0; i < h->n && !(h->v[i].values[k] > 0 && isinf(h->v[i].le)); i++) {
		double v = h->v[i].values[k], le = h->v[i].le;

		if (v > 0 && v >= rank) {
			if (v == below)
				return (struct estimate){ start, start, v };
			return (struct estimate){
				start + (le - start) * (rank - below) / (v - below), start, le
			};
		}
		below = v > 0 ? v : below;
		start = le;
	}
	return (struct estimate){ highest_bound(h), highest_bound(h), INFINITY };
}

/* The part of the values that are not above @bound. */
static struct estimate share_of(const struct histogram *h, uint32_t k, double bound)
{
	double below = 0, start = 0;

	if (isnan(bound) || h->n == 0)
		return ESTIMATE(NAN);
	if (bound < 0)
		return ESTIMATE(0);
	double total = h->v[h->n - 1].values[k];

	for (uint32_t i = 0; !isinf(bound) && i < h->n; i++) {
		double v = h->v[i].values[k], le = h->v[i].le, low = below / total;

		if (bound >= le) {
			below = v;
			start = le;
			continue;
		}
		if (isinf(le))
			return (struct estimate){ low, low, 1 };
		if (start == bound)
			return ESTIMATE(low);
		return (struct estimate){
			low + (v - below) / total * (bound - start) / (le - start), low, v / total
		};
	}
	return ESTIMATE(1);
}

/* --- functions ------------------------------------------------------------------------------ */

static int put(struct fn_args *a, const struct mname *mn, struct str label, const char *text,
               double *values, struct series_set *ret)
{
	struct series s = { *mn, values };

	if ((label.len > 0 && mname_set(a->ev->arena, &s.mn, label, str_from(text)) < 0) ||
	    set_add(a->ev->arena, ret, s) < 0)
		return eval_no_memory(a->ev);
	return 0;
}

/* The estimates of one histogram; with a @label also their bounds. */
static int estimate_one(struct fn_args *a, struct histogram *h, estimate_f f, const double *args,
                        struct str label, struct series_set *ret)
{
	uint32_t n = a->g->n;
	double *value = values_new(a->ev->arena, n, NAN);
	double *lower = values_new(a->ev->arena, n, NAN);
	double *upper = values_new(a->ev->arena, n, NAN);
	int r;

	if (!value || !lower || !upper)
		return eval_no_memory(a->ev);
	hist_merge_bounds(h, n);
	for (uint32_t k = 0; k < n; k++) {
		hist_repair(h, k);
		struct estimate e = f(h, k, args[k]);

		value[k] = e.value;
		lower[k] = e.lower;
		upper[k] = e.upper;
	}
	r = put(a, &h->mn, STR_NULL, NULL, value, ret);
	if (r == 0 && label.len > 0)
		r = put(a, &h->mn, label, "lower", lower, ret);
	if (r == 0 && label.len > 0)
		r = put(a, &h->mn, label, "upper", upper, ret);
	return r < 0 ? r : eval_tick(a->ev);
}

static int estimate_all(struct fn_args *a, estimate_f f, struct series_set *ret)
{
	struct histograms hs = { 0 };
	struct str label = STR_NULL;
	const double *args;
	int r = args_scalar(a, 0, &args);

	if (r == 0 && a->n > 2)
		r = args_string(a, 2, &label);
	if (r == 0)
		r = hist_read(a, &a->v[1], &hs);
	for (uint32_t i = 0; r == 0 && i < hs.names.n; i++)
		r = estimate_one(a, &hs.v[i], f, args, label, ret);
	return r;
}

static int histogram_quantile(struct fn_args *a, struct series_set *ret)
{
	return estimate_all(a, quantile_of, ret);
}

static int histogram_share(struct fn_args *a, struct series_set *ret)
{
	return estimate_all(a, share_of, ret);
}

/* histogram_quantiles("label", phi1, .., buckets): phi goes into the label. */
static int histogram_quantiles(struct fn_args *a, struct series_set *ret)
{
	struct histograms hs = { 0 };
	struct str label;
	int r = args_string(a, 0, &label);

	if (r == 0)
		r = hist_read(a, &a->v[a->n - 1], &hs);
	for (uint32_t i = 1; r == 0 && i + 1 < a->n; i++) {
		char text[NUMTEXT_GENERAL_BYTES_MAX];
		size_t first = ret->n;
		const double *phi;

		r = args_scalar(a, i, &phi);
		for (uint32_t k = 0; r == 0 && k < hs.names.n; k++)
			r = estimate_one(a, &hs.v[k], quantile_of, phi, STR_NULL, ret);
		if (r < 0)
			return r;
		struct str tag = arena_str(a->ev->arena,
		                           (struct str){ text, numtext_general(phi[0], text) });

		for (size_t k = first; k < ret->n; k++) {
			if (!tag.p || mname_set(a->ev->arena, &ret->v[k].mn, label, tag) < 0)
				return eval_no_memory(a->ev);
		}
	}
	return r;
}

/* histogram_fraction(low, high, buckets): the part between the two bounds. */
static int histogram_fraction(struct fn_args *a, struct series_set *ret)
{
	struct histograms hs = { 0 };
	const double *low, *high;
	int r = args_scalar(a, 0, &low);

	if (r == 0)
		r = args_scalar(a, 1, &high);
	if (r == 0 && low[0] >= high[0])
		return eval_fail(a->ev, a->call, "the lower bound %g is not below the upper one %g",
		                 low[0], high[0]);
	if (r == 0)
		r = hist_read(a, &a->v[2], &hs);
	for (uint32_t i = 0; r == 0 && i < hs.names.n; i++) {
		struct histogram *h = &hs.v[i];
		double *out = values_new(a->ev->arena, a->g->n, NAN);

		if (!out)
			return eval_no_memory(a->ev);
		hist_merge_bounds(h, a->g->n);
		for (uint32_t k = 0; k < a->g->n; k++) {
			hist_repair(h, k);
			out[k] = share_of(h, k, high[k]).value - share_of(h, k, low[k]).value;
		}
		r = put(a, &h->mn, STR_NULL, NULL, out, ret);
	}
	return r;
}

/* --- moments, each bucket taken as its middle ----------------------------------------------- */

struct moments {
	double avg, var;
};

static struct moments moments_of(const struct histogram *h, uint32_t k)
{
	double le = 0, below = 0, sum = 0, sum2 = 0, total = 0;

	for (uint32_t i = 0; i < h->n && !isinf(h->v[i].le); i++) {
		double middle = (h->v[i].le + le) / 2, n = h->v[i].values[k] - below;

		sum += middle * n;
		sum2 += middle * middle * n;
		total += n;
		le = h->v[i].le;
		below = h->v[i].values[k];
	}
	if (total == 0)
		return (struct moments){ NAN, NAN };
	double avg = sum / total, var = sum2 / total - avg * avg;

	return (struct moments){ avg, var < 0 ? 0 : var };
}

static double moment_avg(struct moments m)
{
	return m.avg;
}

static double moment_var(struct moments m)
{
	return m.var;
}

static double moment_dev(struct moments m)
{
	return sqrt(m.var);
}

static int each_moment(struct fn_args *a, double (*f)(struct moments m), struct series_set *ret)
{
	struct histograms hs = { 0 };
	int r = hist_read(a, &a->v[0], &hs);

	for (uint32_t i = 0; r == 0 && i < hs.names.n; i++) {
		double *out = values_new(a->ev->arena, a->g->n, NAN);

		if (!out)
			return eval_no_memory(a->ev);
		for (uint32_t k = 0; k < a->g->n; k++)
			out[k] = f(moments_of(&hs.v[i], k));
		r = put(a, &hs.v[i].mn, STR_NULL, NULL, out, ret);
	}
	return r;
}

static int histogram_avg(struct fn_args *a, struct series_set *ret)
{
	return each_moment(a, moment_avg, ret);
}

static int histogram_stdvar(struct fn_args *a, struct series_set *ret)
{
	return each_moment(a, moment_var, ret);
}

static int histogram_stddev(struct fn_args *a, struct series_set *ret)
{
	return each_moment(a, moment_dev, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(histogram_quantile, histogram_quantile, 2, 3, 1, 0,
			 "The phi-quantile of a histogram; bounds go into the label."),
	FN_TRANSFORM_ROW(histogram_quantiles, histogram_quantiles, 3, FN_VARIADIC, FN_LAST_ARG, 0,
			 "The phi-quantiles of a histogram; phi goes into the label."),
	FN_TRANSFORM_ROW(histogram_share, histogram_share, 2, 3, 1, 0,
			 "The part of a histogram up to a bound."),
	FN_TRANSFORM_ROW(histogram_fraction, histogram_fraction, 3, 3, 2, 0,
			 "The part of a histogram between two bounds."),
	FN_TRANSFORM_ROW(histogram_avg, histogram_avg, 1, 1, 0, 0, "Mean of a histogram."),
	FN_TRANSFORM_ROW(histogram_stdvar, histogram_stdvar, 1, 1, 0, 0,
			 "Variance of a histogram."),
	FN_TRANSFORM_ROW(histogram_stddev, histogram_stddev, 1, 1, 0, 0,
			 "Standard deviation of a histogram."),
	/* clang-format on */
};

const struct fn_table fn_hist = { rows, ARRAY_SIZE(rows) };
