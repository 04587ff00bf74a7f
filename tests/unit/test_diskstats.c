/* SPDX-License-Identifier: BSD-2-Clause */
/* The diskstats parser: old and new kernels' lines, and lines that are none. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "userspace/host/diskstats.h"

struct seen {
	struct diskstats d[4];
	int n, stop_at;
};

static int on_line(void *ctx, const struct diskstats *d)
{
	struct seen *s = ctx;

	s->d[s->n++] = *d;
	return s->n == s->stop_at ? -ECANCELED : 0;
}

static int parse(const char *text, struct seen *s, uint64_t *bad)
{
	struct str copy = unit_strdup(str_from(text));
	int r = diskstats_parse(copy, on_line, s, bad);

	free((void *)(uintptr_t)copy.p);
	return r;
}

static void test_lines(void **state)
{
	struct seen s = { 0 };
	uint64_t bad = 0;

	(void)state;
	assert_int_equal(0,
	                 parse("   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"             /* 4.x */
	                       " 254      17 dm-17 11 10 9 8 7 6 5 4 3 2 1 0 0 0 0 5 6\n" /* 5.5 */
	                       "\n 8 0 sda 18446744073709551615 0 0 0 0 0 0 0 0 0 0",
	                       &s, &bad));
	assert_int_equal(3, s.n);
	assert_int_equal(0, bad);
	assert_true(s.d[0].dev == makedev(7, 0));
	assert_true(s.d[1].dev == makedev(254, 17));
	for (int i = 0; i < DISKSTATS_FIELDS; i++) {
		assert_int_equal(i + 1, s.d[0].v[i]);
		assert_int_equal(11 - i, s.d[1].v[i]);
	}
	assert_true(s.d[2].v[0] == UINT64_MAX);
}

static void test_bad_lines_are_skipped(void **state)
{
	static const char *const rows[] = {
		"7 0 loop0 1 2 3 4 5 6 7 8 9 10",
		"x 0 loop0 1 2 3 4 5 6 7 8 9 10 11",
		"7 0 loop0 1 2 x 4 5 6 7 8 9 10 11",
		"7 0 loop0 1 2 -3 4 5 6 7 8 9 10 11",
		"7",
		"7 4294967296 l 1 2 3 4 5 6 7 8 9 10 11",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[256];
		struct seen s = { 0 };
		uint64_t bad = 0;

		unit_note("%s", rows[i]);
		(void)snprintf(text, sizeof(text), "%s\n1 2 ok 1 2 3 4 5 6 7 8 9 10 11\n", rows[i]);
		assert_int_equal(0, parse(text, &s, &bad));
		assert_int_equal(1, s.n);
		assert_int_equal(1, bad);
		assert_true(s.d[0].dev == makedev(1, 2));
	}
}

static void test_callback_stops(void **state)
{
	struct seen s = { .stop_at = 1 };

	(void)state;
	assert_int_equal(-ECANCELED, parse("1 2 a 1 2 3 4 5 6 7 8 9 10 11\n"
	                                   "1 3 b 1 2 3 4 5 6 7 8 9 10 11\n",
	                                   &s, NULL));
	assert_int_equal(1, s.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_lines_are_skipped),
		cmocka_unit_test(test_callback_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
