/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments: decoding of forms, every way to say a time or a duration, label names in U__ form,
 * and what is refused. The zone is set to one that is not UTC, so that "local" is seen.
 */
#include "api/params.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <time.h>

#define NOW_MS 1700000000123ll

static int parse_time(const char *text, int64_t *ret)
{
	struct str copy = unit_strdup(str_from(text));
	int r = params_parse_time_ms(copy, NOW_MS, ret);

	free((void *)(uintptr_t)copy.p);
	return r;
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "1700000000", 1700000000000 },
		{ "1700000000.1", 1700000000100 },
		{ "1700000000.123", 1700000000123 },
		{ "1700000000.1234", 1700000000123 },
		{ "1.7e9", 1700000000000 },
		{ "1.7E+9", 1700000000000 },
		{ "17e8", 1700000000000 },
		{ "17e-1", 1700 },
		{ "1700000000000", 1700000000000 },
		{ "1700000000123", 1700000000123 },
		{ "1700000000123000", 1700000000123 },
		{ "1700000000123000000", 1700000000123 },
		{ "0", 0 },
		{ "4", 4000 },
		{ "4.5", 4500 },
		{ "1000.0", 1000000 },
		{ "9223372036", 9223372036000 },
		{ "9223372037", 9223372037 },
		{ "9223372036854775807", PARAMS_TIME_MS_MAX },
		{ "2023", 1672527600000 },
		{ "2023Z", 1672531200000 },
		{ "1999Z", 915148800000 },
		{ "2023-11Z", 1698796800000 },
		{ "2023-11", 1698793200000 },
		{ "2023-11-14Z", 1699920000000 },
		{ "2023-11-14T22Z", 1699999200000 },
		{ "2023-11-14T22:13Z", 1699999980000 },
		{ "2023-11-14T22:13:20Z", 1700000000000 },
		{ "2023-11-14T22:13:20z", 1700000000000 },
		{ "2023-11-14 22:13:20Z", 1700000000000 },
		{ "2023-11-14T22:13:20.123Z", 1700000000123 },
		{ "2023-11-14T22:13:20.123456789Z", 1700000000123 },
		{ "2023-11-14T22:13:20.9999Z", 1700000000999 },
		{ "2023-11-14T23:13:20+01:00", 1700000000000 },
		{ "2023-11-14T16:43:20-05:30", 1700000000000 },
		{ "2023-11-14T23:13:20", 1700000000000 }, /* CET: one hour ahead */
		{ "2023-07-01T02:00", 1688169600000 },    /* CEST: two */
		{ "2024-02-29Z", 1709164800000 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2262-04-11T23:47:16Z", 9223372036000 },
		{ "now", NOW_MS },
		{ "now-1h", NOW_MS - 3600000 },
		{ "now-5", NOW_MS - 5000 },
		{ "now-5m", NOW_MS - 300000 },
		{ "-1h", NOW_MS - 3600000 },
		{ "1h", NOW_MS - 3600000 },
		{ "1h30m", NOW_MS - 5400000 },
		{ "1.5h", NOW_MS - 5400000 },
		{ "-90", NOW_MS - 90000 },
		{ "500ms", NOW_MS - 500 },
		{ "now-100y", 0 },
		{ "-292273086-05-16T16:47:06Z", 0 },
		{ "292277025-08-18T07:12:54.999999999Z", PARAMS_TIME_MS_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = -1;

		unit_note("%s", rows[i].text);
		assert_int_equal(0, parse_time(rows[i].text, &ms));
		assert_int_equal(rows[i].ms, ms);
	}
}

