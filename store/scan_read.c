/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/scan_int.h"

#include <errno.h>
#include <stdlib.h>

#include "store/block_column.h"
#include "userspace/base/alloc.h"

/* The cursors of one block, one for each slice; opened when they are first needed. */
struct block_cursors {
	struct column_cursor *v;
	bool *is_open;
	uint32_t last; /* series that was read last: cursors only go on */
};

struct store_reader {
	struct store_scan *scan;
	struct block_cursors *blocks;
	/* Two, by turns: the times of the last series stay as they are while the next is read. */
	struct columns columns[2];
	unsigned at;                /* where the next series is read into */
	const struct columns *last; /* whose times were given out last; NULL at first */
};

static void cursors_close(struct store_reader *r, uint32_t source)
{
	struct block_cursors *c = &r->blocks[source];

	for (uint32_t i = 0; c->v && i < r->scan->blocks[source].block->meta.n_slices; i++) {
		if (!c->is_open[i])
			continue;
		atomic_fetch_add(&r->scan->n_pages,
		                 c->v[i].values.reader.n_pages + c->v[i].times.reader.n_pages);
		atomic_fetch_add(&r->scan->n_page_bytes,
		                 c->v[i].values.reader.n_bytes + c->v[i].times.reader.n_bytes);
		column_cursor_close(&c->v[i]);
	}
	free(c->v);
	free(c->is_open);
	*c = (struct block_cursors){ 0 };
}

