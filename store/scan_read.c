/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/scan_int.h"

#include <errno.h>
#include <stdlib.h>

#include "store/block_cursors.h"
#include "userspace/base/alloc.h"

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

	block_cursors_close(c);
	atomic_fetch_add(&r->scan->n_pages, c->n_pages);
	atomic_fetch_add(&r->scan->n_page_bytes, c->n_page_bytes);
	c->n_pages = c->n_page_bytes = 0;
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

/* What is damaged is left out, with a warning. */
static int leave_out(void *ctx, const struct err *why)
{
	scan_warn(ctx, why);
	return 0;
}

static int read_block(struct store_reader *r, const struct part *p, struct columns *to)
{
	const struct block_source *src = &r->scan->blocks[p->source];
	struct block_cursors *c = &r->blocks[p->source];
	size_t before = to->n;
	int ret = 0;

	if (c->is_open && p->series <= c->last)
		cursors_close(r, p->source);
	if (!c->is_open)
		ret = block_cursors_open(c, src->block);
	if (ret == 0)
		ret = block_cursors_read(c, p->series, r->scan->min_ms, r->scan->max_ms, to,
		                         leave_out, r->scan);
	hidden_cut(&src->hidden, p->series, to, before);
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
