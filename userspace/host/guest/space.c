/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/space.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/util.h"

#define START_KERNEL     0xffffffff80000000u /* __START_KERNEL_map */
#define SLIDE_MAX        ((uint64_t)1 << 30)
#define KERNEL_ALIGN     ((uint64_t)2 << 20) /* CONFIG_PHYSICAL_ALIGN, or a multiple */
#define KERNEL_HALF      0xff00000000000000u
#define DIRECT_MAP_4     0xffff888000000000u /* where it is not randomised */
#define DIRECT_MAP_5     0xff11000000000000u
#define DIRECT_MAP_BYTES ((uint64_t)64 << 40)
#define BANNER_HEAD      "Linux version "
#define BANNER_BYTES     16 /* read of each candidate, or less at the end of its page */

#define ENTRY_PRESENT 1u
#define ENTRY_LEAF    0x80u
#define ENTRY_ADDR    0x000ffffffffff000u
#define ENTRY_N       512u

static uint64_t u64_at(struct mem *m, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, mem_at(m, gpa, sizeof(v)), sizeof(v));
	return v;
}

/* ---- translation ---------------------------------------------------------------------------- */

/* From the top table down; an entry may end the walk with a page of 1 GiB or 2 MiB. */
static uint64_t walk_tables(const struct space *s, struct mem *m, uint64_t addr)
{
	uint64_t table = s->table_gpa;

	for (int shift = s->five_levels ? 48 : 39; shift >= 12; shift -= 9) {
		uint64_t entry = u64_at(m, table + (addr >> shift) % ENTRY_N * 8);
		uint64_t span = (uint64_t)1 << shift;

		if (!(entry & ENTRY_PRESENT) || mem_failed(m))
			break;
		if (shift == 12 || (shift <= 30 && (entry & ENTRY_LEAF)))
			return (entry & ENTRY_ADDR & ~(span - 1)) | (addr & (span - 1));
		table = entry & ENTRY_ADDR;
	}
	mem_fail(m, -EFAULT);
	return 0;
}

static uint64_t walk_cached(const struct space *s, struct space_tlb *tlb, struct mem *m,
                            uint64_t addr)
{
	uint64_t page = addr / MEM_PAGE_BYTES, gpa;
	uint64_t at = page % SPACE_TLB_N;

	if (tlb->entries[at].page != page) {
		gpa = walk_tables(s, m, page * MEM_PAGE_BYTES);
		if (mem_failed(m))
			return 0;
		tlb->entries[at].page = page;
		tlb->entries[at].gpa = gpa;
	}
	return tlb->entries[at].gpa + addr % MEM_PAGE_BYTES;
}

uint64_t space_gpa(const struct space *s, struct space_tlb *tlb, struct mem *m, uint64_t addr)
{
	if (addr >= s->text && addr < s->end)
		return addr - START_KERNEL + s->phys_base;
	if (addr >= s->page_offset && addr - s->page_offset < DIRECT_MAP_BYTES)
		return addr - s->page_offset;
	if (addr < KERNEL_HALF) {
		mem_fail(m, -EFAULT);
		return 0;
	}
	return walk_cached(s, tlb, m, addr);
}

/* ---- finding the kernel --------------------------------------------------------------------- */

static uint64_t symbol_gpa(const struct profile *p, uint64_t text_gpa, enum profile_symbol symbol)
{
	return text_gpa + (p->symbols[symbol] - p->symbols[S_TEXT]);
}

static bool has_banner(struct mem *m, const struct profile *p, uint64_t gpa)
{
	size_t len = strlen(p->banner), at = 0;

	/* It may straddle pages. */
	while (at < len) {
		uint32_t n = MEM_PAGE_BYTES - (uint32_t)((gpa + at) % MEM_PAGE_BYTES);

		n = MIN(n, (uint32_t)(len - at));
		if (memcmp(mem_at(m, gpa + at, n), p->banner + at, n) != 0)
			return false;
		at += n;
	}
	return *mem_at(m, gpa + len, 1) == '\n' && !mem_failed(m);
}

static bool read_direct_map(struct mem *m, const struct profile *p, uint64_t text_gpa,
                            struct space *s)
{
	if (p->symbols_there[S_FIVE_LEVELS]) {
		uint32_t on;

		memcpy(&on, mem_at(m, symbol_gpa(p, text_gpa, S_FIVE_LEVELS), 4), 4);
		s->five_levels = on != 0;
	}
	s->page_offset = s->five_levels ? DIRECT_MAP_5 : DIRECT_MAP_4;
	if (p->symbols_there[S_PAGE_OFFSET])
		s->page_offset = u64_at(m, symbol_gpa(p, text_gpa, S_PAGE_OFFSET));
	return s->page_offset >= KERNEL_HALF && s->page_offset % MEM_PAGE_BYTES == 0 &&
	       s->page_offset < s->text;
}

