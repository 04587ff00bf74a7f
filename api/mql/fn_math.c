/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of a number, applied to each point; most are libm's. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <math.h>

#include "userspace/base/util.h"

static double deg(double v)
{
	return v * 180 / M_PI;
}

static double rad(double v)
{
	return v * M_PI / 180;
}

/*
 * Go's exponential on amd64 scales by a power of two that must be a finite number: so results are
 * infinite a little earlier than need be.
 */
static double exp_scaled(double v)
{
	return v * M_LOG2E >= 1023.5 ? (double)INFINITY : exp(v);
}

#define HYPERBOLIC_LARGE 21 /* from here on exp(-x) does not show beside exp(x) */

static double sinh_of_exp(double v)
{
	return fabs(v) > HYPERBOLIC_LARGE ? copysign(exp_scaled(fabs(v)) / 2, v) : sinh(v);
}

static double cosh_of_exp(double v)
{
	return fabs(v) > HYPERBOLIC_LARGE ? exp_scaled(fabs(v)) / 2 : cosh(v);
}

static double sgn(double v)
{
	return v < 0 ? -1 : v > 0 ? 1 : 0; /* 0 for NaN too: VictoriaMetrics fills gaps so */
}

/* Applies @f with scalar arguments 1 and 2 of the point (NaN when not given). */
static int each_point(struct fn_args *a, double (*f)(double v, double x, double y),
                      struct series_set *ret)
{
	const double *x = NULL, *y = NULL;
	int r = a->n > 1 ? args_scalar(a, 1, &x) : 0;

	if (r == 0 && a->n > 2)
		r = args_scalar(a, 2, &y);
	if (r < 0)
		return r;
	*ret = a->v[0];
	for (size_t i = 0; i < ret->n; i++) {
		struct series *s = &ret->v[i];

		if (!args_keep_names(a))
			s->mn.name = STR_NULL;
		for (uint32_t k = 0; k < a->g->n; k++)
			s->values[k] =
				f(s->values[k], x ? x[k] : (double)NAN, y ? y[k] : (double)NAN);
	}
	return 0;
}

static double clamp_both(double v, double min, double max)
{
	return v > max ? max : v < min ? min : v;
}

static double clamp_low(double v, double min, double unused)
{
	(void)unused;
	return v < min ? min : v;
}

static double clamp_high(double v, double max, double unused)
{
	(void)unused;
	return v > max ? max : v;
}

static int clamp(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, clamp_both, ret);
}

static int clamp_min(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, clamp_low, ret);
}

static int clamp_max(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, clamp_high, ret);
}

/* Digits behind the point in the decimal form of @nearest, as a power of ten. */
static double decimal_power(double nearest)
{
	double p = 1;

	while (p < 1e18 && nearest * p != floor(nearest * p))
		p *= 10;
	return p;
}

/* Half up, cut to a multiple, then to its own digits: 0.30000000000000004 is no answer. */
static double round_to(double v, double nearest, double unused)
{
	(void)unused;
	if (isnan(nearest))
		nearest = 1;
	double p = decimal_power(nearest);

	v += 0.5 * copysign(nearest, v);
	v -= fmod(v, nearest);
	return trunc(v * p) / p;
}

static int round_fn(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, round_to, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_MATH_ROW(abs, fabs, 0, "Absolute value."),
	FN_MATH_ROW(acos, acos, 0, "Arc cosine."),
	FN_MATH_ROW(acosh, acosh, 0, "Inverse hyperbolic cosine."),
	FN_MATH_ROW(asin, asin, 0, "Arc sine."),
	FN_MATH_ROW(asinh, asinh, 0, "Inverse hyperbolic sine."),
	FN_MATH_ROW(atan, atan, 0, "Arc tangent."),
	FN_MATH_ROW(atanh, atanh, 0, "Inverse hyperbolic tangent."),
	FN_MATH_ROW(ceil, ceil, FN_KEEP_NAME, "Rounded up to a whole number."),
	FN_MATH_ROW(cos, cos, 0, "Cosine."),
	FN_MATH_ROW(cosh, cosh_of_exp, 0, "Hyperbolic cosine."),
	FN_MATH_ROW(deg, deg, 0, "Radians to degrees."),
	FN_MATH_ROW(exp, exp_scaled, 0, "Exponential."),
	FN_MATH_ROW(floor, floor, FN_KEEP_NAME, "Rounded down to a whole number."),
	FN_MATH_ROW(ln, log, 0, "Natural logarithm."),
	FN_MATH_ROW(log2, log2, 0, "Binary logarithm."),
	FN_MATH_ROW(log10, log10, 0, "Decimal logarithm."),
	FN_MATH_ROW(rad, rad, 0, "Degrees to radians."),
	FN_MATH_ROW(sgn, sgn, 0, "Sign: -1, 0 or 1."),
	FN_MATH_ROW(sin, sin, 0, "Sine."),
	FN_MATH_ROW(sinh, sinh_of_exp, 0, "Hyperbolic sine."),
	FN_MATH_ROW(sqrt, sqrt, 0, "Square root."),
	FN_MATH_ROW(tan, tan, 0, "Tangent."),
	FN_MATH_ROW(tanh, tanh, 0, "Hyperbolic tangent."),
	FN_TRANSFORM_ROW(clamp, clamp, 3, 3, 0, FN_KEEP_NAME, "Kept between two limits."),
	FN_TRANSFORM_ROW(clamp_min, clamp_min, 2, 2, 0, FN_KEEP_NAME, "Raised to the limit."),
	FN_TRANSFORM_ROW(clamp_max, clamp_max, 2, 2, 0, FN_KEEP_NAME, "Cut to the limit."),
	FN_TRANSFORM_ROW(round, round_fn, 1, 2, 0, FN_KEEP_NAME,
			 "Rounded to the nearest multiple of the second argument, or of 1."),
	/* clang-format on */
};

const struct fn_table fn_math = { rows, ARRAY_SIZE(rows) };
