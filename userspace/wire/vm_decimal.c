/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/vm_decimal.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "userspace/base/sample.h"
#include "userspace/base/util.h"

#define V_INF_POS INT64_MAX
#define V_STALE   (INT64_MAX - 1)
#define V_INF_NEG INT64_MIN
#define V_MAX     (INT64_MAX - 2)

/* Whole doubles up to here, and powers of ten up to there, are exact: one operation rounds once. */
#define EXACT_MAX       ((int64_t)1 << 53)
#define EXACT_EXP10_MAX 22

struct decimal {
	int64_t v;
	int exp10;
	bool special; /* or zero: fits any power */
};

static struct decimal from_digits(const char *text, size_t n)
{
	struct decimal d = { 0 };
	bool negative = text[0] == '-', fraction = false;

	for (size_t i = negative; i < n; i++) {
		if (text[i] == '.') {
			fraction = true;
		} else if (d.v > V_MAX / 10 - 1) {
			d.exp10 += !fraction; /* only zeros are left: there are 17 digits at most */
		} else {
			d.v = 10 * d.v + (text[i] - '0');
			d.exp10 -= fraction;
		}
	}
	while (d.v != 0 && d.v % 10 == 0) {
		d.v /= 10;
		d.exp10++;
	}
	d.v = negative ? -d.v : d.v;
	return d;
}

/* The shortest digits that mean @f. */
static struct decimal from_double(double f)
{
	char text[NUM_DOUBLE_BYTES_MAX];

	if (isnan(f))
		return (struct decimal){ V_STALE, 0, true };
	if (isinf(f))
		return (struct decimal){ f > 0 ? V_INF_POS : V_INF_NEG, 0, true };
	if (f == 0)
		return (struct decimal){ 0, 0, true };
	return from_digits(text, num_format_double(f, text));
}

/* How many zeros fit behind @v. */
static int room(int64_t v)
{
	int64_t a = v < 0 ? -v : v;
	int n = 0;

	for (; a <= V_MAX / 10; a *= 10)
		n++;
	return n;
}

static int64_t times_ten(int64_t v, int times)
{
	while (times-- > 0)
		v *= 10;
	return v;
}

/*
 * All share the smallest exponent; the others get zeros behind them, for which there must be room.
 * @low is the smallest so far, @floor the smallest that all can bear.
 */
uint32_t vm_decimal_fit(const double *values, uint32_t n, int64_t *ret_v, int *ret_exp10)
{
	int low = INT_MAX, floor_exp = INT_MIN, written = 0;
	uint32_t k = 0;

	for (; k < n; k++) {
		struct decimal d = from_double(values[k]);

		ret_v[k] = d.v;
		if (d.special)
			continue;
		int new_low = MIN(low, d.exp10), new_floor = MAX(floor_exp, d.exp10 - room(d.v));

		if (new_low < new_floor)
			break;
		if (low == INT_MAX)
			written = new_low;
		low = new_low;
		floor_exp = new_floor;
		/* What is written so far follows when a smaller exponent comes. */
		for (uint32_t i = 0; low < written && i < k; i++) {
			if (ret_v[i] != V_STALE && ret_v[i] != V_INF_POS && ret_v[i] != V_INF_NEG)
				ret_v[i] = times_ten(ret_v[i], written - low);
		}
		written = low;
		ret_v[k] = times_ten(d.v, d.exp10 - low);
	}
	*ret_exp10 = low == INT_MAX ? 0 : low;
	return k;
}

double vm_decimal_value(int64_t v, int exp10)
{
	char text[48];
	double f;

	if (v == V_INF_POS || v == V_INF_NEG)
		return v > 0 ? (double)INFINITY : -(double)INFINITY;
	if (v == V_STALE)
		return stale_mark();
	if (v >= -EXACT_MAX && v <= EXACT_MAX && exp10 <= EXACT_EXP10_MAX &&
	    exp10 >= -EXACT_EXP10_MAX)
		return exp10 < 0 ? (double)v / pow(10, -exp10) : (double)v * pow(10, exp10);
	int len = snprintf(text, sizeof(text), "%llde%d", (long long)v, exp10);

	return num_parse_double((struct str){ text, (size_t)len }, &f) < 0 ? (double)NAN : f;
}
