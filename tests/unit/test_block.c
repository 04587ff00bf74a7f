/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks: what a writer was given comes back by every way of reading, and a byte that changes costs
 * the page that it is on, with a sentence that names it.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "store/block.h"
#include "store/block_column.h"
#include "store/block_text.h"
#include "store/block_write.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/file.h"
#include "userspace/base/vfs.h"

#define HOUR_MS     3600000ll
#define N_ORGS      2u
#define N_NAMES     3u
#define N_INSTANCES 150u
#define N_SERIES    (N_ORGS * N_NAMES * N_INSTANCES)
#define N_TIMES     700u

static const char *const orgs[N_ORGS] = { "acme", "zoo" };
static const char *const names[N_NAMES] = { "cpu", "mem", "up" };
static const char *const regions[] = { "ams", "fra", "iad" };

/* Series s of the model: its samples, all of which are in [0, 6 h). */
static uint32_t model_samples(uint32_t s, int64_t *ts_ms, double *values)
{
	struct rng rng = { s };
	uint32_t n = 0;

	for (uint32_t i = 0; i < N_TIMES; i++) {
		if (s % 7 == 3 && i % 5 == 0)
			continue; /* has gaps, so timestamps of its own */
		ts_ms[n] = (int64_t)i * 30000 + s / N_INSTANCES;
		values[n++] = s % 3 == 0 ? (double)s : (double)rng_below(&rng, 1000) / 10;
	}
	return n;
}

static void must_text(struct block_writer *w, const char *name, const char *value, uint32_t *ret)
{
	assert_int_equal(0, block_writer_text(w, str_from(name), str_from(value), ret));
}

static void instance_of(uint32_t i, char *dst)
{
	(void)snprintf(dst, 16, "i%05u", i * 7);
}

static void write_series(struct block_writer *w, uint32_t s)
{
	static int64_t ts_ms[N_TIMES];
	static double values[N_TIMES];
	uint32_t i = s % N_INSTANCES, texts[4], n_texts = 0;
	char instance[16];

	instance_of(i, instance);
	must_text(w, "__name__", names[s / N_INSTANCES % N_NAMES], &texts[n_texts++]);
	must_text(w, "instance", instance, &texts[n_texts++]);
	if (i % 4 != 0)
		must_text(w, "region", regions[i % 3], &texts[n_texts++]);
	assert_int_equal(0, block_writer_series(w, texts, n_texts));
	uint32_t n = model_samples(s, ts_ms, values);

	assert_int_equal(0, block_writer_samples(w, ts_ms, values, n));
}

static void write_block(const char *dir, struct block_meta *meta)
{
	char path[PATH_MAX];
	struct block_writer *w;

	block_path(dir, 1, path);
	const struct block_writer_conf conf = { .dir = path,
		                                .page_bytes = 4096,
		                                .zstd_level = 1,
		                                .slice_ms = HOUR_MS,
		                                .min_ms = 0,
		                                .max_ms = 6 * HOUR_MS };

	assert_int_equal(0, block_writer_new(&w, &conf));
	for (uint32_t s = 0; s < N_SERIES; s++) {
		if (s % (N_NAMES * N_INSTANCES) == 0)
			assert_int_equal(
				0, block_writer_org(w, str_from(orgs[s / (N_SERIES / N_ORGS)])));
		write_series(w, s);
	}
	*meta = (struct block_meta){ .level = 1, .min_epoch = 3, .max_epoch = 4, .deleted = 5 };
	assert_int_equal(0, block_writer_finish(w, meta));
	block_writer_free(w);
}

static struct block *open_block(const char *dir)
{
	struct err e = ERR_INIT;
	struct block *b = NULL;

	if (block_open(&b, dir, 1, &e) < 0)
		fail_msg("%s", e.msg);
	return b;
}