static void test_bad_times(void **state)
{
	static const char *const rows[] = {
		"",
		"x",
		"nowx",
		"now-",
		"-",
		"now5q",
		"5q",
		"1_000",
		"1e300",
		"1e19",
		"1969-12-31T23:59:59Z",
		"0001-01-01T00:00:00Z",
		"2262-04-12Z",
		"9999-12-31T23:59:59Z",
		"0x10",
		"inf",
		"nan",
		"NaN",
		"+Inf",
		"1e",
		"e9",
		"1.2.3",
		" 1700000000",
		"1700000000 ",
		"2023-",
		"2023-13",
		"2023-00",
		"2023-1",
		"2023-11-31",
		"2023-02-29",
		"2100-02-29",
		"2023-11-14T",
		"2023-11-14T24",
		"2023-11-14T22:60",
		"2023-11-14T22:13:60Z",
		"2023-11-14T22:13:20.Z",
		"2023-11-14T22:13:20+0100",
		"2023-11-14T22:13:20+24:00",
		"2023-11-14T22:13:20+01:60",
		"2023-11-14T22:13:20ZZ",
		"2023-11-14T22:13:20Z+01:00",
		"2023/11/14",
		"20231-11-14",
		"2023-11-14X22",
		"1700000000s1",
		"12:30",
		"5i",
		"1d,2",
		"T",
		"1111111111111111111111111111111111111111111111111111111111111111111111111",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = 77;

		unit_note("\"%s\"", rows[i]);
		assert_int_equal(-EINVAL, parse_time(rows[i], &ms));
		assert_int_equal(77, ms); /* untouched */
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1 = refused */
	} rows[] = {
		/* clang-format off */
		{ "15", 15000 },   { "0.5", 500 },   { ".5", 500 },
		{ "1e3", 1000000 }, { "15s", 15000 },
		{ "1m", 60000 }, { "1h30m", 5400000 }, { "1.5h", 5400000 }, { "1d", 86400000 },
		{ "2w", 1209600000 }, { "1y", 31536000000 }, { "5ms", 5 }, { "0.001", 1 },
		{ "100y", PARAMS_DURATION_MS_MAX },
		{ "0", -1 }, { "0s", -1 }, { "-1", -1 }, { "-5s", -1 }, { "0.0001", -1 },
		{ "101y", -1 }, { "1e300", -1 }, { "NaN", -1 }, { "Inf", -1 }, { "-Inf", -1 },
		{ "", -1 }, { "x", -1 }, { "5i", -1 }, { "5 s", -1 }, { "1h-", -1 }, { "--5", -1 },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str copy = unit_strdup(str_from(rows[i].text));
		int64_t ms = -1;
		int r = params_parse_duration_ms(copy, &ms);

		unit_note("\"%s\"", rows[i].text);
		assert_int_equal(rows[i].ms < 0 ? -EINVAL : 0, r);
		assert_int_equal(rows[i].ms, ms);
		free((void *)(uintptr_t)copy.p);
	}
}

/* "name=value" pairs joined by '|', U: in front of those of the URL. */
static void print_params(const struct params *p, char *dst, size_t cap)
{
	size_t n = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < p->n; i++)
		n += (size_t)snprintf(dst + n, cap - n, "%s%s%.*s=%.*s", i > 0 ? "|" : "",
		                      p->v[i].from_url ? "U:" : "", STR_FMT(p->v[i].name),
		                      STR_FMT(p->v[i].value));
}

