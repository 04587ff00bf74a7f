/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/num.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "userspace/base/cxx.h"
#include "userspace/base/util.h"

static const char hex_digits[] = "0123456789abcdef";

int num_parse_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int num_parse_i64(struct str s, int64_t *ret)
{
	bool negative = s.len > 0 && s.p[0] == '-';
	uint64_t v;
	int r = num_parse_u64(str_skip(s, negative || (s.len > 0 && s.p[0] == '+')), &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int num_parse_hex(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 16)
		return s.len == 0 ? -EINVAL : -ERANGE;
	for (size_t i = 0; i < s.len; i++) {
		const char *digit = memchr(hex_digits, s.p[i], 16);

		if (!digit)
			return -EINVAL;
		v = v << 4 | (uint64_t)(digit - hex_digits);
	}
	*ret = v;
	return 0;
}

static bool word_is(struct str s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

int num_parse_double(struct str s, double *ret)
{
	bool negative = s.len > 0 && s.p[0] == '-';
	struct str rest = str_skip(s, negative || (s.len > 0 && s.p[0] == '+'));
	double v;

	if (word_is(rest, "inf") || word_is(rest, "infinity"))
		v = INFINITY;
	else if (word_is(rest, "nan"))
		v = NAN;
	else if (rest.len == 0 || !(rest.p[0] == '.' || (rest.p[0] >= '0' && rest.p[0] <= '9')))
		return -EINVAL;
	else if (cxx_double_from_text(rest.p, rest.len, &v) == -EINVAL)
		return -EINVAL;
	*ret = negative ? -v : v;
	return 0;
}

struct unit {
	const char *name;
	double scale;
};

/* Leading "<digits>[.<digits>]" of *@s; moves *@s behind it. */
static int take_number(struct str *s, double *ret)
{
	size_t n = 0;

	while (n < s->len && ((s->p[n] >= '0' && s->p[n] <= '9') || s->p[n] == '.'))
		n++;
	if (num_parse_double((struct str){ s->p, n }, ret) < 0)
		return -EINVAL;
	*s = str_skip(*s, n);
	return 0;
}

static const struct unit *find_unit(struct str name, const struct unit *units, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eqc(name, units[i].name))
			return &units[i];
	}
	return NULL;
}

static struct str take_word(struct str *s)
{
	struct str word = { s->p, 0 };

	while (word.len < s->len && !(s->p[word.len] >= '0' && s->p[word.len] <= '9'))
		word.len++;
	*s = str_skip(*s, word.len);
	return word;
}

int num_parse_duration_ms(struct str s, int64_t *ret_ms)
{
	static const struct unit units[] = {
		{ "ms", 1 },      { "s", 1e3 },      { "m", 60e3 },       { "h", 3600e3 },
		{ "d", 86400e3 }, { "w", 604800e3 }, { "y", 31536000e3 },
	};
	double ms = 0, v;

	if (str_eqc(s, "0")) {
		*ret_ms = 0;
		return 0;
	}
	do {
		if (take_number(&s, &v) < 0)
			return -EINVAL;
		const struct unit *u = find_unit(take_word(&s), units, ARRAY_SIZE(units));

		if (!u)
			return -EINVAL;
		ms += v * u->scale;
	} while (s.len > 0);
	if (ms > 9e18)
		return -ERANGE;
	*ret_ms = (int64_t)llround(ms);
	return 0;
}

int num_parse_size(struct str s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 },         { "B", 1 },        { "KiB", 0x1p10 }, { "MiB", 0x1p20 },
		{ "GiB", 0x1p30 }, { "TiB", 0x1p40 }, { "KB", 1e3 },     { "MB", 1e6 },
		{ "GB", 1e9 },     { "TB", 1e12 },
	};
	double v;

	if (take_number(&s, &v) < 0)
		return -EINVAL;
	const struct unit *u = find_unit(s, units, ARRAY_SIZE(units));

	if (!u)
		return -EINVAL;
	if (v * u->scale >= 0x1p63)
		return -ERANGE;
	*ret_bytes = (uint64_t)(v * u->scale);
	return 0;
}
