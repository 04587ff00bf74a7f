/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/scan_int.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

int scan_check(const struct store_scan *scan, struct err *e)
{
	if (scan->deadline_mono_ns != 0 && clock_mono_ns() > scan->deadline_mono_ns)
		return err_set(e, -ECANCELED, "the time limit of the query has passed");
	if (scan->cancelled && atomic_load_explicit(scan->cancelled, memory_order_relaxed))
		return err_set(e, -ECANCELED, "the query was called off");
	return 0;
}

void scan_warn(struct store_scan *scan, const struct err *why)
{
	(void)pthread_mutex_lock(&scan->lock);
	if (scan->n_warnings++ == 0)
		scan->warning = *why;
	(void)pthread_mutex_unlock(&scan->lock);
}

const char *store_scan_warning(struct store_scan *scan, uint64_t *ret_n)
{
	(void)pthread_mutex_lock(&scan->lock);
	*ret_n = scan->n_warnings;
	(void)pthread_mutex_unlock(&scan->lock);
	return *ret_n > 0 ? scan->warning.msg : NULL;
}

/* ---- labels --------------------------------------------------------------- */

static uint32_t *slot_of(const struct scan_labels *l, const struct label *x)
{
	size_t mask = l->table_cap - 1;
	size_t at = hash_bytes(x->value.p, x->value.len, hash_str(x->name)) & mask;

	for (; l->table[at] != 0; at = (at + 1) & mask) {
		const struct label *y = &l->v[l->table[at] - 1];

		if (str_eq(x->value, y->value) && str_eq(x->name, y->name))
			break;
	}
	return &l->table[at];
}

static int table_reserve(struct scan_labels *l)
{
	size_t cap = l->table_cap ? l->table_cap * 2 : 256;

	if ((l->n + 1) * 2 <= l->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	free(l->table);
	l->table = table;
	l->table_cap = cap;
	for (uint32_t i = 0; i < l->n; i++)
		*slot_of(l, &l->v[i]) = i + 1;
	return 0;
}

/* Equal names share one text: the first label with it has it. */
static int intern_name(struct scan_labels *l, struct str name, bool are_kept, struct str *ret)
{
	for (size_t i = 0; i < l->n_names; i++) {
		if (str_eq(l->names[i], name)) {
			*ret = l->names[i];
			return 0;
		}
	}
	*ret = are_kept ? name : arena_str(&l->arena, name);
	if (!ret->p || MEM_GROW(l->names, l->names_cap, l->n_names + 1) < 0)
		return -ENOMEM;
	l->names[l->n_names++] = *ret;
	return 0;
}

int scan_label(struct scan_labels *l, const struct label *label, bool are_kept, uint32_t *ret)
{
	struct label mine = { .value = label->value };
	int r = table_reserve(l);

	if (r < 0)
		return r;
	uint32_t *slot = slot_of(l, label);

	if (*slot == 0) {
		r = intern_name(l, label->name, are_kept, &mine.name);
		if (r == 0 && !are_kept)
			mine.value = arena_str(&l->arena, label->value);
		if (r < 0 || !mine.value.p || MEM_GROW(l->v, l->cap, l->n + 1) < 0)
			return -ENOMEM;
		l->v[l->n++] = mine;
		*slot = (uint32_t)l->n;
	}
	*ret = *slot - 1;
	return 0;
}

int series_list_add(struct series_list *l, uint32_t series, const uint32_t *labels, uint32_t n)
{
	if (MEM_GROW(l->series, l->cap, l->n + 1) < 0 ||
	    MEM_GROW(l->ends, l->ends_cap, l->n + 1) < 0 ||
	    MEM_GROW(l->labels, l->labels_cap, l->n_labels + n) < 0)
		return -ENOMEM;
	memcpy(l->labels + l->n_labels, labels, n * sizeof(*labels));
	l->n_labels += n;
	l->series[l->n] = series;
	l->ends[l->n++] = l->n_labels;
	return 0;
}

void series_list_done(struct series_list *l)
{
	free(l->series);
	free(l->ends);
	free(l->labels);
}

/* ---- putting sources together --------------------------------------------- */

/* Where one source is in its list. */
struct front {
	const struct series_list *list;
	uint32_t source;
	size_t at;
	const uint32_t *labels; /* of the series at hand */
	uint32_t n;
};

static bool front_load(struct front *f)
{
	if (f->at == f->list->n)
		return false;
	size_t begin = f->at > 0 ? f->list->ends[f->at - 1] : 0;

	f->labels = f->list->labels + begin;
	f->n = (uint32_t)(f->list->ends[f->at] - begin);
	return true;
}

static int cmp_ids(const struct scan_labels *l, const uint32_t *a, uint32_t n_a, const uint32_t *b,
                   uint32_t n_b)
{
	uint32_t n = MIN(n_a, n_b), i = 0;

	while (i < n && a[i] == b[i])
		i++;
	if (i == n)
		return n_a < n_b ? -1 : n_a > n_b;
	const struct label *x = &l->v[a[i]], *y = &l->v[b[i]];
	int c = x->name.p == y->name.p ? 0 : str_cmp(x->name, y->name);

	return c != 0 ? c : str_cmp(x->value, y->value);
}

static int add_series(struct store_scan *scan, const struct front *f)
{
	if (scan->series_max != 0 && scan->n_series == scan->series_max)
		return -ENOSPC;
	if (MEM_GROW(scan->series, scan->series_cap, scan->n_series + 1) < 0 ||
	    MEM_GROW(scan->ids, scan->ids_cap, scan->n_ids + f->n) < 0)
		return -ENOMEM;
	scan->series[scan->n_series++] = (struct scan_series){ .labels = scan->n_ids,
		                                               .parts = scan->n_parts,
		                                               .n_labels = f->n };
	memcpy(scan->ids + scan->n_ids, f->labels, f->n * sizeof(*f->labels));
	scan->n_ids += f->n;
	return 0;
}

static int add_part(struct store_scan *scan, const struct front *f)
{
	if (MEM_GROW(scan->parts, scan->parts_cap, scan->n_parts + 1) < 0)
		return -ENOMEM;
	scan->parts[scan->n_parts++] = (struct part){ f->source, f->list->series[f->at] };
	scan->series[scan->n_series - 1].n_parts++;
	return 0;
}

/* The least series of all fronts; they stay where they are. */
static const struct front *least(const struct store_scan *scan, const struct front *v, size_t n)
{
	const struct front *best = &v[0];

	for (size_t i = 1; i < n; i++) {
		if (cmp_ids(&scan->labels, v[i].labels, v[i].n, best->labels, best->n) < 0)
			best = &v[i];
	}
	return best;
}

/* Takes one series from all fronts that have it; *@n goes down when one is at its end. */
static int join_one(struct store_scan *scan, struct front *v, size_t *n)
{
	const struct front first = *least(scan, v, *n);
	size_t kept = 0;
	int r = add_series(scan, &first);

	for (size_t i = 0; i < *n && r == 0; i++) {
		struct front *f = &v[i];

		if (f->n == first.n &&
		    memcmp(f->labels, first.labels, f->n * sizeof(*f->labels)) == 0) {
			r = add_part(scan, f);
			f->at++;
			if (!front_load(f))
				continue;
		}
		v[kept++] = *f;
	}
	*n = kept;
	return r;
}

static int join_sources(struct store_scan *scan, struct err *e)
{
	_cleanup_free_ struct front *fronts = mem_zalloc(scan->n_blocks + 1ul, sizeof(*fronts));
	size_t n = 0;
	int r = fronts ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < scan->n_blocks; i++) {
		fronts[n] = (struct front){ .list = &scan->blocks[i].list, .source = i };
		n += front_load(&fronts[n]);
	}
	if (r == 0) {
		fronts[n] = (struct front){ .list = &scan->head_list, .source = HEAD_SOURCE };
		n += front_load(&fronts[n]);
	}
	for (uint32_t i = 1; r == 0 && n > 0; i++) {
		r = join_one(scan, fronts, &n);
		if (r == 0 && i % 4096 == 0)
			r = scan_check(scan, e);
	}
	if (r == -ENOSPC)
		return err_set(e, r, "more than %llu series match; narrow the selector",
		               (unsigned long long)scan->series_max);
	return r;
}

