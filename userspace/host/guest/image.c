/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/image.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/util.h"

#define MAGIC       "psguest1"
#define MAGIC_BYTES 8u
#define PAGES_MAX   4096u
#define PAGE_ENTRY  (8u + MEM_PAGE_BYTES)

/* ---- writing -------------------------------------------------------------------------------- */

struct recorder {
	struct buf *out;
	uint64_t pfns[PAGES_MAX];
	uint32_t n;
};

static void put_u32(struct buf *out, uint32_t v)
{
	buf_put(out, &v, sizeof(v));
}

static void put_u64(struct buf *out, uint64_t v)
{
	buf_put(out, &v, sizeof(v));
}

/* A page that is read again has the newer content in its place. */
static void record(void *ctx, uint64_t pfn, const uint8_t *bytes)
{
	struct recorder *r = ctx;
	uint32_t i = 0;

	while (i < r->n && r->pfns[i] != pfn)
		i++;
	if (i == PAGES_MAX || r->out->err < 0)
		return;
	if (i == r->n) {
		r->pfns[r->n++] = pfn;
		put_u64(r->out, pfn);
		buf_put(r->out, bytes, MEM_PAGE_BYTES);
		return;
	}
	memcpy(r->out->p + r->out->len - (size_t)(r->n - i) * PAGE_ENTRY + 8, bytes,
	       MEM_PAGE_BYTES);
}

static void put_head(const struct mem *m, uint32_t n_pages, struct buf *out)
{
	buf_puts(out, MAGIC);
	put_u32(out, m->n_segs);
	put_u32(out, n_pages);
	for (uint32_t i = 0; i < m->n_segs; i++) {
		put_u64(out, m->segs[i].gpa);
		put_u64(out, m->segs[i].bytes);
	}
}

int image_save(struct guest *g, struct mem_cache *cache, struct buf *out)
{
	struct guest_sample *s = mem_zalloc(1, sizeof(*s));
	struct recorder *rec = mem_zalloc(1, sizeof(*rec));
	struct buf pages = BUF_INIT;
	size_t start = out->len;
	int r = s && rec ? 0 : -ENOMEM;

	if (r == 0) {
		rec->out = &pages;
		guest_record(g, record, rec);
		r = guest_find_again(g, cache);
	}
	if (r == 0)
		r = guest_sample(g, cache, ~0u, clock_mono_ns(), s);
	guest_record(g, NULL, NULL);
	if (r == 0) {
		put_head(guest_mem(g), rec->n, out);
		buf_put(out, pages.p, pages.len);
		r = pages.err < 0 ? pages.err : out->err;
	}
	if (r == 0)
		put_u32(out, crc32c(0, out->p + start, out->len - start));
	buf_done(&pages);
	free(rec);
	free(s);
	return r;
}

/* ---- reading -------------------------------------------------------------------------------- */

struct page_ref {
	uint64_t pfn;
	const char *bytes;
};

struct image {
	uint32_t n;
	struct page_ref pages[]; /* ascending */
};

static int cmp_page(const void *a, const void *b)
{
	const struct page_ref *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static uint32_t image_read(void *ctx, struct mem_piece *pieces, uint32_t n)
{
	const struct image *img = ctx;

	for (uint32_t i = 0; i < n; i++) {
		const struct page_ref key = { .pfn = pieces[i].gpa / MEM_PAGE_BYTES };
		const struct page_ref *page =
			bsearch(&key, img->pages, img->n, sizeof(key), cmp_page);

		if (!page)
			continue;
		memcpy(pieces[i].dst, page->bytes + pieces[i].gpa % MEM_PAGE_BYTES,
		       pieces[i].bytes);
		pieces[i].done = true;
	}
	return 0;
}

static void image_close(void *ctx)
{
	free(ctx);
}

static const struct mem_ops image_ops = { image_read, image_close };

static uint64_t take(struct str *s, size_t bytes)
{
	uint64_t v = 0;

	assert(bytes <= s->len);
	memcpy(&v, s->p, bytes);
	*s = str_skip(*s, bytes);
	return v;
}

static bool is_whole(struct str s)
{
	uint32_t want;

	if (s.len < MAGIC_BYTES + 8 + 4 || memcmp(s.p, MAGIC, MAGIC_BYTES) != 0)
		return false;
	memcpy(&want, s.p + s.len - 4, sizeof(want));
	return crc32c(0, s.p, s.len - 4) == want;
}

int image_open(struct mem *ret, struct str bytes, struct err *e)
{
	struct mem_seg segs[MEM_SEGS_MAX];
	struct image *img;
	uint32_t n_segs, n;
	int r;

	if (!is_whole(bytes))
		return err_set(e, -EBADMSG, "not an image of a guest, or damaged");
	bytes = (struct str){ bytes.p + MAGIC_BYTES, bytes.len - MAGIC_BYTES - 4 };
	n_segs = (uint32_t)take(&bytes, 4);
	n = (uint32_t)take(&bytes, 4);
	if (n_segs > MEM_SEGS_MAX || n > PAGES_MAX ||
	    bytes.len != n_segs * 16ull + n * (uint64_t)PAGE_ENTRY)
		return err_set(e, -EBADMSG, "image: its length does not fit its head");
	for (uint32_t i = 0; i < n_segs; i++) {
		uint64_t gpa = take(&bytes, 8);

		segs[i] = (struct mem_seg){ .gpa = gpa, .bytes = take(&bytes, 8) };
	}
	img = mem_alloc(sizeof(*img) + n * sizeof(img->pages[0]));
	if (!img)
		return -ENOMEM;
	img->n = n;
	for (uint32_t i = 0; i < n; i++) {
		img->pages[i].pfn = take(&bytes, 8);
		img->pages[i].bytes = bytes.p;
		bytes = str_skip(bytes, MEM_PAGE_BYTES);
	}
	qsort(img->pages, n, sizeof(img->pages[0]), cmp_page);
	r = mem_open(ret, &image_ops, img, segs, n_segs);
	if (r < 0) {
		free(img);
		return err_set(e, -EBADMSG, "image: its segments make no sense");
	}
	return 0;
}
