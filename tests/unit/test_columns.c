/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packed bits, columns of integers and of values. Vectors pin the bytes on disk; a seeded property
 * says that what was encoded comes back bit for bit; damaged bytes are refused or decode to
 * something, and are never read past.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>

#include "store/bitpack.h"
#include "store/intcol.h"
#include "store/valcol.h"
#include "userspace/base/sample.h"

static struct valcol_memory memory;
static uint8_t encoded[(COLUMN_ROWS_MAX + 8) * 20];

static size_t encode_ints(const int64_t *v, uint32_t n)
{
	const struct valcol_scratch scratch = valcol_scratch_in(&memory);

	return intcol_encode(v, n, encoded, &scratch.ints);
}

static size_t encode_values(const double *v, uint32_t n)
{
	const struct valcol_scratch scratch = valcol_scratch_in(&memory);

	return valcol_encode(v, n, encoded, &scratch);
}

/* In heap memory that ends with the slack, so that AddressSanitizer sees a read behind it. */
static uint8_t *exact_copy(const uint8_t *src, size_t bytes)
{
	uint8_t *copy = malloc(bytes + BITPACK_SLACK);

	assert_non_null(copy);
	memcpy(copy, src, bytes);
	memset(copy + bytes, 0xa5, BITPACK_SLACK);
	return copy;
}

static int decode_ints(const uint8_t *src, size_t bytes, uint32_t n, int64_t *ret)
{
	uint8_t *copy = exact_copy(src, bytes);
	int r = intcol_decode(copy, bytes, n, ret);

	free(copy);
	return r;
}

static int decode_values(const uint8_t *src, size_t bytes, uint32_t n, double *ret)
{
	uint8_t *copy = exact_copy(src, bytes);
	int r = valcol_decode(copy, bytes, n, ret);

	free(copy);
	return r;
}

static void test_bitpack(void **state)
{
	static uint64_t v[300], back[300];
	struct rng rng = unit_rng();

	(void)state;
	for (unsigned width = 0; width <= 64; width++) {
		for (uint32_t n = 0; n < 300; n += 1 + n / 3) {
			size_t bytes = bitpack_bytes(n, width);
			uint8_t *dst = malloc(bytes + BITPACK_SLACK);

			assert_non_null(dst);
			for (uint32_t i = 0; i < n; i++)
				v[i] = width == 0 ? 0 : rng_u64(&rng) >> (64 - width);
			assert_ptr_equal(dst + bytes, bitpack_put(dst, v, n, width));
			bitpack_get(dst, n, width, back);
			assert_memory_equal(v, back, n * sizeof(v[0]));
			free(dst);
		}
	}
}

static void test_int_vectors(void **state)
{
	static const struct {
		const char *what;
		uint32_t n;
		int64_t v[6];
		size_t bytes;
		uint8_t enc[20];
	} rows[] = {
		/* clang-format off */
		{ "one number",       1, { -1 },                          4, { 0x01, 0x01, 0x00, 0x00 } },
		{ "constant",         3, { 7, 7, 7 },                     4, { 0x01, 0x0e, 0x00, 0x00 } },
		{ "steady steps",     4, { 0, 15, 30, 45 },               6, { 0x09, 0x0f, 0x00, 0x00, 0x02, 0x00 } },
		{ "steps from a base", 4, { 10, 110, 211, 313 },          6, { 0x01, 0x14, 0xc8, 0x01, 0x02, 0x24 } },
		{ "range",            6, { 9, 0, 9, 0, 9, 1 },            6, { 0x00, 0x00, 0x04, 0x09, 0x09, 0x19 } },
		{ "whole range",      2, { INT64_MIN, INT64_MAX },        13,
		  { 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01, 0x00 } },
		/* clang-format on */
	};
	int64_t back[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].what);
		size_t bytes = encode_ints(rows[i].v, rows[i].n);

		assert_int_equal(rows[i].bytes, bytes);
		assert_memory_equal(rows[i].enc, encoded, bytes);
		assert_int_equal(0, decode_ints(encoded, bytes, rows[i].n, back));
		assert_memory_equal(rows[i].v, back, rows[i].n * sizeof(back[0]));
	}
}