/* What a kernel whose text begins at @text_gpa says of itself, checked against its page table. */
static bool try_text(struct mem *m, const struct profile *p, uint64_t text_gpa, struct space *s)
{
	uint64_t banner_gpa = symbol_gpa(p, text_gpa, S_BANNER);
	struct space_tlb tlb = { 0 };

	if (!has_banner(m, p, banner_gpa))
		return false;
	s->phys_base = u64_at(m, symbol_gpa(p, text_gpa, S_PHYS_BASE));
	s->text = text_gpa - s->phys_base + START_KERNEL;
	s->slide = s->text - p->symbols[S_TEXT];
	s->end = s->text + (p->symbols[S_END] - p->symbols[S_TEXT]);
	if (s->slide % KERNEL_ALIGN != 0 || s->slide >= SLIDE_MAX || s->end < s->text)
		return false;
	if (!read_direct_map(m, p, text_gpa, s))
		return false;
	s->table_gpa = symbol_gpa(p, text_gpa, S_PAGE_TABLE);
	return walk_cached(s, &tlb, m, space_symbol(s, p, S_BANNER)) == banner_gpa &&
	       !mem_failed(m);
}

static bool try_candidate(struct mem *m, struct mem_cache *cache, const struct profile *p,
                          uint64_t text_gpa, struct space *ret)
{
	struct space s = { 0 };
	bool found;

	mem_begin(m, cache);
	found = try_text(m, p, text_gpa, &s);
	mem_end(m);
	m->n_list = 0; /* what was read here is not what samples read */
	if (found)
		*ret = s;
	return found;
}

static bool is_banner(const char *head, size_t bytes)
{
	return memcmp(head, BANNER_HEAD, MIN(bytes, strlen(BANNER_HEAD))) == 0;
}

/* The first bytes at the banner's place of up to @n candidates from @text_gpa on. */
static uint32_t read_candidates(struct mem *m, struct mem_cache *cache, uint64_t banner_gpa,
                                uint64_t end, char heads[][BANNER_BYTES])
{
	uint32_t n = 0, bytes = MEM_PAGE_BYTES - (uint32_t)(banner_gpa % MEM_PAGE_BYTES);

	bytes = MIN(bytes, (uint32_t)BANNER_BYTES);
	for (; n < MEM_PAGES_MAX && banner_gpa + BANNER_BYTES <= end; n++) {
		cache->pieces[n] = (struct mem_piece){ .gpa = banner_gpa,
			                               .hva = mem_hva(m, banner_gpa),
			                               .bytes = bytes,
			                               .dst = heads[n] };
		banner_gpa += KERNEL_ALIGN;
	}
	if (n > 0)
		(void)m->ops->read(m->ctx, cache->pieces, n);
	return n;
}

static bool scan_segment(struct mem *m, struct mem_cache *cache, const struct profile *p,
                         const struct mem_seg *seg, uint64_t dead_gpa, struct space *ret)
{
	char(*heads)[BANNER_BYTES] = (char(*)[BANNER_BYTES])cache->bytes;
	uint64_t text = (seg->gpa + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
	uint64_t at = p->symbols[S_BANNER] - p->symbols[S_TEXT];
	uint64_t hits[8];

	for (;;) {
		uint32_t n = read_candidates(m, cache, text + at, seg->gpa + seg->bytes, heads);
		uint32_t n_hits = 0;

		if (n == 0)
			return false;
		for (uint32_t i = 0; i < n && n_hits < ARRAY_SIZE(hits); i++) {
			if (cache->pieces[i].done && is_banner(heads[i], cache->pieces[i].bytes))
				hits[n_hits++] = text + i * KERNEL_ALIGN;
		}
		for (uint32_t i = 0; i < n_hits; i++) {
			if (hits[i] != dead_gpa && try_candidate(m, cache, p, hits[i], ret))
				return true;
		}
		text += n * KERNEL_ALIGN;
	}
}

uint64_t space_text_gpa(const struct space *s)
{
	return s->text - START_KERNEL + s->phys_base;
}

int space_find(struct mem *m, struct mem_cache *cache, const struct profile *p, uint64_t dead_gpa,
               struct space *ret)
{
	for (uint32_t i = 0; i < m->n_segs; i++) {
		if (scan_segment(m, cache, p, &m->segs[i], dead_gpa, ret))
			return 0;
	}
	return -ENOENT;
}

bool space_is_same(const struct space *s, struct mem *m, const struct profile *p)
{
	uint64_t gpa = space_symbol(s, p, S_BANNER) - START_KERNEL + s->phys_base;

	return has_banner(m, p, gpa);
}
