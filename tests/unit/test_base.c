/* SPDX-License-Identifier: BSD-2-Clause */
/* The leaf helpers. Vectors pin values, tables pin refusals. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>

#include "userspace/base/alloc.h"
#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/cxx.h"
#include "userspace/base/err.h"
#include "userspace/base/num.h"
#include "userspace/base/varint.h"

static void test_err_keeps_first_cause(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(-EINVAL, err_set_at(&e, -EINVAL, 7, "bad %s", "thing"));
	assert_int_equal(-EIO, err_set(&e, -EIO, "later"));
	assert_int_equal(-EINVAL, e.code);
	assert_int_equal(7, e.pos);
	assert_string_equal("bad thing", e.msg);
	assert_int_equal(-EIO, err_set(NULL, -EIO, "nobody listens"));
}

static void test_str(void **state)
{
	struct str head, tail;

	(void)state;
	assert_true(str_cut(STR("a=b=c"), '=', &head, &tail));
	assert_str_equal(STR("a"), head);
	assert_str_equal(STR("b=c"), tail);
	assert_false(str_cut(STR("abc"), '=', &head, &tail));
	assert_str_equal(STR("abc"), head);
	assert_int_equal(0, tail.len);
	assert_str_equal(STR("x y"), str_trim(STR(" \tx y\r\n")));
	assert_str_equal(STR(""), str_trim(STR("  ")));
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("b"), STR("ab")) > 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0); /* bytes are unsigned */
	assert_int_equal(0, str_cmp(STR_NULL, STR("")));
}

static void test_buf(void **state)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;

	(void)state;
	buf_printf(&b, "%s-%d", "x", 5);
	buf_put_i64(&b, INT64_MIN);
	buf_put_u64(&b, 0);
	assert_string_equal("x-5-92233720368547758080", buf_cstr(&b));
	buf_clear(&b);
	b.max = 4;
	buf_puts(&b, "1234");
	assert_int_equal(0, b.err);
	buf_putc(&b, '5');
	assert_int_equal(-ENOSPC, b.err);
	assert_int_equal(4, b.len);
}

static void test_alloc_fails_once(void **state)
{
	void *p;

	(void)state;
	alloc_fail_at(2);
	p = mem_alloc(1);
	assert_non_null(p);
	free(p);
	assert_null(mem_alloc(1));
	p = mem_alloc(1);
	assert_non_null(p);
	free(p);
	assert_null(mem_realloc(NULL, SIZE_MAX, 2)); /* n * bytes overflows */
}

static void test_arena(void **state)
{
	struct arena a = ARENA_INIT(100000);

	(void)state;
	for (size_t i = 1; i < 100; i++) {
		char *p = arena_alloc(&a, i);

		assert_non_null(p);
		assert_int_equal(0, (uintptr_t)p % 16);
		memset(p, 1, i);
	}
	assert_str_equal(STR("abc"), arena_str(&a, STR("abc")));
	assert_string_equal("abc", arena_strndup(&a, STR("abc")));
	arena_reset(&a);
	assert_null(arena_alloc(&a, 100001));
	assert_null(arena_alloc(&a, 1)); /* sticky */
	assert_int_equal(-ENOSPC, arena_error(&a));
	arena_done(&a);
	assert_non_null(arena_alloc(&a, 1));
	arena_done(&a);
}

/* What one arena takes, the other cannot have, until it is given back. */
static void test_shared_budget(void **state)
{
	struct arena_budget budget = { .max_bytes = 100000 };
	struct arena a = ARENA_SHARE(&budget), b = ARENA_SHARE(&budget);

	(void)state;
	assert_non_null(arena_alloc(&a, 60000));
	assert_null(arena_alloc(&b, 60000));
	assert_int_equal(-ENOSPC, arena_error(&b));
	arena_done(&b);
	assert_non_null(arena_alloc(&b, 30000));
	arena_done(&a);
	arena_reset(&b);
	assert_non_null(arena_alloc(&a, 60000));
	arena_done(&a);
	arena_done(&b);
	assert_int_equal(0, budget.taken_bytes);
}

