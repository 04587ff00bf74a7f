/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: what they have, that they open as stores and keep it whatever becomes of the store
 * that they were made from, and the other way round; names; what a failure leaves.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "tests/unit/store_model.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/vfs.h"

static struct store *open_at(const char *dir)
{
	const struct store_conf conf = { .dir = dir,
		                         .retention_ms = 400 * MODEL_DAY_MS,
		                         .is_manual = true };
	struct err e = ERR_INIT;
	struct store *s;

	if (store_open(&s, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static void fill(struct model *m, struct store *s, struct rng *rng)
{
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(0, model_append(m, s, rng, i % 2, 0, MODEL_TIMES, 64));
		if (i % 3 == 1)
			assert_int_equal(0, store_flush(s));
	}
}

static uint64_t delete_all(struct store *s)
{
	const struct store_select sel = { .org = STR("acme"),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	uint64_t n;

	assert_int_equal(0, store_delete(s, &sel, &n, NULL));
	return n;
}

static int count(void *ctx, struct str name)
{
	(void)name;
	++*(size_t *)ctx;
	return 0;
}

static size_t n_snapshots(struct store *s)
{
	size_t n = 0;

	assert_int_equal(0, store_snapshots_each(s, count, &n));
	return n;
}

static void test_life(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m, now;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path), *copy;
	char name[STORE_SNAPSHOT_NAME_MAX], path[PATH_MAX];
	struct stat st;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	assert_int_equal(0, n_snapshots(s));
	fill(&m, s, &rng);
	assert_int_equal(0, store_snapshot_create(s, name, NULL));
	(void)snprintf(path, sizeof(path), "%s/snapshots/%s", dir.path, name);

	/* The store goes on: more samples, merges, and all that was there is deleted. */
	now = m;
	fill(&now, s, &rng);
	assert_int_equal(0, store_merge(s));
	model_check(&now, s, &rng);
	assert_true(delete_all(s) > 0);
	assert_int_equal(0, store_merge(s));

	copy = open_at(path);
	model_check(&m, copy, &rng);
	assert_true(delete_all(copy) > 0); /* and so does the snapshot */
	fill(&m, copy, &rng);
	assert_int_equal(0, store_merge(copy));
	store_close(copy);
	for (uint32_t k = 0; k < MODEL_SERIES; k++)
		model_delete(&now, 0, k, INT64_MIN, INT64_MAX);
	model_check(&now, s, &rng);

	assert_int_equal(1, n_snapshots(s));
	assert_int_equal(0, store_snapshot_delete(s, str_from(name), NULL));
	assert_int_equal(0, n_snapshots(s));
	assert_int_equal(-1, stat(path, &st));
	model_check(&now, s, &rng);
	store_close(s);
}

static void test_tombstones_are_in_it(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path), *copy;
	char name[STORE_SNAPSHOT_NAME_MAX], path[PATH_MAX];

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	fill(&m, s, &rng);
	assert_true(delete_all(s) > 0);
	assert_int_equal(0, store_snapshot_create(s, name, NULL));
	store_close(s);
	(void)snprintf(path, sizeof(path), "%s/snapshots/%s", dir.path, name);
	copy = open_at(path);
	for (uint32_t k = 0; k < MODEL_SERIES; k++)
		model_delete(&m, 0, k, INT64_MIN, INT64_MAX);
	model_check(&m, copy, &rng);
	store_close(copy);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "",
		                           ".",
		                           "..",
		                           "../blocks",
		                           ".new",
		                           "nope",
		                           "20260101T000000Z",
		                           "20260101T000000Z/../../blocks" };
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct store *s = open_at(dir.path);
	char a[STORE_SNAPSHOT_NAME_MAX], b[STORE_SNAPSHOT_NAME_MAX];

	(void)state;
	assert_int_equal(0, store_snapshot_create(s, a, NULL));
	assert_int_equal(0, store_snapshot_create(s, b, NULL));
	assert_string_not_equal(a, b);
	assert_int_equal(2, n_snapshots(s));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;

		unit_note("\"%s\"", bad[i]);
		assert_int_equal(-ENOENT, store_snapshot_delete(s, str_from(bad[i]), &e));
		assert_non_null(strstr(e.msg, "there is no snapshot"));
	}
	assert_int_equal(2, n_snapshots(s));
	store_close(s);
}

/* ---- failures ------------------------------------------------------------- */

static struct vfs failing;
static unsigned n_links_left;

static int some_links(const char *from, const char *to)
{
	return n_links_left-- > 0 ? vfs_posix.link(from, to) : -ENOSPC;
}

static void test_half_a_snapshot_is_none(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);
	char name[STORE_SNAPSHOT_NAME_MAX], path[PATH_MAX];
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	fill(&m, s, &rng);
	failing = vfs_posix;
	failing.link = some_links;
	n_links_left = 4;
	vfs_set(&failing);
	assert_int_equal(-ENOSPC, store_snapshot_create(s, name, &e));
	assert_non_null(strstr(e.msg, "No space left"));
	vfs_set(NULL);
	assert_int_equal(0, n_snapshots(s));
	/* What a crash leaves is removed at the start. */
	(void)snprintf(path, sizeof(path), "%s/snapshots/.new/blocks/00000001", dir.path);
	assert_int_equal(0, vfs()->mkdir(path));
	store_close(s);
	s = open_at(dir.path);
	assert_int_equal(-1, stat(path, &st));
	assert_int_equal(0, n_snapshots(s));
	model_check(&m, s, &rng);
	assert_int_equal(0, store_snapshot_create(s, name, &e));
	assert_int_equal(1, n_snapshots(s));
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_tombstones_are_in_it),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_half_a_snapshot_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
