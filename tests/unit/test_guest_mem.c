/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading guest memory: segments, the prefetch list, budgets, errors that stick, translation. */
#include "tests/unit/fake_guest.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "userspace/host/guest/clock.h"
#include "userspace/host/guest/space.h"

#define START_KERNEL 0xffffffff80000000u

static struct mem_cache *cache;
static struct fake_guest *guest;

static int set_up(void **state)
{
	(void)state;
	cache = calloc(1, sizeof(*cache));
	guest = calloc(1, sizeof(*guest));
	return cache && guest ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(cache);
	free(guest);
	return 0;
}

static uint64_t u64_at(struct mem *m, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, mem_at(m, gpa, sizeof(v)), sizeof(v));
	return v;
}

static void test_segments(void **state)
{
	static const struct {
		struct mem_seg segs[2];
		uint32_t n;
		int want;
	} rows[] = {
		/* clang-format off */
		{ { { 0, 4096, 4096 } }, 1, 0 },
		{ { { 0, 4096, 4096 }, { 4096, 4096, 0 } }, 2, 0 },
		{ { { 0, 4096, 4096 } }, 0, -EINVAL },
		{ { { 0, 0, 4096 } }, 1, -EINVAL },
		{ { { 1, 4096, 4096 } }, 1, -EINVAL },
		{ { { 0, 4097, 4096 } }, 1, -EINVAL },
		{ { { 0, 4096, 1 } }, 1, -EINVAL },
		{ { { 0, 8192, 0 }, { 4096, 4096, 0 } }, 2, -EINVAL },
		{ { { 4096, 4096, 0 }, { 0, 8192, 0 } }, 2, -EINVAL },
		{ { { UINT64_MAX - 4095, 4096, 0 } }, 1, -EINVAL },
		{ { { 0, 8192, UINT64_MAX - 4095 } }, 1, -EINVAL },
		/* clang-format on */
	};
	struct mem m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_note("row %zu", i);
		assert_int_equal(rows[i].want,
		                 mem_open(&m, &fake_mem_ops, guest, rows[i].segs, rows[i].n));
	}
	assert_int_equal(-EINVAL,
	                 mem_open(&m, &fake_mem_ops, guest, rows[0].segs, MEM_SEGS_MAX + 1));
	assert_int_equal(0, mem_open(&m, &fake_mem_ops, guest, rows[1].segs, 2));
	assert_true(mem_has(&m, 4096, 4096));
	assert_false(mem_has(&m, 4096, 4097));
	assert_false(mem_has(&m, 8192, 1));
	assert_int_equal(0, mem_hva(&m, 8192));
	assert_int_equal(4096 + 8, mem_hva(&m, 8));
}

/* The second sample reads what the first one used, by one call, and only those lines. */
static void test_prefetch(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	for (uint64_t i = 0; i < 20; i++)
		fake_u64(guest, i * 0x10000 + 64, i + 1);
	for (int round = 0; round < 3; round++) {
		mem_begin(&m, cache);
		for (uint64_t i = 0; i < 20; i++)
			assert_int_equal(i + 1, u64_at(&m, i * 0x10000 + 64));
		mem_end(&m);
		assert_int_equal(round == 0 ? 20 : 1, m.counts.n_calls);
		assert_int_equal(round == 0 ? 20 : 0, m.counts.n_missed);
		assert_int_equal(20 * (round == 0 ? MEM_PAGE_BYTES : MEM_LINE_BYTES),
		                 m.counts.n_bytes);
		assert_int_equal(20, m.counts.n_pages);
	}
	/* Another line of a page that is there: fetched singly, and remembered. */
	mem_begin(&m, cache);
	(void)u64_at(&m, 64);
	assert_int_equal(0, u64_at(&m, 4096 - 8));
	mem_end(&m);
	assert_int_equal(1, m.counts.n_missed);
	assert_int_equal(1, m.n_list); /* the other pages were not used this time */
	mem_begin(&m, cache);
	assert_int_equal(1, u64_at(&m, 64));
	assert_int_equal(0, u64_at(&m, 4096 - 8));
	mem_end(&m);
	assert_int_equal(0, m.counts.n_missed);
}

