/* SPDX-License-Identifier: BSD-2-Clause */
/* Images of guests' memory: every damaged one is refused. Comparing two texts, field by field. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/buf.h"
#include "userspace/base/crc32c.h"
#include "userspace/ctl/guest_verify.h"
#include "userspace/host/guest/image.h"

static struct mem_cache cache;

/* ---- images --------------------------------------------------------------------------------- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
	buf_put(b, &v, sizeof(v));
}

/* Two pages, in no order, of a segment of eight. */
static void make_image(struct buf *b, uint32_t n_segs, uint32_t n_pages, uint64_t seg_bytes)
{
	char page[MEM_PAGE_BYTES];

	buf_clear(b);
	buf_puts(b, "psguest1");
	put_u32(b, n_segs);
	put_u32(b, n_pages);
	put_u64(b, 0x100000);
	put_u64(b, seg_bytes);
	for (uint64_t pfn = 0x103; pfn > 0x100; pfn -= 2) {
		memset(page, (int)pfn & 0xff, sizeof(page));
		put_u64(b, pfn);
		buf_put(b, page, sizeof(page));
	}
	put_u32(b, crc32c(0, b->p, b->len));
}

static int open_exact(const struct buf *b, size_t n, struct mem *m, struct str *kept)
{
	struct err e = ERR_INIT;
	int r;

	*kept = unit_strdup((struct str){ b->p, n });
	r = image_open(m, *kept, &e);
	assert_int_equal(r < 0, e.msg[0] != '\0');
	return r;
}

static void test_reading(void **state)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct str kept;
	struct mem m;

	(void)state;
	make_image(&b, 1, 2, 0x8000);
	assert_int_equal(0, open_exact(&b, b.len, &m, &kept));
	mem_begin(&m, &cache);
	assert_int_equal(0x01, *mem_at(&m, 0x101000, 1));
	assert_int_equal(0x03, *mem_at(&m, 0x103fff, 1));
	assert_int_equal(0, m.err);
	(void)mem_at(&m, 0x102000, 1); /* of the segment, but not in the file */
	assert_int_equal(-EFAULT, m.err);
	mem_clear_error(&m);
	(void)mem_at(&m, 0x108000, 1); /* behind the segment */
	assert_int_equal(-EFAULT, m.err);
	mem_end(&m);
	mem_close(&m);
	free((char *)(uintptr_t)kept.p);
}

static void test_damage(void **state)
{
	static const struct {
		uint32_t n_segs, n_pages;
		uint64_t seg_bytes;
	} heads[] = { { 0, 2, 0x8000 }, { 2, 2, 0x8000 }, { 17, 2, 0x8000 },
		      { 1, 1, 0x8000 }, { 1, 3, 0x8000 }, { 1, 4097, 0x8000 },
		      { 1, 2, 0x8001 }, { 1, 2, 0 },      { 1, UINT32_MAX, 0x8000 } };
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	struct str kept;
	struct mem m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		unit_note("head %zu", i);
		make_image(&b, heads[i].n_segs, heads[i].n_pages, heads[i].seg_bytes);
		assert_int_equal(-EBADMSG, open_exact(&b, b.len, &m, &kept));
		free((char *)(uintptr_t)kept.p);
	}
	make_image(&b, 1, 2, 0x8000);
	for (size_t n = 0; n < b.len; n += n < 64 ? 1 : 509) {
		assert_int_equal(-EBADMSG, open_exact(&b, n, &m, &kept));
		free((char *)(uintptr_t)kept.p);
	}
	b.p[100] ^= 1;
	assert_int_equal(-EBADMSG, open_exact(&b, b.len, &m, &kept));
	free((char *)(uintptr_t)kept.p);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* clang-format off */
