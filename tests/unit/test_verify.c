/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verifying a store: nothing is wrong with what a store has written, whatever happened to it; and
 * wherever a byte changes, in any file, it is found, said where, and survived.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store_model.h"
#include "tests/unit/tempdir.h"

static struct store *open_at(const char *dir)
{
	const struct store_conf conf = { .dir = dir,
		                         .retention_ms = 400 * MODEL_DAY_MS,
		                         .is_manual = true };
	struct store *s;

	assert_int_equal(0, store_open(&s, &conf, NULL));
	return s;
}

/* Blocks of a flush and of a merge, and something in the log. */
static struct store *make(const char *dir, struct model *m, struct rng *rng)
{
	struct store *s = open_at(dir);

	*m = (struct model){ .now_ms = clock_unix_ms() };
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(0, model_append(m, s, rng, i % 2, 0, MODEL_TIMES, 64));
		if (i % 2)
			assert_int_equal(0, store_flush(s));
		if (i == 3)
			assert_int_equal(0, store_merge(s));
	}
	return s;
}

static void print_fault(void *ctx, const char *sentence)
{
	buf_printf(ctx, "%s\n", sentence);
}

static uint64_t faults_of(const char *dir, struct buf *text)
{
	struct store_check sum;
	struct err e = ERR_INIT;

	buf_clear(text);
	if (store_verify(dir, print_fault, text, &sum, &e) < 0) {
		buf_puts(text, e.msg);
		return UINT64_MAX;
	}
	return sum.faults;
}

static void test_sound(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = make(dir.path, &m, &rng);
	char name[STORE_SNAPSHOT_NAME_MAX], path[PATH_MAX];
	struct store_check sum;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(UINT64_MAX, faults_of(dir.path, &text));
	assert_non_null(strstr(buf_cstr(&text), "in use by another process"));
	assert_int_equal(0, store_snapshot_create(s, name, NULL));
	(void)snprintf(path, sizeof(path), "%s/snapshots/%s", dir.path, name);
	assert_int_equal(0, faults_of(path, &text));
	store_close(s);
	assert_int_equal(0, store_verify(dir.path, print_fault, &text, &sum, &e));
	assert_int_equal(0, sum.faults);
	assert_true(sum.blocks >= 4);
	assert_in_range(sum.samples, 100, 512);
	assert_int_equal(UINT64_MAX, faults_of("/nonexistent", &text));
	assert_non_null(strstr(buf_cstr(&text), "no MANIFEST"));
	buf_clear(&text);
	assert_int_equal(0, store_dump(dir.path, &text, &e));
	assert_non_null(strstr(buf_cstr(&text), "organisation zoo: "));
}

/* Flips one byte of a file at a time; verify says so, and reading survives it. */
static void flip_bytes(const char *dir, const char *file, off_t step)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT, all = BUF_INIT;
	char path[PATH_MAX];
	uint8_t byte;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	off_t size = lseek(fd, 0, SEEK_END);

	for (off_t at = 0; at < size; at += step) {
		assert_int_equal(1, pread(fd, &byte, 1, at));
		byte ^= 0x10;
		assert_int_equal(1, pwrite(fd, &byte, 1, at));
		if (faults_of(dir, &text) == 0)
			fail_msg("%s: byte %ld is not noticed", file, (long)at);
		byte ^= 0x10;
		assert_int_equal(1, pwrite(fd, &byte, 1, at));
	}
	assert_int_equal(0, close(fd));
}

static void test_damage(void **state)
{
	static const struct {
		const char *name;
		off_t step;
	} files[] = { { "MANIFEST", 7 },
		      { "blocks/00000008/index", 13 },
		      { "blocks/00000008/chunks", 11 } };
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	static struct model m;
	struct rng rng = unit_rng();
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	store_close(make(dir.path, &m, &rng));
	assert_int_equal(0, faults_of(dir.path, &text));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir.path, files[i].name);
		assert_int_equal(0, stat(path, &st));
		flip_bytes(dir.path, files[i].name, files[i].step);
	}
	assert_int_equal(0, faults_of(dir.path, &text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
