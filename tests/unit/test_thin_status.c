/* SPDX-License-Identifier: BSD-2-Clause */
/* Status lines of thin volumes and pools, as kernels have written them; and what is none. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/volumes/thin_status.h"

/* Exact-size heap copies, so that AddressSanitizer sees a read of even one byte too many. */
static struct str exact(const char *text)
{
	return (struct str){ unit_memdup(text, strlen(text)), strlen(text) };
}

static void test_thin(void **state)
{
	static const struct {
		const char *line;
		bool failed;
		uint64_t mapped;
	} rows[] = {
		{ "204800 1023999", false, 204800 },
		{ "204800 1023999 ", false, 204800 },
		{ "0 -", false, 0 },
		{ "-", false, 0 },
		{ "Fail", true, 0 },
		{ "Error", true, 0 },
		{ "18446744073709551615 0", false, UINT64_MAX },
	};
	static const char *const bad[] = { "",     " ",     "204800",
		                           "x 1",  "1 x",   "-1 2",
		                           "- 1",  "1.5 2", "99999999999999999999 1",
		                           "fail", "1 2x" };
	struct thin_status s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str line = exact(rows[i].line);

		unit_note("%s", rows[i].line);
		assert_int_equal(0, thin_status_parse(line, &s));
		assert_int_equal(rows[i].failed, s.failed);
		assert_true(rows[i].mapped == s.mapped_sectors);
		free((void *)(uintptr_t)line.p);
	}
	s = (struct thin_status){ true, 7 };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct str line = exact(bad[i]);

		unit_note("%s", bad[i]);
		assert_int_equal(-EBADMSG, thin_status_parse(line, &s));
		free((void *)(uintptr_t)line.p);
	}
	assert_int_equal(7, s.mapped_sectors); /* untouched on failure */
}

static void test_pool(void **state)
{
	static const char *const bad[] = {
		"",          "1",         "1 2",       "1 2/3",       "1 2/3 4",
		"1 4/3 1/2", "1 1/3 3/2", "x 1/3 1/2", "1 /3 1/2",    "1 1/ 1/2",
		"1 1-3 1/2", "fail",      "Failed",    "1 1/3/5 1/2",
	};
	static const char line[] =
		"1 174/4096 1600/6400 - rw discard_passdown queue_if_no_space - 1024 ";
	struct thin_pool_status s;

	(void)state;
	assert_int_equal(0, thin_pool_status_parse(str_from(line), &s));
	assert_false(s.failed);
	assert_int_equal(174, s.meta_used);
	assert_int_equal(4096, s.meta_total);
	assert_int_equal(1600, s.data_used);
	assert_int_equal(6400, s.data_total);
	assert_int_equal(0, thin_pool_status_parse(STR("Fail"), &s));
	assert_true(s.failed);
	assert_int_equal(0, s.data_total);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct str copy = exact(bad[i]);

		unit_note("%s", bad[i]);
		assert_int_equal(-EBADMSG, thin_pool_status_parse(copy, &s));
		free((void *)(uintptr_t)copy.p);
	}
}

static void test_pool_table(void **state)
{
	static const char *const bad[] = { "", "252:0 252:1", "252:0 252:1 0 1", "252:0 252:1 x 1",
		                           "252:0 252:1 4294967296 1" };
	uint64_t sectors;

	(void)state;
	assert_int_equal(0, thin_pool_table_parse(STR("252:0 252:1 128 0 1 skip_block_zeroing "),
	                                          &sectors));
	assert_int_equal(128, sectors);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(-EBADMSG, thin_pool_table_parse(str_from(bad[i]), &sectors));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thin),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