static const char said[] =
	"== meminfo\nMemTotal:  100 kB\nMemFree:    7 kB\nHugePages:  3\n"
	"== loadavg\n0.10 0.05 0.01 1/57 103\n"
	"== stat\ncpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n"
	"== diskstats\n 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0 0 0\n 7 0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"
	"== net\nInter-|  Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8\n"
	"  eth0:11 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8\n"
	"== files\n32\t0\t14204\n== vmstat\nnr_free 5\noom_kill 1\n"
	"== pressure\nsome avg10=0.10 avg60=0.20 avg300=0.30 total=4\n"
	"== statfs\n/data 4096 100 50 40\n== clock\n123456789\n"
	"== after meminfo\nMemTotal: 100 kB\nMemFree: 9 kB\n== other\nMemTotal: 5 kB\n";

static const char same[] =
	"# a comment\n== stat\ncpu0 1 2 3 4 5 6 7 8 9 10\n== meminfo\nMemFree: 7 kB\nMemTotal: 100 kB\n"
	"== loadavg\n0.10 0.05 0.01\n== diskstats\n0 0 vda 1 2 3 4 5 6 7 8 9 10 11\n"
	"== net\neth0: 11 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8\n== files\n32\t0\t14204\n== vmstat\noom_kill 1\n"
	"== pressure\nsome avg10=0.10 avg60=0.20 avg300=0.30 total=4\n== statfs\n/data 4096 100 50 40\n";

/* clang-format on */

#define N_FIELDS (2 + 3 + 10 + 11 + 16 + 2 + 1 + 4 + 4)

/* @old in the text that is the same becomes @new: what is found of it. */
static void change(const char *old, const char *new, const struct verify_result *want,
                   const char *line)
{
	_cleanup_(buf_done) struct buf ours = BUF_INIT;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	const char *at = strstr(same, old);
	struct verify_result got;

	assert_non_null(at);
	buf_put(&ours, same, (size_t)(at - same));
	buf_puts(&ours, new);
	buf_puts(&ours, at + strlen(old));
	assert_int_equal(0, verify_compare(str_from(said), buf_str(&ours), &got, &out));
	assert_int_equal(want->n, got.n);
	assert_int_equal(want->n_equal, got.n_equal);
	assert_int_equal(want->n_moved, got.n_moved);
	assert_string_equal(line, buf_cstr(&out));
}

static void test_comparing(void **state)
{
	(void)state;
	assert_true(verify_clock_ns(str_from(said)) == 123456789);
	assert_true(verify_clock_ns(str_from(same)) == 0);
	change("0.10", "0.10", &(struct verify_result){ N_FIELDS, N_FIELDS, 0 }, "");
	change("MemFree: 7", "MemFree: 8", &(struct verify_result){ N_FIELDS, N_FIELDS - 1, 1 },
	       "moved meminfo MemFree: guest 7, then 9; read 8\n");
	change("MemFree: 7", "MemFree: 10", &(struct verify_result){ N_FIELDS, N_FIELDS - 1, 0 },
	       "DIFFERS meminfo MemFree: guest 7, then 9; read 10\n");
	change("cpu0 1 2 3 4", "cpu0 1 2 3 5", &(struct verify_result){ N_FIELDS, N_FIELDS - 1, 0 },
	       "DIFFERS stat cpu0 idle: guest 4; read 5\n");
	change("0.01", "0.02", &(struct verify_result){ N_FIELDS, N_FIELDS - 1, 0 },
	       "DIFFERS loadavg 15: guest 0.01; read 0.02\n");
	change("oom_kill 1", "", &(struct verify_result){ N_FIELDS, N_FIELDS - 1, 0 },
	       "DIFFERS vmstat oom_kill: guest 1; read nothing\n");
	change("== statfs\n", "== statfs\n/x 1 2 3 4\n",
	       &(struct verify_result){ N_FIELDS + 4, N_FIELDS, 0 },
	       "DIFFERS statfs /x block_size: guest nothing; read 1\n"
	       "DIFFERS statfs /x blocks: guest nothing; read 2\n"
	       "DIFFERS statfs /x free: guest nothing; read 3\n"
	       "DIFFERS statfs /x avail: guest nothing; read 4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_comparing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
