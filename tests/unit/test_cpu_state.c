/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of burst balances: what was put in comes back; bad lines and old boots do not. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/tempdir.h"
#include "userspace/base/file.h"
#include "userspace/host/cpu_state.h"

#define BOOT "0a1b"

static size_t parse(struct cpu_state *s, const char *text)
{
	char *copy = unit_memdup(text, strlen(text)); /* exact: ASan sees a read too far */
	size_t n_bad = 0;

	assert_int_equal(0,
	                 cpu_state_parse(s, (struct str){ copy, strlen(text) }, STR(BOOT), &n_bad));
	free(copy);
	return n_bad;
}

static void assert_row(const struct cpu_state_row *want, const struct cpu_state_row *got)
{
	assert_int_equal(want->pid, got->pid);
	assert_true(want->start_ticks == got->start_ticks);
	assert_true(want->at_ns == got->at_ns);
	assert_true(want->used_ns == got->used_ns);
	assert_double_near(want->balance_ns, got->balance_ns, 0);
}

static void test_round_trip(void **state)
{
	static const struct cpu_state_row rows[] = { { 4711, 12, 1000000000, 77, 5e9 },
		                                     { 1, 0, UINT64_MAX, UINT64_MAX, 0 } };
	_cleanup_(cpu_state_done) struct cpu_state s = { 0 }, back = { 0 };
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct cpu_state_row row;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(0, cpu_state_put(&s, &rows[i]));
	cpu_state_format(&s, STR(BOOT), &text);
	assert_string_equal("periscope-cpu-balance 1 " BOOT "\n"
	                    "4711 12 1000000000 77 5000000000\n"
	                    "1 0 18446744073709551615 18446744073709551615 0\n",
	                    buf_cstr(&text));
	assert_int_equal(0, parse(&back, buf_cstr(&text)));
	assert_int_equal(2, back.n);
	assert_false(cpu_state_take(&back, 4711, 13, &row)); /* another process of that number */
	assert_true(cpu_state_take(&back, 4711, 12, &row));
	assert_row(&rows[0], &row);
	assert_false(cpu_state_take(&back, 4711, 12, &row));
	assert_true(cpu_state_take(&back, 1, 0, &row));
	assert_row(&rows[1], &row);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *text;
		size_t n, n_bad;
	} rows[] = {
		{ "", 0, 1 },
		{ "periscope-cpu-balance 2 " BOOT "\n1 1 1 1 1\n", 0, 1 },
		{ "periscope-cpu-balance 1 ffff\n1 1 1 1 1\n", 0, 0 }, /* an earlier boot */
		{ "periscope-cpu-balance 1 " BOOT, 0, 0 },
		{ "periscope-cpu-balance 1 " BOOT "\n1 1 1 1 1", 1, 0 },
		{ "periscope-cpu-balance 1 " BOOT "\n1 1 1 1\n\n1 1 1 1 1\n", 1, 2 },
		{ "periscope-cpu-balance 1 " BOOT "\n0 1 1 1 1\n2147483648 1 1 1 1\n", 0, 2 },
		{ "periscope-cpu-balance 1 " BOOT "\n1 1 0 1 1\n1 1 1 1 -1\n", 0, 2 },
		{ "periscope-cpu-balance 1 " BOOT "\n1 1 1 1 NaN\n1 1 1 1 Inf\n", 0, 2 },
		{ "periscope-cpu-balance 1 " BOOT "\n1 1 1 1 1 1\nx 1 1 1 1\n", 0, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(cpu_state_done) struct cpu_state s = { 0 };

		unit_note("%zu", i);
		assert_int_equal(rows[i].n_bad, parse(&s, rows[i].text));
		assert_int_equal(rows[i].n, s.n);
	}
}

static void test_limit(void **state)
{
	_cleanup_(cpu_state_done) struct cpu_state s = { 0 };

	(void)state;
	for (int i = 0; i < CPU_STATE_VMS_MAX; i++)
		assert_int_equal(0, cpu_state_put(&s, &(struct cpu_state_row){ .pid = i + 1 }));
	assert_int_equal(-ENOSPC, cpu_state_put(&s, &(struct cpu_state_row){ .pid = 1 }));
}

static void test_file(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(cpu_state_done) struct cpu_state s = { 0 }, back = { 0 };
	const struct cpu_state_row row = { 4711, 12, 1000, 77, 5e9 };
	char folder[128], path[160];
	size_t n_bad = 0;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/a/b", dir.path);
	(void)snprintf(path, sizeof(path), "%s/cpu-balance", folder);
	assert_int_equal(0, cpu_state_load(&back, folder, &n_bad)); /* a first start */
	assert_int_equal(0, cpu_state_put(&s, &row));
	assert_int_equal(0, cpu_state_save(&s, folder));
	assert_int_equal(0, cpu_state_load(&back, folder, &n_bad));
	assert_int_equal(1, back.n);
	assert_row(&row, &back.rows[0]);
	assert_int_equal(0, n_bad);
	assert_int_equal(0, file_replace(path, "\0\xff\n", 3, 0600));
	assert_int_equal(0, cpu_state_load(&back, folder, &n_bad));
	assert_int_equal(1, n_bad);
	assert_int_equal(0, file_replace(path, "", 0, 0600)); /* as a power cut may leave it */
	assert_int_equal(0, cpu_state_load(&back, folder, &n_bad));
	assert_int_equal(1, back.n);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, mkdir(path, 0755));
	assert_int_equal(-EISDIR, cpu_state_load(&back, folder, &n_bad));
	assert_true(cpu_state_save(&s, folder) < 0);
	assert_int_equal(0, rmdir(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
