/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers; with a seed they are the same at every call. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"
#include "api/mql/randgen.h"

#include <math.h>

#include "userspace/base/clock.h"
#include "userspace/base/util.h"

static int draw(struct fn_args *a, double (*next)(struct randgen *g), struct series_set *ret)
{
	const double *arg = NULL;
	int64_t seed = (int64_t)clock_mono_ns();
	struct randgen g;
	int r = a->n > 0 ? args_scalar(a, 0, &arg) : 0;

	if (r < 0)
		return r;
	if (arg)
		seed = fabs(arg[0]) < 0x1p63 ? (int64_t)arg[0] : INT64_MIN;
	randgen_seed(&g, seed);
	r = eval_number(a->ev, a->g, NAN, ret);
	for (uint32_t k = 0; r == 0 && k < a->g->n; k++)
		ret->v[0].values[k] = next(&g);
	return r;
}

static int rand_fn(struct fn_args *a, struct series_set *ret)
{
	return draw(a, randgen_uniform, ret);
}

static int rand_normal(struct fn_args *a, struct series_set *ret)
{
	return draw(a, randgen_normal, ret);
}

static int rand_exponential(struct fn_args *a, struct series_set *ret)
{
	return draw(a, randgen_exponential, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(rand, rand_fn, 0, 1, FN_NO_SERIES, FN_VOLATILE,
			 "Random numbers from 0 to 1; the seed is optional."),
	FN_TRANSFORM_ROW(rand_normal, rand_normal, 0, 1, FN_NO_SERIES, FN_VOLATILE,
			 "Random numbers of the normal distribution."),
	FN_TRANSFORM_ROW(rand_exponential, rand_exponential, 0, 1, FN_NO_SERIES, FN_VOLATILE,
			 "Random numbers of the exponential distribution."),
	/* clang-format on */
};

const struct fn_table fn_rand = { rows, ARRAY_SIZE(rows) };
