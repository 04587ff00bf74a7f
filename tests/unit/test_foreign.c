/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Series that are not in the catalogue: what an app may say of itself, and what it may not. Then
 * the same in a batch: times, stale marks, and what a request made of it holds.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"
#include "userspace/host/delivery/encoder.h"
#include "userspace/host/foreign.h"
#include "userspace/host/stale.h"
#include "userspace/host/vm.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rw2.h"

DEFINE_CLEANUP(struct batch *, batch_free);

/* a="b",c="d" into labels; the metric's name is one of them. */
static uint32_t parse(const char *text, struct label *labels)
{
	struct str rest = str_from(text), one;
	uint32_t n = 0;

	while (rest.len > 0) {
		(void)str_cut(rest, ',', &one, &rest);
		(void)str_cut(one, '=', &labels[n].name, &labels[n].value);
		n++;
	}
	return n;
}

static void test_labels(void **state)
{
	static const struct str standard[] = { STR_INIT("web"), STR_INIT("00ff"), STR_INIT("i1"),
		                               STR_INIT("") }; /* app, host, instance, region */
	static const struct {
		const char *own, *want;
		int r;
	} rows[] = {
		/* clang-format off */
		{ "__name__=m", "m{__org__=\"acme\",app=\"web\",host=\"00ff\",instance=\"i1\"} 1", 0 },
		{ "__name__=m,z=1,b=2", "m{__org__=\"acme\",app=\"web\",b=\"2\",host=\"00ff\",instance=\"i1\",z=\"1\"} 1", 0 },
		{ "__name__=m,instance=mine,app=theirs,host=", "m{__org__=\"acme\",app=\"web\",host=\"00ff\",instance=\"i1\"} 1", 0 },
		{ "__name__=m,region=fra", "m{__org__=\"acme\",app=\"web\",host=\"00ff\",instance=\"i1\",region=\"fra\"} 1", 0 },
		{ "__name__=m,__org__=victim,__x=y", "m{__org__=\"acme\",app=\"web\",host=\"00ff\",instance=\"i1\"} 1", 0 },
		{ "__name__=m,Upper=1,empty=", "m{__org__=\"acme\",Upper=\"1\",app=\"web\",host=\"00ff\",instance=\"i1\"} 1", 0 },
		{ "__name__=m,a=1,a=2", NULL, -EINVAL },
		{ "__name__=m,instance=1,instance=2", "m{__org__=\"acme\",app=\"web\",host=\"00ff\",instance=\"i1\"} 1", 0 },
		{ "__name__=", NULL, -EINVAL },
		{ "a=1", NULL, -EINVAL },
		{ "", NULL, -EINVAL },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct label own[8];
		struct foreign f;

		unit_note("%s", rows[i].own);
		assert_int_equal(rows[i].r, foreign_make(&a, own, parse(rows[i].own, own),
		                                         STR("acme"), standard, &f));
		if (rows[i].r < 0)
			continue;
		promtext_write_sample(&out, f.labels, f.n_labels, 1, NULL);
		assert_str_equal(str_from(rows[i].want), str_trim(buf_str(&out)));
	}
}

static void test_too_many(void **state)
{
	static const struct str standard[SERIES_STANDARD_N] = { STR_INIT("web") };
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	static char names[LABELS_MAX][8];
	struct label own[LABELS_MAX] = { { STR_INIT(LABEL_NAME), STR_INIT("m") } };
	struct foreign f;

	(void)state;
	for (uint32_t i = 1; i < LABELS_MAX; i++) {
		(void)snprintf(names[i], 8, "l%u", i);
		own[i] = (struct label){ str_from(names[i]), STR("v") };
	}
	assert_int_equal(-ENOSPC, foreign_make(&a, own, LABELS_MAX, STR("o"), standard, &f));
	/* Room is kept for all standard labels and the organisation. */
	assert_int_equal(-ENOSPC, foreign_make(&a, own, LABELS_MAX - 4, STR("o"), standard, &f));
	assert_int_equal(0, foreign_make(&a, own, LABELS_MAX - 5, STR("o"), standard, &f));
	assert_int_equal(LABELS_MAX - 3, f.n_labels);
}

static const struct label metric[] = { { STR_INIT(LABEL_NAME), STR_INIT("m") },
	                               { STR_INIT("Kind"), STR_INIT("x") },
	                               { STR_INIT("z"), STR_INIT("1") } };