static void test_value_vectors(void **state)
{
	const struct {
		const char *what;
		uint32_t n;
		double v[5];
		size_t bytes;
		uint8_t enc[24];
	} rows[] = {
		/* clang-format off */
		{ "whole numbers", 2, { 3, 4 },            5, { 0x00, 0x01, 0x06, 0x02, 0x00 } },
		{ "two decimals",  2, { 0.37, 0.4 },       5, { 0x02, 0x01, 0x4a, 0x06, 0x00 } },
		{ "no decimal",    1, { INFINITY },        14,
		  { 0x0f, 0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xf0, 0xff, 0x01, 0x00 } },
		{ "an odd row",    4, { 1, 1, -0.0, 1 },   15,
		  { 0x80, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0x02, 0x00, 0x00 } },
		/* clang-format on */
	};
	double back[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].what);
		size_t bytes = encode_values(rows[i].v, rows[i].n);

		assert_int_equal(rows[i].bytes, bytes);
		assert_memory_equal(rows[i].enc, encoded, bytes);
		assert_int_equal(0, decode_values(encoded, bytes, rows[i].n, back));
		assert_memory_equal(rows[i].v, back, rows[i].n * sizeof(back[0]));
	}
}

static void test_bad_bytes(void **state)
{
	static const struct {
		const char *what;
		uint32_t n;
		size_t bytes;
		uint8_t enc[24];
	} rows[] = {
		/* clang-format off */
		{ "nothing",                   1, 0, { 0 } },
		{ "no number",                 0, 4, { 0x01, 0x01, 0x00, 0x00 } },
		{ "too many numbers",          COLUMN_ROWS_MAX + 1, 4, { 0x01, 0x01, 0x00, 0x00 } },
		{ "an unknown model",          1, 4, { 0x03, 0x01, 0x00, 0x00 } },
		{ "an unknown flag",           1, 4, { 0x21, 0x01, 0x00, 0x00 } },
		{ "two steps of one number",   1, 5, { 0x02, 0x01, 0x01, 0x00, 0x00 } },
		{ "a zigzag range",            2, 3, { 0x04, 0x00, 0x00 } },
		{ "an unfinished varint",      1, 2, { 0x01, 0x80 } },
		{ "no width",                  1, 3, { 0x01, 0x01, 0x00 } },
		{ "a width above 64",          2, 16, { 0x01, 0x01, 0x00, 0x41 } },
		{ "too few rests",             3, 4, { 0x01, 0x01, 0x00, 0x09 } },
		{ "a byte behind",             1, 5, { 0x01, 0x01, 0x00, 0x00, 0x00 } },
		{ "widths of one group",       3, 5, { 0x11, 0x01, 0x00, 0x01, 0x00 } },
		/* clang-format on */
	};
	static int64_t back[COLUMN_ROWS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].what);
		assert_int_equal(-EBADMSG,
		                 decode_ints(rows[i].enc, rows[i].bytes, rows[i].n, back));
	}
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *what;
		uint32_t n;
		size_t bytes;
		uint8_t enc[32];
	} rows[] = {
		/* clang-format off */
		{ "nothing",             1, 0, { 0 } },
		{ "13 digits",           1, 5, { 0x0d, 0x01, 0x01, 0x00, 0x00 } },
		{ "a reserved bit",      1, 5, { 0x10, 0x01, 0x01, 0x00, 0x00 } },
		{ "no odd rows",         4, 6, { 0x80, 0x00, 0x01, 0x02, 0x00, 0x00 } },
		{ "an odd row behind",   2, 15, { 0x80, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x02, 0x00, 0x00 } },
		{ "an odd row cut off",  4, 6, { 0x80, 0x01, 0x00, 0x01, 0x02, 0x03 } },
		{ "a list without end",  4, 3, { 0x80, 0x80, 0x80 } },
		/* clang-format on */
	};
	double back[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("%s", rows[i].what);
		assert_int_equal(-EBADMSG,
		                 decode_values(rows[i].enc, rows[i].bytes, rows[i].n, back));
	}
}

/* Numbers as metrics have them, and some that they have not. */
static int64_t next_int(struct rng *rng, unsigned kind, int64_t before, uint32_t i)
{
	switch (kind) {
	case 0:
		return (int64_t)((uint64_t)before + rng_below(rng, 1000)); /* a counter */
	case 1:
		return rng_below(rng, 50) ? before + 15000 : before + 30000; /* scrapes */
	case 2:
		return 4096 * (int64_t)rng_below(rng, 1000) - 77; /* pages */
	case 3:
		return (int64_t)rng_u64(rng);
	case 4:
		return (int64_t)i * i * 3 - 5; /* a bend */
	case 5:
		return rng_below(rng, 200) ? before : (int64_t)(rng_u64(rng) >> rng_below(rng, 64));
	default:
		return rng_below(rng, 40) ? before + rng_below(rng, 9) : 0; /* restarts */
	}
}

static uint32_t rows_of(struct rng *rng)
{
	return 1 + rng_below(rng, rng_below(rng, 8) ? 300 : COLUMN_ROWS_MAX);
}

