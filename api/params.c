/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments of a request. Times are read in three families, chosen by what the text looks like:
 * relative (a letter at the end, "now" or a minus in front), calendar (a dash inside, or exactly
 * four digits), and Unix numbers (the rest). The choice is VictoriaMetrics' one, so that the same
 * URL means the same moment.
 */
#include "api/params.h"

#include <errno.h>
#include <math.h>
#include <strings.h>
#include <time.h>

#include "api/mql/mql.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int params_unescape(struct str text, bool plus_is_space, struct arena *arena, struct str *ret)
{
	char *dst = arena_alloc(arena, text.len + 1);
	size_t n = 0;

	if (!dst)
		return arena_error(arena);
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '+' && plus_is_space) {
			dst[n++] = ' ';
		} else if (text.p[i] != '%') {
			dst[n++] = text.p[i];
		} else {
			int high = i + 2 < text.len ? hex_digit(text.p[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			dst[n++] = (char)(high << 4 | low);
			i += 2;
		}
	}
	*ret = (struct str){ dst, n };
	return 0;
}

static size_t count_pairs(struct str text)
{
	size_t n = text.len > 0;

	for (size_t i = 0; i < text.len; i++)
		n += text.p[i] == '&';
	return n;
}

static int parse_pairs(struct str text, bool from_url, struct arena *arena, struct param *v,
                       size_t *n, struct err *e)
{
	struct str pair, name, value;

	while (text.len > 0) {
		(void)str_cut(text, '&', &pair, &text);
		if (pair.len == 0)
			continue;
		(void)str_cut(pair, '=', &name, &value);
		struct param *p = &v[*n];
		int r = params_unescape(name, true, arena, &p->name);

		if (r == 0)
			r = params_unescape(value, true, arena, &p->value);
		if (r == -EINVAL)
			return err_set(e, r, "broken %%XX escape in argument \"%.*s\"",
			               (int)MIN(name.len, (size_t)60), name.p);
		if (r < 0)
			return err_set(e, r, "the arguments need too much memory");
		p->from_url = from_url;
		(*n)++;
	}
	return 0;
}

int params_parse(struct str url, struct str form, struct arena *arena, struct params *ret,
                 struct err *e)
{
	size_t want = count_pairs(url) + count_pairs(form), n = 0;

	if (want > PARAMS_MAX)
		return err_set(e, -EINVAL, "the request has more than %u arguments", PARAMS_MAX);
	struct param *v = ARENA_ARRAY(arena, struct param, want + 1);

	if (!v)
		return err_set(e, arena_error(arena), "the arguments need too much memory");
	int r = parse_pairs(form, false, arena, v, &n, e);

	if (r == 0)
		r = parse_pairs(url, true, arena, v, &n, e);
	if (r == 0)
		*ret = (struct params){ v, n };
	return r;
}

bool params_next(const struct params *p, const char *name, size_t *i, struct str *ret)
{
	for (; *i < p->n; (*i)++) {
		if (p->v[*i].value.len > 0 && str_eqc(p->v[*i].name, name)) {
			*ret = p->v[(*i)++].value;
			return true;
		}
	}
	return false;
}

struct str params_get(const struct params *p, const char *name)
{
	struct str value = STR_NULL;
	size_t i = 0;

	(void)params_next(p, name, &i, &value);
	return value;
}

bool params_in_url(const struct params *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].from_url && p->v[i].value.len > 0 && str_eqc(p->v[i].name, name))
			return true;
	}
	return false;
}

static int refuse(const char *name, struct str value, const char *expected, struct err *e)
{
	return err_set(e, -EINVAL, "argument %s: \"%.*s\" is not %s", name,
	               (int)MIN(value.len, (size_t)60), value.p, expected);
}

int params_time_ms(const struct params *p, const char *name, int64_t now_ms, int64_t fallback_ms,
                   int64_t *ret_ms, struct err *e)
{
	struct str value = params_get(p, name);

	if (value.len == 0) {
		*ret_ms = fallback_ms;
		return 0;
	}
	if (params_parse_time_ms(value, now_ms, ret_ms) < 0)
		return refuse(name, value, "a time (Unix seconds, RFC 3339, now-5m)", e);
	return 0;
}