static struct batch *make(uint32_t n_labels, const int64_t *ts_ms)
{
	const struct vm vm = { .id = 7, .org = "acme", .app = "web", .instance = "i1" };
	const struct rw2_meta meta = { RW_TYPE_COUNTER, STR("Help."), STR("bytes") };
	struct batch *b = NULL;

	assert_int_equal(0, batch_new(&b, 10));
	assert_int_equal(0, batch_begin_vm(b, &vm, 1000));
	assert_int_equal(0, batch_add(b, FLY_INSTANCE_UP, NULL, 1));
	assert_int_equal(0, batch_add_foreign(b, metric, n_labels, 5, ts_ms,
	                                      batch_keep_meta(b, &meta)));
	return b;
}

static int write_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                        const struct sample *s)
{
	(void)id;
	promtext_write_sample(ctx, labels, n, s->value, &s->ts_ms);
	return 0;
}

static void assert_batch(const struct batch *b, bool with_org, const char *want)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(0, batch_each(b, with_org, write_sample, &out));
	assert_string_equal(want, buf_cstr(&out));
}

static void test_in_a_batch(void **state)
{
	const int64_t ts_ms = 77;
	_cleanup_(batch_freep) struct batch *b = make(3, NULL), *timed = make(2, &ts_ms);
	const struct label bad[] = { { STR("x"), STR("y") } };

	(void)state;
	assert_batch(b, true,
	             "fly_instance_up{__org__=\"acme\",app=\"web\",instance=\"i1\"} 1 1000\n"
	             "m{__org__=\"acme\",Kind=\"x\",app=\"web\",instance=\"i1\",z=\"1\"} 5 1000\n");
	assert_batch(timed, false,
	             "fly_instance_up{app=\"web\",instance=\"i1\"} 1 1000\n"
	             "m{Kind=\"x\",app=\"web\",instance=\"i1\"} 5 77\n");
	assert_int_equal(-EINVAL, batch_add_foreign(b, bad, 1, 1, NULL, NULL));
	assert_int_equal(1, batch_n_refused(b));
	assert_true(batch_series_hash(b, 1) != batch_series_hash(timed, 1));
	/* Stale marks are told of them as of any other. */
	assert_int_equal(1, stale_mark_ended(b, timed, 2000));
	assert_int_equal(1, stale_mark_ended(timed, b, 2000));
	assert_batch(timed, false,
	             "fly_instance_up{app=\"web\",instance=\"i1\"} 1 1000\n"
	             "m{Kind=\"x\",app=\"web\",instance=\"i1\"} 5 77\n"
	             "m{Kind=\"x\",app=\"web\",instance=\"i1\",z=\"1\"} NaN 1000\n");
}

static void on_block(void *ctx, struct str packed, uint32_t n_samples, uint8_t lane, uint8_t lanes)
{
	(void)lane;
	assert_int_equal(1, lanes);
	assert_int_equal(2, n_samples);
	assert_int_equal(0, coding_unpack(CODING_ZSTD, packed, 1 << 20, ctx));
}

/* In a request all labels are sorted, capitals before the name, and metadata is the app's. */
static void test_in_a_request(void **state)
{
	const struct encoder_opts opts = { NULL, 1000, 8, true };
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	_cleanup_(rw_split_done) struct rw_split split = { 0 };
	_cleanup_(batch_freep) struct batch *b = make(3, NULL);
	_cleanup_(buf_done) struct buf plain = BUF_INIT;
	struct encoder *e = NULL;
	struct drops drops = { 0 };
	struct label labels[8];
	uint32_t n = 0;

	(void)state;
	assert_int_equal(0, encoder_new(&e));
	encoder_batches(e, &b, 1, &opts, on_block, &plain, &drops);
	encoder_free(e);
	assert_int_equal(0, rw2_split(buf_str(&plain), &a, &split, NULL));
	assert_int_equal(2, split.n_series);
	assert_int_equal(0, rw_labels(split.series[1].key, labels, 8, &n, NULL));
	assert_int_equal(6, n);
	for (uint32_t i = 1; i < n; i++)
		assert_true(str_cmp(labels[i - 1].name, labels[i].name) < 0);
	assert_str_equal(STR("Kind"), labels[0].name);
	assert_int_equal(2, split.n_metadata);
	assert_str_equal(STR("m"), split.metadata[1].name);
	assert_str_equal(STR("Help."), split.metadata[1].help);
	assert_str_equal(STR("bytes"), split.metadata[1].unit);
	assert_int_equal(RW_TYPE_COUNTER, split.metadata[1].type);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_in_a_batch),
		cmocka_unit_test(test_in_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
