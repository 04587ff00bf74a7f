/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block_text.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define ORG_BYTES 4u

void block_reader_done(struct block_reader *r)
{
	page_reader_done(&r->texts);
	page_reader_done(&r->others);
	free(r->postings);
	buf_done(&r->key);
	*r = (struct block_reader){ 0 };
}

/* ---- labels --------------------------------------------------------------- */

static void put_key(struct buf *out, uint32_t org, struct str name, struct str value)
{
	const uint8_t number[ORG_BYTES] = { (uint8_t)(org >> 24), (uint8_t)(org >> 16),
		                            (uint8_t)(org >> 8), (uint8_t)org };

	buf_clear(out);
	buf_put(out, number, sizeof(number));
	buf_put_str(out, name);
	buf_putc(out, '\0');
	buf_put_str(out, value);
}

/* The page in which @key is, or would be. */
static uint32_t find_page(const struct page_list *l, struct str key)
{
	uint32_t lo = 0, hi = l->n - 1;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo + 1) / 2;

		if (str_cmp(l->keys[mid], key) <= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

static int open_page(struct text_walk *w, struct err *e)
{
	const struct page_list *l = w->pages;
	struct str raw;
	int r = page_get(&w->r->texts, w->b->index_fd, l->pages[w->page], PAGE_TEXTS, &raw);

	if (r < 0)
		return block_bad_page(w->b, true, l->pages[w->page], r, e);
	w->number = l->first[w->page];
	w->left = (w->page + 1 < l->n ? l->first[w->page + 1] : w->b->meta.n_texts) - w->number;
	w->c = cursor_of(raw);
	w->page++;
	buf_clear(&w->r->key);
	return 0;
}

/* The text in hand becomes the next one: it keeps what the two share. */
static int step_key(struct text_walk *w)
{
	struct buf *key = &w->r->key;
	size_t shared = (size_t)cursor_upto(&w->c, key->len);
	struct str rest = cursor_text(&w->c);

	key->len = shared;
	buf_put_str(key, rest);
	return key->err;
}

static int parse_entry(struct text_walk *w, struct text_entry *ret)
{
	int r = step_key(w);

	if (r < 0)
		return r;
	struct str key = buf_str(&w->r->key), name, value;

	postings_parse(&w->c, &ret->postings);
	if (w->c.bad || key.len <= ORG_BYTES)
		return -EBADMSG;
	const uint8_t *p = (const uint8_t *)key.p;

	ret->org = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	if (!str_cut(str_skip(key, ORG_BYTES), '\0', &name, &value) || name.len == 0)
		return -EBADMSG;
	ret->name = name;
	ret->value = value;
	ret->number = w->number++;
	w->left--;
	return w->left > 0 || cursor_at_end(&w->c) ? 0 : -EBADMSG;
}

static int step(struct text_walk *w, struct err *e)
{
	int r = 0;

	if (w->left == 0) {
		if (w->page == w->pages->n)
			return 1;
		r = open_page(w, e);
		if (r < 0)
			return r;
	}
	r = w->left > 0 ? parse_entry(w, &w->entry) : -EBADMSG;
	return r < 0 ? block_bad_page(w->b, true, w->pages->pages[w->page - 1], r, e) : 0;
}

int text_walk_next(struct text_walk *w, struct text_entry *ret, struct err *e)
{
	int r = w->is_ahead ? 0 : step(w, e);

	w->is_ahead = false;
	if (r == 0)
		*ret = w->entry;
	return r;
}

int text_walk_start(struct text_walk *w, struct block *b, struct block_reader *r, uint32_t org,
                    struct str name, struct str value, struct err *e)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	int ret;

	*w = (struct text_walk){ .b = b, .r = r };
	ret = block_text_pages(b, &w->pages);
	if (ret < 0)
		return block_bad_page(b, true, b->meta.texts, ret, e);
	put_key(&key, org, name, value);
	if (key.err < 0 || w->pages->n == 0)
		return key.err;
	w->page = find_page(w->pages, buf_str(&key));
	do {
		ret = step(w, e);
	} while (ret == 0 && str_cmp(buf_str(&r->key), buf_str(&key)) < 0);
	w->is_ahead = ret == 0;
	return ret < 0 ? ret : 0;
}