int params_duration_ms(const struct params *p, const char *name, int64_t fallback_ms,
                       int64_t *ret_ms, struct err *e)
{
	struct str value = params_get(p, name);

	if (value.len == 0 || str_eqc(value, "undefined")) {
		*ret_ms = fallback_ms;
		return 0;
	}
	if (params_parse_duration_ms(value, ret_ms) < 0)
		return refuse(name, value, "a duration between 1ms and 100y (15s, 1h30m, 0.5)", e);
	return 0;
}

int params_int(const struct params *p, const char *name, int64_t fallback, int64_t *ret,
               struct err *e)
{
	struct str value = params_get(p, name);

	if (value.len == 0) {
		*ret = fallback;
		return 0;
	}
	return num_parse_i64(value, ret) < 0 ? refuse(name, value, "a whole number", e) : 0;
}

int params_bool(const struct params *p, const char *name, bool *ret, struct err *e)
{
	static const char *const yes[] = { "1", "t", "true", "y", "yes", "on" };
	static const char *const no[] = { "", "0", "f", "false", "n", "no", "off" };
	struct str value = params_get(p, name);

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (value.len == strlen(yes[i]) && !strncasecmp(value.p, yes[i], value.len)) {
			*ret = true;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (value.len == strlen(no[i]) &&
		    (value.len == 0 || !strncasecmp(value.p, no[i], value.len))) {
			*ret = false;
			return 0;
		}
	}
	return refuse(name, value, "1 or 0", e);
}

/* --- durations -------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Any duration, its sign included; the caller checks the range. */
static int parse_signed_duration_ms(struct str text, int64_t *ret_ms)
{
	bool negative = text.len > 0 && text.p[0] == '-';
	double seconds;
	int64_t ms;

	text = str_skip(text, negative);
	if (text.len == 0 || !(is_digit(text.p[0]) || text.p[0] == '.'))
		return -EINVAL;
	if (num_parse_double(text, &seconds) == 0) {
		if (!(seconds * 1000 <= (double)PARAMS_TIME_MS_MAX))
			return -EINVAL;
		ms = (int64_t)(seconds * 1000);
	} else if (mql_parse_duration_ms(text, &ms) < 0) {
		return -EINVAL;
	}
	*ret_ms = negative ? -ms : ms;
	return 0;
}

