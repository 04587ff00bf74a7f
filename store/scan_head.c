/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/scan_int.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"

#define TRIES 3u /* to find the series before the room is entered */

/* ---- the tenant as a source ----------------------------------------------- */

struct head_ctx {
	const struct store_scan *scan;
	const struct tenant *t;
};

static void add_text(const struct tenant *t, uint32_t number, roaring_bitmap_t *to)
{
	const struct text *x = &t->texts.v[number];

	roaring_bitmap_add_many(to, x->n_ids, x->ids);
}

static int head_exact(void *ctx, struct str name, struct str value, roaring_bitmap_t *to,
                      struct err *e)
{
	const struct tenant *t = ((struct head_ctx *)ctx)->t;
	int64_t number = value.len > 0 ? texts_find(&t->texts, name, value)
	                               : texts_find_name(&t->texts, name);

	(void)e;
	if (number < 0)
		return 0;
	if (value.len > 0) {
		add_text(t, (uint32_t)number, to);
		return 0;
	}
	const struct text_name *of = &t->texts.names[number];

	for (uint32_t i = 0; i < of->n_values; i++)
		add_text(t, of->values[i], to);
	return 0;
}

static int head_covered(void *ctx, const struct match *m, roaring_bitmap_t *to, struct err *e)
{
	const struct head_ctx *h = ctx;
	int64_t name = texts_find_name(&h->t->texts, m->name);
	int r = 0;

	for (uint32_t i = 0; name >= 0 && i < h->t->texts.names[name].n_values && r == 0; i++) {
		uint32_t number = h->t->texts.names[name].values[i];

		if (i % 1024 == 1023)
			r = scan_check(h->scan, e);
		if (match_covers(m, h->t->texts.v[number].value))
			add_text(h->t, number, to);
	}
	return r;
}

/* ---- finding -------------------------------------------------------------- */

/* Puts the selected series into key order, by a bit for each place. */
static int in_order(const struct tenant *t, const roaring_bitmap_t *set, uint32_t **ret,
                    uint64_t *ret_n)
{
	uint64_t n = roaring_bitmap_get_cardinality(set), at = 0;
	_cleanup_free_ uint32_t *ids = mem_zalloc(n, sizeof(*ids));
	_cleanup_free_ uint64_t *bits = mem_zalloc(t->n_series / 64 + 1, sizeof(*bits));

	if (!ids || !bits)
		return -ENOMEM;
	roaring_bitmap_to_uint32_array(set, ids);
	for (uint64_t i = 0; i < n; i++)
		bits[t->place[ids[i]] / 64] |= 1ull << (t->place[ids[i]] % 64);
	for (uint32_t w = 0; w <= t->n_series / 64; w++) {
		for (uint64_t b = bits[w]; b != 0; b &= b - 1)
			ids[at++] = t->order[w * 64 + (uint32_t)__builtin_ctzll(b)];
	}
	*ret = TAKE_PTR(ids);
	*ret_n = n;
	return 0;
}