static void test_figures(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct block_meta written;
	struct block *b;

	(void)state;
	write_block(dir.path, &written);
	b = open_block(dir.path);
	assert_int_equal(written.n_samples, b->meta.n_samples);
	assert_int_equal(N_SERIES, b->meta.n_series);
	assert_int_equal(written.n_texts, b->meta.n_texts);
	/* Of each organisation: three names, all instances and regions, and the three alone. */
	assert_int_equal(N_ORGS * (N_NAMES + N_INSTANCES + ARRAY_SIZE(regions) + 3),
	                 b->meta.n_texts);
	assert_int_equal(6, b->meta.n_slices);
	assert_int_equal(3, b->meta.min_epoch);
	assert_int_equal(4, b->meta.max_epoch);
	assert_int_equal(5, b->meta.deleted);
	assert_int_equal(0, b->meta.min_ms);
	assert_int_equal((N_TIMES - 1) * 30000 + N_ORGS * N_NAMES - 1, b->meta.max_ms);
	assert_null(block_find_org(b, STR("other")));
	const struct block_org *zoo = block_find_org(b, STR("zoo"));

	assert_non_null(zoo);
	assert_int_equal(N_SERIES / 2, zoo->first_series);
	assert_int_equal(N_SERIES / 2, zoo->n_series);
	block_unref(b);
}

/* All samples of all series, in the order of slices for each, against the model. */
static void check_columns(struct block *b)
{
	static int64_t ts_ms[N_TIMES];
	static double values[N_TIMES], got[COLUMN_ROWS_MAX];
	struct column_cursor cursors[6];
	struct err e = ERR_INIT;

	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(0, column_cursor_open(&cursors[i], b, i, &e));
	for (uint32_t s = 0; s < N_SERIES; s += 1 + s % 5) {
		uint32_t n = model_samples(s, ts_ms, values), at = 0;

		for (uint32_t i = 0; i < 6; i++) {
			struct column col;
			int r;

			while ((r = column_cursor_next(&cursors[i], s, &col, &e)) == 0) {
				assert_true(at + col.n <= n);
				assert_memory_equal(ts_ms + at, col.ts_ms, col.n * sizeof(*ts_ms));
				assert_int_equal(0, column_values(&cursors[i], &col, got, &e));
				assert_memory_equal(values + at, got, col.n * sizeof(*got));
				at += col.n;
			}
			assert_int_equal(1, r);
		}
		assert_int_equal(n, at);
	}
	for (uint32_t i = 0; i < 6; i++)
		column_cursor_close(&cursors[i]);
}

static void check_labels(struct block *b)
{
	static struct series_page page;
	struct block_reader reader = { 0 };
	struct err e = ERR_INIT;
	uint32_t n_seen = 0;

	while (n_seen < N_SERIES) {
		assert_int_equal(0, series_page_read(b, &reader, n_seen, &page, &e));
		assert_int_equal(n_seen, page.first);
		for (uint32_t i = 0, at = 0; i < page.n; at = page.ends[i++]) {
			uint32_t s = n_seen + i;

			assert_int_equal(s % N_INSTANCES % 4 != 0 ? 3 : 2, page.ends[i] - at);
			/* Names come first in each organisation: all of them, then cpu, mem, up. */
			assert_int_equal(s / N_INSTANCES % N_NAMES + 1 +
			                         (s >= N_SERIES / 2 ? b->meta.n_texts / 2 : 0),
			                 page.texts[at]);
		}
		n_seen += page.n;
	}
	assert_int_equal(N_SERIES, n_seen);
	block_reader_done(&reader);
}

static void check_postings(struct block *b)
{
	struct block_reader reader = { 0 };
	struct err e = ERR_INIT;
	roaring_bitmap_t *set = roaring_bitmap_create();

	assert_int_equal(0, text_or_exact(b, &reader, 1, STR("region"), STR("fra"), set, &e));
	for (uint32_t s = 0; s < N_SERIES; s++) {
		uint32_t i = s % N_INSTANCES;

		assert_int_equal(s >= N_SERIES / 2 && i % 4 != 0 && i % 3 == 1,
		                 roaring_bitmap_contains(set, s));
	}
	roaring_bitmap_clear(set);
	assert_int_equal(0, text_or_exact(b, &reader, 0, STR("region"), STR_NULL, set, &e));
	for (uint32_t s = 0; s < N_SERIES; s++)
		assert_int_equal(s < N_SERIES / 2 && s % N_INSTANCES % 4 != 0,
		                 roaring_bitmap_contains(set, s));
	roaring_bitmap_clear(set);
	assert_int_equal(0, text_or_exact(b, &reader, 0, STR("__name__"), STR("mem"), set, &e));
	assert_int_equal(N_INSTANCES, roaring_bitmap_get_cardinality(set));
	assert_int_equal(N_INSTANCES, roaring_bitmap_minimum(set));
	roaring_bitmap_clear(set);
	assert_int_equal(0, text_or_exact(b, &reader, 0, STR("region"), STR("nowhere"), set, &e));
	assert_int_equal(0, text_or_exact(b, &reader, 0, STR("zzz"), STR("x"), set, &e));
	assert_int_equal(0, text_or_exact(b, &reader, 7, STR("region"), STR("fra"), set, &e));
	assert_true(roaring_bitmap_is_empty(set));
	roaring_bitmap_free(set);
	block_reader_done(&reader);
}

