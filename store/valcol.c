/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *	head     digits, or HEAD_BITS
 *	odd      with HEAD_ODD: varint count, and for each the varint distance to the row before
 *	         (to -1, less one) and its 8 bytes
 *	numbers  a column of integers; an odd row repeats the number before it
 */
#include "store/valcol.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "store/decimal.h"

#define HEAD_BITS 0x0fu
#define HEAD_ODD  0x80u
#define ODD_SHARE 16u /* at most one of so many rows is odd, and one more */
#define ODD_ROWS  4u  /* a shorter column has no odd row */

/* ---- encoding ------------------------------------------------------------- */

static uint32_t odd_max(uint32_t n)
{
	return n < ODD_ROWS ? 0 : n / ODD_SHARE + 1;
}

/* Whether all are whole numbers, as most metrics are; then they are in @number. */
static bool to_whole(const double *v, uint32_t n, int64_t *number)
{
	uint64_t differ = 0;

	for (uint32_t i = 0; i < n; i++) {
		/* What does not fit becomes another number, whose bits differ. */
		double near =
			v[i] > -DECIMAL_MANTISSA_MAX && v[i] < DECIMAL_MANTISSA_MAX ? v[i] : 0;

		number[i] = (int64_t)near;
		differ |= double_bits((double)number[i]) ^ double_bits(v[i]);
	}
	return differ == 0;
}

static bool has_no_digits(double v)
{
	return !(v > -DECIMAL_MANTISSA_MAX && v < DECIMAL_MANTISSA_MAX);
}

/* The digits with which most rows are decimals; above DECIMAL_DIGITS_MAX: too few are. */
static unsigned digits_of_all(const double *v, uint32_t n)
{
	uint32_t n_odd = 0;
	unsigned digits = 0;
	int64_t sink;

	for (uint32_t i = 0; i < n; i++) {
		unsigned mine = DECIMAL_DIGITS_MAX + 1;

		if (!has_no_digits(v[i]))
			mine = decimal_digits(v[i], digits, DECIMAL_DIGITS_MAX, &sink);
		if (mine <= DECIMAL_DIGITS_MAX)
			digits = mine;
		else if (++n_odd > odd_max(n))
			return DECIMAL_DIGITS_MAX + 1;
	}
	return digits;
}

/* Numbers of decimals with @digits; returns how many rows are odd, or more than odd_max(). */
static uint32_t to_decimals(const double *v, uint32_t n, unsigned digits,
                            const struct valcol_scratch *s)
{
	int64_t last = 0;
	uint32_t n_odd = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!decimal_fits(v[i], digits, &last)) {
			if (n_odd == odd_max(n))
				return n_odd + 1;
			s->odd[n_odd++] = (uint16_t)i;
		}
		s->number[i] = last;
	}
	return n_odd;
}

/* Odd rows repeat the number before; those at the front the first one: 0 may be far away. */
static void fill_front(const struct valcol_scratch *s, uint32_t n_odd)
{
	uint32_t front = 0;

	while (front < n_odd && s->odd[front] == front)
		front++;
	for (uint32_t i = 0; i < front; i++)
		s->number[i] = s->number[front];
}

static uint8_t *put_odd(uint8_t *p, const double *v, const uint16_t *odd, uint32_t n_odd)
{
	int32_t before = -1;

	p = varint_put(p, n_odd);
	for (uint32_t i = 0; i < n_odd; i++) {
		p = varint_put(p, (uint64_t)(odd[i] - before - 1));
		memcpy(p, &v[odd[i]], sizeof(*v));
		p += sizeof(*v);
		before = odd[i];
	}
	return p;
}

/* Fills the scratch; returns what goes into the head, and how many rows are odd. */
static unsigned to_numbers(const double *v, uint32_t n, const struct valcol_scratch *s,
                           uint32_t *ret_n_odd)
{
	*ret_n_odd = 0;
	if (to_whole(v, n, s->number))
		return 0;
	unsigned digits = digits_of_all(v, n);
	uint32_t n_odd = digits <= DECIMAL_DIGITS_MAX ? to_decimals(v, n, digits, s) : UINT32_MAX;

	if (n_odd > odd_max(n)) {
		memcpy(s->number, v, n * sizeof(*v));
		return HEAD_BITS;
	}
	fill_front(s, n_odd);
	*ret_n_odd = n_odd;
	return digits;
}

