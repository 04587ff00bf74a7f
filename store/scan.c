/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading. A scan fixes its set of series when it opens; each series' samples are those that the
 * head
 * holds when it is read: never half of one append to one series.
 */
#include "store/store_int.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"

/* The series of one scan, shared by its parts. */
struct series_list {
	_Atomic unsigned refs;
	struct series **v;
	size_t n;
};

struct store_scan {
	struct series_list *list;
	size_t next, end;
	int64_t min_ms, max_ms;
	uint64_t deadline_mono_ns, samples_max;
	_Atomic uint64_t own_samples, *n_samples; /* of all parts together */
	struct epochs epochs;
	struct series_columns columns;
	struct label labels[LABELS_MAX];
};

static void list_unref(struct series_list *l)
{
	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	for (size_t i = 0; i < l->n; i++)
		series_unref(l->v[i]);
	free(l->v);
	free(l);
}

void store_scan_close(struct store_scan *scan)
{
	if (!scan)
		return;
	list_unref(scan->list);
	series_columns_done(&scan->columns);
	free(scan);
}

int store_scan_open(struct store *s, const struct store_select *sel, struct store_scan **ret,
                    struct err *e)
{
	struct store_scan *scan = mem_zalloc(1, sizeof(*scan));
	struct series_list *list = mem_zalloc(1, sizeof(*list));
	int r = scan && list ? head_select(&s->head, sel, (struct epochs){ 0, UINT32_MAX },
	                                   &list->v, &list->n, e)
	                     : -ENOMEM;

	if (r < 0) {
		free(scan);
		free(list);
		return r;
	}
	atomic_init(&list->refs, 1);
	scan->list = list;
	scan->end = list->n;
	scan->epochs = (struct epochs){ 0, UINT32_MAX };
	scan->min_ms = sel->min_ms;
	scan->max_ms = sel->max_ms;
	scan->deadline_mono_ns = sel->deadline_mono_ns;
	scan->samples_max = sel->samples_max;
	scan->n_samples = &scan->own_samples;
	*ret = scan;
	return 0;
}

size_t store_scan_series_max(const struct store_scan *scan)
{
	return scan->end - scan->next;
}

int store_scan_split(struct store_scan *scan, unsigned n, struct store_scan **ret_parts)
{
	size_t all = scan->end - scan->next;

	for (unsigned i = 0; i < n; i++) {
		struct store_scan *part = mem_zalloc(1, sizeof(*part));

		if (!part) {
			while (i-- > 0)
				store_scan_close(ret_parts[i]);
			return -ENOMEM;
		}
		*part = (struct store_scan){
			.list = scan->list,
			.next = scan->next + all * i / n,
			.end = scan->next + all * (i + 1) / n,
			.epochs = scan->epochs,
			.min_ms = scan->min_ms,
			.max_ms = scan->max_ms,
			.deadline_mono_ns = scan->deadline_mono_ns,
			.samples_max = scan->samples_max,
			.n_samples = scan->n_samples,
		};
		atomic_fetch_add(&scan->list->refs, 1);
		ret_parts[i] = part;
	}
	return 0;
}

static int check_limits(const struct store_scan *scan)
{
	if (scan->deadline_mono_ns != 0 && clock_mono_ns() > scan->deadline_mono_ns)
		return -ECANCELED;
	if (scan->samples_max != 0 && atomic_load(scan->n_samples) > scan->samples_max)
		return -ENOSPC;
	return 0;
}

int store_scan_next(struct store_scan *scan, struct store_series *ret)
{
	while (scan->next < scan->end) {
		struct series *s = scan->list->v[scan->next];
		int r = check_limits(scan);

		scan->columns.n = 0;
		if (r == 0)
			r = series_read(s, scan->epochs, scan->min_ms, scan->max_ms,
			                &scan->columns);
		if (r < 0)
			return r;
		scan->next++;
		atomic_fetch_add(scan->n_samples, scan->columns.n);
		if (scan->columns.n == 0)
			continue;
		r = check_limits(scan);
		if (r < 0)
			return r;
		*ret = (struct store_series){ scan->labels, series_labels(s, scan->labels),
			                      (uint32_t)scan->columns.n, scan->columns.ts_ms,
			                      scan->columns.values };
		return 0;
	}
	return 1;
}

int store_series_each(struct store *s, const struct store_select *sel, store_labels_f fn, void *ctx,
                      struct err *e)
{
	struct store_scan *scan;
	int r = store_scan_open(s, sel, &scan, e);

	if (r < 0)
		return r;
	for (; scan->next < scan->end && r == 0; scan->next++) {
		r = check_limits(scan);
		if (r == 0)
			r = fn(ctx, scan->labels,
			       series_labels(scan->list->v[scan->next], scan->labels));
	}
	store_scan_close(scan);
	return r < 0 ? r : 0;
}

/* ---- distinct texts ------------------------------------------------------- */

struct distinct {
	struct str *table; /* open addressing; p == NULL is empty */
	size_t n, cap;
	struct str label; /* p == NULL: names, else values of this label */
};

static struct str *slot_of(struct str *table, size_t cap, struct str text)
{
	size_t at = hash_str(text) & (cap - 1);

	while (table[at].p && !str_eq(table[at], text))
		at = (at + 1) & (cap - 1);
	return &table[at];
}

static int distinct_reserve(struct distinct *d)
{
	size_t cap = d->cap ? d->cap * 2 : 64;
	struct str *table;

	if ((d->n + 1) * 2 <= d->cap)
		return 0;
	table = mem_zalloc(cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < d->cap; i++) {
		if (d->table[i].p)
			*slot_of(table, cap, d->table[i]) = d->table[i];
	}
	free(d->table);
	d->table = table;
	d->cap = cap;
	return 0;
}

static int distinct_add(struct distinct *d, struct str text)
{
	int r = distinct_reserve(d);

	if (r < 0)
		return r;
	struct str *slot = slot_of(d->table, d->cap, text);

	d->n += slot->p == NULL;
	*slot = text;
	return 0;
}

static int distinct_series(struct distinct *d, const struct series *s)
{
	int r = 0;

	for (uint32_t i = 0; i < s->n_labels && r == 0; i++) {
		if (!d->label.p)
			r = distinct_add(d, s->labels[i]->name->text);
		else if (str_eq(s->labels[i]->name->text, d->label))
			r = distinct_add(d, s->labels[i]->text);
	}
	return r;
}

static int cmp_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int distinct_give(struct distinct *d, store_text_f fn, void *ctx)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < d->cap; i++) {
		if (d->table[i].p)
			d->table[n++] = d->table[i];
	}
	if (n > 1)
		qsort(d->table, n, sizeof(*d->table), cmp_text);
	for (size_t i = 0; i < n && r == 0; i++)
		r = fn(ctx, d->table[i]);
	return r < 0 ? r : 0;
}

static int distinct_texts(struct store *s, const struct store_select *sel, struct str label,
                          store_text_f fn, void *ctx, struct err *e)
{
	struct distinct d = { .label = label };
	struct store_scan *scan;
	int r = store_scan_open(s, sel, &scan, e);

	if (r < 0)
		return r;
	for (; scan->next < scan->end && r == 0; scan->next++) {
		r = check_limits(scan);
		if (r == 0)
			r = distinct_series(&d, scan->list->v[scan->next]);
	}
	if (r == 0)
		r = distinct_give(&d, fn, ctx);
	free(d.table);
	store_scan_close(scan); /* the texts were the series' own */
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
	if (label.len == 0)
		return 0;
	return distinct_texts(s, sel, label, fn, ctx, e);
}