static int take_found(struct store_scan *scan, const struct tenant *t, const uint32_t *ids,
                      uint64_t n)
{
	scan->n_heads = 0;
	if (MEM_GROW(scan->heads, scan->heads_cap, n) < 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		scan->heads[i] = (struct head_series){ .series = t->series[ids[i]] };
	scan->n_heads = n;
	return 0;
}

static int find_locked(struct store_scan *scan, const struct selection *sel, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *set = NULL;
	_cleanup_free_ uint32_t *ids = NULL;
	const struct tenant *t = scan->tenant;
	struct head_ctx ctx = { scan, t };
	const struct select_source src = { &ctx, 0, t->n_series, head_exact, head_covered };
	uint64_t n;
	int r = selection_run(sel, &src, &set, e);

	if (r == 0)
		r = in_order(t, set, &ids, &n);
	return r == 0 ? take_found(scan, t, ids, n) : r;
}

/* The selected series that there are now; *@ret_n is how many the tenant has. */
static int find(struct store_scan *scan, const struct selection *sel, uint32_t *ret_n,
                struct err *e)
{
	int r = tenant_lock_indexed(scan->tenant, true);

	if (r < 0)
		return r;
	*ret_n = scan->tenant->n_series;
	r = find_locked(scan, sel, e);
	tenant_unlock(scan->tenant);
	return r;
}

static uint32_t count_series(struct tenant *t)
{
	(void)pthread_rwlock_rdlock(&t->lock);
	uint32_t n = t->n_series;

	(void)pthread_rwlock_unlock(&t->lock);
	return n;
}

/* ---- the moment ----------------------------------------------------------- */

/* Inside the room: which blocks there are, and what is in the head and in no block that is read. */
static void fix_moment(struct store_scan *scan)
{
	struct store *s = scan->s;

	scan->view = store_view(s);
	scan->floor_epoch = s->floor_epoch;
	scan->pin = atomic_load(&s->head.floor) % 2;
	atomic_fetch_add(&s->head.n_scans[scan->pin], 1);
	scan->has_pin = true;
}

static void fix_samples(struct store_scan *scan)
{
	size_t kept = 0;

	for (size_t i = 0; i < scan->n_heads; i++) {
		struct head_series *h = &scan->heads[i];

		if (series_snapshot(h->series, scan->min_ms, scan->max_ms, &h->from, &h->to))
			scan->heads[kept++] = *h;
	}
	scan->n_heads = kept;
}

/*
 * The series are found before the room is entered, since that may take long. When new ones have
 * come in between, it is done again; at last inside, where none can come with samples.
 */
static int find_and_fix(struct store_scan *scan, const struct selection *sel, struct err *e)
{
	struct room *room = &scan->s->head.room;
	uint32_t n = 0;
	int r = 0;

	for (unsigned tries = 1; r == 0; tries++) {
		bool is_last = tries == TRIES;

		if (!is_last)
			r = find(scan, sel, &n, e);
		if (r < 0)
			return r;
		room_enter(room, PARTY_SCANS);
		if (is_last)
			r = find(scan, sel, &n, e);
		if (r == 0 && (is_last || count_series(scan->tenant) == n)) {
			fix_moment(scan);
			fix_samples(scan);
			room_leave(room);
			return 0;
		}
		room_leave(room);
	}
	return r;
}

/* The tenant's numbers of labels become the scan's. */
static int number_labels(struct store_scan *scan)
{
	struct tenant *t = scan->tenant;
	uint32_t labels[LABELS_MAX];
	int r = 0;

	(void)pthread_rwlock_rdlock(&t->lock);
	_cleanup_free_ uint32_t *map = mem_zalloc(t->texts.n, sizeof(*map));

	for (size_t i = 0; map && r == 0 && i < scan->n_heads; i++) {
		const struct series_more *more = scan->heads[i].series->more;

		for (uint32_t k = 0; r == 0 && k < more->n_labels; k++) {
			uint32_t *id = &map[more->labels[k]];

			if (*id == 0) {
				const struct label l = texts_label(&t->texts, more->labels[k]);

				r = scan_label(&scan->labels, &l, true, id);
				*id += 1;
			}
			labels[k] = *id - 1;
		}
		if (r == 0)
			r = series_list_add(&scan->head_list, (uint32_t)i, labels, more->n_labels);
	}
	(void)pthread_rwlock_unlock(&t->lock);
	return map ? r : -ENOMEM;
}

int scan_head(struct store_scan *scan, const struct selection *sel, struct err *e)
{
	int r;

	if (!scan->tenant) {
		room_enter(&scan->s->head.room, PARTY_SCANS);
		fix_moment(scan);
		room_leave(&scan->s->head.room);
		return 0;
	}
	r = find_and_fix(scan, sel, e);
	return r == 0 ? number_labels(scan) : r;
}
