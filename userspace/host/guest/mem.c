/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "userspace/base/util.h"

#define LINES_OF_PAGE (MEM_PAGE_BYTES / MEM_LINE_BYTES)
#define LAST_LINE     (LINES_OF_PAGE - 1)
#define SLOTS         (MEM_PAGES_MAX * 2u)

static const uint8_t zeros[MEM_PAGE_BYTES];

/* ---- segments ------------------------------------------------------------------------------- */

static bool seg_is_good(const struct mem_seg *s)
{
	return s->bytes > 0 && s->gpa % MEM_PAGE_BYTES == 0 && s->bytes % MEM_PAGE_BYTES == 0 &&
	       s->hva % MEM_PAGE_BYTES == 0 && s->gpa + s->bytes > s->gpa &&
	       s->hva + s->bytes > s->hva;
}

static bool segs_meet(const struct mem_seg *a, const struct mem_seg *b)
{
	return a->gpa < b->gpa + b->bytes && b->gpa < a->gpa + a->bytes;
}

int mem_open(struct mem *m, const struct mem_ops *ops, void *ctx, const struct mem_seg *segs,
             uint32_t n_segs)
{
	if (n_segs == 0 || n_segs > MEM_SEGS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n_segs; i++) {
		if (!seg_is_good(&segs[i]))
			return -EINVAL;
		for (uint32_t k = 0; k < i; k++) {
			if (segs_meet(&segs[i], &segs[k]))
				return -EINVAL;
		}
	}
	*m = (struct mem){ .ops = ops, .ctx = ctx, .n_segs = n_segs };
	memcpy(m->segs, segs, n_segs * sizeof(*segs));
	return 0;
}

void mem_close(struct mem *m)
{
	if (m->ops && m->ops->close)
		m->ops->close(m->ctx);
	*m = (struct mem){ 0 };
}

static const struct mem_seg *seg_of(const struct mem *m, uint64_t gpa)
{
	for (uint32_t i = 0; i < m->n_segs; i++) {
		if (gpa - m->segs[i].gpa < m->segs[i].bytes)
			return &m->segs[i];
	}
	return NULL;
}

bool mem_has(const struct mem *m, uint64_t gpa, uint64_t bytes)
{
	const struct mem_seg *s = seg_of(m, gpa);

	return s && bytes <= s->bytes - (gpa - s->gpa);
}

uint64_t mem_hva(const struct mem *m, uint64_t gpa)
{
	const struct mem_seg *s = seg_of(m, gpa);

	return s ? s->hva + (gpa - s->gpa) : 0;
}

/* ---- errors --------------------------------------------------------------------------------- */

void mem_fail(struct mem *m, int code)
{
	if (m->err == 0)
		m->err = code;
}

void mem_clear_error(struct mem *m)
{
	m->err = m->exhausted;
}

static void exhaust(struct mem *m)
{
	m->exhausted = -ENOSPC;
	mem_fail(m, -ENOSPC);
}

/* ---- the cache ------------------------------------------------------------------------------ */

static uint32_t slot_of(const struct mem_cache *c, uint64_t pfn)
{
	uint32_t at = (uint32_t)(pfn * 0x9e3779b97f4a7c15u >> 40) % SLOTS;

	while (c->slots[at] != 0 && c->pages[c->slots[at] - 1].pfn != pfn)
		at = (at + 1) % SLOTS;
	return at;
}

/* A page with no line in it; NULL when the budget is exhausted. */
static struct mem_page *add_page(struct mem *m, uint64_t pfn)
{
	struct mem_cache *c = m->cache;

	if (c->n == MEM_PAGES_MAX) {
		exhaust(m);
		return NULL;
	}
	struct mem_page *page = &c->pages[c->n++];

	*page = (struct mem_page){ .pfn = pfn, .have_first = 1, .used_first = LAST_LINE };
	c->slots[slot_of(c, pfn)] = (uint16_t)c->n;
	m->counts.n_pages++;
	return page;
}

static uint8_t *bytes_of(struct mem_cache *c, const struct mem_page *page)
{
	return c->bytes[page - c->pages];
}

static bool has_lines(const struct mem_page *page, uint32_t first, uint32_t last)
{
	return page->have_first <= first && last <= page->have_last;
}

static struct mem_piece piece_of(struct mem *m, const struct mem_page *page, uint32_t first,
                                 uint32_t last)
{
	uint64_t gpa = page->pfn * MEM_PAGE_BYTES + (uint64_t)first * MEM_LINE_BYTES;

	return (struct mem_piece){
		.gpa = gpa,
		.hva = mem_hva(m, gpa),
		.bytes = (last - first + 1) * MEM_LINE_BYTES,
		.dst = bytes_of(m->cache, page) + first * MEM_LINE_BYTES,
	};
}

static void read_pieces(struct mem *m, struct mem_piece *pieces, uint32_t n)
{
	m->counts.n_calls += m->ops->read(m->ctx, pieces, n);
	for (uint32_t i = 0; i < n; i++)
		m->counts.n_bytes += pieces[i].done ? pieces[i].bytes : 0;
}

