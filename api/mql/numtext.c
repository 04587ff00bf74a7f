/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/numtext.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define NUMBER_BYTES_MAX     512u
#define GENERAL_EXPONENT_MAX 5 /* larger numbers show their exponent */

struct scale {
	const char *suffix; /* lower case */
	double factor;
};

static bool ends_with(struct str s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len > n && strncasecmp(s.p + s.len - n, suffix, n) == 0;
}

/* Longer suffixes first: "kib" also ends in "b" of "kb" would not, but "mi" ends in no other. */
static const struct scale sizes[] = {
	{ "kib", 0x1p10 }, { "mib", 0x1p20 }, { "gib", 0x1p30 }, { "tib", 0x1p40 },
	{ "ki", 0x1p10 },  { "mi", 0x1p20 },  { "gi", 0x1p30 },  { "ti", 0x1p40 },
	{ "kb", 1e3 },     { "mb", 1e6 },     { "gb", 1e9 },     { "tb", 1e12 },
	{ "k", 1e3 },      { "m", 1e6 },      { "g", 1e9 },      { "t", 1e12 },
};

static unsigned radix_of(struct str s, size_t *ret_skip)
{
	char second = s.len > 1 ? (char)tolower((unsigned char)s.p[1]) : '\0';

	*ret_skip = 2;
	if (s.len < 2 || s.p[0] != '0')
		return 10;
	if (second == 'x')
		return 16;
	if (second == 'o')
		return 8;
	if (second == 'b')
		return 2;
	*ret_skip = 1;
	return second >= '0' && second <= '9' ? 8 : 10;
}

static int integer(struct str s, unsigned radix, double *ret)
{
	uint64_t v = 0;
	bool any = false;

	for (size_t i = 0; i < s.len; i++) {
		char c = (char)tolower((unsigned char)s.p[i]);
		unsigned digit = (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');

		if (c == '_')
			continue;
		if (digit >= radix || __builtin_mul_overflow(v, (uint64_t)radix, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit, &v) || v > INT64_MAX)
			return -EINVAL;
		any = true;
	}
	*ret = (double)v;
	return any ? 0 : -EINVAL;
}

/* Decimal text without its underscores. */
static int decimal(struct str s, double *ret)
{
	char plain[NUMBER_BYTES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '_')
			continue;
		if (n == sizeof(plain))
			return -EINVAL;
		plain[n++] = s.p[i];
	}
	/* "5." is a number here, as in Go. */
	if (n > 1 && plain[n - 1] == '.')
		n--;
	return num_parse_double((struct str){ plain, n }, ret);
}

int numtext_number(struct str s, double *ret)
{
	size_t skip;
	unsigned radix = radix_of(s, &skip);
	double v;

	if (radix != 10)
		return integer(str_skip(s, skip), radix, ret);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!ends_with(s, sizes[i].suffix))
			continue;
		s.len -= strlen(sizes[i].suffix);
		if (decimal(s, &v) < 0)
			return -EINVAL;
		*ret = v * sizes[i].factor;
		return 0;
	}
	return decimal(s, ret);
}

static const struct scale units[] = {
	{ "ms", 1 },      { "s", 1e3 },      { "m", 60e3 },       { "h", 3600e3 },
	{ "d", 86400e3 }, { "w", 604800e3 }, { "y", 31536000e3 },
};

static int unit_factor(struct str unit, int64_t step_ms, double *ret)
{
	if (unit.len == 1 && (unit.p[0] == 'i' || unit.p[0] == 'I')) {
		*ret = (double)step_ms;
		return 0;
	}
	/* M is mega and never minutes. */
	if (unit.len == 1 && unit.p[0] == 'M')
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (unit.len == strlen(units[i].suffix) &&
		    strncasecmp(unit.p, units[i].suffix, unit.len) == 0) {
			*ret = units[i].factor;
			return 0;
		}
	}
	return -EINVAL;
}

/* Takes one part, such as -1.5h, off the front of *@s. */
static int take_part(struct str *s, int64_t step_ms, double *ret_ms)
{
	size_t sign = s->len > 0 && s->p[0] == '-', n = sign, unit;
	double v, factor;

	while (n < s->len && ((s->p[n] >= '0' && s->p[n] <= '9') || s->p[n] == '.'))
		n++;
	for (unit = n; unit < s->len && isalpha((unsigned char)s->p[unit]); unit++)
		;
	if (n == sign || decimal((struct str){ s->p, n }, &v) < 0 ||
	    unit_factor((struct str){ s->p + n, unit - n }, step_ms, &factor) < 0)
		return -EINVAL;
	*s = str_skip(*s, unit);
	*ret_ms = v * factor;
	return 0;
}

static int64_t cut_ms(double ms)
{
	if (ms >= 9223372036854775807.0)
		return INT64_MAX;
	if (ms <= -9223372036854775808.0)
		return INT64_MIN;
	return (int64_t)ms;
}

static bool is_step_variable(struct str s)
{
	return str_eqc(s, "$__interval") || str_eqc(s, "$__rate_interval");
}

int numtext_duration_ms(struct str s, int64_t step_ms, int64_t *ret_ms)
{
	bool minus = false, whole = s.len > 0 && s.p[0] == '-';
	double ms = 0, part;

	if (is_step_variable(str_skip(s, whole))) {
		*ret_ms = whole ? -step_ms : step_ms;
		return 0;
	}
	if (s.len > 0 && !isalpha((unsigned char)s.p[s.len - 1])) {
		if (decimal(s, &ms) < 0 || isnan(ms))
			return -EINVAL;
		*ret_ms = cut_ms(ms * 1000);
		return 0;
	}
	if (s.len == 0)
		return -EINVAL;
	while (s.len > 0) {
		if (take_part(&s, step_ms, &part) < 0)
			return -EINVAL;
		/* -1h5m is minus 65 minutes, 1h-3m5s is 1h minus 185 seconds. */
		if (minus && part > 0)
			part = -part;
		minus = minus || part < 0;
		ms += part;
	}
	*ret_ms = cut_ms(ms);
	return 0;
}

/* Fewer digits are tried first; 17 always read back equal. */
size_t numtext_general(double v, char dst[static NUMTEXT_GENERAL_BYTES_MAX])
{
	char digits[NUMTEXT_GENERAL_BYTES_MAX];
	int precision = 0, exponent, n;
	uint64_t magnitude = 0;

	if (isnan(v) || isinf(v))
		return (size_t)snprintf(dst, NUMTEXT_GENERAL_BYTES_MAX, "%s",
		                        isnan(v) ? "NaN"
		                        : v > 0  ? "+Inf"
		                                 : "-Inf");
	do
		(void)snprintf(digits, sizeof(digits), "%.*e", precision, v);
	while (strtod(digits, NULL) != v && ++precision < 17);
	const char *e = strchr(digits, 'e') + 1; /* its sign, then digits */

	(void)num_parse_u64(str_from(e + 1), &magnitude);
	exponent = *e == '-' ? -(int)magnitude : (int)magnitude;
	if (exponent < -4 || exponent > GENERAL_EXPONENT_MAX)
		n = snprintf(dst, NUMTEXT_GENERAL_BYTES_MAX, "%s", digits);
	else
		n = snprintf(dst, NUMTEXT_GENERAL_BYTES_MAX, "%.*f", MAX(precision - exponent, 0),
		             v);
	return (size_t)n;
}