int store_reader_new(struct store_scan *scan, struct store_reader **ret)
{
	struct store_reader *r = mem_zalloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->scan = scan;
	r->blocks = mem_zalloc(scan->n_blocks, sizeof(*r->blocks));
	if (!r->blocks) {
		free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void store_reader_free(struct store_reader *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->scan->n_blocks; i++)
		cursors_close(r, i);
	free(r->blocks);
	columns_done(&r->columns[0]);
	columns_done(&r->columns[1]);
	free(r);
}

/* ---- blocks --------------------------------------------------------------- */

static bool is_damage(int r)
{
	return r == -EBADMSG || r == -EIO;
}

static int cursors_open(struct store_reader *r, uint32_t source)
{
	struct block_cursors *c = &r->blocks[source];
	uint32_t n = r->scan->blocks[source].block->meta.n_slices;

	c->v = mem_zalloc(n, sizeof(*c->v));
	c->is_open = mem_zalloc(n, sizeof(*c->is_open));
	if (c->v && c->is_open)
		return 0;
	free(c->v);
	free(c->is_open);
	*c = (struct block_cursors){ 0 };
	return -ENOMEM;
}

/* The samples of a column that are in range, behind those that are there. */
static int take_column(struct store_reader *r, struct column_cursor *cursor,
                       const struct column *col, struct columns *to, struct err *why)
{
	const struct store_scan *scan = r->scan;
	uint32_t first = 0, end = col->n;
	int ret;

	if (col->ts_ms[0] > scan->max_ms || col->ts_ms[end - 1] < scan->min_ms)
		return 0;
	ret = columns_reserve(to, to->n + col->n);
	if (ret == 0)
		ret = column_values(cursor, col, to->values + to->n, why);
	if (ret < 0)
		return ret;
	while (col->ts_ms[first] < scan->min_ms)
		first++;
	while (col->ts_ms[end - 1] > scan->max_ms)
		end--;
	memcpy(to->ts_ms + to->n, col->ts_ms + first, (end - first) * sizeof(*col->ts_ms));
	if (first > 0)
		memmove(to->values + to->n, to->values + to->n + first,
		        (end - first) * sizeof(*to->values));
	to->n += end - first;
	return 0;
}

/* What is damaged is left out, with a warning. */
static int read_slice(struct store_reader *r, struct column_cursor *cursor, uint32_t series,
                      struct columns *to)
{
	for (;;) {
		struct err why = ERR_INIT;
		struct column col;
		int ret = column_cursor_next(cursor, series, &col, &why);

		if (ret == 1)
			return 0;
		if (ret == 0)
			ret = take_column(r, cursor, &col, to, &why);
		if (is_damage(ret))
			scan_warn(r->scan, &why);
		else if (ret < 0)
			return ret;
	}
}

static int open_slice(struct store_reader *r, struct block_cursors *c, struct block *b, uint32_t i,
                      bool *ret_usable)
{
	struct err why = ERR_INIT;
	int ret = 0;

	if (!c->is_open[i]) {
		ret = column_cursor_open(&c->v[i], b, i, &why);
		c->is_open[i] = ret == 0;
		if (ret < 0)
			column_cursor_close(&c->v[i]);
	}
	*ret_usable = ret == 0;
	if (!is_damage(ret))
		return ret;
	scan_warn(r->scan, &why);
	return 0;
}

static int read_block(struct store_reader *r, const struct part *p, struct columns *to)
{
	struct block *b = r->scan->blocks[p->source].block;
	struct block_cursors *c = &r->blocks[p->source];
	int ret = 0;

	if (c->v && p->series <= c->last)
		cursors_close(r, p->source);
	if (!c->v)
		ret = cursors_open(r, p->source);
	c->last = p->series;
	for (uint32_t i = 0; ret == 0 && i < b->meta.n_slices; i++) {
		const struct block_slice *s = &b->slices[i].meta;
		bool is_usable;

		if (s->min_ms > r->scan->max_ms || s->max_ms < r->scan->min_ms)
			continue;
		ret = open_slice(r, c, b, i, &is_usable);
		if (ret == 0 && is_usable)
			ret = read_slice(r, &c->v[i], p->series, to);
	}
	return ret;
}

/* ---- series --------------------------------------------------------------- */

static int read_head(struct store_reader *r, const struct part *p, struct columns *to)
{
	const struct head_series *h = &r->scan->heads[p->series];
	const struct series_range range = { h->from, h->to, r->scan->min_ms, r->scan->max_ms };
	bool sorted;

	return series_read(h->series, &range, to, &sorted);
}

static int read_parts(struct store_reader *r, const struct scan_series *s, struct columns *to)
{
	int ret = 0;

	to->n = 0;
	for (uint32_t i = 0; ret == 0 && i < s->n_parts; i++) {
		const struct part *p = &r->scan->parts[s->parts + i];

		ret = p->source == HEAD_SOURCE ? read_head(r, p, to) : read_block(r, p, to);
	}
	return ret == 0 ? columns_join(to, 0) : ret;
}

static int count(struct store_scan *scan, size_t n)
{
	uint64_t all = atomic_fetch_add(&scan->n_samples, n) + n;

	return scan->samples_max != 0 && all > scan->samples_max ? -ENOSPC : 0;
}

/* The times of the last series, when they are the same. */
static const int64_t *shared_times(struct store_reader *r, const struct columns *c)
{
	if (r->last && r->last->n == c->n &&
	    memcmp(r->last->ts_ms, c->ts_ms, c->n * sizeof(*c->ts_ms)) == 0)
		return r->last->ts_ms;
	r->last = c;
	r->at = 1 - r->at;
	return c->ts_ms;
}

int store_reader_read(struct store_reader *r, size_t i, struct store_series *ret)
{
	struct columns *c = &r->columns[r->at];
	int code = scan_check(r->scan, NULL);

	if (code == 0)
		code = columns_reserve(c, 1); /* never NULL */
	if (code == 0)
		code = read_parts(r, &r->scan->series[i], c);
	if (code == 0)
		code = count(r->scan, c->n);
	if (code < 0)
		return code;
	*ret = (struct store_series){ .n = (uint32_t)c->n, .values = c->values };
	ret->ts_ms = shared_times(r, c);
	return 0;
}

int store_scan_next(struct store_scan *scan, struct store_series *ret)
{
	int r = scan->reader ? 0 : store_reader_new(scan, &scan->reader);

	while (r == 0 && scan->next < scan->n_series) {
		size_t i = scan->next;

		r = store_reader_read(scan->reader, i, ret);
		scan->next += r == 0;
		if (r < 0 || ret->n == 0)
			continue;
		ret->labels = scan->next_labels;
		ret->n_labels = store_scan_labels(scan, i, scan->next_labels);
		return 0;
	}
	return r < 0 ? r : 1;
}
