/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MessagePack: vectors pin the bytes in both directions, refusals pin what is not canonical, a
 * seeded property says that random values read back and that every cut of them is refused.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/wire/msgpack.h"

#define BYTES(lit)                      \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}

static struct msgpack exact(struct str s, struct str *ret_copy)
{
	*ret_copy = unit_strdup(s);
	return msgpack_from(*ret_copy);
}

static void test_numbers(void **state)
{
	static const struct {
		int64_t v;
		struct str bytes;
	} rows[] = {
		{ 0, BYTES("\0") },
		{ 127, BYTES("\x7f") },
		{ 128, BYTES("\xcc\x80") },
		{ 255, BYTES("\xcc\xff") },
		{ 256, BYTES("\xcd\x01\x00") },
		{ 65535, BYTES("\xcd\xff\xff") },
		{ 65536, BYTES("\xce\x00\x01\x00\x00") },
		{ 4294967295, BYTES("\xce\xff\xff\xff\xff") },
		{ 4294967296, BYTES("\xcf\0\0\0\1\0\0\0\0") },
		{ INT64_MAX, BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff") },
		{ -1, BYTES("\xff") },
		{ -32, BYTES("\xe0") },
		{ -33, BYTES("\xd0\xdf") },
		{ -128, BYTES("\xd0\x80") },
		{ -129, BYTES("\xd1\xff\x7f") },
		{ -32768, BYTES("\xd1\x80\x00") },
		{ -32769, BYTES("\xd2\xff\xff\x7f\xff") },
		{ INT32_MIN, BYTES("\xd2\x80\0\0\0") },
		{ INT32_MIN - 1ll, BYTES("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff") },
		{ INT64_MIN, BYTES("\xd3\x80\0\0\0\0\0\0\0") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct str copy;
		struct msgpack m = exact(rows[i].bytes, &copy);
		int64_t v = 7;
		uint64_t u = 7;

		unit_note("%lld", (long long)rows[i].v);
		msgpack_put_int(&out, rows[i].v);
		assert_str_equal(rows[i].bytes, buf_str(&out));
		assert_int_equal(0, msgpack_int(&m, &v));
		assert_true(v == rows[i].v && msgpack_at_end(&m));
		m = msgpack_from(copy);
		assert_int_equal(rows[i].v < 0 ? -EBADMSG : 0, msgpack_uint(&m, &u));
		assert_true(u == (rows[i].v < 0 ? 7 : (uint64_t)rows[i].v));
		free((void *)(uintptr_t)copy.p);
	}
}

/* Well-formed, but there is a shorter way to say it. */
static void test_not_shortest(void **state)
{
	static const struct str rows[] = {
		BYTES("\xcc\x7f"),
		BYTES("\xcd\x00\xff"),
		BYTES("\xce\x00\x00\xff\xff"),
		BYTES("\xcf\0\0\0\0\xff\xff\xff\xff"),
		BYTES("\xd0\x05"), /* positive, in a signed form */
		BYTES("\xd0\xff"),
		BYTES("\xd1\xff\x80"),
		BYTES("\xd2\xff\xff\x80\x00"),
		BYTES("\xd3\xff\xff\xff\xff\x80\0\0\0"),
		BYTES("\xc5\x00\x01x"),
		BYTES("\xc6\x00\x00\x00\x01x"),
		BYTES("\xd9\x01x"),
		BYTES("\xda\x00\x01x"),
		BYTES("\xdb\0\0\0\x01x"),
		BYTES("\xdc\x00\x01\x01"),
		BYTES("\xdd\0\0\0\x01\x01"),
		BYTES("\xde\x00\x01\x01\x01"),
		BYTES("\xdf\0\0\0\x01\x01\x01"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct msgpack m = msgpack_from(rows[i]);
		const uint8_t *start = m.p;
		struct str s;
		uint32_t n;
		uint64_t u;
		int64_t v;

		unit_note("row %zu", i);
		assert_int_equal(-EBADMSG, msgpack_uint(&m, &u));
		assert_int_equal(-EBADMSG, msgpack_int(&m, &v));
		assert_int_equal(-EBADMSG, msgpack_bin(&m, &s));
		assert_int_equal(-EBADMSG, msgpack_str(&m, &s));
		assert_int_equal(-EBADMSG, msgpack_array(&m, &n));
		assert_int_equal(-EBADMSG, msgpack_map(&m, &n));
		assert_ptr_equal(start, m.p);
		/* But as something that is only carried along it is fine. */
		assert_int_equal(0, msgpack_skip(&m, &s));
		assert_int_equal(rows[i].len, s.len);
	}
}

static void test_skip_bad(void **state)
{
	static const struct str rows[] = {
		BYTES(""),
		BYTES("\xc1"),
		BYTES("\xa2x"),
		BYTES("\x92\x01"),
		BYTES("\x81\x01"),
		BYTES("\xcd\x01"),
		BYTES("\xca\0\0\0"),
		BYTES("\xdd\xff\xff\xff\xff"),
		BYTES("\xdf\xff\xff\xff\xff\x01"),
		BYTES("\xc6\xff\xff\xff\xff"),
		BYTES("\xc9\xff\xff\xff\xff\x01"),
		BYTES("\xd8\x01\x01\x01"),
		BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x01"), /* one level too deep */
	};
	struct str s = STR_NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str copy;
		struct msgpack m = exact(rows[i], &copy);

		unit_note("row %zu", i);
		assert_int_equal(-EBADMSG, msgpack_skip(&m, &s));
		assert_ptr_equal(copy.p, m.p);
		free((void *)(uintptr_t)copy.p);
	}
	struct msgpack deep = msgpack_from((struct str)BYTES("\x91\x91\x91\x91\x91\x91\x91\x01"));

	assert_int_equal(0, msgpack_skip(&deep, &s));
}

static void put_random(struct rng *rng, struct buf *out, unsigned depth)
{
	static char text[70000];
	static const uint32_t lengths[] = { 0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536 };
	uint32_t n = lengths[rng_below(rng, ARRAY_SIZE(lengths))];

	switch (rng_below(rng, depth < 3 ? 7 : 5)) {
	case 0:
		msgpack_put_uint(out, rng_u64(rng) >> rng_below(rng, 64));
		break;
	case 1:
		msgpack_put_int(out, (int64_t)rng_u64(rng) >> rng_below(rng, 64));
		break;
	case 2:
		msgpack_put_bin(out, (struct str){ text, n });
		break;
	case 3:
		msgpack_put_str(out, (struct str){ text, n });
		break;
	case 4:
		msgpack_put_bool(out, rng_below(rng, 2));
		break;
	case 5:
		n %= 20;
		msgpack_put_array(out, n);
		while (n-- > 0)
			put_random(rng, out, depth + 1);
		break;
	default:
		n %= 20;
		msgpack_put_map(out, n);
		for (n *= 2; n-- > 0;)
			put_random(rng, out, depth + 1);
	}
}

static void test_random(void **state)
{
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 300; round++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct str copy, s;

		put_random(&rng, &out, 0);
		struct msgpack m = exact(buf_str(&out), &copy);

		assert_int_equal(0, msgpack_skip(&m, &s));
		assert_int_equal(out.len, s.len);
		struct str cut = { copy.p, rng_below(&rng, (uint32_t)copy.len) };

		m = msgpack_from(cut);
		assert_int_equal(-EBADMSG, msgpack_skip(&m, &s));
		free((void *)(uintptr_t)copy.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_not_shortest),
		cmocka_unit_test(test_skip_bad),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
