/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A guest's memory made up for tests: 4 GiB of addresses, of which the pages that a test touches
 * exist, with page tables as it maps them.
 */

#include "tests/unit/unit.h"
#include "userspace/host/guest/mem.h"

#define FAKE_PAGES_MAX 96u
#define FAKE_HVA       0x7f0000000000u
#define FAKE_TABLES    0x10000u /* page tables are taken from here on; the top one is the first */

struct fake_guest {
	struct {
		uint64_t pfn;
		uint8_t bytes[MEM_PAGE_BYTES];
	} pages[FAKE_PAGES_MAX];
	uint32_t n_pages, n_tables;
	uint64_t absent_pfn; /* reads of it fail; 0 = none */
	uint32_t n_calls, n_pieces;
	/* Called before the @n-th piece of a read is copied, to change memory under our eyes. */
	void (*meddle)(struct fake_guest *g, uint32_t piece);
};

static inline uint8_t *fake_page(struct fake_guest *g, uint64_t gpa)
{
	for (uint32_t i = 0; i < g->n_pages; i++) {
		if (g->pages[i].pfn == gpa / MEM_PAGE_BYTES)
			return g->pages[i].bytes;
	}
	assert_true(g->n_pages < FAKE_PAGES_MAX);
	g->pages[g->n_pages].pfn = gpa / MEM_PAGE_BYTES;
	memset(g->pages[g->n_pages].bytes, 0, MEM_PAGE_BYTES);
	return g->pages[g->n_pages++].bytes;
}

static inline void fake_write(struct fake_guest *g, uint64_t gpa, const void *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fake_page(g, gpa + i)[(gpa + i) % MEM_PAGE_BYTES] = ((const uint8_t *)src)[i];
}

static inline void fake_u64(struct fake_guest *g, uint64_t gpa, uint64_t v)
{
	fake_write(g, gpa, &v, sizeof(v));
}

/* Like anonymous memory: what was never touched is zero. */
static inline uint32_t fake_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	struct fake_guest *g = ctx;

	g->n_calls++;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t gpa = pieces[i].gpa;

		g->n_pieces++;
		assert_true(gpa / MEM_PAGE_BYTES == (gpa + pieces[i].bytes - 1) / MEM_PAGE_BYTES);
		assert_true(pieces[i].hva == FAKE_HVA + gpa);
		if (g->meddle)
			g->meddle(g, i);
		if (g->absent_pfn != 0 && gpa / MEM_PAGE_BYTES == g->absent_pfn)
			continue;
		memset(pieces[i].dst, 0, pieces[i].bytes);
		for (uint32_t k = 0; k < g->n_pages; k++) {
			if (g->pages[k].pfn == gpa / MEM_PAGE_BYTES)
				memcpy(pieces[i].dst, g->pages[k].bytes + gpa % MEM_PAGE_BYTES,
				       pieces[i].bytes);
		}
		pieces[i].done = true;
	}
	return 1;
}

static const struct mem_ops fake_mem_ops = { .read = fake_read };

static inline void fake_open(struct fake_guest *g, struct mem *m)
{
	const struct mem_seg seg = { 0, (uint64_t)4 << 30, FAKE_HVA };

	assert_int_equal(0, mem_open(m, &fake_mem_ops, g, &seg, 1));
}

/* Maps the page of @addr to @gpa, by a leaf at @leaf_shift (12, 21 or 30). */
static inline void fake_map(struct fake_guest *g, bool five_levels, uint64_t addr, uint64_t gpa,
                            int leaf_shift)
{
	uint64_t table = FAKE_TABLES, entry;

	for (int shift = five_levels ? 48 : 39; shift > leaf_shift; shift -= 9) {
		uint64_t at = table + (addr >> shift) % 512 * 8;

		memcpy(&entry, fake_page(g, at) + at % MEM_PAGE_BYTES, sizeof(entry));
		if (!(entry & 1)) {
			entry = (FAKE_TABLES + ++g->n_tables * MEM_PAGE_BYTES) | 1 | 2;
			fake_u64(g, at, entry);
		}
		table = entry & 0x000ffffffffff000u;
	}
	entry = gpa | 1 | 2 | (leaf_shift > 12 ? 0x80 : 0) | ((uint64_t)1 << 63); /* NX */
	fake_u64(g, table + (addr >> leaf_shift) % 512 * 8, entry);
}