size_t valcol_encode(const double *v, uint32_t n, uint8_t *dst, const struct valcol_scratch *s)
{
	uint8_t *p = dst + 1;
	uint32_t n_odd;

	assert(n > 0);
	assert(n <= COLUMN_ROWS_MAX);
	unsigned head = to_numbers(v, n, s, &n_odd);

	*dst = (uint8_t)(head | (n_odd > 0 ? HEAD_ODD : 0));
	if (n_odd > 0)
		p = put_odd(p, v, s->odd, n_odd);
	return (size_t)(p - dst) + intcol_encode(s->number, n, p, &s->ints);
}

/* ---- decoding ------------------------------------------------------------- */

/*
 * Integers into doubles, in place. Up to 2^51 by adding them to the bits of 1.5 * 2^52, which is a
 * double whose last bits count ones: vectors of that exist, of the conversion proper they do not.
 */
static void to_doubles(double *v, uint32_t n)
{
	const uint64_t magic = 0x4338000000000000;
	uint64_t large = 0, number;

	for (uint32_t i = 0; i < n; i++)
		large |= double_bits(v[i]) + (1ull << 51);
	if (large >> 52 == 0) {
		for (uint32_t i = 0; i < n; i++)
			v[i] = double_from_bits(double_bits(v[i]) + magic) - 0x1.8p52;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		number = double_bits(v[i]);
		v[i] = (double)(int64_t)number;
	}
}

static void scale(double *v, uint32_t n, unsigned digits)
{
	double power = decimal_power(digits);

	for (uint32_t i = 0; digits > 0 && i < n; i++)
		v[i] /= power;
}

/* Finds the end of the list of odd rows, and checks that each is a row. */
static const uint8_t *skip_odd(const uint8_t *p, const uint8_t *end, uint32_t n, uint32_t *ret_n)
{
	uint64_t n_odd, distance, row = 0;

	p = varint_get(p, end, &n_odd);
	if (!p || n_odd == 0 || n_odd > n)
		return NULL;
	for (uint64_t i = 0; i < n_odd; i++) {
		p = varint_get(p, end, &distance);
		if (!p || distance > n || (size_t)(end - p) < sizeof(double))
			return NULL;
		row += distance + (i > 0);
		if (row >= n)
			return NULL;
		p += sizeof(double);
	}
	*ret_n = (uint32_t)n_odd;
	return p;
}

/* The list is a good one. */
static void set_odd(const uint8_t *p, const uint8_t *end, double *v)
{
	uint64_t n_odd = 0, distance = 0, row = 0;

	p = varint_get(p, end, &n_odd);
	for (uint64_t i = 0; i < n_odd; i++) {
		p = varint_get(p, end, &distance);
		row += distance + (i > 0);
		memcpy(&v[row], p, sizeof(*v));
		p += sizeof(*v);
	}
}

int valcol_decode(const uint8_t *src, size_t bytes, uint32_t n, double *ret)
{
	const uint8_t *end = src + bytes, *odd = src + 1, *p = odd;
	uint32_t n_odd = 0;

	if (bytes == 0 || n == 0 || n > COLUMN_ROWS_MAX)
		return -EBADMSG;
	unsigned digits = src[0] & 0x7f;

	if (digits > DECIMAL_DIGITS_MAX && src[0] != HEAD_BITS)
		return -EBADMSG;
	if (src[0] & HEAD_ODD)
		p = skip_odd(p, end, n, &n_odd);
	/* The integers lie where the values will: what is not yet a double is moved as bytes. */
	if (!p || intcol_decode(p, (size_t)(end - p), n, (int64_t *)(void *)ret) < 0)
		return -EBADMSG;
	if (digits != HEAD_BITS) {
		to_doubles(ret, n);
		scale(ret, n, digits);
	}
	if (n_odd > 0)
		set_odd(odd, end, ret);
	return 0;
}
