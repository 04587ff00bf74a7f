/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Doubles that are whole numbers or short decimals in disguise, as (mantissa, digits): 0.37 is
 * (37, 2). Lossless or not at all: v == mantissa / 10^digits, bit for bit, because a correctly
 * rounded division of two exact numbers gives the double that is nearest to the decimal.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/sample.h"

#define DECIMAL_DIGITS_MAX   12u
#define DECIMAL_DIGITS_SHORT 6u     /* where three bits must do: the log, samples in memory */
#define DECIMAL_MANTISSA_MAX 0x1p53 /* exact in a double */

static inline double decimal_power(unsigned digits)
{
	static const double powers[DECIMAL_DIGITS_MAX + 1] = { 1e0, 1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
		                                               1e7, 1e8, 1e9, 1e10, 1e11, 1e12 };

	return powers[digits];
}

static inline double decimal_value(int64_t mantissa, unsigned digits)
{
	return digits == 0 ? (double)mantissa : (double)mantissa / decimal_power(digits);
}

/* False when @v is no such decimal; -0, NaN and infinities are none. */
static inline bool decimal_fits(double v, unsigned digits, int64_t *ret)
{
	double scaled = digits == 0 ? v : v * decimal_power(digits);

	if (!(scaled > -DECIMAL_MANTISSA_MAX && scaled < DECIMAL_MANTISSA_MAX))
		return false;
	int64_t m = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));

	if (double_bits(decimal_value(m, digits)) != double_bits(v))
		return false;
	*ret = m;
	return true;
}

/* The least number of digits in [@from, @max] that fits; @max + 1 when none does. */
static inline unsigned decimal_digits(double v, unsigned from, unsigned max, int64_t *ret)
{
	while (from <= max && !decimal_fits(v, from, ret))
		from++;
	return from;
}