static void test_list_is_bounded(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	mem_begin(&m, cache);
	for (uint64_t i = 0; i < MEM_PAGES_MAX; i++)
		(void)u64_at(&m, i * MEM_PAGE_BYTES);
	assert_false(mem_failed(&m));
	/* One more is above the budget: nothing more is read, not even what is there. */
	fake_u64(guest, 0, 7);
	(void)u64_at(&m, MEM_PAGES_MAX * MEM_PAGE_BYTES);
	assert_int_equal(-ENOSPC, m.err);
	assert_int_equal(0, u64_at(&m, 0));
	mem_clear_error(&m);
	assert_true(mem_failed(&m));
	mem_end(&m);
	assert_int_equal(MEM_LIST_MAX, m.n_list);
	mem_begin(&m, cache); /* the next sample is as good as any */
	assert_int_equal(7, u64_at(&m, 0));
	mem_end(&m);
	guest->n_pages = 0;
}

static void test_steps_are_bounded(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	mem_begin(&m, cache);
	for (uint32_t i = 0; i < MEM_STEPS_MAX; i++)
		(void)mem_at(&m, 0, 8);
	assert_false(mem_failed(&m));
	(void)mem_at(&m, 0, 8);
	assert_int_equal(-ENOSPC, m.err);
	mem_end(&m);
}

static void test_errors_stick(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t bytes;
	} bad[] = { { (uint64_t)4 << 30, 1 }, { UINT64_MAX, 1 }, { 4092, 8 }, { 0x5000, 8 } };
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	fake_u64(guest, 0x1000, 5);
	guest->absent_pfn = 5;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		mem_begin(&m, cache);
		assert_int_equal(5, u64_at(&m, 0x1000));
		assert_int_equal(0, *mem_at(&m, bad[i].gpa, bad[i].bytes));
		assert_int_equal(-EFAULT, m.err);
		mem_fail(&m, -ELOOP); /* the first one stays */
		assert_int_equal(-EFAULT, m.err);
		assert_int_equal(0, u64_at(&m, 0x1000));
		mem_clear_error(&m);
		assert_int_equal(5, u64_at(&m, 0x1000));
		mem_end(&m);
	}
	guest->absent_pfn = 0;
}

/* A page that was there and is not any more costs itself alone. */
static void test_page_goes(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	fake_u64(guest, 0x1000, 1);
	fake_u64(guest, 0x2000, 2);
	mem_begin(&m, cache);
	(void)u64_at(&m, 0x1000);
	(void)u64_at(&m, 0x2000);
	mem_end(&m);
	guest->absent_pfn = 1;
	mem_begin(&m, cache);
	assert_int_equal(2, u64_at(&m, 0x2000));
	assert_false(mem_failed(&m));
	assert_int_equal(0, u64_at(&m, 0x1000));
	assert_true(mem_failed(&m));
	mem_end(&m);
	guest->absent_pfn = 0;
}

static void test_forgetting(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	fake_u64(guest, 0x1000, 1);
	mem_begin(&m, cache);
	assert_int_equal(1, u64_at(&m, 0x1000));
	fake_u64(guest, 0x1000, 2);
	assert_int_equal(1, u64_at(&m, 0x1000)); /* one view within a sample */
	mem_forget(&m);
	assert_int_equal(2, u64_at(&m, 0x1000));
	mem_end(&m);
}

static void write_between(struct fake_guest *g, uint32_t piece)
{
	if (piece == 1)
		fake_u64(g, 0x1000, 99);
}

static void test_settled(void **state)
{
	struct mem m;

	(void)state;
	fake_open(guest, &m);
	fake_u64(guest, 0x1000, 1);
	for (int round = 0; round < 3; round++) {
		mem_begin(&m, cache);
		(void)u64_at(&m, 0x1000);
		/* Known from the second sample on; a change within the read shows. */
		assert_int_equal(round == 1, mem_is_settled(&m, 0x1000, 128));
		mem_end(&m);
		guest->meddle = round == 1 ? write_between : NULL;
	}
	guest->meddle = NULL;
	mem_begin(&m, cache);
	assert_false(mem_is_settled(&m, 0x1f80, 256));
	assert_false(mem_is_settled(&m, 0x1000, MEM_AGAIN_MAX + 1));
	assert_false(mem_is_settled(&m, (uint64_t)5 << 30, 8));
	mem_end(&m);
}

/* ---- a live process: our own ---------------------------------------------------------------- */

static void test_process(void **state)
{
	const size_t page = MEM_PAGE_BYTES;
	uint8_t *p =
		mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct mem_seg seg = { 0, 8 * page, (uintptr_t)p };
	struct mem m;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		p[i * page] = (uint8_t)(i + 1);
	assert_int_equal(0, munmap(p + 3 * page, page));
	assert_int_equal(0, mem_open_process(&m, getpid(), &seg, 1, false));
	for (int round = 0; round < 2; round++) {
		mem_begin(&m, cache);
		for (size_t i = 0; i < 8; i++) {
			uint8_t want = i == 3 ? 0 : (uint8_t)(i + 1);

			if (round == 1 || i != 3)
				assert_int_equal(want, *mem_at(&m, i * page, 1));
			mem_clear_error(&m);
		}
		mem_end(&m);
		m.list[m.n_list++] = 3 << 12; /* as if it had been there */
	}
	assert_int_equal(0, mem_open_process(&m, getpid(), &seg, 1, false));
	mem_close(&m);
	(void)munmap(p, 8 * page);
}

