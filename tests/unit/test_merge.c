/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging: which blocks are chosen; that no sample changes by it, in any order of flushes and
 * merges; that what is over goes, organisation by organisation; and what it does without space, or
 * with a block that is damaged.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "store/merge_plan.h"
#include "tests/unit/store_model.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/vfs.h"

#define HOUR_MS      3600000ll
#define RETENTION_MS (400 * MODEL_DAY_MS)

/* ---- the plan ------------------------------------------------------------- */

#define PLAN_BLOCKS 80u

struct plan {
	struct block blocks[PLAN_BLOCKS];
	struct view *view;
	struct merge_rules rules;
	struct merge_job job;
};

/* @n blocks of a level whose samples begin in hour @hour, @hours long. */
static void add_blocks(struct plan *p, size_t n, uint32_t level, int64_t hour, int64_t hours,
                       uint64_t bytes)
{
	for (size_t i = 0; i < n; i++) {
		struct block *b = &p->blocks[p->view->n];

		assert_true(p->view->n < PLAN_BLOCKS);
		*b = (struct block){ .number = p->view->n + 1, .index_bytes = bytes };
		b->meta = (struct block_meta){ .level = level,
			                       .min_ms = hour * HOUR_MS,
			                       .max_ms = (hour + hours) * HOUR_MS - 1 };
		p->view->blocks[p->view->n++] = b;
	}
}

static struct plan *plan_new(int64_t now_hour)
{
	struct plan *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->view = calloc(1, sizeof(*p->view) + PLAN_BLOCKS * sizeof(p->view->blocks[0]));
	assert_non_null(p->view);
	p->rules = (struct merge_rules){ .windows = windows_for(RETENTION_MS),
		                         .now_ms = now_hour * HOUR_MS,
		                         .floor_epoch = 1 };
	return p;
}

static void plan_free(struct plan *p)
{
	free(p->view);
	free(p);
}

static void expect_job(struct plan *p, size_t n, uint32_t level)
{
	assert_true(merge_plan(p->view, &p->rules, &p->job));
	assert_int_equal(n, p->job.n);
	assert_int_equal(level, p->job.level);
}

static void expect_none(struct plan *p)
{
	assert_false(merge_plan(p->view, &p->rules, &p->job));
}

static void test_plan_by_windows(void **state)
{
	/* Hour 2400 begins a day and a window of the highest level ends at 2976 (31 d * 4). */
	struct plan *p = plan_new(2402);

	(void)state;
	add_blocks(p, 5, 0, 2400, 1, 1 << 20);
	expect_none(p); /* its two hours are over, but late samples may still come */
	p->rules.now_ms += HOUR_MS / 2;
	expect_job(p, 5, 1);
	assert_int_equal(5 << 20, p->job.bytes);
	assert_int_equal(2400 * HOUR_MS, p->job.begin_ms);
	assert_int_equal(2401 * HOUR_MS, p->job.end_ms);
	p->blocks[2].meta.max_epoch = 1; /* still in the head: the others go without it */
	expect_job(p, 4, 1);
	plan_free(p);

	p = plan_new(2425);
	add_blocks(p, 1, 1, 2400, 2, 1 << 20);
	add_blocks(p, 1, 1, 2402, 2, 1 << 20);
	add_blocks(p, 2, 0, 2422, 2, 1 << 20);
	expect_job(p, 4, 2); /* the day is over: all of it at once */
	p->rules.now_ms -= HOUR_MS;
	expect_none(p);
	plan_free(p);
}

static void test_plan_gathers_what_is_small(void **state)
{
	struct plan *p = plan_new(2401);

	(void)state;
	add_blocks(p, 11, 0, 2400, 1, 1 << 20);
	expect_none(p);
	add_blocks(p, 1, 0, 2400, 1, 100 << 20);
	expect_none(p); /* a twelfth, but it is not small */
	add_blocks(p, 1, 0, 2400, 1, 1 << 20);
	expect_job(p, 12, 0);
	plan_free(p);

	p = plan_new(2500);
	add_blocks(p, 1, 3, 2300, 100, 64 << 20);
	add_blocks(p, 3, 3, 2301, 90, 4 << 20);
	expect_none(p);
	add_blocks(p, 1, 3, 2302, 80, 4 << 20);
	expect_job(p, 4, 3); /* late ones of an old window, and not the big one */
	plan_free(p);
}

static void test_plan_is_bounded(void **state)
{
	struct plan *p = plan_new(2500);

	(void)state;
	add_blocks(p, 70, 0, 2400, 1, 1 << 20);
	expect_job(p, MERGE_BLOCKS_MAX, 0); /* no level higher: the others are not in it */
	plan_free(p);
}

