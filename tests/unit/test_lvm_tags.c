/* SPDX-License-Identifier: BSD-2-Clause */
/* Tags of logical volumes from what lvs prints, and a run of something that stands for lvs. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/volumes/lvm_tags.h"

#define VG   "ABCDEF-GHIJ-KLMN-OPQR-STUV-WXYZ-012345"
#define LV_A "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
#define LV_B "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb"
#define DM_A "LVM-ABCDEFGHIJKLMNOPQRSTUVWXYZ012345aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DM_B "LVM-ABCDEFGHIJKLMNOPQRSTUVWXYZ012345bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void parse(struct lvm_tags *t, const char *text)
{
	char *copy = unit_memdup(text, strlen(text));

	assert_int_equal(0, lvm_tags_parse(t, (struct str){ copy, strlen(text) }));
	free(copy);
}

static void test_tags(void **state)
{
	_cleanup_(lvm_tags_done) struct lvm_tags t = { 0 };
	const struct lvm_tags_row *row;

	(void)state;
	parse(&t, "  " VG "|" LV_B "|owner=ops,periscope.volume=vol_b,periscope.org=acme,"
	          "periscope.app=db\n"
	          "  " VG "|" LV_A "|periscope.volume=vol_a\n");
	assert_int_equal(2, t.n);
	row = lvm_tags_find(&t, DM_A);
	assert_non_null(row);
	assert_string_equal("vol_a", row->volume);
	assert_string_equal("", row->org);
	row = lvm_tags_find(&t, DM_B);
	assert_non_null(row);
	assert_string_equal("vol_b", row->volume);
	assert_string_equal("acme", row->org);
	assert_string_equal("db", row->app);
	/* The hidden devices of a pool, a device that is not LVM's, and one nobody knows. */
	assert_null(lvm_tags_find(&t, DM_A "-tpool"));
	assert_null(lvm_tags_find(&t, "CRYPT-" DM_A));
	assert_null(lvm_tags_find(&t, "LVM-"));
	assert_null(lvm_tags_find(&t, ""));
	assert_null(lvm_tags_find(&(struct lvm_tags){ 0 }, DM_A));
}

static void test_what_is_left_out(void **state)
{
	static const char *const lines[] = {
		"",
		"\n\n",
		"  WARNING: something is wrong with this group\n",
		VG "|" LV_A "|\n",
		VG "|" LV_A "|owner=ops,other\n",
		VG "|" LV_A "\n",
		VG "|aaaaaa|periscope.volume=v\n",
		VG "|" LV_A "a|periscope.volume=v\n",
		LV_A "|periscope.volume=v\n",
		VG "|aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaa\xc3|periscope.volume=v\n",
		VG "|" LV_A "|periscope.volume=\n",
		VG "|" LV_A "|periscope.size=1\n",
	};
	char longest[VOLUMES_NAME_CAP + 1], text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(lvm_tags_done) struct lvm_tags t = { 0 };

		unit_note("%s", lines[i]);
		parse(&t, lines[i]);
		assert_int_equal(0, t.n);
	}
	for (size_t len = VOLUMES_NAME_CAP - 1; len <= VOLUMES_NAME_CAP; len++) {
		_cleanup_(lvm_tags_done) struct lvm_tags t = { 0 };

		memset(longest, 'v', len);
		longest[len] = '\0';
		(void)snprintf(text, sizeof(text), VG "|" LV_A "|periscope.volume=%s", longest);
		parse(&t, text);
		assert_int_equal(len < VOLUMES_NAME_CAP, t.n);
	}
}

/* ---- a run ---------------------------------------------------------------------------------- */

/* An "lvs" that is first in the search path. */
static void install_lvs(const struct tempdir *dir, const char *script)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/lvs", dir->path);
	assert_int_equal(0, file_replace(path, script, strlen(script), 0755));
	assert_int_equal(0, setenv("PATH", dir->path, 1));
}

static int finish(struct lvm_query *q, struct lvm_tags *t, int timeout_ms)
{
	struct pollfd p = { lvm_query_fd(q), POLLIN, 0 };
	int r = 0;

	while (r == 0 && poll(&p, 1, timeout_ms) > 0)
		r = lvm_query_read(q, t);
	return r;
}

static void test_run(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(lvm_tags_done) struct lvm_tags t = { 0 };
	struct lvm_query *q;

	(void)state;
	install_lvs(&dir, "#!/bin/sh\necho '" VG "|" LV_A "|periscope.volume=vol_a'\n"
	                  "echo a warning >&2\nexit 5\n");
	assert_int_equal(0, lvm_query_start(&q));
	assert_int_equal(1, finish(q, &t, 10000));
	lvm_query_free(q);
	assert_int_equal(1, t.n);
	/* What was known stays until the next answer is whole, and is then replaced. */
	install_lvs(&dir, "#!/bin/sh\nexec /bin/sleep 30\n");
	assert_int_equal(0, lvm_query_start(&q));
	assert_int_equal(0, finish(q, &t, 50));
	lvm_query_free(q); /* does not wait for the sleeper */
	assert_int_equal(1, t.n);
	assert_true(waitpid(-1, NULL, 0) > 0); /* it was killed */
	install_lvs(&dir, "#!/bin/sh\nexit 0\n");
	assert_int_equal(0, lvm_query_start(&q));
	assert_int_equal(1, finish(q, &t, 10000));
	lvm_query_free(q);
	assert_int_equal(0, t.n);
}

static void test_no_lvs(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct lvm_query *q;

	(void)state;
	assert_int_equal(0, setenv("PATH", dir.path, 1));
	assert_int_equal(-ENOENT, lvm_query_start(&q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_what_is_left_out),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_no_lvs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
