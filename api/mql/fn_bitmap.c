/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on the bits of values, as 64-bit whole numbers. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <math.h>

#include "userspace/base/util.h"

/* Negative numbers wrap; what does not fit is the highest bit alone, as amd64 converts it. */
static uint64_t bits_of(double v)
{
	if (v >= 0x1p63)
		return v < 0x1p64 ? (uint64_t)v : 1ull << 63;
	return v >= -0x1p63 ? (uint64_t)(int64_t)v : 1ull << 63;
}

static uint64_t op_and(uint64_t x, uint64_t y)
{
	return x & y;
}

static uint64_t op_or(uint64_t x, uint64_t y)
{
	return x | y;
}

static uint64_t op_xor(uint64_t x, uint64_t y)
{
	return x ^ y;
}

static int each_point(struct fn_args *a, uint64_t (*f)(uint64_t x, uint64_t y),
                      struct series_set *ret)
{
	const double *mask;
	int r = args_scalar(a, 1, &mask);

	*ret = a->v[0];
	for (size_t i = 0; r == 0 && i < ret->n; i++) {
		double *v = ret->v[i].values;

		if (!args_keep_names(a))
			ret->v[i].mn.name = STR_NULL;
		for (uint32_t k = 0; k < a->g->n; k++)
			v[k] = isnan(v[k]) || isnan(mask[k])
			               ? (double)NAN
			               : (double)f(bits_of(v[k]), bits_of(mask[k]));
	}
	return r;
}

static int bitmap_and(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, op_and, ret);
}

static int bitmap_or(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, op_or, ret);
}

static int bitmap_xor(struct fn_args *a, struct series_set *ret)
{
	return each_point(a, op_xor, ret);
}

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(bitmap_and, bitmap_and, 2, 2, 0, 0, "The bits set in both."),
	FN_TRANSFORM_ROW(bitmap_or, bitmap_or, 2, 2, 0, 0, "The bits set in either."),
	FN_TRANSFORM_ROW(bitmap_xor, bitmap_xor, 2, 2, 0, 0, "The bits set in one of the two."),
	/* clang-format on */
};

const struct fn_table fn_bitmap = { rows, ARRAY_SIZE(rows) };
