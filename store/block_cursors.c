/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block_cursors.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

/* One reading: which samples, where to, and whom to tell of damage. */
struct reading {
	int64_t min_ms, max_ms;
	struct columns *to;
	block_damage_f damaged;
	void *ctx;
};

int block_cursors_open(struct block_cursors *c, struct block *b)
{
	uint32_t n = b->meta.n_slices;

	*c = (struct block_cursors){ .b = b,
		                     .v = mem_zalloc(n, sizeof(*c->v)),
		                     .is_slice_open = mem_zalloc(n, sizeof(*c->is_slice_open)),
		                     .is_open = true };
	if (c->v && c->is_slice_open)
		return 0;
	free(c->v);
	free(c->is_slice_open);
	*c = (struct block_cursors){ 0 };
	return -ENOMEM;
}

void block_cursors_close(struct block_cursors *c)
{
	for (uint32_t i = 0; c->is_open && i < c->b->meta.n_slices; i++) {
		struct column_cursor *one = &c->v[i];

		if (!c->is_slice_open[i])
			continue;
		c->n_pages += one->values.reader.n_pages + one->times.reader.n_pages;
		c->n_page_bytes += one->values.reader.n_bytes + one->times.reader.n_bytes;
		column_cursor_close(one);
	}
	free(c->v);
	free(c->is_slice_open);
	c->v = NULL;
	c->is_slice_open = NULL;
	c->is_open = false;
}

static bool is_damage(int r)
{
	return r == -EBADMSG || r == -EIO;
}

/* The samples of a column that are in range, behind those that are there. */
static int take_column(struct column_cursor *cursor, const struct column *col,
                       const struct reading *rd, struct err *why)
{
	struct columns *to = rd->to;
	uint32_t first = 0, end = col->n;
	int r;

	if (col->ts_ms[0] > rd->max_ms || col->ts_ms[end - 1] < rd->min_ms)
		return 0;
	r = columns_reserve(to, to->n + col->n);
	if (r == 0)
		r = column_values(cursor, col, to->values + to->n, why);
	if (r < 0)
		return r;
	while (first < end && col->ts_ms[first] < rd->min_ms)
		first++;
	while (end > first && col->ts_ms[end - 1] > rd->max_ms)
		end--;
	memcpy(to->ts_ms + to->n, col->ts_ms + first, (end - first) * sizeof(*col->ts_ms));
	if (first > 0)
		memmove(to->values + to->n, to->values + to->n + first,
		        (end - first) * sizeof(*to->values));
	to->n += end - first;
	return 0;
}

static int read_slice(struct column_cursor *cursor, uint32_t series, const struct reading *rd)
{
	for (;;) {
		struct err why = ERR_INIT;
		struct column col;
		int r = column_cursor_next(cursor, series, &col, &why);

		if (r == 1)
			return 0;
		if (r == 0)
			r = take_column(cursor, &col, rd, &why);
		if (is_damage(r))
			r = rd->damaged(rd->ctx, &why);
		if (r < 0)
			return r;
	}
}

/* *@ret_usable is false when it is damaged and to be left out. */
static int open_slice(struct block_cursors *c, uint32_t i, const struct reading *rd,
                      bool *ret_usable)
{
	struct err why = ERR_INIT;
	int r = 0;

	if (!c->is_slice_open[i]) {
		r = column_cursor_open(&c->v[i], c->b, i, &why);
		c->is_slice_open[i] = r == 0;
		if (r < 0)
			column_cursor_close(&c->v[i]);
	}
	*ret_usable = r == 0;
	return is_damage(r) ? rd->damaged(rd->ctx, &why) : r;
}

int block_cursors_read(struct block_cursors *c, uint32_t series, int64_t min_ms, int64_t max_ms,
                       struct columns *to, block_damage_f damaged, void *ctx)
{
	const struct reading rd = { min_ms, max_ms, to, damaged, ctx };
	int r = 0;

	c->last = series;
	for (uint32_t i = 0; r == 0 && i < c->b->meta.n_slices; i++) {
		const struct block_slice *s = &c->b->slices[i].meta;
		bool is_usable;

		if (s->min_ms > max_ms || s->max_ms < min_ms)
			continue;
		r = open_slice(c, i, &rd, &is_usable);
		if (r == 0 && is_usable)
			r = read_slice(&c->v[i], series, &rd);
	}
	return r;
}