int params_parse_duration_ms(struct str text, int64_t *ret_ms)
{
	int64_t ms;

	if (parse_signed_duration_ms(text, &ms) < 0 || ms < 1 || ms > PARAMS_DURATION_MS_MAX)
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

/* --- times ------------------------------------------------------------------------------------ */

static int64_t clamp_time_ms(double ms)
{
	if (ms <= 0)
		return 0;
	return ms >= (double)PARAMS_TIME_MS_MAX ? PARAMS_TIME_MS_MAX : (int64_t)llround(ms);
}

static int parse_relative(struct str text, int64_t now_ms, int64_t *ret_ms)
{
	int64_t ms = 0;

	if (str_starts(text, STR("now")))
		text = str_skip(text, 3);
	if (text.len > 0 && parse_signed_duration_ms(text, &ms) < 0)
		return -EINVAL;
	/* now-5m, -5m and 5m are all in the past. */
	*ret_ms = clamp_time_ms((double)now_ms - fabs((double)ms));
	return 0;
}

static int take_time_ms(double ms, int64_t *ret_ms)
{
	if (ms < 0 || floor(ms) > (double)PARAMS_TIME_MS_MAX)
		return -EINVAL;
	*ret_ms = clamp_time_ms(ms);
	return 0;
}

/* Seconds reach to 2262; a number above that must be milliseconds, and so on. */
static int parse_unix(struct str text, int64_t *ret_ms)
{
	double v, a;

	if (num_parse_double(text, &v) < 0 || !isfinite(v))
		return -EINVAL;
	a = fabs(v);
	if (a <= (double)(INT64_MAX / 1000000000))
		v *= 1e3;
	else if (a > (double)(INT64_MAX / 1000))
		v /= 1e6;
	else if (a > (double)(INT64_MAX / 1000000))
		v /= 1e3;
	return take_time_ms(v, ret_ms);
}

/* Exactly @digits digits at the front of *@s, moved over. */
static int take_digits(struct str *s, size_t digits, int *ret)
{
	int v = 0;

	if (s->len < digits)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++) {
		if (!is_digit(s->p[i]))
			return -EINVAL;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = str_skip(*s, digits);
	*ret = v;
	return 0;
}

struct date_part {
	char before; /* the character in front of it */
	int min, max;
	size_t digits;
};

/* Year, month, day, hour, minute, second: a date may stop behind any of them. */
static const struct date_part date_parts[] = {
	{ '\0', 0, 9999, 4 }, { '-', 1, 12, 2 }, { '-', 1, 31, 2 },
	{ 'T', 0, 23, 2 },    { ':', 0, 59, 2 }, { ':', 0, 59, 2 },
};

static int take_date_part(struct str *s, const struct date_part *part, int *ret)
{
	if (part->before != '\0') {
		bool blank =
			part->before == 'T' && s->len > 0 && (s->p[0] == 't' || s->p[0] == ' ');

		if (s->len == 0 || !(s->p[0] == part->before || blank))
			return -EINVAL;
		*s = str_skip(*s, 1);
	}
	if (take_digits(s, part->digits, ret) < 0 || *ret < part->min || *ret > part->max)
		return -EINVAL;
	return 0;
}

/* ".123…" behind the seconds, as milliseconds. */
static int take_fraction(struct str *s, double *ret_ms)
{
	double unit = 100;
	size_t n = 1;

	*ret_ms = 0;
	if (s->len == 0 || s->p[0] != '.')
		return 0;
	for (; n < s->len && is_digit(s->p[n]); n++, unit /= 10)
		*ret_ms += unit * (s->p[n] - '0');
	*s = str_skip(*s, n);
	return n > 1 ? 0 : -EINVAL;
}

enum zone {
	ZONE_LOCAL,
	ZONE_GIVEN
};

/* Takes "Z" or "±hh:mm" off the end of *@s. */
static int take_zone(struct str *s, enum zone *ret, int *ret_offset_s)
{
	int hours, minutes;

	*ret = ZONE_GIVEN;
	*ret_offset_s = 0;
	if (s->len > 0 && (s->p[s->len - 1] == 'Z' || s->p[s->len - 1] == 'z')) {
		s->len--;
		return 0;
	}
	struct str tail = s->len > 6 ? str_skip(*s, s->len - 6) : STR_NULL;

	if (tail.len == 0 || !strchr("+-", tail.p[0]) || tail.p[0] == '\0' || tail.p[3] != ':') {
		*ret = ZONE_LOCAL;
		return 0;
	}
	bool west = tail.p[0] == '-';

	tail = str_skip(tail, 1);
	if (take_digits(&tail, 2, &hours) < 0 || hours > 23)
		return -EINVAL;
	tail = str_skip(tail, 1);
	if (take_digits(&tail, 2, &minutes) < 0 || minutes > 59)
		return -EINVAL;
	*ret_offset_s = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
	s->len -= 6;
	return 0;
}

static bool day_exists(int year, int month, int day)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return day <= days[month - 1] + (month == 2 && leap);
}

static int parse_calendar(struct str s, int64_t *ret_ms)
{
	int part[ARRAY_SIZE(date_parts)] = { 0, 1, 1, 0, 0, 0 }, offset_s;
	size_t n = 0;
	double fraction_ms = 0;
	enum zone zone;

	if (take_zone(&s, &zone, &offset_s) < 0)
		return -EINVAL;
	for (; n < ARRAY_SIZE(date_parts) && (s.len > 0 || n == 0); n++) {
		if (take_date_part(&s, &date_parts[n], &part[n]) < 0)
			return -EINVAL;
	}
	if (n == ARRAY_SIZE(date_parts) && take_fraction(&s, &fraction_ms) < 0)
		return -EINVAL;
	if (s.len > 0 || !day_exists(part[0], part[1], part[2]))
		return -EINVAL;
	struct tm tm = { .tm_year = part[0] - 1900,
		         .tm_mon = part[1] - 1,
		         .tm_mday = part[2],
		         .tm_hour = part[3],
		         .tm_min = part[4],
		         .tm_sec = part[5],
		         .tm_isdst = -1 };
	time_t at = zone == ZONE_LOCAL ? mktime(&tm) : timegm(&tm);

	return take_time_ms(((double)at - offset_s) * 1e3 + floor(fraction_ms), ret_ms);
}