static void check_walk(struct block *b)
{
	struct block_reader reader = { 0 };
	struct err e = ERR_INIT;
	struct text_entry entry;
	struct text_walk walk;
	uint32_t n = 0;
	char instance[16];

	assert_int_equal(0, text_walk_start(&walk, b, &reader, 1, STR("instance"), STR("i"), &e));
	while (text_walk_next(&walk, &entry, &e) == 0 && str_eqc(entry.name, "instance")) {
		instance_of(n++, instance);
		assert_true(str_eqc(entry.value, instance));
		assert_int_equal(1, entry.org);
	}
	assert_int_equal(N_INSTANCES, n);
	assert_true(str_eqc(entry.name, "region"));
	assert_int_equal(0, entry.value.len);
	for (n = 1; text_walk_next(&walk, &entry, &e) == 0; n++)
		;
	assert_int_equal(1 + ARRAY_SIZE(regions), n); /* the last of the block */
	block_reader_done(&reader);
}

static void test_round_trip(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct block_meta written;
	struct block *b;

	(void)state;
	write_block(dir.path, &written);
	b = open_block(dir.path);
	check_columns(b);
	check_labels(b);
	check_postings(b);
	check_walk(b);
	block_unref(b);
}

/* Equal columns of timestamps are there once: six sets of names, and those with gaps. */
static void test_times_are_shared(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct block_meta written;
	struct block *b;

	(void)state;
	write_block(dir.path, &written);
	b = open_block(dir.path);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(2 * N_ORGS * N_NAMES, b->slices[i].meta.n_times);
	block_unref(b);
}

static void test_replaced_block_goes_with_its_reader(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct block_meta written;
	struct block *b;
	char path[PATH_MAX];

	(void)state;
	write_block(dir.path, &written);
	b = open_block(dir.path);
	block_path(dir.path, 1, path);
	block_ref(b);
	atomic_store(&b->is_replaced, true);
	block_unref(b);
	assert_int_equal(0, access(path, F_OK));
	check_columns(b); /* somebody still reads */
	block_unref(b);
	assert_int_equal(-1, access(path, F_OK));
}

/* ---- damage --------------------------------------------------------------- */

static void flip(const char *dir, const char *file, uint64_t at)
{
	char path[PATH_MAX];
	uint8_t byte;

	(void)snprintf(path, sizeof(path), "%s/blocks/00000001/%s", dir, file);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(1, pread(fd, &byte, 1, (off_t)at));
	byte ^= 0x10;
	assert_int_equal(1, pwrite(fd, &byte, 1, (off_t)at));
	(void)close(fd);
}

/* Reads everything; counts series whose samples came whole, and those that met an error. */
static void read_all(struct block *b, uint32_t *ret_good, uint32_t *ret_bad, struct err *e)
{
	static int64_t ts_ms[N_TIMES];
	static double values[N_TIMES], got[COLUMN_ROWS_MAX];
	static bool is_bad[N_SERIES];

	memset(is_bad, 0, sizeof(is_bad));
	*ret_good = *ret_bad = 0;
	for (uint32_t i = 0; i < b->meta.n_slices; i++) {
		struct column_cursor c;
		struct column col;

		if (column_cursor_open(&c, b, i, e) < 0)
			memset(is_bad, 1, sizeof(is_bad));
		for (uint32_t s = 0; s < N_SERIES && c.values_list && c.times_list; s++) {
			int r, found = 0;

			while ((r = column_cursor_next(&c, s, &col, e)) != 1) {
				found += r == 0 && column_values(&c, &col, got, e) == 0;
				is_bad[s] |= r < 0;
			}
			is_bad[s] |= found == 0 && model_samples(s, ts_ms, values) > 0;
		}
		column_cursor_close(&c);
	}
	for (uint32_t s = 0; s < N_SERIES; s++)
		*(is_bad[s] ? ret_bad : ret_good) += 1;
}

