/* SPDX-License-Identifier: BSD-2-Clause */
/* Content codings: what was packed unpacks; foreign, damaged and oversized bytes are refused. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/wire/compress.h"

static void test_there_and_back(void **state)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT, packed = BUF_INIT, back = BUF_INIT;

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_printf(&plain, "series %d ", i % 977);
	for (unsigned c = 0; c < CODING_N; c++) {
		unit_note("%s", coding_name((enum coding)c));
		assert_int_equal(0, coding_pack((enum coding)c, buf_str(&plain), &packed));
		assert_true(packed.len < plain.len / 4);
		assert_int_equal(0,
		                 coding_unpack((enum coding)c, buf_str(&packed), plain.len, &back));
		assert_str_equal(buf_str(&plain), buf_str(&back));
		assert_int_equal(-EFBIG, coding_unpack((enum coding)c, buf_str(&packed),
		                                       plain.len - 1, &back));
		assert_int_equal(0, back.len);
		assert_int_equal(0, coding_pack((enum coding)c, STR(""), &packed));
		assert_int_equal(0, coding_unpack((enum coding)c, buf_str(&packed), 0, &back));
		assert_int_equal(0, back.len);
	}
}

static void test_damage(void **state)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT, back = BUF_INIT;
	static char text[10000];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 % 251);
	for (unsigned c = 0; c < CODING_N; c++) {
		assert_int_equal(-EBADMSG, coding_unpack((enum coding)c, STR_NULL, 100, &back));
		assert_int_equal(-EBADMSG,
		                 coding_unpack((enum coding)c, STR("\xff\xff\xff\xff\xff\xff"),
		                               1000, &back));
		assert_int_equal(0, coding_pack((enum coding)c, (struct str){ text, sizeof(text) },
		                                &packed));
		for (size_t n = 0; n < packed.len; n += 7) {
			struct str cut = unit_strdup((struct str){ packed.p, n });

			assert_int_equal(-EBADMSG,
			                 coding_unpack((enum coding)c, cut, sizeof(text), &back));
			free((void *)(uintptr_t)cut.p);
		}
	}
}

/* Two frames behind one another, the way a proxy that recompresses in pieces sends them. */
static void test_zstd_frames(void **state)
{
	_cleanup_(buf_done) struct buf one = BUF_INIT, all = BUF_INIT, back = BUF_INIT;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(0, coding_pack(CODING_ZSTD, STR("abcabcabc"), &one));
		buf_put_str(&all, buf_str(&one));
	}
	assert_int_equal(0, coding_unpack(CODING_ZSTD, buf_str(&all), 27, &back));
	assert_str_equal(STR("abcabcabcabcabcabcabcabcabc"), buf_str(&back));
	assert_int_equal(-EFBIG, coding_unpack(CODING_ZSTD, buf_str(&all), 26, &back));
}

/* A bomb: 4 GiB of zeros in a few hundred KiB is refused after what it may unpack to. */
static void test_zstd_bomb(void **state)
{
	_cleanup_(buf_done) struct buf zeros = BUF_INIT, one = BUF_INIT, bomb = BUF_INIT,
				       back = BUF_INIT;

	(void)state;
	void *p = buf_reserve(&zeros, (size_t)8 << 20);

	memset(p, 0, (size_t)8 << 20);
	zeros.len = (size_t)8 << 20;
	assert_int_equal(0, coding_pack(CODING_ZSTD, buf_str(&zeros), &one));
	for (int i = 0; i < 512; i++)
		buf_put_str(&bomb, buf_str(&one));
	assert_int_equal(-EFBIG,
	                 coding_unpack(CODING_ZSTD, buf_str(&bomb), (size_t)1 << 20, &back));
	assert_true(back.cap <= (size_t)4 << 20);
}

static void test_names(void **state)
{
	enum coding c = CODING_N;

	(void)state;
	assert_int_equal(0, coding_parse(STR("zstd"), &c));
	assert_int_equal(CODING_ZSTD, c);
	assert_int_equal(0, coding_parse(STR("snappy"), &c));
	assert_int_equal(CODING_SNAPPY, c);
	assert_int_equal(-EINVAL, coding_parse(STR(""), &c));
	assert_int_equal(-EINVAL, coding_parse(STR("gzip"), &c));
	assert_int_equal(CODING_SNAPPY, c);
}

static void test_no_memory(void **state)
{
	_cleanup_(buf_done) struct buf packed = BUF_INIT, back = BUF_INIT;

	(void)state;
	for (unsigned c = 0; c < CODING_N; c++) {
		buf_done(&packed);
		alloc_fail_at(1);
		assert_int_equal(-ENOMEM, coding_pack((enum coding)c, STR("abc"), &packed));
		alloc_fail_at(0);
		assert_int_equal(0, coding_pack((enum coding)c, STR("abc"), &packed));
		buf_done(&back);
		alloc_fail_at(1);
		assert_int_equal(-ENOMEM,
		                 coding_unpack((enum coding)c, buf_str(&packed), 3, &back));
		alloc_fail_at(0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_damage),
		cmocka_unit_test(test_zstd_frames),    cmocka_unit_test(test_zstd_bomb),
		cmocka_unit_test(test_names),          cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