/* What a Prometheus client sends for "as early (late) as there is". */
static bool parse_extreme(struct str text, int64_t *ret_ms)
{
	bool first = str_eqc(text, "-292273086-05-16T16:47:06Z");
	bool last = str_eqc(text, "292277025-08-18T07:12:54.999999999Z");

	if (first || last)
		*ret_ms = first ? 0 : PARAMS_TIME_MS_MAX;
	return first || last;
}

static bool is_relative(struct str text)
{
	char last = text.p[text.len - 1];

	return str_starts(text, STR("now")) || text.p[0] == '-' ||
	       (last > '9' && last != 'Z' && last != 'z');
}

/* A dash that is not the sign of an exponent. */
static bool has_dash(struct str text)
{
	for (size_t i = 1; i < text.len; i++) {
		if (text.p[i] == '-' && text.p[i - 1] != 'e' && text.p[i - 1] != 'E')
			return true;
	}
	return false;
}

int params_parse_time_ms(struct str text, int64_t now_ms, int64_t *ret_ms)
{
	int64_t ms = 0;
	size_t digits = 0;
	int r = -EINVAL;

	if (text.len == 0 || text.len > 64)
		return -EINVAL;
	while (digits < text.len && is_digit(text.p[digits]))
		digits++;
	bool year = digits == 4 && (text.len == 4 || !strchr(".eE", text.p[4]));

	if (parse_extreme(text, &ms))
		r = 0;
	else if (is_relative(text))
		r = parse_relative(text, now_ms, &ms);
	else if (year || has_dash(text))
		r = parse_calendar(text, &ms);
	else
		r = parse_unix(text, &ms);
	if (r == 0)
		*ret_ms = ms;
	return r;
}

/* --- label names ------------------------------------------------------------------------------ */

/* One escape behind an underscore: "_" for itself, or "<hex>_" for a code point. */
static int take_escape(struct str *s, char *dst, size_t *n)
{
	uint32_t cp = 0;
	size_t i = 0;

	if (s->len > 0 && s->p[0] == '_') {
		dst[(*n)++] = '_';
		*s = str_skip(*s, 1);
		return 0;
	}
	for (; i < s->len && i < 7 && s->p[i] != '_'; i++) {
		if (hex_digit(s->p[i]) < 0)
			return -EINVAL;
		cp = cp << 4 | (uint32_t)hex_digit(s->p[i]);
	}
	if (i == 0 || i >= s->len || s->p[i] != '_' || cp > 0x10ffff ||
	    (cp >= 0xd800 && cp <= 0xdfff))
		return -EINVAL;
	*s = str_skip(*s, i + 1);
	/* UTF-8, whose length never exceeds that of the escape: room is there. */
	if (cp < 0x80) {
		dst[(*n)++] = (char)cp;
		return 0;
	}
	int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
	static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };

	dst[(*n)++] = (char)(lead[more] | cp >> (6 * more));
	while (more-- > 0)
		dst[(*n)++] = (char)(0x80 | ((cp >> (6 * more)) & 0x3f));
	return 0;
}

int params_label_name(struct str text, struct arena *arena, struct str *ret)
{
	size_t n = 0;

	if (!str_starts(text, STR("U__"))) {
		*ret = text;
		return text.len > 0 ? 0 : -EINVAL;
	}
	char *dst = arena_alloc(arena, text.len);

	if (!dst)
		return arena_error(arena);
	for (struct str s = str_skip(text, 3); s.len > 0;) {
		char c = s.p[0];

		s = str_skip(s, 1);
		if (c != '_')
			dst[n++] = c;
		else if (take_escape(&s, dst, &n) < 0)
			return -EINVAL;
	}
	*ret = (struct str){ dst, n };
	return n > 0 ? 0 : -EINVAL;
}
