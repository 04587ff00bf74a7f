/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers into text. Most values of metrics are integers or decimals with a few digits behind the
 * point, and answers are long lists of them; so these two have paths of their own, which need no
 * shortest-digits search. What is left goes through std::to_chars.
 */
#include "userspace/base/num.h"

#include <math.h>
#include <string.h>

#include "userspace/base/cxx.h"
#include "userspace/base/util.h"

#define EIGHT_DIGITS         100000000ull
#define EXACT_MAX            0x1p53 /* all integers up to it are doubles */
#define FRACTION_DIGITS_MAX  6      /* beyond it std::to_chars is quicker than trying */
#define SCIENTIFIC_BYTES_MAX 32

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

/* Eight digits with leading zeros; the halves do not wait for each other. */
static void put_eight(uint32_t v, char *dst)
{
	uint32_t high = v / 10000, low = v % 10000;

	memcpy(dst, pairs + high / 100 * 2, 2);
	memcpy(dst + 2, pairs + high % 100 * 2, 2);
	memcpy(dst + 4, pairs + low / 100 * 2, 2);
	memcpy(dst + 6, pairs + low % 100 * 2, 2);
}

static size_t put_short(uint32_t v, char *dst)
{
	char text[8];
	size_t skip = 0;

	if (v < 10) {
		dst[0] = (char)('0' + v);
		return 1;
	}
	put_eight(v, text);
	while (text[skip] == '0')
		skip++;
	for (size_t i = skip; i < sizeof(text); i++)
		dst[i - skip] = text[i];
	return sizeof(text) - skip;
}

size_t num_format_u64(uint64_t v, char *dst)
{
	size_t n = 0;

	if (v < EIGHT_DIGITS)
		return put_short((uint32_t)v, dst);
	if (v >= EIGHT_DIGITS * EIGHT_DIGITS) {
		n = put_short((uint32_t)(v / (EIGHT_DIGITS * EIGHT_DIGITS)), dst);
		v %= EIGHT_DIGITS * EIGHT_DIGITS;
		put_eight((uint32_t)(v / EIGHT_DIGITS), dst + n);
		n += 8;
	} else {
		n = put_short((uint32_t)(v / EIGHT_DIGITS), dst);
	}
	put_eight((uint32_t)(v % EIGHT_DIGITS), dst + n);
	return n + 8;
}

/* "12.05" from 1205 and 2 digits. */
static size_t put_decimal(uint64_t mantissa, unsigned digits, char *dst)
{
	static const uint64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
	uint64_t fraction = mantissa % powers[digits];
	size_t n = num_format_u64(mantissa / powers[digits], dst);

	dst[n++] = '.';
	for (unsigned i = digits; i > 0; i--, fraction /= 10)
		dst[n + i - 1] = (char)('0' + fraction % 10);
	return n + digits;
}

/*
 * @v as an integer with a few of its digits behind the point. The first number of digits that gives
 * @v back is the shortest text: below 2^52 no two integers can.
 */
static size_t format_short(double v, char *dst)
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };

	for (unsigned digits = 1; digits <= FRACTION_DIGITS_MAX; digits++) {
		double m = nearbyint(v * powers[digits]);

		if (m >= EXACT_MAX / 2)
			return 0;
		if (m / powers[digits] == v)
			return put_decimal((uint64_t)m, digits, dst);
	}
	return 0;
}

/* "1.25e+02" without its exponent: @n significant digits at @digits, the point behind @point. */
static size_t put_plain(const char *digits, size_t n, int point, char *dst)
{
	size_t at = 0;

	if (point <= 0) {
		memcpy(dst, "0.", 2);
		memset(dst + 2, '0', (size_t)-point);
		at = 2 + (size_t)-point;
		memcpy(dst + at, digits, n);
		return at + n;
	}
	for (; at < n && at < (size_t)point; at++)
		dst[at] = digits[at];
	for (; at < (size_t)point; at++)
		dst[at] = '0';
	if (n <= (size_t)point)
		return at;
	dst[at] = '.';
	memcpy(dst + at + 1, digits + at, n - at);
	return n + 1;
}

static size_t format_any(double v, char *dst)
{
	char text[SCIENTIFIC_BYTES_MAX], digits[SCIENTIFIC_BYTES_MAX];
	size_t len = cxx_double_to_scientific(v, text, sizeof(text)), n = 0, i = 0;
	int exponent = 0;

	for (; i < len && text[i] != 'e'; i++) {
		if (text[i] != '.')
			digits[n++] = text[i];
	}
	for (size_t k = i + 2; k < len; k++)
		exponent = exponent * 10 + (text[k] - '0');
	if (i + 1 < len && text[i + 1] == '-')
		exponent = -exponent;
	return put_plain(digits, n, exponent + 1, dst);
}

size_t num_format_double(double v, char *dst)
{
	const char *word = isnan(v) ? "NaN" : isinf(v) ? (v > 0 ? "+Inf" : "-Inf") : NULL;
	size_t sign = 0, n;

	if (word) {
		memcpy(dst, word, strlen(word));
		return strlen(word);
	}
	if (signbit(v)) {
		dst[sign++] = '-';
		v = -v;
	}
	if (v < EXACT_MAX && v == (double)(uint64_t)v)
		return sign + num_format_u64((uint64_t)v, dst + sign);
	n = format_short(v, dst + sign);
	return sign + (n > 0 ? n : format_any(v, dst + sign));
}

void num_format_hex(uint64_t v, unsigned digits, char *dst)
{
	for (unsigned i = digits; i-- > 0; v >>= 4)
		dst[i] = "0123456789abcdef"[v & 15];
	dst[digits] = '\0';
}