static void test_plan_when_forced(void **state)
{
	struct plan *p = plan_new(2401);

	(void)state;
	p->rules.is_forced = true;
	add_blocks(p, 2, 0, 2400, 1, 1 << 20);
	add_blocks(p, 1, 2, 2376, 24, 100 << 20);
	expect_job(p, 3, 3);
	atomic_store(&p->blocks[0].is_damaged, true);
	expect_job(p, 2, 3);
	plan_free(p);

	p = plan_new(2401);
	p->rules.is_forced = true;
	add_blocks(p, 1, 3, 2400, 1, 1 << 20);
	expect_none(p); /* or it would never end */
	plan_free(p);
}

/* ---- the store ------------------------------------------------------------ */

static struct store *open_at(const char *dir, int64_t retention_ms, uint64_t reserve)
{
	const struct store_conf conf = { .dir = dir,
		                         .retention_ms = retention_ms,
		                         .disk_reserve_bytes = reserve,
		                         .is_manual = true };
	struct err e = ERR_INIT;
	struct store *s;

	if (store_open(&s, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static struct store_stats stats_of(struct store *s)
{
	struct store_stats st;

	store_stats(s, &st);
	return st;
}

/* One of the things that happen to a store. */
static void do_something(struct model *m, struct store **s, const char *dir, struct rng *rng)
{
	uint32_t from = rng_below(rng, MODEL_TIMES - 20);

	switch (rng_below(rng, 12)) {
	case 0:
		assert_int_equal(0, store_merge(*s));
		break;
	case 1:
		store_maintain(*s);
		break;
	case 2:
		store_close(*s);
		*s = open_at(dir, RETENTION_MS, 0);
		break;
	case 3:
	case 4:
		assert_int_equal(0, store_flush(*s));
		break;
	default:
		assert_int_equal(0, model_append(m, *s, rng, rng_below(rng, MODEL_ORGS), from,
		                                 from + 20, 1 + rng_below(rng, 64)));
	}
}

static void test_no_sample_changes(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path, RETENTION_MS, 0);

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 300; i++) {
		do_something(&m, &s, dir.path, &rng);
		if (i % 10 == 9)
			model_check(&m, s, &rng);
	}
	assert_int_equal(0, store_merge(s));
	model_check(&m, s, &rng);
	assert_in_range(stats_of(s).blocks, 1, 3); /* 41 days are in two or three months */
	store_close(s);
	s = open_at(dir.path, RETENTION_MS, 0);
	model_check(&m, s, &rng);
	store_close(s);
}

/* A scan sees its moment to the end, whatever is merged meanwhile. */
static void test_scan_keeps_what_is_merged_away(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf want = BUF_INIT, got = BUF_INIT;
	const struct store_select sel = { .org = STR("acme"),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path, RETENTION_MS, 0);
	struct store_scan *scan;
	struct store_series one;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 4; i++) {
		assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
		assert_int_equal(0, store_flush(s));
	}
	assert_int_equal(0, store_scan_open(s, &sel, &scan, NULL));
	model_text(&m, 0, INT64_MIN, INT64_MAX, &want);
	assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
	assert_int_equal(0, store_merge(s));
	while (store_scan_next(scan, &one) == 0) {
		for (uint32_t i = 0; i < one.n_labels; i++)
			buf_printf(&got, "%.*s,", STR_FMT(one.labels[i].value));
		for (uint32_t i = 0; i < one.n; i++)
			model_put_sample(&got, one.ts_ms[i], one.values[i]);
		buf_putc(&got, '\n');
	}
	assert_string_equal(buf_cstr(&want), buf_cstr(&got));
	store_scan_close(scan);
	model_check(&m, s, &rng);
	store_close(s);
}

/* ---- retention ------------------------------------------------------------ */

static int64_t now_ms;

static int64_t fake_unix_ms(void)
{
	return now_ms;
}

static uint64_t fake_mono_ns(void)
{
	return (uint64_t)now_ms * 1000000;
}

static const struct clock_ops fake_clock = { fake_unix_ms, fake_mono_ns };