static void test_integers(void **state)
{
	uint64_t u;
	int64_t i;

	(void)state;
	assert_int_equal(0, num_parse_u64(STR("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_int_equal(-ERANGE, num_parse_u64(STR("18446744073709551616"), &u));
	assert_int_equal(-EINVAL, num_parse_u64(STR("99999999999999999999x"), &u));
	assert_int_equal(-EINVAL, num_parse_u64(STR(""), &u));
	assert_int_equal(-EINVAL, num_parse_u64(STR("-1"), &u));
	assert_int_equal(0, num_parse_i64(STR("-9223372036854775808"), &i));
	assert_true(i == INT64_MIN);
	assert_int_equal(-ERANGE, num_parse_i64(STR("9223372036854775808"), &i));
	assert_int_equal(-EINVAL, num_parse_i64(STR("-"), &i));
	assert_int_equal(-EINVAL, num_parse_i64(STR("--1"), &i));
}

static void test_doubles(void **state)
{
	static const struct {
		const char *text;
		double v;
		const char *back; /* NULL = same text */
	} rows[] = {
		/* clang-format off */
		{ "0", 0, NULL }, { "-0", -0.0, NULL }, { "1.5", 1.5, NULL }, { "+7", 7, "7" },
		{ "1e3", 1000, "1000" }, { "1E-7", 1e-7, "0.0000001" }, { ".5", 0.5, "0.5" },
		{ "5.", 5, "5" }, { "1e21", 1e21, "1000000000000000000000" },
		{ "Inf", INFINITY, "+Inf" }, { "-inf", -INFINITY, "-Inf" },
		{ "+Infinity", INFINITY, "+Inf" },
		{ "nan", NAN, "NaN" }, { "1e999", INFINITY, "+Inf" },
		{ "-1e999", -INFINITY, "-Inf" },
		{ "1e-999", 0, "0" }, { "0.1", 0.1, NULL },
		{ "9007199254740993", 0x1p53, "9007199254740992" },
		{ "3223826713803239936", 0x1.65eaaa866d419p61, "3223826713803240000" },
		{ "12.05", 12.05, NULL }, { "-0.000001", -1e-6, NULL }, { "1e-8", 1e-8, "0.00000001" },
		{ "123456789.000001", 123456789.000001, NULL },
		{ "0.30000000000000004", 0.30000000000000004, NULL },
		{ "1e23", 1e23, "100000000000000000000000" },
		/* clang-format on */
	};
	static const char *const bad[] = { "",   "-",  "+",   "e5",  "1e", "1x",      "0x10",
		                           "1 ", " 1", "--1", "+-1", "in", "infinit", "1_000" };
	char text[NUM_DOUBLE_BYTES_MAX];
	double v;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		unit_note("%s", rows[k].text);
		assert_int_equal(0, num_parse_double(str_from(rows[k].text), &v));
		assert_double_near(rows[k].v, v, 0);
		struct str out = { text, num_format_double(v, text) };

		assert_str_equal(str_from(rows[k].back ? rows[k].back : rows[k].text), out);
	}
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		unit_note("'%s'", bad[k]);
		assert_int_equal(-EINVAL, num_parse_double(str_from(bad[k]), &v));
	}
}

static void test_double_round_trip(void **state)
{
	struct rng rng = unit_rng();
	char text[NUM_DOUBLE_BYTES_MAX];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double v = double_from_bits(rng_u64(&rng)), back;

		if (isnan(v))
			continue;
		size_t n = num_format_double(v, text);

		assert_true(n > 0 && n <= sizeof(text));
		assert_int_equal(0, num_parse_double((struct str){ text, n }, &back));
		assert_true(double_bits(v) == double_bits(back));
	}
	double extremes[] = { -5e-324, -1.7976931348623157e308, 5e-324 };
	for (size_t i = 0; i < ARRAY_SIZE(extremes); i++)
		assert_true(num_format_double(extremes[i], text) > 300);
}

/* Digits that matter in a plain decimal text. */
static int significant(const char *text, size_t n)
{
	int all = 0, without_tail = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9' || (all == 0 && text[i] == '0'))
			continue;
		all++;
		if (text[i] != '0')
			without_tail = all;
	}
	return without_tail;
}

