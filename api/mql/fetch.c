/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/mql/fetch.h"

#include <errno.h>

#include "api/mql/blocks.h"
#include "api/mql/plan.h"
#include "api/mql/trace.h"

static int failed(struct eval *ev, int code)
{
	if (code == -ENOSPC)
		return err_set(ev->e, code,
		               "the query reads more than its limit of %llu series or %llu samples",
		               (unsigned long long)ev->limits->series_max,
		               (unsigned long long)ev->limits->samples_max);
	if (code == -ECANCELED)
		return eval_cancelled(ev);
	if (code == -ENOMEM)
		return err_set(ev->e, code, "out of memory");
	return err_set(ev->e, code, "stored data cannot be read");
}

static int split(struct eval *ev, struct fetch *f)
{
	size_t all = store_scan_n(f->scan), n = blocks_count(all);
	struct fetch_block *blocks = ARENA_ARRAY(ev->arena, struct fetch_block, n + 1);

	if (!blocks)
		return eval_no_memory(ev);
	for (size_t i = 0; i < n; i++) {
		blocks[i].next = all * i / n;
		blocks[i].end = all * (i + 1) / n;
	}
	f->blocks = blocks;
	f->n_blocks = n;
	return 0;
}

int fetch_open(struct eval *ev, const struct ast *selector, int64_t min_ms, int64_t max_ms,
               struct fetch *ret)
{
	struct store_select sel;
	int r = plan_select(ev, selector, min_ms, max_ms, &sel);

	*ret = (struct fetch){ 0 };
	if (r < 0)
		return r;
	r = store_scan_open(ev->store, &sel, &ret->scan, ev->e);
	return r < 0 ? failed(ev, r) : split(ev, ret);
}

static void block_close(struct fetch_block *b)
{
	store_reader_free(b->reader);
	b->reader = NULL;
}

/* What the store left out, because it is damaged; the first sentence of a query is kept. */
static void take_warning(struct eval *ev, const struct fetch *f)
{
	uint64_t n;
	const char *text = store_scan_warning(f->scan, &n);

	if (text && ev->shared->warning.len == 0)
		ev->shared->warning = arena_str(ev->arena, str_from(text));
}

void fetch_trace(struct eval *ev, const struct fetch *f, struct trace_step *step, size_t n_blocks)
{
	struct store_scan_cost cost = { 0 };

	if (!f->scan)
		return trace_end(ev, step, "nothing was read");
	take_warning(ev, f);
	if (!step)
		return;
	store_scan_cost(f->scan, &cost);
	trace_end(ev, step,
	          "read and rolled up: series=%zu in %zu pieces on %u threads, samples=%llu, "
	          "blocks=%llu, pages=%llu with %llu bytes",
	          store_scan_n(f->scan), n_blocks, ev->n_workers + 1,
	          (unsigned long long)cost.samples, (unsigned long long)cost.blocks,
	          (unsigned long long)cost.pages, (unsigned long long)cost.page_bytes);
}

void fetch_close(struct fetch *f)
{
	for (size_t i = 0; i < f->n_blocks; i++)
		block_close(&f->blocks[i]);
	store_scan_close(f->scan);
	*f = (struct fetch){ 0 };
}

size_t fetch_series_max(const struct fetch *f)
{
	return f->scan ? store_scan_n(f->scan) : 0;
}

/* The next series with samples; 1 at the end of the block. */
static int block_next(struct store_scan *scan, struct fetch_block *b, struct store_series *ret)
{
	int r = b->reader || b->next == b->end ? 0 : store_reader_new(scan, &b->reader);

	while (r == 0 && b->next < b->end) {
		size_t i = b->next++;

		r = store_reader_read(b->reader, i, ret);
		if (r < 0 || ret->n == 0)
			continue;
		ret->labels = b->labels;
		ret->n_labels = store_scan_labels(scan, i, b->labels);
		return 0;
	}
	block_close(b);
	return r < 0 ? r : 1;
}

int fetch_next(struct eval *ev, struct fetch *f, size_t i, struct store_series *ret)
{
	int r = block_next(f->scan, &f->blocks[i], ret);
	uint64_t before;

	if (r < 0)
		return failed(ev, r);
	if (r > 0)
		return r;
	atomic_fetch_add_explicit(&ev->shared->series_fetched, 1, memory_order_relaxed);
	before = atomic_fetch_add_explicit(&ev->shared->samples_read, ret->n, memory_order_relaxed);
	if (before + ret->n > ev->limits->samples_max)
		return failed(ev, -ENOSPC);
	return eval_tick(ev);
}
