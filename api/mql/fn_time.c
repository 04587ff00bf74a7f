/* SPDX-License-Identifier: BSD-2-Clause */
/* The grid's times, and the UTC calendar of a value in seconds. */
#include "api/mql/eval.h"
#include "api/mql/fn_tables.h"

#include <errno.h>
#include <math.h>

#include "userspace/base/util.h"

static int time_fn(struct fn_args *a, struct series_set *ret)
{
	int r = eval_number(a->ev, a->g, NAN, ret);

	for (uint32_t k = 0; r == 0 && k < a->g->n; k++)
		ret->v[0].values[k] = (double)grid_ts(a->g, k) / 1e3;
	return r;
}

static int now_fn(struct fn_args *a, struct series_set *ret)
{
	return eval_number(a->ev, a->g, (double)a->ev->q->now_ms / 1e3, ret);
}

static int start_fn(struct fn_args *a, struct series_set *ret)
{
	return eval_number(a->ev, a->g, (double)a->g->start_ms / 1e3, ret);
}

static int end_fn(struct fn_args *a, struct series_set *ret)
{
	return eval_number(a->ev, a->g, (double)a->g->end_ms / 1e3, ret);
}

static int step_fn(struct fn_args *a, struct series_set *ret)
{
	return eval_number(a->ev, a->g, (double)a->g->step_ms / 1e3, ret);
}

static int pi_fn(struct fn_args *a, struct series_set *ret)
{
	return eval_number(a->ev, a->g, M_PI, ret);
}

struct date {
	int64_t year;
	int month, day; /* from 1 */
	int64_t days;   /* since 1970-01-01 */
	int second;     /* of the day */
};

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/*
 * Whole days since 1970, and the second of the day. What is no 64-bit number of seconds is 2^63,
 * and so is what comes before Go's first year.
 */
static int64_t split_days(double seconds, int *ret_second)
{
	const int64_t first = -9223372028715321600; /* 1 January of the year -292277022399 */
	bool fits = seconds >= -0x1p63 && seconds < 0x1p63;
	int64_t s = fits ? (int64_t)seconds : INT64_MIN;
	uint64_t wrapped = (uint64_t)s;

	if (s < first) {
		*ret_second = (int)(wrapped % 86400);
		return (int64_t)(wrapped / 86400);
	}
	*ret_second = (int)((s % 86400 + 86400) % 86400);
	return (s - *ret_second) / 86400;
}

/*
 * Proleptic Gregorian. Years are counted from March, so that the leap day is the last of a year,
 * and in eras of 400 years, which all have 146,097 days.
 */
static struct date date_of(double seconds)
{
	struct date d;
	int64_t days = split_days(seconds, &d.second), era, day, year;

	d.days = days;
	days += 719468; /* 0000-03-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	day = days - era * 146097;
	year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	int shifted = (int)((5 * day + 2) / 153); /* 0 = March */

	d.day = (int)(day - (153 * shifted + 2) / 5 + 1);
	d.month = shifted < 10 ? shifted + 3 : shifted - 9;
	d.year = year + era * 400 + (d.month <= 2);
	return d;
}

static double part_minute(struct date d)
{
	return d.second / 60 % 60;
}

static double part_hour(struct date d)
{
	return d.second / 3600;
}

static double part_day_of_week(struct date d)
{
	return (double)(((d.days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

static double part_day_of_month(struct date d)
{
	return d.day;
}

static double part_day_of_year(struct date d)
{
	int n = d.day;

	for (int m = 1; m < d.month; m++)
		n += month_days(d.year, m);
	return n;
}

static double part_days_in_month(struct date d)
{
	return month_days(d.year, d.month);
}

static double part_month(struct date d)
{
	return d.month;
}

static double part_year(struct date d)
{
	return (double)d.year;
}

/* Without an argument it is the time of the point. */
static int calendar(struct fn_args *a, double (*part)(struct date d), struct series_set *ret)
{
	int r = 0;

	if (a->n == 0)
		r = time_fn(a, ret);
	else
		*ret = a->v[0];
	for (size_t i = 0; r == 0 && i < ret->n; i++) {
		struct series *s = &ret->v[i];

		if (!args_keep_names(a))
			s->mn.name = STR_NULL;
		for (uint32_t k = 0; k < a->g->n; k++) {
			double v = s->values[k];

			s->values[k] = isnan(v) ? (double)NAN : part(date_of(v));
		}
	}
	return r;
}

#define CALENDAR(fname)                                                  \
	static int fname##_fn(struct fn_args *a, struct series_set *ret) \
	{                                                                \
		return calendar(a, part_##fname, ret);                   \
	}
CALENDAR(minute)
CALENDAR(hour)
CALENDAR(day_of_week)
CALENDAR(day_of_month)
CALENDAR(day_of_year)
CALENDAR(days_in_month)
CALENDAR(month)
CALENDAR(year)

static const struct fn rows[] = {
	/* clang-format off */
	FN_TRANSFORM_ROW(time, time_fn, 0, 0, FN_NO_SERIES, FN_SCALAR_LEFT,
			 "Time of the point, in seconds."),
	FN_TRANSFORM_ROW(now, now_fn, 0, 0, FN_NO_SERIES, FN_VOLATILE,
			 "Time of the request, in seconds."),
	FN_TRANSFORM_ROW(start, start_fn, 0, 0, FN_NO_SERIES, 0, "Time of the first point."),
	FN_TRANSFORM_ROW(end, end_fn, 0, 0, FN_NO_SERIES, 0, "Time of the last point."),
	FN_TRANSFORM_ROW(step, step_fn, 0, 0, FN_NO_SERIES, 0, "Seconds between points."),
	FN_TRANSFORM_ROW(pi, pi_fn, 0, 0, FN_NO_SERIES, 0, "The number pi."),
	FN_TRANSFORM_ROW(minute, minute_fn, 0, 1, 0, 0, "Minute of the hour."),
	FN_TRANSFORM_ROW(hour, hour_fn, 0, 1, 0, 0, "Hour of the day."),
	FN_TRANSFORM_ROW(day_of_week, day_of_week_fn, 0, 1, 0, 0, "Day of the week; 0 is Sunday."),
	FN_TRANSFORM_ROW(day_of_month, day_of_month_fn, 0, 1, 0, 0, "Day of the month."),
	FN_TRANSFORM_ROW(day_of_year, day_of_year_fn, 0, 1, 0, 0, "Day of the year."),
	FN_TRANSFORM_ROW(days_in_month, days_in_month_fn, 0, 1, 0, 0, "Days of the month."),
	FN_TRANSFORM_ROW(month, month_fn, 0, 1, 0, 0, "Month of the year."),
	FN_TRANSFORM_ROW(year, year_fn, 0, 1, 0, 0, "Year."),
	/* clang-format on */
};

const struct fn_table fn_time = { rows, ARRAY_SIZE(rows) };
