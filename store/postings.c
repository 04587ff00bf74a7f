/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *	entry  varint (n << 2 | form); run: varint first; list: n varints, each the distance from
 *	the
 *	       number before, less one (the first from -1); page: varint at, varint bytes
 *	page   for each 8,192 numbers: varint bytes, and so many of a column of integers
 */
#include "store/postings.h"

#include <assert.h>
#include <errno.h>

#include "userspace/base/util.h"

/* ---- writing -------------------------------------------------------------- */

static void put_list(const uint32_t *ids, uint32_t n, struct buf *entry)
{
	int64_t before = -1;

	for (uint32_t i = 0; i < n; i++) {
		buf_put_varint(entry, (uint64_t)(ids[i] - before - 1));
		before = ids[i];
	}
}

static void put_columns(struct postings_scratch *s, const uint32_t *ids, uint32_t n,
                        struct buf *raw)
{
	const struct intcol_scratch ints = { s->quotient, s->step, s->rest };

	for (uint32_t at = 0; at < n; at += COLUMN_ROWS_MAX) {
		uint32_t k = MIN(n - at, COLUMN_ROWS_MAX);
		uint8_t *p = buf_reserve(raw, INTCOL_BOUND(k) + VARINT64_BYTES_MAX);

		if (!p)
			return;
		for (uint32_t i = 0; i < k; i++)
			s->numbers[i] = ids[at + i];
		/* The length is known behind the column: first there, then moved. */
		size_t bytes = intcol_encode(s->numbers, k, p + VARINT64_BYTES_MAX, &ints);
		uint8_t *column = varint_put(p, bytes);

		memmove(column, p + VARINT64_BYTES_MAX, bytes);
		raw->len += (size_t)(column - p) + bytes;
	}
}

static int put_page(struct page_packer *packer, struct postings_scratch *s, const uint32_t *ids,
                    uint32_t n, struct buf *entry, struct buf *pages, uint64_t pages_at)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT;
	size_t before = pages->len;

	put_columns(s, ids, n, &raw);
	int r = raw.err == 0 ? page_put(packer, PAGE_IDS, buf_str(&raw), pages) : raw.err;

	buf_put_varint(entry, pages_at + before);
	buf_put_varint(entry, pages->len - before);
	return r;
}

int postings_put(struct page_packer *packer, struct postings_scratch *s, const uint32_t *ids,
                 uint32_t n, struct buf *entry, struct buf *pages, uint64_t pages_at)
{
	int r = 0;

	assert(n > 0);
	enum postings_form form = ids[n - 1] - ids[0] == n - 1 ? POSTINGS_RUN
	                          : n <= POSTINGS_LIST_MAX     ? POSTINGS_LIST
	                                                       : POSTINGS_PAGE;

	buf_put_varint(entry, (uint64_t)n << 2 | form);
	if (form == POSTINGS_RUN)
		buf_put_varint(entry, ids[0]);
	else if (form == POSTINGS_LIST)
		put_list(ids, n, entry);
	else
		r = put_page(packer, s, ids, n, entry, pages, pages_at);
	return r < 0 ? r : entry->err;
}

/* ---- reading -------------------------------------------------------------- */

void postings_parse(struct cursor *c, struct postings *ret)
{
	uint64_t head = cursor_upto(c, (uint64_t)UINT32_MAX << 2 | 3);

	*ret = (struct postings){ .form = (enum postings_form)(head & 3),
		                  .n = (uint32_t)(head >> 2),
		                  .list.p = c->p };
	switch (ret->form) {
	case POSTINGS_RUN:
		ret->first = cursor_u32(c);
		break;
	case POSTINGS_LIST:
		for (uint32_t i = 0; i < MIN(ret->n, POSTINGS_LIST_MAX); i++)
			(void)cursor_varint(c);
		ret->list.end = c->p;
		break;
	case POSTINGS_PAGE:
		ret->page.at = cursor_varint(c);
		ret->page.bytes = cursor_u32(c);
		break;
	case POSTINGS_FORM_N:
		cursor_spoil(c);
	}
	if (ret->n == 0 || (ret->form == POSTINGS_LIST && ret->n > POSTINGS_LIST_MAX))
		cursor_spoil(c);
}

static int or_run(const struct postings *p, uint32_t limit, roaring_bitmap_t *to)
{
	if (p->first >= limit || p->n > limit - p->first)
		return -EBADMSG;
	roaring_bitmap_add_range_closed(to, p->first, p->first + (p->n - 1));
	return 0;
}

static int or_list(const struct postings *p, uint32_t limit, roaring_bitmap_t *to)
{
	struct cursor c = p->list;
	uint64_t id = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		id += cursor_upto(&c, limit) + (i > 0);
		if (id >= limit)
			return -EBADMSG;
		roaring_bitmap_add(to, (uint32_t)id);
	}
	return c.bad ? -EBADMSG : 0;
}

/* The numbers of one column, which come behind @before. */
static int or_column(struct postings_scratch *s, uint32_t n, int64_t before, uint32_t limit,
                     roaring_bitmap_t *to)
{
	for (uint32_t i = 0; i < n; i++) {
		if (s->numbers[i] <= before || s->numbers[i] >= limit)
			return -EBADMSG;
		before = s->numbers[i];
		s->ids[i] = (uint32_t)before;
	}
	roaring_bitmap_add_many(to, n, s->ids);
	return 0;
}

static int or_page(const struct postings *p, struct page_reader *reader, int fd, uint32_t limit,
                   struct postings_scratch *s, roaring_bitmap_t *to)
{
	int64_t before = -1;
	struct str raw;
	int r = page_get(reader, fd, p->page, PAGE_IDS, &raw);

	if (r < 0)
		return r;
	struct cursor c = cursor_of(raw);

	for (uint32_t left = p->n; left > 0;) {
		uint32_t k = MIN(left, COLUMN_ROWS_MAX);
		struct str column = cursor_text(&c);

		if (c.bad ||
		    intcol_decode((const uint8_t *)column.p, column.len, k, s->numbers) < 0)
			return -EBADMSG;
		r = or_column(s, k, before, limit, to);
		if (r < 0)
			return r;
		before = s->numbers[k - 1];
		left -= k;
	}
	return cursor_at_end(&c) ? 0 : -EBADMSG;
}

int postings_or(const struct postings *p, struct page_reader *reader, int fd, uint32_t limit,
                struct postings_scratch *s, roaring_bitmap_t *to)
{
	switch (p->form) {
	case POSTINGS_RUN:
		return or_run(p, limit, to);
	case POSTINGS_LIST:
		return or_list(p, limit, to);
	case POSTINGS_PAGE:
		return or_page(p, reader, fd, limit, s, to);
	case POSTINGS_FORM_N:
		break;
	}
	return -EBADMSG;
}
