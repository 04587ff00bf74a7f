/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TZif, RFC 8536: a block of 32-bit times, a block of 64-bit times, then a line with the rule for
 * all later years. Only the second block is used.
 *
 *	"TZif" version(1) zero(15) isutcnt isstdcnt leapcnt timecnt typecnt charcnt   (4 bytes each)
 *	times  timecnt * 8     types timecnt * 1     infos typecnt * 6 (offset 4, dst 1, name 1)
 *	names  charcnt         leaps leapcnt * 12    isstd     isut
 *	"\n" rule "\n"
 */
#include "api/mql/zone.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "userspace/base/file.h"

#define FOLDER         "/usr/share/zoneinfo/"
#define FILE_BYTES_MAX (1u << 20)
#define NAME_BYTES_MAX 64u
#define HEADER_BYTES   44u
#define DAY_S          86400

enum {
	ISUT,
	ISSTD,
	LEAPS,
	TIMES,
	TYPES,
	CHARS,
	N_COUNTS
};

static uint32_t be32_at(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static int64_t be64_at(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

/* The header at @from, and the bytes of the block behind it; 0 when it is broken. */
static size_t block_at(const struct buf *b, size_t from, size_t time_bytes, uint32_t *counts)
{
	struct str s = str_skip(buf_str(b), from);
	size_t bytes;

	if (s.len < HEADER_BYTES || memcmp(s.p, "TZif", 4) != 0 || s.p[4] < '2')
		return 0;
	for (unsigned i = 0; i < N_COUNTS; i++) {
		counts[i] = be32_at((const unsigned char *)s.p + 20 + 4 * i);
		if (counts[i] > FILE_BYTES_MAX)
			return 0;
	}
	bytes = HEADER_BYTES + counts[TIMES] * (time_bytes + 1) + counts[TYPES] * 6ul +
	        counts[CHARS] + counts[LEAPS] * (time_bytes + 4) + counts[ISSTD] + counts[ISUT];
	return bytes <= s.len && counts[TYPES] > 0 ? bytes : 0;
}

static int parse(struct zone *z)
{
	uint32_t counts[N_COUNTS];
	struct str rest;
	size_t from = block_at(&z->file, 0, 4, counts);
	size_t bytes = from ? block_at(&z->file, from, 8, counts) : 0;

	if (bytes == 0)
		return -EINVAL;
	z->n_times = counts[TIMES];
	z->n_infos = counts[TYPES];
	z->times = (const unsigned char *)buf_str(&z->file).p + from + HEADER_BYTES;
	z->types = z->times + 8ul * z->n_times;
	z->infos = z->types + z->n_times;
	for (uint32_t i = 0; i < z->n_times; i++) {
		if (z->types[i] >= z->n_infos)
			return -EINVAL;
	}
	rest = str_skip(buf_str(&z->file), from + bytes);
	if (rest.len > 0)
		(void)str_cut(str_skip(rest, 1), '\n', &z->rule, &rest);
	return 0;
}

/* Letters, digits and _+-/ only; a name never leaves the folder. */
static bool is_name(struct str name)
{
	if (name.len > NAME_BYTES_MAX || name.p[0] == '/')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (!isalnum((unsigned char)name.p[i]) && !memchr("_+-/", name.p[i], 4))
			return false;
	}
	return true;
}

int zone_open(struct zone *z, struct str name)
{
	char path[sizeof(FOLDER) + NAME_BYTES_MAX];
	int r;

	*z = (struct zone){ .file = BUF_INIT };
	if (name.len == 0 || str_eqc(name, "UTC"))
		return 0;
	if (str_eqc(name, "Local"))
		r = file_read("/etc/localtime", &z->file, FILE_BYTES_MAX);
	else if (!is_name(name))
		return -EINVAL;
	else {
		(void)snprintf(path, sizeof(path), FOLDER "%.*s", STR_FMT(name));
		r = file_read(path, &z->file, FILE_BYTES_MAX);
	}
	if (r == 0)
		r = parse(z);
	else if (r != -ENOMEM)
		r = -ENOENT;
	if (r < 0)
		zone_close(z);
	return r;
}

void zone_close(struct zone *z)
{
	buf_done(&z->file);
}

/* --- rules such as CET-1CEST,M3.5.0,M10.5.0/3 ------------------------------------------------- */

static bool take(struct str *s, char c)
{
	bool yes = s->len > 0 && s->p[0] == c;

	*s = str_skip(*s, yes);
	return yes;
}

static int32_t take_number(struct str *s)
{
	int32_t v = 0;

	while (s->len > 0 && isdigit((unsigned char)s->p[0]) && v < 100000) {
		v = v * 10 + (s->p[0] - '0');
		*s = str_skip(*s, 1);
	}
	return v;
}

/* [+-]hh[:mm[:ss]] */
static int32_t take_time(struct str *s)
{
	int32_t sign = take(s, '-') ? -1 : 1, v;

	(void)take(s, '+');
	v = take_number(s) * 3600;
	if (take(s, ':'))
		v += take_number(s) * 60;
	if (take(s, ':'))
		v += take_number(s);
	return sign * v;
}

static void take_letters(struct str *s)
{
	if (take(s, '<')) {
		while (s->len > 0 && !take(s, '>'))
			*s = str_skip(*s, 1);
		return;
	}
	while (s->len > 0 && isalpha((unsigned char)s->p[0]))
		*s = str_skip(*s, 1);
}

/* Days from 1970-01-01 to the day; months from 1. Years are counted from March. */
static int64_t day_number(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t year_of(int64_t unix_s)
{
	int64_t year = 1970 + unix_s / 31556952;

	while (day_number(year + 1, 1, 1) * DAY_S <= unix_s)
		year++;
	while (day_number(year, 1, 1) * DAY_S > unix_s)
		year--;
	return year;
}

/* The @week-th (5 = last) given weekday (0 = Sunday) of a month. */
static int64_t weekday_number(int64_t year, int month, int week, int weekday)
{
	int64_t first = day_number(year, month, 1);
	int64_t next = month == 12 ? day_number(year + 1, 1, 1) : day_number(year, month + 1, 1);
	int64_t day = first + ((weekday - (first + 4)) % 7 + 7) % 7 + 7ll * (week - 1);

	while (day >= next)
		day -= 7;
	return day;
}

/* ",date[/time]" as local seconds: Mm.w.d, Jn (no leap day) or n (from 0). */
static int64_t take_change(struct str *s, int64_t year)
{
	int64_t day, start = day_number(year, 1, 1);

	(void)take(s, ',');
	if (take(s, 'M')) {
		int month = take_number(s), week, weekday;

		(void)take(s, '.');
		week = take_number(s);
		(void)take(s, '.');
		weekday = take_number(s);
		month = month < 1 || month > 12 ? 1 : month;
		day = weekday_number(year, month, week < 1 || week > 5 ? 1 : week, weekday % 7);
	} else if (take(s, 'J')) {
		int n = take_number(s);
		bool leap = day_number(year, 3, 1) - start == 60;

		day = start + n - 1 + (leap && n >= 60);
	} else {
		day = start + take_number(s);
	}
	return day * DAY_S + (take(s, '/') ? take_time(s) : 2 * 3600);
}

static int32_t rule_offset(struct str rule, int64_t unix_s)
{
	int32_t standard, summer;
	int64_t start, end, year;

	take_letters(&rule);
	standard = -take_time(&rule);
	if (rule.len == 0)
		return standard;
	take_letters(&rule);
	summer = rule.len > 0 && rule.p[0] != ',' ? -take_time(&rule) : standard + 3600;
	year = year_of(unix_s + standard);
	start = take_change(&rule, year) - standard;
	end = take_change(&rule, year) - summer;
	if (start < end)
		return unix_s >= start && unix_s < end ? summer : standard;
	return unix_s >= end && unix_s < start ? standard : summer;
}

/* Before the first change: the first type that is not summer time. */
static int32_t first_offset(const struct zone *z)
{
	for (uint32_t i = 0; i < z->n_infos; i++) {
		if (z->infos[6ul * i + 4] == 0)
			return (int32_t)be32_at(z->infos + 6ul * i);
	}
	return (int32_t)be32_at(z->infos);
}

int32_t zone_offset(const struct zone *z, int64_t unix_s)
{
	uint32_t lo = 0, hi = z->n_times;

	if (z->n_infos == 0)
		return 0;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (be64_at(z->times + 8ul * mid) <= unix_s)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == z->n_times && z->rule.len > 0)
		return rule_offset(z->rule, unix_s);
	return lo == 0 ? first_offset(z) : (int32_t)be32_at(z->infos + 6ul * z->types[lo - 1]);
}
