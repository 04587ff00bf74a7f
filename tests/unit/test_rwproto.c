/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote write 1.0. Vectors pin the bytes (they are protobuf's, not ours), a table pins refusals, a
 * seeded property says decode(encode(x)) == x, and every prefix of a message is refused or shorter.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/doc.h"
#include "userspace/base/alloc.h"
#include "userspace/wire/rwproto.h"

static int decode_exact(struct str body, struct arena *a, struct rw_request *ret, struct err *e)
{
	struct str copy = unit_strdup(body);
	int r = rw_decode(copy, a, ret, NULL, e);

	/* The slices point into the copy: look at nothing but the counts behind this. */
	free((void *)(uintptr_t)copy.p);
	return r;
}

/* The example of docs/format/remote_write.md. */
static void example_bytes(struct buf *out)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str page = doc_open(&doc, "docs/format/remote_write.md"), rest;

	doc_hex(doc_between(page, "before compression:\n\n```\n", "```", &rest), out);
}

static void test_bytes(void **state)
{
	const struct label label = { STR("__name__"), STR("m") };
	const struct sample sample = { 1000, 1.5 };
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	_cleanup_(buf_done) struct buf want = BUF_INIT;

	(void)state;
	example_bytes(&want);
	assert_int_equal(31, want.len);
	rw_encode_series(&b, &label, 1, &sample, 1);
	assert_str_equal(buf_str(&want), buf_str(&b));
}

static void check_series(const struct series_in *s)
{
	assert_int_equal(2, s->n_labels);
	assert_str_equal(STR("__name__"), s->labels[0].name);
	assert_str_equal(STR("up"), s->labels[0].value);
	assert_str_equal(STR("job"), s->labels[1].name);
	assert_str_equal(STR(""), s->labels[1].value);
	assert_int_equal(3, s->n_samples);
	assert_int_equal(-5, s->samples[0].ts_ms);
	assert_double_near(1.5, s->samples[0].value, 0);
	assert_true(is_stale_mark(s->samples[1].value));
	assert_int_equal(0, s->samples[2].ts_ms);
	assert_true(double_bits(s->samples[2].value) == double_bits(-0.0));
}

static void test_there_and_back(void **state)
{
	const struct label labels[] = { { STR("__name__"), STR("up") }, { STR("job"), STR("") } };
	const struct sample samples[] = { { -5, 1.5 }, { INT64_MAX, stale_mark() }, { 0, -0.0 } };
	const struct rw_metadata meta = { STR("up"), STR("is it"), STR("seconds"), 2, STR_NULL };
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	struct rw_request req;
	uint64_t skipped = 9;
	struct err e = ERR_INIT;

	(void)state;
	rw_encode_series(&b, labels, 2, samples, 3);
	rw_encode_metadata(&b, &meta);
	rw_encode_series(&b, labels, 1, NULL, 0);
	assert_int_equal(0, rw_decode(buf_str(&b), &a, &req, &skipped, &e));
	assert_int_equal(2, req.n_series);
	assert_int_equal(3, req.n_samples);
	assert_int_equal(0, skipped);
	check_series(&req.series[0]);
	assert_int_equal(0, req.series[1].n_samples);
	assert_int_equal(1, req.n_metadata);
	assert_str_equal(STR("is it"), req.metadata[0].help);
	assert_str_equal(STR("seconds"), req.metadata[0].unit);
	assert_int_equal(2, req.metadata[0].type);
}