static void test_int_round_trip(void **state)
{
	static int64_t v[COLUMN_ROWS_MAX], back[COLUMN_ROWS_MAX];
	struct rng rng = unit_rng();

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t n = rows_of(&rng);

		for (uint32_t i = 0; i < n; i++)
			v[i] = next_int(&rng, round % 7, i > 0 ? v[i - 1] : 1700000000000, i);
		size_t bytes = encode_ints(v, n);

		assert_true(bytes + BITPACK_SLACK <= INTCOL_BOUND(n));
		assert_int_equal(0, decode_ints(encoded, bytes, n, back));
		assert_memory_equal(v, back, n * sizeof(v[0]));

		/* Every proper prefix lacks something; every longer text has a tail. */
		assert_int_equal(-EBADMSG,
		                 decode_ints(encoded, rng_below(&rng, (uint32_t)bytes), n, back));
		encoded[bytes] = 0;
		assert_int_equal(-EBADMSG, decode_ints(encoded, bytes + 1, n, back));
	}
}

static double next_value(struct rng *rng, unsigned kind, double before)
{
	static const double special[] = { -0.0,      0,      INFINITY,
		                          -INFINITY, 5e-324, 1.7976931348623157e308 };

	switch (kind) {
	case 0:
		return before + rng_below(rng, 100);
	case 1:
		return (double)rng_below(rng, 10000) / 100;
	case 2:
		return (double)rng_below(rng, 1000000) / 1e9;
	case 3:
		return double_from_bits(rng_u64(rng));
	case 4:
		return rng_below(rng, 20) ? before + 1 : stale_mark();
	case 5:
		return rng_below(rng, 4) ? before : special[rng_below(rng, ARRAY_SIZE(special))];
	case 6:
		return (double)(float)((double)rng_below(rng, 1000) / 7);
	default:
		return before + (double)rng_below(rng, 1000) / 7;
	}
}

static void test_value_round_trip(void **state)
{
	static double v[COLUMN_ROWS_MAX], back[COLUMN_ROWS_MAX];
	struct rng rng = unit_rng();

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t n = rows_of(&rng);

		for (uint32_t i = 0; i < n; i++)
			v[i] = next_value(&rng, round % 8,
			                  i > 0 && !isnan(v[i - 1]) ? v[i - 1] : 5);
		size_t bytes = encode_values(v, n);

		assert_true(bytes + BITPACK_SLACK <= VALCOL_BOUND(n));
		assert_int_equal(0, decode_values(encoded, bytes, n, back));
		assert_memory_equal(v, back, n * sizeof(v[0]));
		assert_int_equal(-EBADMSG,
		                 decode_values(encoded, rng_below(&rng, (uint32_t)bytes), n, back));
	}
}

/* What columns are for: the bytes that a row of each kind of metric takes. */
static void test_sizes(void **state)
{
	static int64_t v[240];
	struct rng rng = unit_rng();

	(void)state;
	for (int i = 0; i < 240; i++)
		v[i] = 1700000000123 + 15000 * i;
	assert_true(encode_ints(v, 240) <= 16);
	for (int i = 0; i < 240; i++)
		v[i] = 1700000000000 + 15000 * i + rng_below(&rng, 20);
	assert_true(encode_ints(v, 240) <= 240 * 6 / 8 + 16);
	for (int i = 1; i < 240; i++)
		v[i] = v[i - 1] + 4096 * (int64_t)rng_below(&rng, 8);
	assert_true(encode_ints(v, 240) <= 240 * 3 / 8 + 16);
}

static void test_corruption_is_contained(void **state)
{
	static double v[300], back[300];
	struct rng rng = unit_rng();

	(void)state;
	for (unsigned kind = 0; kind < 8; kind++) {
		for (uint32_t i = 0; i < 300; i++)
			v[i] = next_value(&rng, kind, i > 0 && !isnan(v[i - 1]) ? v[i - 1] : 5);
		size_t bytes = encode_values(v, 300);

		for (unsigned round = 0; round < 3000; round++) {
			size_t at = rng_below(&rng, rng_below(&rng, 2) ? 20 : (uint32_t)bytes);
			uint8_t mask = (uint8_t)(1u << rng_below(&rng, 8));

			if (at >= bytes)
				continue;
			encoded[at] ^= mask;
			int r = decode_values(encoded, bytes, 300, back);

			assert_true(r == 0 || r == -EBADMSG);
			encoded[at] ^= mask;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bitpack),
		cmocka_unit_test(test_int_vectors),
		cmocka_unit_test(test_value_vectors),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_int_round_trip),
		cmocka_unit_test(test_value_round_trip),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_corruption_is_contained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