/* All of the page: who missed one line may miss the next. */
static bool fetch(struct mem *m, struct mem_page *page)
{
	struct mem_piece piece = piece_of(m, page, 0, LAST_LINE);

	m->counts.n_missed++;
	read_pieces(m, &piece, 1);
	if (!piece.done)
		return false;
	page->have_first = 0;
	page->have_last = LAST_LINE;
	if (m->record)
		m->record(m->record_ctx, page->pfn, piece.dst);
	return true;
}

static uint32_t add_again(struct mem *m, struct mem_piece *piece)
{
	if (m->again.bytes == 0)
		return 0;
	*piece = (struct mem_piece){ .gpa = m->again.gpa,
		                     .hva = mem_hva(m, m->again.gpa),
		                     .bytes = m->again.bytes,
		                     .dst = m->again.copy };
	return 1;
}

/* One vectored read of what the last sample used. */
static void prefetch(struct mem *m)
{
	struct mem_cache *c = m->cache;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_list; i++) {
		struct mem_page *page = add_page(m, m->list[i] >> 12);

		c->pieces[n++] = piece_of(m, page, (uint32_t)(m->list[i] >> 6) & LAST_LINE,
		                          (uint32_t)m->list[i] & LAST_LINE);
	}
	uint32_t n_again = add_again(m, &c->pieces[n]);

	if (n + n_again > 0)
		read_pieces(m, c->pieces, n + n_again);
	m->again.done = n_again > 0 && c->pieces[n].done;
	for (uint32_t i = 0; i < n; i++) {
		if (!c->pieces[i].done)
			continue;
		c->pages[i].have_first = (uint8_t)(m->list[i] >> 6 & LAST_LINE);
		c->pages[i].have_last = (uint8_t)(m->list[i] & LAST_LINE);
	}
}

static void clear_cache(struct mem_cache *c)
{
	memset(c->slots, 0, sizeof(c->slots));
	c->n = 0;
}

void mem_begin(struct mem *m, struct mem_cache *cache)
{
	m->cache = cache;
	m->counts = (struct mem_counts){ 0 };
	m->err = m->exhausted = 0;
	clear_cache(cache);
	prefetch(m);
}

/* What was used and is not remembered yet. Pages keep their order: neighbours stay neighbours. */
static void remember(struct mem *m)
{
	const struct mem_cache *c = m->cache;

	m->n_list = 0;
	for (uint32_t i = 0; i < c->n && m->n_list < MEM_LIST_MAX; i++) {
		const struct mem_page *page = &c->pages[i];

		if (page->used_first <= page->used_last)
			m->list[m->n_list++] =
				page->pfn << 12 | (uint64_t)page->used_first << 6 | page->used_last;
	}
}

void mem_end(struct mem *m)
{
	remember(m);
	m->cache = NULL;
}

void mem_forget(struct mem *m)
{
	for (uint32_t i = 0; i < m->cache->n; i++) {
		m->cache->pages[i].have_first = 1;
		m->cache->pages[i].have_last = 0;
	}
}

static struct mem_page *page_of(struct mem *m, uint64_t pfn)
{
	struct mem_cache *c = m->cache;
	uint16_t at = c->slots[slot_of(c, pfn)];

	if (at != 0)
		return &c->pages[at - 1];
	if (!seg_of(m, pfn * MEM_PAGE_BYTES)) {
		mem_fail(m, -EFAULT);
		return NULL;
	}
	return add_page(m, pfn);
}

const uint8_t *mem_at(struct mem *m, uint64_t gpa, uint32_t bytes)
{
	uint32_t at = (uint32_t)(gpa % MEM_PAGE_BYTES);
	uint32_t first = at / MEM_LINE_BYTES, last = (at + bytes - 1) / MEM_LINE_BYTES;
	struct mem_page *page;

	assert(m->cache && bytes > 0);
	if (m->err != 0)
		return zeros;
	if (++m->counts.n_steps > MEM_STEPS_MAX) {
		exhaust(m);
		return zeros;
	}
	if (bytes > MEM_PAGE_BYTES - at) {
		mem_fail(m, -EFAULT);
		return zeros;
	}
	page = page_of(m, gpa / MEM_PAGE_BYTES);
	if (!page)
		return zeros;
	if (!has_lines(page, first, last) && !fetch(m, page)) {
		mem_fail(m, -EFAULT);
		return zeros;
	}
	page->used_first = (uint8_t)MIN((uint32_t)page->used_first, first);
	page->used_last = (uint8_t)MAX((uint32_t)page->used_last, last);
	return bytes_of(m->cache, page) + at;
}

bool mem_is_settled(struct mem *m, uint64_t gpa, uint32_t bytes)
{
	bool known = m->again.done && m->again.gpa == gpa && m->again.bytes == bytes;

	if (bytes > MEM_AGAIN_MAX || bytes > MEM_PAGE_BYTES - gpa % MEM_PAGE_BYTES ||
	    !mem_has(m, gpa, bytes))
		return false;
	m->again.gpa = gpa;
	m->again.bytes = bytes;
	return known && memcmp(mem_at(m, gpa, bytes), m->again.copy, bytes) == 0 && !mem_failed(m);
}