static void test_unknown_fields_are_skipped(void **state)
{
	/* label, exemplar (3), histogram (4), then fields 9 varint, 10 fixed32, 11 fixed64 */
	static const char body[] = "\x0a\x22\x0a\x06\x0a\x01"
				   "a\x12\x01"
				   "b\x1a\x02xx\x22\x03yyy\x48\x96\x01\x55zzzz\x59wwwwwwww"
				   "\x7a\x00";
	_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
	struct rw_request req;
	uint64_t skipped = 0;
	struct err e = ERR_INIT;

	(void)state;
	int r = rw_decode((struct str){ body, sizeof(body) - 1 }, &a, &req, &skipped, &e);

	if (r < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(1, req.n_series);
	assert_int_equal(1, req.series[0].n_labels);
	assert_str_equal(STR("b"), req.series[0].labels[0].value);
	assert_int_equal(1, skipped);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *what;
		struct str body;
	} rows[] = {
		/* clang-format off */
		{ "tag cut off",               STR_INIT("\x80") },
		{ "field number 0",            STR_INIT("\x02\x00") },
		{ "wire type 3",               STR_INIT("\x0b") },
		{ "wire type 7",               STR_INIT("\x0f\x00") },
		{ "length cut off",            STR_INIT("\x0a\x80") },
		{ "length past the end",       STR_INIT("\x0a\x05\x0a") },
		{ "huge length",
		  STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") },
		{ "series is a varint",        STR_INIT("\x08\x01") },
		{ "label is a varint",         STR_INIT("\x0a\x02\x08\x01") },
		{ "label name is a varint",    STR_INIT("\x0a\x04\x0a\x02\x08\x01") },
		{ "value is a varint",         STR_INIT("\x0a\x04\x12\x02\x08\x01") },
		{ "timestamp is fixed64",      STR_INIT("\x0a\x0b\x12\x09\x11zzzzzzzz") },
		{ "value cut off",             STR_INIT("\x0a\x05\x12\x03\x09zz") },
		{ "varint above 64 bits",
		  STR_INIT("\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02") },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		struct rw_request req = { .n_series = 77 };
		struct err e = ERR_INIT;

		unit_note("%s", rows[i].what);
		assert_int_equal(-EBADMSG, decode_exact(rows[i].body, &a, &req, &e));
		assert_true(e.pos >= 0 && e.pos <= (int)rows[i].body.len);
		assert_int_equal(77, req.n_series); /* untouched */
	}
}

static void random_text(struct rng *rng, char *dst, struct str *ret)
{
	size_t n = rng_below(rng, 8) ? rng_below(rng, 12) : rng_below(rng, 300);

	for (size_t i = 0; i < n; i++)
		dst[i] = (char)rng_u64(rng);
	*ret = (struct str){ dst, n };
}

static void test_round_trip(void **state)
{
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char text[8][300];
		struct label labels[4];
		struct sample samples[5];
		uint32_t nl = rng_below(&rng, 5), ns = rng_below(&rng, 6);
		_cleanup_(buf_done) struct buf b = BUF_INIT;
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);
		struct rw_request req;

		for (uint32_t i = 0; i < nl; i++) {
			random_text(&rng, text[2 * i], &labels[i].name);
			random_text(&rng, text[2 * i + 1], &labels[i].value);
		}
		for (uint32_t i = 0; i < ns; i++)
			samples[i] = (struct sample){ (int64_t)rng_u64(&rng) >> rng_below(&rng, 64),
				                      double_from_bits(rng_u64(&rng)) };
		rw_encode_series(&b, labels, nl, samples, ns);
		assert_int_equal(0, rw_decode(buf_str(&b), &a, &req, NULL, NULL));
		assert_int_equal(1, req.n_series);
		assert_int_equal(nl, req.series->n_labels);
		assert_int_equal(ns, req.series->n_samples);
		for (uint32_t i = 0; i < nl; i++) {
			assert_str_equal(labels[i].name, req.series->labels[i].name);
			assert_str_equal(labels[i].value, req.series->labels[i].value);
		}
		if (ns > 0)
			assert_memory_equal(samples, req.series->samples, ns * sizeof(samples[0]));
		struct str cut = { b.p, b.len - 1 };

		assert_int_equal(-EBADMSG, decode_exact(cut, &a, &req, NULL));
	}
}

static void test_memory(void **state)
{
	const struct label label = { STR("__name__"), STR("m") };
	struct sample samples[100] = { { 1, 1 } };
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct rw_request req;
	unsigned long n = 0;
	int r = -ENOMEM;

	(void)state;
	rw_encode_series(&b, &label, 1, samples, 100);
	while (r == -ENOMEM) {
		_cleanup_(arena_done) struct arena a = ARENA_INIT(0);

		alloc_fail_at(++n);
		r = rw_decode(buf_str(&b), &a, &req, NULL, NULL);
		alloc_fail_at(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_int_equal(0, r);
	struct arena small = ARENA_INIT(1000);

	assert_int_equal(-ENOSPC, rw_decode(buf_str(&b), &small, &req, NULL, NULL));
	arena_done(&small);
}

/* Keys are equal exactly where the label fields are, wherever samples stand between them. */
static void test_split(void **state)
{
	static const uint8_t apart[] = {
		0x0a, 0x14,                                /* a series */
		0x0a, 0x06, 0x0a, 1,    'a', 0x12, 1, 'x', /* label a="x" */
		0x12, 0x02, 0x10, 0x05,                    /* sample 0 at 5 */
		0x0a, 0x06, 0x0a, 1,    'b', 0x12, 1, 'y', /* label b="y" */
	};
	const struct label labels[] = { { STR("a"), STR("x") }, { STR("b"), STR("y") } };
	const struct sample v[] = { { 5, 0 }, { 7, 1.5 } };
	_cleanup_(arena_done) struct arena a = ARENA_INIT(1 << 20);
	_cleanup_(rw_split_done) struct rw_split s = { 0 };
	_cleanup_(buf_done) struct buf out = BUF_INIT, key = BUF_INIT;
	struct label back[4];
	struct err e = ERR_INIT;
	uint32_t n;

	(void)state;
	buf_put(&out, apart, sizeof(apart));
	rw_encode_series(&out, labels, 2, v, 2);
	rw_encode_labels(&key, labels, 2);
	assert_int_equal(0, rw_split(buf_str(&out), &a, &s, &e));
	assert_int_equal(2, s.n_series);
	for (size_t i = 0; i < 2; i++) {
		assert_str_equal(buf_str(&key), s.series[i].key);
		assert_int_equal(i + 1, s.series[i].n_samples);
		assert_int_equal(5, s.series[i].samples[0].ts_ms);
		assert_int_equal(0, rw_labels(s.series[i].key, back, 4, &n, &e));
		assert_int_equal(2, n);
		assert_str_equal(STR("y"), back[1].value);
	}
	assert_true(s.series[1].samples[1].value == 1.5);
	assert_int_equal(-ENOSPC, rw_labels(s.series[0].key, back, 1, &n, &e));
	assert_int_equal(-EBADMSG, rw_labels(STR("\x0a\x05z"), back, 4, &n, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_unknown_fields_are_skipped),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
