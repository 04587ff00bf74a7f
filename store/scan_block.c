/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/scan_int.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

#define EAGER_SERIES 32u /* with more, all labels of a page are taken when it is read */

struct block_ctx {
	struct store_scan *scan;
	struct block *b;
	struct block_reader *reader;
	uint32_t *map; /* the scan's number of a label of the block, plus 1 */
	bool is_eager;
	struct series_page *page;
};

/* ---- labels --------------------------------------------------------------- */

/* Reads the page with label @number, and takes it, or all of them. */
static int read_labels(struct block_ctx *c, uint32_t number, struct err *e)
{
	struct text_entry entry;
	struct text_walk w;
	int r = text_walk_page(&w, c->b, c->reader, number, e);

	while (r == 0 && (r = text_walk_next_on_page(&w, &entry, e)) == 0) {
		const struct label l = { entry.name, entry.value };

		if (entry.number != number && (!c->is_eager || entry.value.len == 0))
			continue;
		r = scan_label(&c->scan->labels, &l, false, &c->map[entry.number]);
		c->map[entry.number]++;
		if (entry.number == number && !c->is_eager)
			break;
	}
	if (r >= 0 && c->map[number] == 0)
		r = -EBADMSG;
	return r < 0 ? r : 0;
}

static int number_labels(struct block_ctx *c, const uint32_t *texts, uint32_t n, uint32_t *ret,
                         struct err *e)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = c->map[texts[i]] == 0 ? read_labels(c, texts[i], e) : 0;

		if (r < 0)
			return r;
		ret[i] = c->map[texts[i]] - 1;
	}
	return 0;
}

/* ---- series --------------------------------------------------------------- */

/* One page of series: those of ids[0..n) that are on it. Returns how many, or an error. */
static int64_t take_page(struct block_ctx *c, struct series_list *to, const uint32_t *ids,
                         uint64_t n, struct err *e)
{
	uint32_t labels[LABELS_MAX];
	uint64_t taken = 0;
	int r = series_page_read(c->b, c->reader, ids[0], c->page, e);

	for (; r == 0 && taken < n && ids[taken] < c->page->first + c->page->n; taken++) {
		uint32_t row = ids[taken] - c->page->first;
		uint32_t begin = row > 0 ? c->page->ends[row - 1] : 0;
		uint32_t n_labels = c->page->ends[row] - begin;

		r = number_labels(c, c->page->texts + begin, n_labels, labels, e);
		if (r == 0)
			r = series_list_add(to, ids[taken], labels, n_labels);
	}
	return r < 0 ? r : (int64_t)taken;
}

/* Behind the page of series that cannot be read. */
static uint64_t skip_page(struct block_ctx *c, const uint32_t *ids, uint64_t n)
{
	const struct page_list *l;
	uint64_t skipped = 1;

	if (block_series_pages(c->b, &l) < 0)
		return n;
	uint32_t page = page_list_find(l, ids[0]);

	while (skipped < n && (page + 1 == l->n || ids[skipped] < l->first[page + 1]))
		skipped++;
	return skipped;
}

static bool is_damage(int r)
{
	return r == -EBADMSG || r == -EIO;
}

static int take_series(struct block_ctx *c, struct series_list *to, const uint32_t *ids, uint64_t n,
                       struct err *e)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < n;) {
		struct err why = ERR_INIT;
		int64_t taken = take_page(c, to, ids + at, n - at, &why);

		if (taken < 0 && !is_damage((int)taken))
			return (int)taken;
		if (taken < 0)
			scan_warn(c->scan, &why);
		at += taken < 0 ? skip_page(c, ids + at, n - at) : (uint64_t)taken;
		r = scan_check(c->scan, e);
	}
	return r;
}

static int check(const void *ctx, struct err *e)
{
	return scan_check(ctx, e);
}

/* The selected series of which something is left. */
static int select_series(struct block_ctx *c, const struct block_org *org,
                         const struct selection *sel, struct hidden *hidden, roaring_bitmap_t **ret,
                         struct err *e)
{
	struct block_select block = { c->b, c->reader, org, check, c->scan };
	int r = block_select(&block, sel, ret, e);

	if (r == 0)
		r = hidden_init(hidden, &block, c->scan->view->deleted, 0, e);
	if (r == 0)
		hidden_from_set(hidden, org->min_ms, org->max_ms, *ret);
	return r;
}

static int select_and_take(struct block_ctx *c, struct block_source *src,
                           const struct block_org *org, const struct selection *sel, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *set = NULL;
	struct err why = ERR_INIT;
	int r = select_series(c, org, sel, &src->hidden, &set, &why);

	if (is_damage(r)) {
		scan_warn(c->scan, &why);
		return 0;
	}
	if (r < 0)
		return why.code < 0 ? err_set(e, r, "%s", why.msg) : r;
	uint64_t n = roaring_bitmap_get_cardinality(set);
	_cleanup_free_ uint32_t *ids = mem_zalloc(n, sizeof(*ids));

	if (n == 0)
		return 0;
	c->map = mem_zalloc(c->b->meta.n_texts, sizeof(*c->map));
	c->page = mem_alloc(sizeof(*c->page));
	c->is_eager = n > EAGER_SERIES;
	if (!ids || !c->map || !c->page)
		return -ENOMEM;
	roaring_bitmap_to_uint32_array(set, ids);
	return take_series(c, &src->list, ids, n, e);
}

int scan_block(struct store_scan *scan, struct block_source *src, const struct block_org *org,
               const struct selection *sel, struct block_reader *reader, struct err *e)
{
	struct block_ctx c = { .scan = scan, .b = src->block, .reader = reader };
	int r = select_and_take(&c, src, org, sel, e);

	free(c.map);
	free(c.page);
	return r;
}