/* ---- blocks --------------------------------------------------------------- */

static int cmp_block(const void *a, const void *b)
{
	int64_t x = ((const struct block_source *)a)->block->meta.min_ms;
	int64_t y = ((const struct block_source *)b)->block->meta.min_ms;

	return x < y ? -1 : x > y;
}

static bool is_wanted(const struct store_scan *scan, const struct block *b)
{
	return b->meta.min_epoch < scan->floor_epoch && b->meta.min_ms <= scan->max_ms &&
	       b->meta.max_ms >= scan->min_ms;
}

static void warn_of_broken(struct store_scan *scan)
{
	for (size_t i = 0; i < scan->view->n_broken; i++)
		scan_warn(scan, &scan->view->broken[i].why);
}

/* In the order of their time, so that a series' parts mostly are in order, too. */
static int choose_blocks(struct store_scan *scan)
{
	const struct view *v = scan->view;

	scan->blocks = mem_zalloc(v->n, sizeof(*scan->blocks));
	if (!scan->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < v->n; i++) {
		if (is_wanted(scan, v->blocks[i]))
			scan->blocks[scan->n_blocks++].block = v->blocks[i];
	}
	if (scan->n_blocks > 1)
		qsort(scan->blocks, scan->n_blocks, sizeof(*scan->blocks), cmp_block);
	return 0;
}

static int scan_blocks(struct store_scan *scan, struct str org, const struct selection *sel,
                       struct err *e)
{
	_cleanup_(block_reader_done) struct block_reader reader = { 0 };
	int r = choose_blocks(scan);