int text_walk_page(struct text_walk *w, struct block *b, struct block_reader *r, uint32_t number,
                   struct err *e)
{
	int ret;

	*w = (struct text_walk){ .b = b, .r = r };
	ret = block_text_pages(b, &w->pages);
	if (ret < 0)
		return block_bad_page(b, true, b->meta.texts, ret, e);
	if (number >= b->meta.n_texts)
		return -EBADMSG;
	w->page = page_list_find(w->pages, number);
	return open_page(w, e);
}

int text_walk_next_on_page(struct text_walk *w, struct text_entry *ret, struct err *e)
{
	return w->left > 0 ? text_walk_next(w, ret, e) : 1;
}

int text_or(struct block *b, struct block_reader *r, const struct text_entry *entry,
            roaring_bitmap_t *to, struct err *e)
{
	if (!r->postings)
		r->postings = mem_alloc(sizeof(*r->postings));
	if (!r->postings)
		return -ENOMEM;
	int ret = postings_or(&entry->postings, &r->others, b->index_fd, b->meta.n_series,
	                      r->postings, to);

	return ret < 0 ? block_bad_page(b, true, entry->postings.page, ret, e) : 0;
}

int text_or_exact(struct block *b, struct block_reader *r, uint32_t org, struct str name,
                  struct str value, roaring_bitmap_t *to, struct err *e)
{
	struct text_entry entry;
	struct text_walk w;
	int ret = text_walk_start(&w, b, r, org, name, value, e);

	if (ret == 0)
		ret = text_walk_next(&w, &entry, e);
	if (ret != 0)
		return ret < 0 ? ret : 0;
	if (entry.org != org || !str_eq(entry.name, name) || !str_eq(entry.value, value))
		return 0;
	return text_or(b, r, &entry, to, e);
}

/* ---- label sets ----------------------------------------------------------- */

static bool parse_series(struct cursor *c, uint32_t limit, const uint32_t *before,
                         uint32_t n_before, uint32_t *to, uint32_t *ret_n)
{
	uint64_t head = cursor_varint(c);
	uint32_t n = (uint32_t)head & 127;
	uint64_t shared = head >> 7;

	if (n == 0 || n > LABELS_MAX || shared > n || shared > n_before)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		int64_t number = i < n_before ? before[i] : 0;

		if (i >= shared)
			number += cursor_signed(c);
		if (number < 0 || number >= limit)
			return false;
		to[i] = (uint32_t)number;
	}
	*ret_n = n;
	return !c->bad;
}

static int parse_series_page(struct cursor *c, uint32_t limit, struct series_page *ret)
{
	const uint32_t *before = ret->texts;
	uint32_t at = 0, n_before = 0, n = 0;

	for (uint32_t i = 0; i < ret->n; i++) {
		if (!parse_series(c, limit, before, n_before, ret->texts + at, &n))
			return -EBADMSG;
		before = ret->texts + at;
		n_before = n;
		at += n;
		ret->ends[i] = at;
	}
	return cursor_at_end(c) ? 0 : -EBADMSG;
}

int series_page_read(struct block *b, struct block_reader *r, uint32_t number,
                     struct series_page *ret, struct err *e)
{
	const struct page_list *l;
	struct str raw;
	int code = block_series_pages(b, &l);

	if (code < 0)
		return block_bad_page(b, true, b->meta.series, code, e);
	if (number >= b->meta.n_series)
		return -EINVAL;
	uint32_t page = page_list_find(l, number);
	uint32_t end = page + 1 < l->n ? l->first[page + 1] : b->meta.n_series;

	ret->first = l->first[page];
	ret->n = end - ret->first;
	code = page_get(&r->others, b->index_fd, l->pages[page], PAGE_SERIES, &raw);
	if (code == 0 && ret->n > BLOCK_SERIES_OF_PAGE)
		code = -EBADMSG;
	if (code == 0) {
		struct cursor c = cursor_of(raw);

		code = parse_series_page(&c, b->meta.n_texts, ret);
	}
	return code < 0 ? block_bad_page(b, true, l->pages[page], code, e) : 0;
}