/* ---- translation ---------------------------------------------------------------------------- */

#define TEXT   0xffffffff81000000u /* link-time addresses of a small made-up kernel */
#define BANNER (TEXT + 0x5ff8u)    /* across pages */

static struct profile kernel(void)
{
	struct profile p = { .banner = "Linux version 6.1.0-test (x) #1 SMP" };
	static const struct {
		enum profile_symbol symbol;
		uint64_t addr;
	} at[] = { { S_TEXT, TEXT },
		   { S_END, TEXT + 0x800000 },
		   { S_BANNER, BANNER },
		   { S_PHYS_BASE, TEXT + 0x7000 },
		   { S_PAGE_OFFSET, TEXT + 0x7008 },
		   { S_FIVE_LEVELS, TEXT + 0x7010 },
		   { S_PAGE_TABLE, TEXT + 0x8000 } };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		p.symbols[at[i].symbol] = at[i].addr;
		p.symbols_there[at[i].symbol] = true;
	}
	return p;
}

/* The image at @text_gpa, running @slide above where it was linked. */
static void load_kernel(const struct profile *p, uint64_t text_gpa, uint64_t slide, bool five,
                        bool mapped)
{
	char banner[64];
	uint64_t table = text_gpa + 0x8000;
	int n = snprintf(banner, sizeof(banner), "%s\n", p->banner);

	guest->n_tables = 0;
	fake_write(guest, text_gpa + (BANNER - TEXT), banner, (size_t)n + 1);
	fake_u64(guest, text_gpa + 0x7000, text_gpa - (TEXT + slide - START_KERNEL));
	fake_u64(guest, text_gpa + 0x7008, five ? 0xff11000000000000u : 0xffff888000000000u);
	fake_u64(guest, text_gpa + 0x7010, five);
	if (!mapped)
		return;
	for (uint64_t at = 0; at < 0x800000; at += 0x200000)
		fake_map(guest, five, TEXT + slide + at, text_gpa + at, 21);
	/* fake_map() builds its tables at FAKE_TABLES: the kernel's top one is a copy. */
	fake_write(guest, table, fake_page(guest, FAKE_TABLES), MEM_PAGE_BYTES);
}

static void test_finding(void **state)
{
	static const struct {
		const char *what;
		uint64_t text_gpa, slide;
		bool five;
	} rows[] = {
		{ "direct boot", 16 << 20, 0, false },
		{ "slid in memory and in addresses", 1000 << 20, 0x2f800000, false },
		{ "five levels", 3002u << 20, 0x1200000, true },
	};
	const struct profile p = kernel();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct space_tlb tlb = { 0 };
		struct space s;
		struct mem m;

		unit_note("%s", rows[i].what);
		guest->n_pages = 0;
		fake_open(guest, &m);
		assert_int_equal(-ENOENT, space_find(&m, cache, &p, NO_KERNEL, &s));
		/* A copy of the image that was never run, before and behind the real one. */
		load_kernel(&p, 2 << 20, 0, rows[i].five, false);
		load_kernel(&p, 3500u << 20, 0, rows[i].five, false);
		assert_int_equal(-ENOENT, space_find(&m, cache, &p, NO_KERNEL, &s));
		load_kernel(&p, rows[i].text_gpa, rows[i].slide, rows[i].five, true);
		assert_int_equal(0, space_find(&m, cache, &p, NO_KERNEL, &s));
		assert_int_equal(rows[i].five, s.five_levels);
		assert_true(s.slide == rows[i].slide);
		assert_true(s.text == TEXT + rows[i].slide);
		mem_begin(&m, cache);
		assert_true(space_is_same(&s, &m, &p));
		assert_true(space_gpa(&s, &tlb, &m, s.text + 0x123456) ==
		            rows[i].text_gpa + 0x123456);
		assert_true(space_gpa(&s, &tlb, &m, s.page_offset + 0x777) == 0x777);
		mem_end(&m);
		fake_write(guest, rows[i].text_gpa + (BANNER - TEXT) + 20, "X", 1);
		mem_begin(&m, cache);
		assert_false(space_is_same(&s, &m, &p));
		mem_end(&m);
	}
	guest->n_pages = 0;
}