static void test_a_bad_page_costs_itself(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct err e = ERR_INIT;
	struct block_meta written;
	uint32_t good, bad;
	struct block *b;

	(void)state;
	write_block(dir.path, &written);
	flip(dir.path, "chunks", written.chunks_bytes / 2);
	b = open_block(dir.path);
	read_all(b, &good, &bad, &e);
	unit_note("%u of %u series are damaged: %s", bad, good + bad, e.msg);
	assert_true(bad > 0);
	assert_true(bad < N_SERIES / 4);
	assert_true(atomic_load(&b->n_bad_pages) > 0);
	assert_non_null(strstr(e.msg, "/blocks/00000001/chunks: the page at byte "));
	block_unref(b);
}

/* Whatever byte of the index changes: it opens or not, and nothing crashes. */
static void test_damaged_index(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct rng rng = unit_rng();
	struct block_meta written;
	unsigned n_refused = 0, n_bad = 0;

	(void)state;
	write_block(dir.path, &written);
	struct block *b = open_block(dir.path);
	uint64_t bytes = b->index_bytes;

	block_unref(b);
	for (unsigned round = 0; round < 400; round++) {
		static struct series_page page;
		struct block_reader reader = { 0 };
		struct err e = ERR_INIT;
		struct text_entry entry;
		struct text_walk walk;
		uint64_t at = round < 30 ? bytes - 1 - round : rng_u64(&rng) % bytes;
		roaring_bitmap_t *set = roaring_bitmap_create();

		flip(dir.path, "index", at);
		if (block_open(&b, dir.path, 1, &e) < 0) {
			n_refused++;
			assert_true(e.msg[0] != '\0');
		} else {
			int r = text_walk_start(&walk, b, &reader, 0, STR("a"), STR_NULL, &e);

			while (r == 0 && (r = text_walk_next(&walk, &entry, &e)) == 0)
				r = 0;
			(void)text_or_exact(b, &reader, 0, STR("region"), STR("fra"), set, &e);
			for (uint32_t s = 0; s < N_SERIES; s += 100)
				(void)series_page_read(b, &reader, s, &page, &e);
			n_bad += e.code < 0;
			block_unref(b);
		}
		block_reader_done(&reader);
		roaring_bitmap_free(set);
		flip(dir.path, "index", at);
	}
	unit_note("%u refused, %u bad pages", n_refused, n_bad);
	assert_true(n_refused >= 24); /* the tail, at least */
	assert_true(n_bad > 100);
	b = open_block(dir.path);
	check_labels(b);
	block_unref(b);
}

static void test_later_version(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	struct block_meta written;
	struct err e = ERR_INIT;
	char path[PATH_MAX];
	uint8_t head[PAGE_FILE_HEAD];
	struct block *b;

	(void)state;
	write_block(dir.path, &written);
	page_file_head(BLOCK_INDEX_MARK, BLOCK_VERSION + 1, head);
	(void)snprintf(path, sizeof(path), "%s/blocks/00000001/index", dir.path);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(sizeof(head), pwrite(fd, head, sizeof(head), 0));
	(void)close(fd);
	assert_int_equal(-EPROTO, block_open(&b, dir.path, 1, &e));
	assert_non_null(strstr(e.msg, "written by a newer version"));
	e = ERR_INIT;
	assert_int_equal(-ENOENT, block_open(&b, dir.path, 2, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_times_are_shared),
		cmocka_unit_test(test_replaced_block_goes_with_its_reader),
		cmocka_unit_test(test_a_bad_page_costs_itself),
		cmocka_unit_test(test_damaged_index),
		cmocka_unit_test(test_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
