/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote write 2.0. The example of its page pins the bytes (they are protobuf's, not ours), a table
 * pins refusals, a seeded property says that what was written is read, with the keys of version
 * 1.0.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/doc.h"
#include "userspace/base/alloc.h"
#include "userspace/wire/rw2.h"

/* Of an array that ends in the NUL of its literal. */
#define S(array) ((struct str){ (array), sizeof(array) - 1 })

static void test_bytes(void **state)
{
	const struct label label = { STR("__name__"), STR("m") };
	const struct sample sample = { 1000, 1.5 };
	const struct rw2_meta meta = { RW_TYPE_COUNTER, STR("h"), STR("") };
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str page = doc_open(&doc, "docs/format/remote_write.md"), rest;
	_cleanup_(buf_done) struct buf b = BUF_INIT, want = BUF_INIT;
	struct rw2_writer w = RW2_WRITER_INIT;

	(void)state;
	doc_hex(doc_between(page, "a counter with the help `h`:\n\n```\n", "```", &rest), &want);
	rw2_add(&w, &label, 1, &sample, 1, &meta);
	assert_int_equal(want.len, rw2_bytes(&w));
	assert_int_equal(0, rw2_finish(&w, &b));
	assert_str_equal(buf_str(&want), buf_str(&b));
	rw2_writer_clear(&w);
	assert_int_equal(0, rw2_bytes(&w));
	rw2_add(&w, &label, 1, NULL, 0, NULL);
	buf_clear(&b);
	assert_int_equal(0, rw2_finish(&w, &b));
	assert_str_equal(STR("\x22\x00\x22\x08__name__\x22\x01m\x2a\x04\x0a\x02\x01\x02"),
	                 buf_str(&b));
	rw2_writer_done(&w);
}

static int split(struct str body, struct arena *a, struct rw_split *ret, struct err *e)
{
	struct str copy = { arena_memdup(a, body.p, body.len), body.len };

	return rw2_split(copy, a, ret, e);
}

static void test_what_is_read(void **state)
{
	/* Series before symbols, references in several fields, a histogram, an exemplar. */
	static const char body[] = "\x2a\x22\x08\x01\x0a\x01\x02"
				   "\x12\x02\x10\x05\x1a\x01z\x22\x01y"
				   "\x12\x0b\x10\x06\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"
				   "\x08\x00\x08\x02\x30\x07"
				   "\x2a\x04\x0a\x02\x01\x03" /* a series without samples */
				   "\x22\x00\x22\x08__name__\x22\x01m\x22\x01n\x7a\x00";
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	_cleanup_(rw_split_done) struct rw_split s = { 0 };
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	const struct label labels[] = { { STR("__name__"), STR("m") }, { STR(""), STR("m") } };
	struct err e = ERR_INIT;

	(void)state;
	if (split(S(body), &a, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(2, s.n_series);
	assert_int_equal(1, s.n_histograms);
	rw_encode_labels(&key, labels, 2);
	assert_str_equal(buf_str(&key), s.series[0].key);
	assert_int_equal(2, s.series[0].n_samples);
	assert_int_equal(5, s.series[0].samples[0].ts_ms);
	assert_int_equal(6, s.series[0].samples[1].ts_ms);
	assert_true(s.series[0].samples[1].value == 1);
	assert_int_equal(0, s.series[1].n_samples);
	assert_int_equal(0, s.n_metadata);
}

static void test_metadata(void **state)
{
	const struct label m[] = { { STR("__name__"), STR("m") }, { STR("a"), STR("1") } };
	const struct label n[] = { { STR("__name__"), STR("n") } };
	const struct rw2_meta meta = { RW_TYPE_GAUGE, STR("Help."), STR("bytes") };
	const struct rw2_meta none = { 0 };
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	_cleanup_(rw_split_done) struct rw_split s = { 0 };
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct rw2_writer w = RW2_WRITER_INIT;
	struct err e = ERR_INIT;

	(void)state;
	rw2_add(&w, m, 1, NULL, 0, &meta);
	rw2_add(&w, m, 2, NULL, 0, &meta);
	rw2_add(&w, n, 1, NULL, 0, &none);
	assert_int_equal(0, rw2_finish(&w, &b));
	assert_int_equal(0, split(buf_str(&b), &a, &s, &e));
	assert_int_equal(3, s.n_series);
	assert_int_equal(1, s.n_metadata);
	assert_str_equal(STR("m"), s.metadata[0].name);
	assert_str_equal(STR("Help."), s.metadata[0].help);
	assert_str_equal(STR("bytes"), s.metadata[0].unit);
	assert_int_equal(RW_TYPE_GAUGE, s.metadata[0].type);
	rw2_writer_done(&w);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *what;
		struct str body;
	} rows[] = {
		/* clang-format off */
		{ "no symbol at all",        STR_INIT("\x2a\x04\x0a\x02\x00\x00") },
		{ "reference past the table", STR_INIT("\x22\x00\x2a\x04\x0a\x02\x00\x01") },
		{ "name without a value",    STR_INIT("\x22\x00\x2a\x03\x0a\x01\x00") },
		{ "reference cut off",       STR_INIT("\x22\x00\x2a\x04\x0a\x02\x00\x80") },
		{ "references as fixed",     STR_INIT("\x22\x00\x2a\x05\x0d\x00\x00\x00\x00") },
		{ "help past the table",     STR_INIT("\x22\x00\x2a\x04\x2a\x02\x18\x01") },
		{ "type is text",            STR_INIT("\x22\x00\x2a\x04\x2a\x02\x0a\x00") },
		{ "symbol is a varint",      STR_INIT("\x20\x00") },
		{ "series is a varint",      STR_INIT("\x28\x00") },
		{ "sample is a varint",      STR_INIT("\x2a\x02\x10\x00") },
		{ "metadata is a varint",    STR_INIT("\x2a\x02\x28\x00") },
		{ "value is a varint",       STR_INIT("\x2a\x04\x12\x02\x08\x00") },
		{ "length past the end",     STR_INIT("\x2a\x05\x0a") },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		struct rw_split s = { .n_histograms = 77 };
		struct err e = ERR_INIT;

		unit_note("%s", rows[i].what);
		assert_int_equal(-EBADMSG, split(rows[i].body, &a, &s, &e));
		assert_non_null(strstr(e.msg, "at byte"));
		assert_int_equal(77, s.n_histograms); /* untouched on failure */
	}
}

/* Ten thousand references to one long symbol: few bytes that would become many. */
static void test_budget(void **state)
{
	_cleanup_(arena_done) struct arena a = ARENA_INIT((size_t)1 << 20);
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	static char text[4000], refs[16000];
	struct rw_split s = { 0 };

	(void)state;
	memset(text, 'x', sizeof(text));
	memset(refs, 0, sizeof(refs));
	buf_put(&b, "\x22\xa0\x1f", 3);
	buf_put(&b, text, sizeof(text));
	buf_put(&b, "\x2a\x83\x7d\x0a\x80\x7d", 6);
	buf_put(&b, refs, sizeof(refs));
	assert_int_equal(-ENOSPC, rw2_split(buf_str(&b), &a, &s, NULL));
}

static uint32_t random_labels(struct rng *rng, struct label *labels, char texts[][40])
{
	uint32_t n = rng_below(rng, 12);

	for (uint32_t i = 0; i < n; i++) {
		int len = snprintf(texts[i], 40, "l%02u=%u", (unsigned)i, rng_below(rng, 40));

		labels[i] = (struct label){ { texts[i], 3 }, { texts[i] + 3, (size_t)len - 3 } };
	}
	return n;
}

/* Keys and samples of what was written, in order, as 1.0 would have them. */
static void test_there_and_back(void **state)
{
	static struct label labels[12];
	static char texts[12][40];
	struct rw2_writer w = RW2_WRITER_INIT;
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 200; round++) {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		_cleanup_(rw_split_done) struct rw_split one = { 0 }, two = { 0 };
		_cleanup_(buf_done) struct buf v1 = BUF_INIT, v2 = BUF_INIT, again = BUF_INIT;

		rw2_writer_clear(&w);
		for (uint32_t n = rng_below(&rng, 300); n > 0; n--) {
			uint32_t n_labels = random_labels(&rng, labels, texts);
			struct sample s[2] = { { (int64_t)rng_u64(&rng), 1.5 }, { 7, 0 } };

			rw_encode_series(&v1, labels, n_labels, s, n % 3);
			rw2_add(&w, labels, n_labels, s, n % 3, NULL);
		}
		assert_int_equal(0, rw2_finish(&w, &v2));
		assert_int_equal(0, split(buf_str(&v2), &a, &two, NULL));
		assert_int_equal(0, rw_split(buf_str(&v1), &a, &one, NULL));
		assert_int_equal(one.n_series, two.n_series);
		assert_int_equal(w.n_samples, two.n_samples);
		for (size_t i = 0; i < two.n_series; i++)
			rw_encode_keyed(&again, &two.series[i]);
		assert_str_equal(buf_str(&v1), buf_str(&again));
	}
	rw2_writer_done(&w);
}

static void test_no_memory(void **state)
{
	const struct label label = { STR("__name__"), STR("m") };
	const struct sample sample = { 1000, 1.5 };
	unsigned long n = 1;
	int r;

	(void)state;
	do {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		_cleanup_(rw_split_done) struct rw_split s = { 0 };
		_cleanup_(buf_done) struct buf b = BUF_INIT;
		struct rw2_writer w = RW2_WRITER_INIT;

		alloc_fail_at(n);
		for (int i = 0; i < 400; i++) {
			char text[16];
			struct label l = { STR("i"),
				           { text, (size_t)snprintf(text, 16, "%d", i) } };

			rw2_add(&w, &label, 1, &sample, 1, NULL);
			rw2_add(&w, &l, 1, &sample, 1, NULL);
		}
		r = rw2_finish(&w, &b);
		if (r == 0)
			r = rw2_split(buf_str(&b), &a, &s, NULL);
		alloc_fail_at(0);
		assert_true(r == 0 || r == -ENOMEM);
		rw2_writer_done(&w);
		n++;
	} while (r < 0);
	assert_true(n > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),     cmocka_unit_test(test_what_is_read),
		cmocka_unit_test(test_metadata),  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_budget),    cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