static void test_forms(void **state)
{
	static const struct {
		const char *url, *form;
		const char *want; /* NULL = refused */
	} rows[] = {
		{ "", "", "" },
		{ "a=1", "", "U:a=1" },
		{ "a=1&b=2", "a=3", "a=3|U:a=1|U:b=2" },
		{ "a", "", "U:a=" },
		{ "a=", "", "U:a=" },
		{ "=1", "", "U:=1" },
		{ "&&a=1&", "", "U:a=1" },
		{ "a=x+y%2B%20z", "", "U:a=x y+ z" },
		{ "match%5B%5D=%7Ba%3D%22b%22%7D", "", "U:match[]={a=\"b\"}" },
		{ "a=b=c", "", "U:a=b=c" },
		{ "a=%e4%B8%ad", "", "U:a=\xe4\xb8\xad" },
		{ "a=%", "", NULL },
		{ "a=%4", "", NULL },
		{ "a=%4g", "", NULL },
		{ "a=%g4", "", NULL },
		{ "%zz=1", "", NULL },
		{ "", "a=%%", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
		struct str url = unit_strdup(str_from(rows[i].url));
		struct params p = { 0 };
		struct err e = ERR_INIT;
		char got[256];
		int r = params_parse(url, str_from(rows[i].form), &arena, &p, &e);

		unit_note("%s + %s", rows[i].url, rows[i].form);
		assert_int_equal(rows[i].want ? 0 : -EINVAL, r);
		print_params(&p, got, sizeof(got));
		assert_string_equal(rows[i].want ? rows[i].want : "", got);
		if (!rows[i].want)
			assert_non_null(strstr(e.msg, "escape"));
		free((void *)(uintptr_t)url.p);
	}
}

static void test_too_many(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
	static char many[2 * PARAMS_MAX + 2];
	struct params p = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(&many[i], "a&", 2);
	assert_int_equal(0, params_parse((struct str){ many, 2 * PARAMS_MAX - 1 }, STR_NULL, &arena,
	                                 &p, &e));
	assert_int_equal(PARAMS_MAX, p.n);
	assert_int_equal(-EINVAL, params_parse((struct str){ many, 2 * PARAMS_MAX + 1 }, STR_NULL,
	                                       &arena, &p, &e));
	assert_non_null(strstr(e.msg, "4096"));
}

static void test_small_arena(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(1);
	struct params p = { 0 };

	(void)state;
	assert_int_equal(-ENOSPC, params_parse(STR("a=1"), STR_NULL, &arena, &p, NULL));
	assert_int_equal(0, p.n);
}

static void test_lookups(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
	struct params p = { 0 };
	struct str value;
	size_t i = 0;

	(void)state;
	assert_int_equal(0, params_parse(STR("m=1&m=&m=2&t=yes&n=-5"), STR("m=0&x=1.5"), &arena, &p,
	                                 NULL));
	assert_str_equal(STR("0"), params_get(&p, "m"));
	assert_int_equal(0, params_get(&p, "nosuch").len);
	for (const char *want = "012"; *want; want++) {
		assert_true(params_next(&p, "m", &i, &value));
		assert_int_equal(1, value.len);
		assert_int_equal(*want, value.p[0]);
	}
	assert_false(params_next(&p, "m", &i, &value));
	assert_true(params_in_url(&p, "m"));
	assert_false(params_in_url(&p, "x"));
}

static void test_typed(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
	struct params p = { 0 };
	struct err e = ERR_INIT;
	int64_t v = 0;
	bool b = true;

	(void)state;
	assert_int_equal(0, params_parse(STR("n=-5&t=TRUE&f=off&x=1.5&u=undefined&d=1m&at=5"),
	                                 STR_NULL, &arena, &p, NULL));
	assert_int_equal(0, params_int(&p, "n", 9, &v, &e));
	assert_int_equal(-5, v);
	assert_int_equal(0, params_int(&p, "none", 9, &v, &e));
	assert_int_equal(9, v);
	assert_int_equal(0, params_bool(&p, "f", &b, &e));
	assert_false(b);
	assert_int_equal(0, params_bool(&p, "t", &b, &e));
	assert_true(b);
	assert_int_equal(0, params_bool(&p, "none", &b, &e));
	assert_false(b);
	assert_int_equal(0, params_duration_ms(&p, "u", 42, &v, &e));
	assert_int_equal(42, v);
	assert_int_equal(0, params_duration_ms(&p, "d", 42, &v, &e));
	assert_int_equal(60000, v);
	assert_int_equal(0, params_time_ms(&p, "at", NOW_MS, 42, &v, &e));
	assert_int_equal(5000, v);
	assert_int_equal(0, params_time_ms(&p, "none", NOW_MS, 42, &v, &e));
	assert_int_equal(42, v);
	assert_int_equal(-EINVAL, params_bool(&p, "x", &b, &e));
	assert_string_equal("argument x: \"1.5\" is not 1 or 0", e.msg);
	assert_int_equal(-EINVAL, params_int(&p, "x", 9, &v, NULL));
	assert_int_equal(-EINVAL, params_duration_ms(&p, "t", 9, &v, NULL));
	assert_int_equal(-EINVAL, params_time_ms(&p, "t", 9, 9, &v, NULL));
}

static void test_label_names(void **state)
{
	static const struct {
		const char *text, *want; /* NULL = refused */
	} rows[] = {
		{ "job", "job" },
		{ "__name__", "__name__" },
		{ "a.b", "a.b" },
		{ "U__a_2e_b", "a.b" },
		{ "U__a__b", "a_b" },
		{ "U___", NULL }, /* one lonely underscore */
		{ "U__", NULL },
		{ "U____", "_" },
		{ "U___e9_t", "\xc3\xa9t" },
		{ "U___4e2d_", "\xe4\xb8\xad" },
		{ "U___1F600_", "\xf0\x9f\x98\x80" },
		{ "U___110000_", NULL },
		{ "U___d800_", NULL },
		{ "U__a_2e", NULL },
		{ "U__a_zz_", NULL },
		{ "U__a_00000041_", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
		struct str copy = unit_strdup(str_from(rows[i].text)), got = STR_NULL;
		int r = params_label_name(copy, &arena, &got);

		unit_note("\"%s\"", rows[i].text);
		assert_int_equal(rows[i].want ? 0 : -EINVAL, r);
		if (rows[i].want)
			assert_str_equal(str_from(rows[i].want), got);
		free((void *)(uintptr_t)copy.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),       cmocka_unit_test(test_bad_times),
		cmocka_unit_test(test_durations),   cmocka_unit_test(test_forms),
		cmocka_unit_test(test_too_many),    cmocka_unit_test(test_small_arena),
		cmocka_unit_test(test_lookups),     cmocka_unit_test(test_typed),
		cmocka_unit_test(test_label_names),
	};

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