	warn_of_broken(scan);
	for (uint32_t i = 0; r == 0 && i < scan->n_blocks; i++) {
		const struct block_org *o = block_find_org(scan->blocks[i].block, org);

		if (o && o->min_ms <= scan->max_ms && o->max_ms >= scan->min_ms)
			r = scan_block(scan, &scan->blocks[i], o, sel, &reader, e);
		if (r == 0)
			r = scan_check(scan, e);
	}
	atomic_fetch_add(&scan->n_pages, reader.texts.n_pages + reader.others.n_pages);
	atomic_fetch_add(&scan->n_page_bytes, reader.texts.n_bytes + reader.others.n_bytes);
	return r;
}

/* ---- life ----------------------------------------------------------------- */

static void scan_done(struct store_scan *scan)
{
	if (scan->has_pin)
		atomic_fetch_sub(&scan->s->head.n_scans[scan->pin], 1);
	if (scan->tenant)
		atomic_fetch_sub(&scan->tenant->n_scans, 1);
	for (uint32_t i = 0; i < scan->n_blocks; i++) {
		series_list_done(&scan->blocks[i].list);
		hidden_done(&scan->blocks[i].hidden);
	}
	series_list_done(&scan->head_list);
	arena_done(&scan->labels.arena);
	free(scan->labels.v);
	free(scan->labels.names);
	free(scan->labels.table);
	free(scan->heads);
	free(scan->blocks);
	free(scan->series);
	free(scan->ids);
	free(scan->parts);
	view_unref(scan->view);
	(void)pthread_mutex_destroy(&scan->lock);
	free(scan);
}

void store_scan_close(struct store_scan *scan)
{
	if (!scan)
		return;
	store_reader_free(scan->reader);
	scan_done(scan);
}

/* Samples before the organisation's retention are not there, even if they still are. */
static int64_t retained_from(struct store *s, struct tenant *t)
{
	int64_t retention_ms = t ? atomic_load(&t->limits.retention_ms) : 0;

	if (retention_ms <= 0 || retention_ms > s->conf.retention_ms)
		retention_ms = s->conf.retention_ms;
	return clock_unix_ms() - retention_ms;
}

static struct store_scan *scan_new(struct store *s, const struct store_select *sel)
{
	struct store_scan *scan = mem_zalloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	(void)pthread_mutex_init(&scan->lock, NULL);
	scan->s = s;
	scan->tenant = head_tenant(&s->head, sel->org, false);
	if (scan->tenant) { /* under its lock: it may be about to be rebuilt */
		(void)pthread_rwlock_rdlock(&scan->tenant->lock);
		atomic_fetch_add(&scan->tenant->n_scans, 1);
		(void)pthread_rwlock_unlock(&scan->tenant->lock);
	}
	scan->min_ms = MAX(sel->min_ms, retained_from(s, scan->tenant));
	scan->max_ms = sel->max_ms;
	scan->deadline_mono_ns = sel->deadline_mono_ns;
	scan->cancelled = sel->cancelled;
	scan->series_max = sel->series_max;
	scan->samples_max = sel->samples_max;
	return scan;
}

int store_scan_open(struct store *s, const struct store_select *sel, struct store_scan **ret,
                    struct err *e)
{
	struct store_scan *scan = scan_new(s, sel);
	struct selection selection = { 0 };
	int r = scan ? selection_init(&selection, sel->sets, sel->n_sets, &sel->enforced, e)
	             : -ENOMEM;

	if (r == 0)
		r = scan_check(scan, e);
	if (r == 0)
		r = scan_head(scan, &selection, e);
	if (r == 0)
		r = scan_blocks(scan, sel->org, &selection, e);
	if (r == 0)
		r = join_sources(scan, e);
	selection_done(&selection);
	if (r < 0) {
		if (scan)
			scan_done(scan);
		return r;
	}
	*ret = scan;
	return 0;
}

/* ---- what was found ------------------------------------------------------- */

size_t store_scan_n(const struct store_scan *scan)
{
	return scan->n_series;
}

const uint32_t *store_scan_label_ids(const struct store_scan *scan, size_t i, uint32_t *ret_n)
{
	*ret_n = scan->series[i].n_labels;
	return scan->ids + scan->series[i].labels;
}

const struct label *store_scan_label(const struct store_scan *scan, uint32_t id)
{
	return &scan->labels.v[id];
}

uint32_t store_scan_n_labels(const struct store_scan *scan)
{
	return (uint32_t)scan->labels.n;
}

uint32_t store_scan_labels(const struct store_scan *scan, size_t i, struct label *ret)
{
	const struct scan_series *s = &scan->series[i];

	for (uint32_t k = 0; k < s->n_labels; k++)
		ret[k] = scan->labels.v[scan->ids[s->labels + k]];
	labels_sort_name_in(ret, s->n_labels);
	return s->n_labels;
}

void store_scan_cost(struct store_scan *scan, struct store_scan_cost *ret)
{
	*ret = (struct store_scan_cost){ .series = scan->n_series,
		                         .blocks = scan->n_blocks,
		                         .pages = atomic_load(&scan->n_pages),
		                         .page_bytes = atomic_load(&scan->n_page_bytes),
		                         .samples = atomic_load(&scan->n_samples) };
}
