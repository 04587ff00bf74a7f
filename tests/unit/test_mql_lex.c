/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens, and the numbers and durations that their texts mean. */
#include "api/mql/lex.h"
#include "api/mql/numtext.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>

/* Kinds as letters, so that a vector fits a line. */
static const char kinds[] = {
	[TOK_END] = '.',    [TOK_IDENT] = 'i',    [TOK_STRING] = 's',
	[TOK_NUMBER] = 'n', [TOK_DURATION] = 'd', [TOK_PUNCT] = 'p',
};

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *kinds, *last; /* the text of the last token before the end */
	} rows[] = {
		/* clang-format off */
		{ "",               ".",      "" },
		{ "foo",            "i.",     "foo" },
		{ "a:b.c_1",        "i.",     "a:b.c_1" },
		{ "x[5m:1m]",       "ipdpdp.", "]" },
		{ "x[w:1m]",        "ipipdp.", "]" },
		{ "5m",             "d.",     "5m" },
		{ "5M",             "n.",     "5M" },
		{ "5Mi",            "n.",     "5Mi" },
		{ "5mi",            "n.",     "5mi" },
		{ "5mb",            "n.",     "5mb" },
		{ "5ms",            "d.",     "5ms" },
		{ "1h5m30s",        "d.",     "1h5m30s" },
		{ "1h-5m",          "d.",     "1h-5m" },
		{ "1h -5m",         "dpd.",   "5m" },
		{ "1.5d",           "d.",     "1.5d" },
		{ "5i",             "d.",     "5i" },
		{ "$__interval",    "d.",     "$__interval" },
		{ "$__rate_interval", "d.",   "$__rate_interval" },
		{ "1e5",            "n.",     "1e5" },
		{ "1e-5-3",         "npn.",   "3" },
		{ "0x1fg",          "ni.",    "g" },
		{ ".5",             "n.",     ".5" },
		{ "a==b",           "ipi.",   "b" },
		{ "a=~'b'",         "ips.",   "'b'" },
		{ "a!~`\\`",        "ips.",   "`\\`" },
		{ "\"a\\\"b\"c",    "si.",    "c" },
		{ "a<=b>=c<d>e",    "ipipipipi.", "e" },
		{ "a # b\nc",       "ii.",    "c" },
		{ "\\-a\\x41\\u0042", "i.",   "\\-a\\x41\\u0042" },
		{ "\xc3\xa9t\xc3\xa9", "i.",  "\xc3\xa9t\xc3\xa9" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(1 << 20);
		struct str text = unit_strdup(str_from(rows[i].text));
		struct err e = ERR_INIT;
		struct toks toks;

		unit_note("%s", rows[i].text);
		assert_int_equal(0, lex_all(text, &arena, &toks, &e));
		assert_int_equal(strlen(rows[i].kinds), toks.n);
		for (size_t k = 0; k < toks.n; k++) {
			assert_int_equal(rows[i].kinds[k], kinds[toks.v[k].kind]);
			assert_ptr_equal(text.p + toks.v[k].pos, toks.v[k].text.p);
		}
		if (toks.n > 1)
			assert_str_equal(str_from(rows[i].last), toks.v[toks.n - 2].text);
		free((void *)(uintptr_t)text.p);
	}
}

static void test_names(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(1 << 20);
	struct tok t = { .kind = TOK_IDENT, .text = STR("a\\-b\\x41\\u00e9\\\xc3\xa9") };
	struct str name;

	(void)state;
	assert_int_equal(0, lex_unescape(&t, &arena, &name));
	assert_str_equal(STR("a-bA\xc3\xa9\xc3\xa9"), name);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		double want;
	} rows[] = {
		/* clang-format off */
		{ "1", 1 },
		{ "1_000", 1000 },
		{ "0x1F", 31 },
		{ "0b11", 3 },
		{ "0o17", 15 },
		{ "017", 15 },
		{ "1e3", 1000 },
		{ "1.5", 1.5 },
		{ ".5", .5 },
		{ "5.", 5 },
		{ "0", 0 },
		{ "0.5", .5 },
		{ "1k", 1e3 }, { "1K", 1e3 }, { "1Ki", 1024 }, { "1KB", 1e3 }, { "1KiB", 1024 },
		{ "1.5M", 1.5e6 }, { "2Mi", 2097152 }, { "1g", 1e9 }, { "1GiB", 1073741824 },
		{ "1T", 1e12 },
		{ "1Ti", 1099511627776 },
		{ "9223372036854775807", 9223372036854775807. },
		/* clang-format on */
	};
	static const char *const bad[] = {
		"", "09", "0b12", "0x", "0x8000000000000000", "1z", "k"
	};
	double v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].text);
		assert_int_equal(0, numtext_number(str_from(rows[i].text), &v));
		assert_double_near(rows[i].want, v, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unit_note("%s", bad[i]);
		assert_int_equal(-EINVAL, numtext_number(str_from(bad[i]), &v));
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t step_ms, want_ms;
	} rows[] = {
		/* clang-format off */
		{ "5ms", 1, 5 }, { "1.5s", 1, 1500 }, { "2m", 1, 120000 }, { "1h", 1, 3600000 },
		{ "1d", 1, 86400000 }, { "1w", 1, 604800000 }, { "1y", 1, 31536000000 },
		{ "1H5m3S", 1, 3903000 }, { "1h-5m", 1, 3300000 }, { "-1h5m", 1, -3900000 },
		{ "3i", 15000, 45000 }, { "1.5i", 10, 15 }, { "1h1i", 1000, 3601000 },
		{ "$__interval", 15000, 15000 }, { "-$__rate_interval", 15000, -15000 },
		{ "300", 1, 300000 },
		{ "0.5", 1, 500 },
		{ "-1.5", 1, -1500 },
		{ "1e3", 1, 1000000 },
		{ "1e300", 1, INT64_MAX }, { "-1e300", 1, INT64_MIN },
		/* clang-format on */
	};
	static const char *const bad[] = { "",   "m", "1M",   "1x",  "5m5",
		                           "h1", "-", "1_0s", "nan", "1h--5m" };
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].text);
		assert_int_equal(0,
		                 numtext_duration_ms(str_from(rows[i].text), rows[i].step_ms, &ms));
		assert_int_equal(rows[i].want_ms, ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unit_note("%s", bad[i]);
		assert_int_equal(-EINVAL, numtext_duration_ms(str_from(bad[i]), 1, &ms));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
