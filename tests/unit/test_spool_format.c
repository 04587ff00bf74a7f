/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of the disk queue: the example of docs/format/spool.md, and that no flipped bit, no cut and
 * no number out of bounds goes through.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/doc.h"
#include "userspace/host/delivery/spool_format.h"

static const struct spool_record record = {
	.appended_ms = 1700000000000,
	.payload_bytes = 3,
	.n_samples = 3,
	.lane = 1,
	.lanes = 2,
};

static void read_example(struct buf *out)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str page = doc_open(&doc, "docs/format/spool.md"), rest;

	doc_hex(doc_between(page, "\n1700000000000:\n\n```\n", "```", &rest), out);
}

static void make(uint8_t file[SPOOL_FILE_HEADER_BYTES], uint8_t head[SPOOL_RECORD_HEADER_BYTES])
{
	struct spool_record r = record;

	r.payload_crc = spool_payload_crc(STR("abc"));
	spool_put_file_header(file);
	spool_put_record(head, &r);
}

static void test_example(void **state)
{
	_cleanup_(buf_done) struct buf want = BUF_INIT, have = BUF_INIT;
	uint8_t file[SPOOL_FILE_HEADER_BYTES], head[SPOOL_RECORD_HEADER_BYTES];

	(void)state;
	make(file, head);
	buf_put(&have, file, sizeof(file));
	buf_put(&have, head, sizeof(head));
	buf_puts(&have, "abc");
	read_example(&want);
	for (size_t i = 0; i < MIN(have.len, want.len); i++) {
		if (have.p[i] != want.p[i])
			fail_msg("byte %zu is %02x", i, (unsigned char)have.p[i]);
	}
	assert_int_equal(want.len, have.len);
}

static void test_there_and_back(void **state)
{
	uint8_t file[SPOOL_FILE_HEADER_BYTES], head[SPOOL_RECORD_HEADER_BYTES];
	struct spool_record r;

	(void)state;
	make(file, head);
	assert_int_equal(0, spool_check_file_header(file, sizeof(file)));
	assert_int_equal(0, spool_get_record(head, sizeof(head), &r));
	assert_int_equal(record.appended_ms, r.appended_ms);
	assert_int_equal(3, r.payload_bytes);
	assert_int_equal(spool_payload_crc(STR("abc")), r.payload_crc);
	assert_int_equal(3, r.n_samples);
	assert_int_equal(1, r.lane);
	assert_int_equal(2, r.lanes);
	assert_false(r.settled);
	head[SPOOL_MARK_OFFSET] = SPOOL_MARK_SETTLED; /* as it is written in place */
	assert_int_equal(0, spool_get_record(head, sizeof(head), &r));
	assert_true(r.settled);
}

/* Of the mark alone any value goes: a byte that is neither means "send it again". */
static void test_every_flipped_bit(void **state)
{
	uint8_t file[SPOOL_FILE_HEADER_BYTES], head[SPOOL_RECORD_HEADER_BYTES];
	struct spool_record r = { 0 };

	(void)state;
	make(file, head);
	for (size_t bit = 0; bit < 8 * sizeof(file); bit++) {
		file[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(-EBADMSG, spool_check_file_header(file, sizeof(file)));
		file[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * SPOOL_MARK_OFFSET; bit++) {
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < sizeof(head); n++) {
		uint8_t *cut = unit_memdup(head, n);

		assert_int_equal(-EBADMSG, spool_get_record(cut, n, &r));
		free(cut);
	}
	for (size_t n = 0; n < sizeof(file); n++)
		assert_int_equal(-EBADMSG, spool_check_file_header(file, n));
	assert_int_equal(0, r.lanes); /* untouched on failure */
}

/* Right by its checksum, and still not to be believed. */
static void test_bounds(void **state)
{
	uint8_t head[SPOOL_RECORD_HEADER_BYTES];
	struct spool_record bad = record, r;

	(void)state;
	bad.lanes = 0;
	spool_put_record(head, &bad);
	assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
	bad.lanes = SPOOL_LANES_MAX + 1;
	spool_put_record(head, &bad);
	assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
	bad.lanes = bad.lane = 1;
	spool_put_record(head, &bad);
	assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
	bad = record;
	bad.payload_bytes = SPOOL_PAYLOAD_BYTES_MAX + 1;
	spool_put_record(head, &bad);
	assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
	bad = record;
	bad.appended_ms = -1;
	spool_put_record(head, &bad);
	assert_int_equal(-EBADMSG, spool_get_record(head, sizeof(head), &r));
}

static void test_search(void **state)
{
	(void)state;
	assert_int_equal(0, spool_find_record(STR("PSR1x"), 0));
	assert_int_equal(3, spool_find_record(STR("PSRPSR1x"), 0));
	assert_int_equal(5, spool_find_record(STR("PSR1xPSR1"), 1));
	assert_int_equal(3, spool_find_record(STR("PSR"), 0));
	assert_int_equal(4, spool_find_record(STR("PSR1"), 4));
	assert_int_equal(0, spool_find_record(STR_NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
