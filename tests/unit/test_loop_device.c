/* SPDX-License-Identifier: BSD-2-Clause */
/* Loop devices by the identity of their files, in a made-up /sys/block. */
#include "tests/unit/unit.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/alloc.h"
#include "userspace/host/loop_device.h"

static struct tempdir dir;

static const char *at(const char *name)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir.path, name);
	return path[turn];
}

static void write_text(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "we");

	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(0, fclose(f));
}

/* A device as sysfs shows it; @image is in the folder, NULL: nothing is attached. */
static void make_device(const char *name, const char *dev, const char *image)
{
	char path[128], text[300];

	(void)mkdir(at(name), 0755);
	(void)snprintf(path, sizeof(path), "%s/dev", name);
	write_text(path, dev);
	if (!image)
		return;
	(void)snprintf(path, sizeof(path), "%s/loop", name);
	(void)mkdir(at(path), 0755);
	(void)snprintf(path, sizeof(path), "%s/loop/backing_file", name);
	(void)snprintf(text, sizeof(text), "%s\n", image[0] ? at(image) : "");
	write_text(path, text);
}

static int setup(void **state)
{
	(void)state;
	dir = tempdir_make();
	write_text("one.img", "1");
	write_text("two images.img", "2");
	write_text("none.img", "3");
	assert_int_equal(0, symlink(at("one.img"), at("other-name.img")));
	make_device("loop0", "7:0\n", "one.img");
	make_device("loop1", "7:1\n", NULL);
	make_device("loop2", "7:2048\n", "two images.img");
	make_device("loop3", "7:3\n", "deleted.img");
	make_device("loop4", "nonsense\n", "none.img");
	make_device("loop5", "7:4294967296\n", "none.img");
	make_device("loop6", "7:6\n", "");
	make_device("sda", "8:0\n", "none.img");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tempdir_done(&dir);
	return 0;
}

static void test_found_by_identity(void **state)
{
	struct loop_devices t = { 0 };

	(void)state;
	assert_int_equal(makedev(7, 0), loop_devices_find(&t, dir.path, at("one.img")));
	assert_int_equal(makedev(7, 0), loop_devices_find(&t, dir.path, at("other-name.img")));
	assert_int_equal(makedev(7, 2048), loop_devices_find(&t, dir.path, at("two images.img")));
	assert_int_equal(0, loop_devices_find(&t, dir.path, at("none.img")));
	assert_int_equal(0, loop_devices_find(&t, dir.path, at("deleted.img")));
	assert_int_equal(0, loop_devices_find(&t, dir.path, "/dev/null"));
	assert_int_equal(0, loop_devices_find(&t, dir.path, dir.path));
	assert_int_equal(2, t.n);
	loop_devices_done(&t);
	assert_int_equal(0, loop_devices_find(&t, "/nonexistent", at("one.img")));
	loop_devices_done(&t);
}

/* What was attached since is seen once the table is old. */
static void test_read_again(void **state)
{
	struct loop_devices t = { 0 };

	(void)state;
	write_text("late.img", "4");
	assert_int_equal(0, loop_devices_find(&t, dir.path, at("late.img")));
	make_device("loop9", "7:9\n", "late.img");
	assert_int_equal(0, loop_devices_find(&t, dir.path, at("late.img")));
	t.read_ns = 1;
	assert_int_equal(makedev(7, 9), loop_devices_find(&t, dir.path, at("late.img")));
	loop_devices_done(&t);
}

static void test_no_memory(void **state)
{
	struct loop_devices t = { 0 };

	(void)state;
	for (uint64_t n = 1; n < 20; n++) {
		alloc_fail_at(n);
		(void)loop_devices_find(&t, dir.path, at("one.img"));
		alloc_fail_at(0);
		loop_devices_done(&t);
	}
	assert_int_equal(makedev(7, 0), loop_devices_find(&t, dir.path, at("one.img")));
	loop_devices_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_identity),
		cmocka_unit_test(test_read_again),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
