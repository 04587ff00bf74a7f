/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/go_time.h"

#include <stdio.h>
#include <time.h>

#include "userspace/base/util.h"

struct moment {
	struct tm tm;
	int ms;
};

typedef void (*put_f)(struct buf *out, const struct moment *m, const char *format);

static int hour12(const struct moment *m)
{
	return m->tm.tm_hour % 12 == 0 ? 12 : m->tm.tm_hour % 12;
}

static void put_number(struct buf *out, int v, char pad, int digits)
{
	for (int limit = 10, i = 1; i < digits; i++, limit *= 10) {
		if (v < limit && pad != '\0')
			buf_putc(out, pad);
	}
	buf_put_i64(out, v);
}

/* @form: "" for the whole name, else its first three letters. */
static void put_name(struct buf *out, const char *name, const char *form)
{
	buf_put(out, name, form[0] != '\0' ? 3 : strlen(name));
}

static void put_month_name(struct buf *out, const struct moment *m, const char *form)
{
	static const char *const names[] = { "January",   "February", "March",    "April",
		                             "May",       "June",     "July",     "August",
		                             "September", "October",  "November", "December" };

	put_name(out, names[m->tm.tm_mon], form);
}

static void put_weekday(struct buf *out, const struct moment *m, const char *form)
{
	static const char *const names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
		                             "Thursday", "Friday", "Saturday" };

	put_name(out, names[m->tm.tm_wday], form);
}

static void put_year(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_year + 1900, pad[0], 4);
}

static void put_year_of_century(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_year % 100, pad[0], 2);
}

static void put_hour(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_hour, pad[0], 2);
}

static void put_month(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_mon + 1, pad[0], 2);
}

static void put_day(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_mday, pad[0], 2);
}

static void put_day_of_year(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_yday + 1, pad[0], 3);
}

static void put_hour12(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, hour12(m), pad[0], 2);
}

static void put_minute(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_min, pad[0], 2);
}

static void put_second(struct buf *out, const struct moment *m, const char *pad)
{
	put_number(out, m->tm.tm_sec, pad[0], 2);
}

static void put_text(struct buf *out, const struct moment *m, const char *text)
{
	(void)m;
	buf_puts(out, text);
}

static void put_half(struct buf *out, const struct moment *m, const char *case_of)
{
	bool pm = m->tm.tm_hour >= 12;

	buf_puts(out, case_of[0] == 'P' ? (pm ? "PM" : "AM") : (pm ? "pm" : "am"));
}

/* A text of the layout and what it becomes; where one begins like another the longer is first. */
static const struct {
	const char *layout;
	put_f put;
	const char *arg;
} rows[] = {
	{ "January", put_month_name, "" },
	{ "Jan", put_month_name, "3" },
	{ "Monday", put_weekday, "" },
	{ "Mon", put_weekday, "3" },
	{ "MST", put_text, "UTC" },
	{ "2006", put_year, "0" },
	{ "-07:00:00", put_text, "+00:00:00" },
	{ "-070000", put_text, "+000000" },
	{ "-07:00", put_text, "+00:00" },
	{ "-0700", put_text, "+0000" },
	{ "-07", put_text, "+00" },
	{ "Z07:00:00", put_text, "Z" },
	{ "Z070000", put_text, "Z" },
	{ "Z07:00", put_text, "Z" },
	{ "Z0700", put_text, "Z" },
	{ "Z07", put_text, "Z" },
	{ "002", put_day_of_year, "0" },
	{ "__2", put_day_of_year, " " },
	{ "01", put_month, "0" },
	{ "02", put_day, "0" },
	{ "03", put_hour12, "0" },
	{ "04", put_minute, "0" },
	{ "05", put_second, "0" },
	{ "06", put_year_of_century, "0" },
	{ "15", put_hour, "0" },
	{ "PM", put_half, "P" },
	{ "pm", put_half, "p" },
	{ "_2", put_day, " " },
	{ "1", put_month, "" },
	{ "2", put_day, "" },
	{ "3", put_hour12, "" },
	{ "4", put_minute, "" },
	{ "5", put_second, "" },
};

/* ".000" or ",999": a fraction with that many digits, of which 9s leave out zeros at the end. */
static size_t fraction_bytes(struct str s)
{
	size_t n = 1;

	if (s.len < 2 || (s.p[0] != '.' && s.p[0] != ',') || (s.p[1] != '0' && s.p[1] != '9'))
		return 0;
	while (n < s.len && s.p[n] == s.p[1])
		n++;
	return n < s.len && s.p[n] >= '0' && s.p[n] <= '9' ? 0 : n;
}

static void put_fraction(struct buf *out, struct str s, int ms)
{
	char digits[10];
	size_t n = MIN(s.len - 1, (size_t)9);

	(void)snprintf(digits, sizeof(digits), "%03d000000", ms);
	while (s.p[1] == '9' && n > 0 && digits[n - 1] == '0')
		n--;
	if (n == 0)
		return;
	buf_putc(out, s.p[0]);
	buf_put(out, digits, n);
}

/* Bytes of the layout that were taken. */
static size_t put_one(struct buf *out, struct str s, const struct moment *m)
{
	size_t n = fraction_bytes(s);

	if (n > 0) {
		put_fraction(out, (struct str){ s.p, n }, m->ms);
		return n;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!str_starts(s, str_from(rows[i].layout)))
			continue;
		rows[i].put(out, m, rows[i].arg);
		return strlen(rows[i].layout);
	}
	buf_putc(out, s.p[0]);
	return 1;
}

void go_time_put(struct buf *out, struct str layout, int64_t ts_ms)
{
	int64_t s = ts_ms / 1000 - (ts_ms % 1000 < 0);
	time_t at = (time_t)s;
	struct moment m = { .ms = (int)(ts_ms - s * 1000) };

	(void)gmtime_r(&at, &m.tm);
	while (layout.len > 0)
		layout = str_skip(layout, put_one(out, layout, &m));
}