static void test_retention(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	const struct store_limits five_days = { .retention_ms = 5 * MODEL_DAY_MS };
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s;

	(void)state;
	now_ms = 1700000000000ll;
	clock_set(&fake_clock);
	m = (struct model){ .now_ms = now_ms };
	s = open_at(dir.path, 60 * MODEL_DAY_MS, 0);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(0, model_append(&m, s, &rng, i % 2, 0, MODEL_TIMES, 64));
	assert_int_equal(0, store_flush(s));
	assert_int_equal(0, store_set_limits(s, STR("zoo"), &five_days));
	/* At once for queries, */
	for (uint32_t k = 0; k < MODEL_SERIES; k++)
		model_delete(&m, 1, k, INT64_MIN, now_ms - 5 * MODEL_DAY_MS - 1);
	model_check(&m, s, &rng);
	/* and on the disk when enough of a block is over, and it has left memory. */
	uint64_t before = stats_of(s).block_samples;

	now_ms += 3 * HOUR_MS;
	for (uint32_t k = 0; k < MODEL_SERIES; k++)
		model_delete(&m, 1, k, INT64_MIN, now_ms - 5 * MODEL_DAY_MS - 1);
	store_maintain(s);
	model_check(&m, s, &rng);
	assert_true(stats_of(s).block_samples < before);

	now_ms += 19 * MODEL_DAY_MS; /* all that zoo has is over, and a part of acme's */
	for (uint32_t org = 0; org < MODEL_ORGS; org++) {
		for (uint32_t k = 0; k < MODEL_SERIES; k++)
			model_delete(&m, org, k, INT64_MIN,
			             now_ms - (org ? 5 : 60) * MODEL_DAY_MS - 1);
	}
	assert_int_equal(0, store_merge(s));
	model_check(&m, s, &rng);
	now_ms += 60 * MODEL_DAY_MS;
	store_maintain(s);
	assert_int_equal(0, stats_of(s).blocks);
	assert_true(stats_of(s).expired_blocks > 0);
	store_close(s);
	clock_set(NULL);
}

/* ---- no space, damage ----------------------------------------------------- */

static struct vfs small_disk;

static int no_room(const char *path, uint64_t *ret_free)
{
	(void)path;
	*ret_free = 1 << 20;
	return 0;
}

static void test_waits_for_space(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path, RETENTION_MS, 2 << 20);

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
		assert_int_equal(0, store_flush(s));
	}
	uint64_t blocks = stats_of(s).blocks;

	small_disk = vfs_posix;
	small_disk.room = no_room;
	vfs_set(&small_disk);
	assert_int_equal(0, store_merge(s));
	assert_int_equal(blocks, stats_of(s).blocks);
	assert_int_equal(1, stats_of(s).merges_put_off);
	vfs_set(NULL);
	assert_int_equal(0, store_merge(s));
	assert_true(stats_of(s).blocks < blocks);
	model_check(&m, s, &rng);
	store_close(s);
}

/* Changes a byte in the middle of the columns of block @number. */
static void damage_block(const char *dir, unsigned number)
{
	char path[PATH_MAX];
	uint8_t byte;

	(void)snprintf(path, sizeof(path), "%s/blocks/%08u/chunks", dir, number);
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	off_t at = lseek(fd, 0, SEEK_END) / 2;

	assert_int_equal(1, pread(fd, &byte, 1, at));
	byte ^= 0x55;
	assert_int_equal(1, pwrite(fd, &byte, 1, at));
	assert_int_equal(0, close(fd));
}

static uint64_t count_samples(struct store *s, uint64_t *ret_warnings)
{
	const struct store_select sel = { .org = STR("acme"),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	struct store_scan *scan;
	struct store_series one;
	uint64_t n = 0;

	assert_int_equal(0, store_scan_open(s, &sel, &scan, NULL));
	while (store_scan_next(scan, &one) == 0)
		n += one.n;
	(void)store_scan_warning(scan, ret_warnings);
	store_scan_close(scan);
	return n;
}

/* What can be read of a damaged block can still be read after merges, and they end. */
static void test_leaves_damage_alone(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path, RETENTION_MS, 0);
	uint64_t warnings, before, after;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, model_append(&m, s, &rng, 0, 100, 200, 64));
		assert_int_equal(0, store_flush(s));
	}
	store_close(s);
	damage_block(dir.path, 1);
	s = open_at(dir.path, RETENTION_MS, 0);
	before = count_samples(s, &warnings);
	assert_true(before > 0);
	assert_true(warnings > 0);
	assert_int_equal(-EBADMSG, store_merge(s));
	assert_int_equal(0, store_merge(s)); /* the others */
	after = count_samples(s, &warnings);
	assert_int_equal(before, after);
	assert_true(warnings > 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_by_windows),
		cmocka_unit_test(test_plan_gathers_what_is_small),
		cmocka_unit_test(test_plan_is_bounded),
		cmocka_unit_test(test_plan_when_forced),
		cmocka_unit_test(test_no_sample_changes),
		cmocka_unit_test(test_scan_keeps_what_is_merged_away),
		cmocka_unit_test(test_retention),
		cmocka_unit_test(test_waits_for_space),
		cmocka_unit_test(test_leaves_damage_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
