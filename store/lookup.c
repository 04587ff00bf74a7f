/* SPDX-License-Identifier: BSD-2-Clause */
/* Label sets, names and values of the series that have samples in a range. */
#include <errno.h>
#include <stdlib.h>

#include "store/scan_int.h"
#include "userspace/base/alloc.h"

/* ---- a scan without samples ----------------------------------------------- */

/*
 * Calls @fn for each series that really has a sample in range: a chunk or a slice may overlap the
 * range with none.
 */
typedef int (*series_f)(void *ctx, struct store_scan *scan, size_t i);

static bool reaches_beyond(const struct store_scan *scan, const struct block *b)
{
	return b->meta.min_ms < scan->min_ms || b->meta.max_ms > scan->max_ms;
}

/* All samples of a part are in range, and none is deleted: there is no need to look at them. */
static bool is_sure(const struct store_scan *scan, const struct part *p)
{
	return p->source != HEAD_SOURCE && scan->blocks[p->source].hidden.n == 0 &&
	       !reaches_beyond(scan, scan->blocks[p->source].block);
}

static int has_samples(struct store_scan *scan, struct store_reader *r, size_t i, bool *ret)
{
	const struct scan_series *s = &scan->series[i];
	struct store_series one;
	int code;

	for (uint32_t k = 0; k < s->n_parts; k++) {
		if (is_sure(scan, &scan->parts[s->parts + k])) {
			*ret = true;
			return 0;
		}
	}
	code = store_reader_read(r, i, &one);
	*ret = code == 0 && one.n > 0;
	return code;
}

static int each(struct store *s, const struct store_select *sel, series_f fn, void *ctx,
                struct store_scan **ret, struct err *e)
{
	struct store_reader *reader = NULL;
	struct store_scan *scan;
	bool is_there = false;
	int r = store_scan_open(s, sel, &scan, e);

	if (r < 0)
		return r;
	r = store_reader_new(scan, &reader);
	for (size_t i = 0; r == 0 && i < scan->n_series; i++) {
		r = has_samples(scan, reader, i, &is_there);
		if (r == 0 && is_there)
			r = fn(ctx, scan, i);
	}
	store_reader_free(reader);
	if (r < 0 || !ret)
		store_scan_close(scan);
	else
		*ret = scan;
	return r < 0 ? r : 0;
}

struct each_labels {
	store_labels_f fn;
	void *ctx;
	struct label labels[LABELS_MAX];
};

static int give_labels(void *ctx, struct store_scan *scan, size_t i)
{
	struct each_labels *l = ctx;

	return l->fn(l->ctx, l->labels, store_scan_labels(scan, i, l->labels));
}

int store_series_each(struct store *s, const struct store_select *sel, store_labels_f fn, void *ctx,
                      struct err *e)
{
	struct each_labels l = { .fn = fn, .ctx = ctx };

	return each(s, sel, give_labels, &l, NULL, e);
}

/* ---- distinct texts ------------------------------------------------------- */

struct distinct {
	bool *seen;       /* by the scan's numbers of labels */
	struct str label; /* p == NULL: names, else values of this label */
	struct str *texts;
	size_t n, cap;
};

static void distinct_done(struct distinct *d)
{
	free(d->seen);
	free(d->texts);
}

static int note_labels(void *ctx, struct store_scan *scan, size_t i)
{
	struct distinct *d = ctx;
	uint32_t n;
	const uint32_t *ids = store_scan_label_ids(scan, i, &n);

	if (!d->seen)
		d->seen = mem_zalloc(scan->labels.n, sizeof(*d->seen));
	if (!d->seen)
		return -ENOMEM;
	for (uint32_t k = 0; k < n; k++)
		d->seen[ids[k]] = true;
	return 0;
}

static int cmp_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int gather(struct distinct *d, const struct store_scan *scan)
{
	for (size_t i = 0; d->seen && i < scan->labels.n; i++) {
		const struct label *l = &scan->labels.v[i];

		if (!d->seen[i] || (d->label.p && !str_eq(l->name, d->label)))
			continue;
		if (MEM_GROW(d->texts, d->cap, d->n + 1) < 0)
			return -ENOMEM;
		d->texts[d->n++] = d->label.p ? l->value : l->name;
	}
	return 0;
}

static int give_texts(const struct distinct *d, store_text_f fn, void *ctx)
{
	int r = 0;

	if (d->n > 1)
		qsort(d->texts, d->n, sizeof(*d->texts), cmp_text);
	for (size_t i = 0; i < d->n && r == 0; i++) {
		if (i == 0 || !str_eq(d->texts[i - 1], d->texts[i]))
			r = fn(ctx, d->texts[i]);
	}
	return r < 0 ? r : 0;
}

static int distinct_texts(struct store *s, const struct store_select *sel, struct str label,
                          store_text_f fn, void *ctx, struct err *e)
{
	_cleanup_(distinct_done) struct distinct d = { .label = label };
	struct store_scan *scan;
	int r = each(s, sel, note_labels, &d, &scan, e);

	if (r < 0)
		return r;
	r = gather(&d, scan);
	if (r == 0)
		r = give_texts(&d, fn, ctx);
	store_scan_close(scan); /* the texts were its own */
	return r;
}

int store_label_names(struct store *s, const struct store_select *sel, store_text_f fn, void *ctx,
                      struct err *e)
{
	return distinct_texts(s, sel, STR_NULL, fn, ctx, e);
}

int store_label_values(struct store *s, const struct store_select *sel, struct str label,
                       store_text_f fn, void *ctx, struct err *e)
{
	return distinct_texts(s, sel, label, fn, ctx, e);
}