static void test_page_tables(void **state)
{
	const struct profile p = kernel();

	(void)state;
	for (int five = 0; five <= 1; five++) {
		struct space_tlb tlb = { 0 };
		uint64_t base = five ? 0xffa0000000000000u : 0xffffc90000000000u;
		struct space s;
		struct mem m;

		guest->n_pages = 0;
		fake_open(guest, &m);
		load_kernel(&p, 16 << 20, 0, five, true);
		fake_map(guest, five, base + 0x3000, 0x123000, 12);
		fake_map(guest, five, base + 0x40200000, 0x600000, 21);
		fake_map(guest, five, base + 0x80000000, 0x40000000, 30);
		fake_write(guest, (16 << 20) + 0x8000, fake_page(guest, FAKE_TABLES),
		           MEM_PAGE_BYTES);
		assert_int_equal(0, space_find(&m, cache, &p, NO_KERNEL, &s));
		mem_begin(&m, cache);
		for (int twice = 0; twice < 2; twice++) { /* the second time from the TLB */
			assert_true(space_gpa(&s, &tlb, &m, base + 0x3abc) == 0x123abc);
			assert_true(space_gpa(&s, &tlb, &m, base + 0x402abcde) == 0x6abcde);
			assert_true(space_gpa(&s, &tlb, &m, base + 0x92345678) == 0x52345678);
		}
		assert_false(mem_failed(&m));
		assert_true(space_gpa(&s, &tlb, &m, base + 0x4000) == 0); /* not mapped */
		assert_int_equal(-EFAULT, m.err);
		mem_clear_error(&m);
		(void)space_gpa(&s, &tlb, &m, 0x400000); /* a user's address */
		assert_int_equal(-EFAULT, m.err);
		mem_clear_error(&m);
		/* A table that is its own entry ends after the levels that there are. */
		fake_u64(guest, FAKE_TABLES, FAKE_TABLES | 1);
		s.table_gpa = FAKE_TABLES;
		(void)space_gpa(&s, &tlb, &m, five ? 0xff00000000000000u : 0xffff800000000000u);
		mem_end(&m);
	}
	guest->n_pages = 0;
}

/* ---- the clock ------------------------------------------------------------------------------ */

#define MS 1000000ull
#define S  (1000 * MS)

/* An idle guest whose clock stood at some moment of the last half second. */
static void test_clock(void **state)
{
	struct rng rng = unit_rng();
	struct envelope e = { 0 };
	uint64_t host = 500 * S, guest_ns = 20 * S, worst = 0;

	(void)state;
	assert_int_equal(0, envelope_now(&e, host));
	for (int i = 0; i < 2000; i++) {
		uint64_t now;

		host += 15 * S;
		guest_ns += 15 * S + 15 * S / 20000; /* 50 ppm fast */
		envelope_add(&e, guest_ns - rng_below(&rng, 500) * MS, host);
		now = envelope_now(&e, host);
		if (i < (int)ENVELOPE_SAMPLES)
			continue;
		worst = MAX(worst, now > guest_ns ? now - guest_ns : guest_ns - now);
	}
	print_message("    worst estimate: %llu ms off\n", (unsigned long long)(worst / MS));
	assert_true(worst < 100 * MS);
	/* Paused for a minute: followed at once, not when the maximum has aged. */
	host += 75 * S;
	guest_ns += 15 * S;
	envelope_add(&e, guest_ns, host);
	assert_true(envelope_now(&e, host) == guest_ns);
	assert_true(envelope_now(&e, host + S) == guest_ns + S);
}

static void test_slow_clock(void **state)
{
	struct envelope e = { 0 };
	uint64_t host = 500 * S, guest_ns = 20 * S;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		host += 15 * S;
		guest_ns += 15 * S - 15 * S / 5000; /* 200 ppm slow */
		envelope_add(&e, guest_ns, host);
		assert_true(envelope_now(&e, host) - guest_ns <= 2 * ENVELOPE_SAMPLES * 3 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),        cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_list_is_bounded), cmocka_unit_test(test_steps_are_bounded),
		cmocka_unit_test(test_errors_stick),    cmocka_unit_test(test_page_goes),
		cmocka_unit_test(test_forgetting),      cmocka_unit_test(test_settled),
		cmocka_unit_test(test_process),         cmocka_unit_test(test_finding),
		cmocka_unit_test(test_page_tables),     cmocka_unit_test(test_clock),
		cmocka_unit_test(test_slow_clock),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
