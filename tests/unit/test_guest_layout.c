/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a monitor keeps its guest's memory: guesses from /proc/PID/maps of each kind of monitor. */
#include "tests/unit/unit.h"

#include "userspace/host/guest/layout.h"

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

static struct layout found[LAYOUTS_MAX];

static uint32_t guess(const char *maps, uint64_t memory_bytes)
{
	struct str exact = unit_strdup(str_from(maps));
	uint32_t n = layouts_of_maps(exact, memory_bytes, found);

	free((char *)(uintptr_t)exact.p);
	return n;
}

static bool is_guessed(uint32_t n, const struct mem_seg *segs, uint32_t n_segs)
{
	for (uint32_t i = 0; i < n; i++) {
		if (found[i].n_segs == n_segs &&
		    memcmp(found[i].segs, segs, n_segs * sizeof(*segs)) == 0)
			return true;
	}
	return false;
}

static const char small[] =
	"55d0c0000000-55d0c0800000 r-xp 00000000 fe:00 1234 /usr/bin/qemu-system-x86_64\n"
	"55d0c1000000-55d0c9000000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f0000000000-7f000c000000 rw-p 00000000 00:00 0 \n"
	"7f0010000000-7f0018000000 ---p 00000000 00:00 0 \n"
	"7f0020000000-7f0022000000 rw-p 00000000 00:00 0 \n"
	"7fffabc00000-7fffb0000000 rw-p 00000000 00:00 0                          [stack]\n";

/* One piece below every hole: one guess for each mapping, the largest first. */
static void test_small(void **state)
{
	const struct mem_seg ram = { 0, 192 * MIB, 0x7f0000000000u };
	const struct mem_seg other = { 0, 32 * MIB, 0x7f0020000000u };

	(void)state;
	assert_int_equal(2, guess(small, 0));
	assert_memory_equal(&ram, &found[0].segs[0], sizeof(ram));
	assert_memory_equal(&other, &found[1].segs[0], sizeof(other));
	assert_false(found[0].shared);
	assert_false(found[0].from_file);
	/* What it was given excludes what is smaller, and says which part of a merged one it is. */
	assert_int_equal(1, guess(small, 192 * MIB));
	assert_int_equal(2, guess(small, 160 * MIB));
	assert_true(is_guessed(2, &(struct mem_seg){ 0, 160 * MIB, 0x7f0000000000u }, 1));
	assert_true(is_guessed(2, &(struct mem_seg){ 0, 160 * MIB, 0x7f0002000000u }, 1));
	assert_int_equal(0, guess(small, 256 * MIB));
}

static void test_hole(void **state)
{
	static const char maps[] = "7f0000000000-7f0140000000 rw-p 00000000 00:00 0 \n"; /* 5 GiB */
	const uint64_t base = 0x7f0000000000u;
	const struct mem_seg pc[] = { { 0, 3 * GIB, base }, { 4 * GIB, 2 * GIB, base + 3 * GIB } };
	const struct mem_seg q35[] = { { 0, 2 * GIB, base }, { 4 * GIB, 3 * GIB, base + 2 * GIB } };

	(void)state;
	uint32_t n = guess(maps, 0);

	assert_true(is_guessed(n, pc, 2));
	assert_true(is_guessed(n, q35, 2));
	assert_int_equal(4, n);
	assert_int_equal(4, guess(maps, 5 * GIB));
}

/* Firecracker and cloud-hypervisor: two mappings, in any order, the lower one of 3 GiB. */
static void test_two_mappings(void **state)
{
	static const char maps[] = "7e0000000000-7e0040000000 rw-p 00000000 00:00 0 \n"
				   "7f0000000000-7f00c0000000 rw-p 00000000 00:00 0 \n";
	const struct mem_seg want[] = { { 0, 3 * GIB, 0x7f0000000000u },
		                        { 4 * GIB, GIB, 0x7e0000000000u } };

	(void)state;
	assert_true(is_guessed(guess(maps, 4 * GIB), want, 2));
	assert_memory_equal(want, found[0].segs, sizeof(want));
}

static void test_kinds(void **state)
{
	static const struct {
		const char *line;
		bool shared, from_file;
	} rows[] = {
		/* clang-format off */
		{ "7f0000000000-7f000c000000 rw-s 00000000 00:01 2060 /memfd:ch_ram (deleted)\n", true, false },
		{ "7f0000000000-7f000c000000 rw-p 00000000 fe:00 99 /srv/snapshot.mem\n", false, true },
		{ "7f0000000000-7f000c000000 rw-p 00000000 00:00 0\n", false, false },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(1, guess(rows[i].line, 0));
		assert_int_equal(rows[i].shared, found[0].shared);
		assert_int_equal(rows[i].from_file, found[0].from_file);
	}
}

static void test_nonsense(void **state)
{
	static const char *const rows[] = {
		"",
		"\n\n",
		"7f0000000000",
		"7f0000000000-",
		"7f0000000000-7f000c000000 rw-p",
		"7f000c000000-7f0000000000 rw-p 00000000 00:00 0\n",
		"7f0000000000-7f000c000000 rwxp 00000000 00:00 0\n",
		"7f0000000000-7f000c000000 r--p 00000000 00:00 0\n",
		"7f0000000001-7f000c000001 rw-p 00000000 00:00 0\n",
		"7f0000000000-7f000c000000 rw-p 00000000 00:00 x\n",
		"7f0000000000-7f0000100000 rw-p 00000000 00:00 0\n", /* too small for a guest */
		"zz0000000000-7f000c000000 rw-p 00000000 00:00 0\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("row %zu", i);
		assert_int_equal(0, guess(rows[i], 0));
	}
}

/* More mappings than are looked at, and more guesses than there is room for. */
static void test_many(void **state)
{
	char maps[64 * 64];
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		len += (size_t)snprintf(maps + len, sizeof(maps) - len,
		                        "7f%02x00000000-7f%02x%08x rw-p 0 0:0 0\n", i, i,
		                        0xc0000000u);
	uint32_t n = guess(maps, 0);

	assert_int_equal(LAYOUTS_MAX, n);
	for (uint32_t i = 0; i < n; i++) {
		struct mem m;

		assert_int_equal(0, mem_open(&m, NULL, NULL, found[i].segs, found[i].n_segs));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),        cmocka_unit_test(test_hole),
		cmocka_unit_test(test_two_mappings), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
