/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: replaced as a whole or not at all, and only where there is a file. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/file.h"

static void assert_content(const char *path, const char *expected)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	assert_int_equal(0, file_read(path, &text, 4096));
	assert_str_equal(str_from(expected), buf_str(&text));
}

static void test_replace(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	char path[128], other[128];
	struct stat st;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", dir.path);
	(void)snprintf(other, sizeof(other), "%s/file.new", dir.path);
	assert_int_equal(0, file_replace(path, "one", 3, 0640));
	assert_content(path, "one");
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0640, st.st_mode & 0777);
	assert_int_equal(0, file_replace_lazily(path, "two", 3, 0640));
	assert_content(path, "two");
	assert_int_equal(-1, access(other, F_OK)); /* nothing half-made stays */
	(void)snprintf(other, sizeof(other), "%s/none/file", dir.path);
	assert_int_equal(-ENOENT, file_replace(other, "x", 1, 0600));
}

/* A reader of the old file still has it. */
static void test_replaced_as_a_whole(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	char path[128], text[8] = "";

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", dir.path);
	assert_int_equal(0, file_replace(path, "old", 3, 0600));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(0, file_replace(path, "new", 3, 0600));
	assert_int_equal(3, read(fd, text, sizeof(text)));
	assert_string_equal("old", text);
}

static void test_what_is_no_file_stays(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	char path[128], text[8] = "";
	struct stat st;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/pipe", dir.path);
	assert_int_equal(0, mkfifo(path, 0600));
	assert_int_equal(-ENXIO, file_replace(path, "abc", 3, 0600)); /* and does not wait */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_int_equal(0, file_replace(path, "abc", 3, 0600));
	assert_int_equal(3, read(fd, text, sizeof(text)));
	assert_string_equal("abc", text);
	assert_int_equal(0, lstat(path, &st));
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(-EISDIR, file_replace(dir.path, "x", 1, 0600));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replaced_as_a_whole),
		cmocka_unit_test(test_what_is_no_file_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