/* No text with fewer digits reads back as the same number; printf's rounding is the witness. */
static void test_double_is_shortest(void **state)
{
	struct rng rng = unit_rng();
	char text[NUM_DOUBLE_BYTES_MAX], other[64];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double v = (double)(rng_u64(&rng) >> rng_below(&rng, 64)) *
		           pow(10, -(double)rng_below(&rng, 9));
		int digits = 1;

		if (rng_below(&rng, 4) == 0) /* neighbours of decimals are none */
			v = nextafter(v, 1);
		for (; digits < 17; digits++) {
			(void)snprintf(other, sizeof(other), "%.*e", digits - 1, v);
			if (strtod(other, NULL) == v)
				break;
		}
		size_t n = num_format_double(v, text);

		assert_true(significant(text, n) <= digits);
	}
}

static void test_durations_and_sizes(void **state)
{
	static const char *const bad[] = { "", "5", "s", "5x", "-5s", "5s ", "1.2.3s" };
	int64_t ms;
	uint64_t bytes;

	(void)state;
	assert_int_equal(0, num_parse_duration_ms(STR("1h30m"), &ms));
	assert_int_equal(5400000, ms);
	assert_int_equal(0, num_parse_duration_ms(STR("1.5s"), &ms));
	assert_int_equal(1500, ms);
	assert_int_equal(0, num_parse_duration_ms(STR("100y"), &ms));
	assert_true(ms == 3153600000000);
	assert_int_equal(0, num_parse_duration_ms(STR("0"), &ms));
	assert_int_equal(-ERANGE, num_parse_duration_ms(STR("999999999999y"), &ms));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(-EINVAL, num_parse_duration_ms(str_from(bad[i]), &ms));
	assert_int_equal(0, num_parse_size(STR("256MiB"), &bytes));
	assert_int_equal(256 << 20, bytes);
	assert_int_equal(0, num_parse_size(STR("17"), &bytes));
	assert_int_equal(17, bytes);
	assert_int_equal(-EINVAL, num_parse_size(STR("5 MiB"), &bytes));
	assert_int_equal(-ERANGE, num_parse_size(STR("99999999TiB"), &bytes));
}

static void test_varint(void **state)
{
	static const uint64_t values[] = { 0, 1, 127, 128, 16383, 16384, UINT64_MAX };
	uint8_t bytes[VARINT64_BYTES_MAX];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint8_t *end = varint_put(bytes, values[i]);
		size_t n = (size_t)(end - bytes);
		uint8_t *copy = unit_memdup(bytes, n);

		assert_ptr_equal(copy + n, varint_get(copy, copy + n, &v));
		assert_true(v == values[i]);
		assert_null(varint_get(copy, copy + n - 1, &v));
		free(copy);
	}
	memset(bytes, 0xff, sizeof(bytes));
	bytes[9] = 2; /* 65 bits */
	assert_null(varint_get(bytes, bytes + sizeof(bytes), &v));
	assert_true(unzigzag(zigzag(INT64_MIN)) == INT64_MIN);
	assert_true(zigzag(-1) == 1);
}

static void test_crc32c(void **state)
{
	uint8_t bytes[32];

	(void)state;
	assert_int_equal(0xe3069283u, crc32c(0, "123456789", 9)); /* the check value of CRC-32C */
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(0x8a9136aau, crc32c(0, bytes, 32)); /* RFC 3720 B.4 */
	assert_int_equal(crc32c(0, "123456789", 9), crc32c(crc32c(0, "1234", 4), "56789", 5));
}

static void test_regex(void **state)
{
	struct cxx_regex *re;
	char msg[64];
	int spans[4];

	(void)state;
	assert_int_equal(0, cxx_regex_new(&re, "a(b+)", 5, 1 << 20, msg, sizeof(msg)));
	assert_true(cxx_regex_full_match(re, "abb", 3));
	assert_false(cxx_regex_full_match(re, "xabb", 4));
	assert_true(cxx_regex_match_spans(re, "xabb", 4, 0, false, spans, 2));
	assert_int_equal(1, spans[0]);
	assert_int_equal(4, spans[3]);
	cxx_regex_free(re);
	assert_int_equal(-EINVAL, cxx_regex_new(&re, "a(", 2, 1 << 20, msg, sizeof(msg)));
	assert_true(strlen(msg) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_keeps_first_cause),
		cmocka_unit_test(test_str),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_alloc_fails_once),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_shared_budget),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_double_round_trip),
		cmocka_unit_test(test_double_is_shortest),
		cmocka_unit_test(test_durations_and_sizes),
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_regex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
