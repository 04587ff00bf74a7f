/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block_column.h"

#include <errno.h>
#include <stdlib.h>

#include "store/cursor.h"
#include "store/valcol.h"
#include "userspace/base/alloc.h"

#define NO_PAGE UINT32_MAX

/* ---- pages ---------------------------------------------------------------- */

static void open_page_done(struct open_page *p)
{
	page_reader_done(&p->reader);
	free(p->numbers);
	free(p->whats);
	free(p->ends);
}

static int reserve(struct open_page *p, uint32_t n)
{
	uint32_t **const arrays[] = { &p->numbers, &p->whats, &p->ends };

	if (n <= p->cap)
		return 0;
	p->cap = 0;
	for (size_t i = 0; i < 3; i++) {
		uint32_t *bigger = mem_realloc(*arrays[i], n, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		*arrays[i] = bigger;
	}
	p->cap = n;
	return 0;
}

/* Numbers never descend; those of pages of timestamps have no gap. */
static int parse_heads(struct open_page *p, enum page_kind kind, uint32_t limit)
{
	struct cursor c = cursor_of(p->raw);
	uint64_t number, end = 0;
	int64_t times = 0;

	p->n = (uint32_t)cursor_upto(&c, p->raw.len / 3);
	number = cursor_u32(&c);
	if (c.bad || p->n == 0 || reserve(p, p->n) < 0)
		return c.bad || p->n == 0 ? -EBADMSG : -ENOMEM;
	for (uint32_t i = 0; i < p->n; i++) {
		number += cursor_u32(&c);
		if (kind == PAGE_VALUES)
			times += cursor_signed(&c);
		else
			times = (int64_t)cursor_upto(&c, COLUMN_ROWS_MAX);
		end += cursor_u32(&c);
		if (number >= limit || times < 0 || times > UINT32_MAX || end > p->raw.len)
			return -EBADMSG;
		p->numbers[i] = (uint32_t)number;
		p->whats[i] = (uint32_t)times;
		p->ends[i] = (uint32_t)end;
	}
	p->columns = c.p;
	return !c.bad && end == cursor_left(&c) ? 0 : -EBADMSG;
}

/* A page that cannot be read is remembered as such, and has no column. */
static int turn_to(struct column_cursor *c, struct open_page *p, enum page_kind kind,
                   const struct page_list *l, uint32_t page, uint32_t limit, struct err *e)
{
	int r;

	if (p->page == page)
		return p->is_bad ? -EBADMSG : 0;
	p->page = page;
	p->is_bad = true;
	p->n = 0;
	r = page_get(&p->reader, c->b->chunks_fd, l->pages[page], kind, &p->raw);
	if (r == 0)
		r = parse_heads(p, kind, limit);
	p->is_bad = r < 0;
	if (r == -ENOMEM)
		p->page = NO_PAGE;
	return r < 0 ? block_bad_page(c->b, false, l->pages[page], r, e) : 0;
}

static struct str column_of(const struct open_page *p, uint32_t row)
{
	uint32_t begin = row > 0 ? p->ends[row - 1] : 0;

	return (struct str){ (const char *)p->columns + begin, p->ends[row] - begin };
}

/* ---- timestamps ----------------------------------------------------------- */

static bool ascends(const int64_t *ts_ms, uint32_t n, const struct block_slice *s)
{
	bool bad = false;

	for (uint32_t i = 1; i < n; i++)
		bad |= ts_ms[i - 1] >= ts_ms[i];
	return !bad && ts_ms[0] >= s->min_ms && ts_ms[n - 1] <= s->max_ms;
}

static int decode_times(struct column_cursor *c, uint32_t number, struct times_kept *to,
                        struct err *e)
{
	const struct block_slice *s = &c->b->slices[c->slice].meta;
	uint32_t page, row;
	int r;

	page = page_list_find(c->times_list, number);
	r = turn_to(c, &c->times, PAGE_TIMES, c->times_list, page, s->n_times, e);
	if (r < 0)
		return r;
	row = number - c->times.numbers[0];
	if (row >= c->times.n || c->times.numbers[row] != number)
		return block_bad_page(c->b, false, c->times_list->pages[page], -EBADMSG, e);
	uint32_t n = c->times.whats[row];
	struct str column = column_of(&c->times, row);

	if (MEM_GROW(to->ts_ms, to->cap, n) < 0)
		return -ENOMEM;
	if (intcol_decode((const uint8_t *)column.p, column.len, n, to->ts_ms) < 0 ||
	    !ascends(to->ts_ms, n, s))
		return block_bad_page(c->b, false, c->times_list->pages[page], -EBADMSG, e);
	*to = (struct times_kept){ true, number, n, to->ts_ms, to->cap };
	return 0;
}

static int find_times(struct column_cursor *c, uint32_t number, const struct times_kept **ret,
                      struct err *e)
{
	struct times_kept *k = &c->kept[number % TIMES_KEPT];
	int r = 0;

	if (!k->is_there || k->number != number) {
		k->is_there = false;
		r = decode_times(c, number, k, e);
	}
	*ret = k;
	return r;
}

/* ---- values --------------------------------------------------------------- */

int column_cursor_open(struct column_cursor *c, struct block *b, uint32_t slice, struct err *e)
{
	const struct block_slice *s = &b->slices[slice].meta;
	int r;

	*c = (struct column_cursor){ .b = b, .slice = slice };
	c->values.page = c->times.page = NO_PAGE;
	r = block_value_pages(b, slice, &c->values_list);
	if (r < 0)
		return block_bad_page(b, true, s->values, r, e);
	r = block_times_pages(b, slice, &c->times_list);
	return r < 0 ? block_bad_page(b, true, s->times, r, e) : 0;
}

void column_cursor_close(struct column_cursor *c)
{
	open_page_done(&c->values);
	open_page_done(&c->times);
	for (uint32_t i = 0; i < TIMES_KEPT; i++)
		free(c->kept[i].ts_ms);
}

/* The first page that may have @series: columns of one may go on over several pages. */
static uint32_t first_page(const struct page_list *l, uint32_t series)
{
	uint32_t page = page_list_find(l, series);

	while (page > 0 && l->first[page] == series)
		page--;
	return page;
}

/* Onto the first column that is not below @series; 1 when the slice has none. */
static int seek(struct column_cursor *c, uint32_t series, struct err *e)
{
	const struct page_list *l = c->values_list;
	uint32_t page = c->values.page;

	/* Not on this page any more, unless the last series goes on. */
	if (page == NO_PAGE || (page + 1 < l->n && l->first[page + 1] < series)) {
		uint32_t from = first_page(l, series);

		if (page == NO_PAGE || from > page) {
			page = from;
			c->next_row = 0;
		}
	}
	for (; page < l->n && l->first[page] <= series; page++, c->next_row = 0) {
		bool is_new = page != c->values.page;
		int r = turn_to(c, &c->values, PAGE_VALUES, l, page, c->b->meta.n_series, e);

		if (r < 0 && is_new)
			return r;
		while (c->next_row < c->values.n && c->values.numbers[c->next_row] < series)
			c->next_row++;
		if (c->next_row < c->values.n)
			return c->values.numbers[c->next_row] == series ? 0 : 1;
	}
	return 1;
}

int column_cursor_next(struct column_cursor *c, uint32_t series, struct column *ret, struct err *e)
{
	const struct times_kept *times;
	int r = seek(c, series, e);

	if (r != 0)
		return r;
	uint32_t row = c->next_row++;
	struct str values = column_of(&c->values, row);

	if (c->values.whats[row] >= c->b->slices[c->slice].meta.n_times)
		return block_bad_page(c->b, false, c->values_list->pages[c->values.page], -EBADMSG,
		                      e);
	r = find_times(c, c->values.whats[row], &times, e);
	if (r < 0)
		return r;
	*ret = (struct column){ times->n, times->ts_ms, (const uint8_t *)values.p,
		                (uint32_t)values.len };
	return 0;
}

int column_values(struct column_cursor *c, const struct column *col, double *ret, struct err *e)
{
	c->n_decoded += col->n;
	if (valcol_decode(col->values, col->values_bytes, col->n, ret) < 0)
		return block_bad_page(c->b, false, c->values_list->pages[c->values.page], -EBADMSG,
		                      e);
	return 0;
}
