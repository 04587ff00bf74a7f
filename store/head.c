/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/head.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"

void head_init(struct head *h)
{
	*h = (struct head){ .next_ref = 1 };
	pthread_rwlock_init(&h->lock, NULL);
}

static void tenant_free(struct tenant *t)
{
	for (uint32_t i = 0; i < t->index.n_ids; i++)
		series_unref(t->series[i]);
	free(t->series);
	free(t->slots);
	index_done(&t->index);
	pthread_rwlock_destroy(&t->lock);
	free(t);
}

void head_done(struct head *h)
{
	for (size_t i = 0; i < h->n_tenants; i++)
		tenant_free(h->tenants[i]);
	free(h->tenants);
	pthread_rwlock_destroy(&h->lock);
}

/* ---- tenants -------------------------------------------------------------- */

static struct tenant *find_tenant(const struct head *h, struct str org)
{
	for (size_t i = 0; i < h->n_tenants; i++) {
		if (str_eqc(org, h->tenants[i]->org))
			return h->tenants[i];
	}
	return NULL;
}

static struct tenant *tenant_new(struct head *h, struct str org)
{
	struct tenant *t = mem_zalloc(1, sizeof(*t));

	if (!t || MEM_GROW(h->tenants, h->tenants_cap, h->n_tenants + 1) < 0) {
		free(t);
		return NULL;
	}
	memcpy(t->org, org.p, org.len);
	pthread_rwlock_init(&t->lock, NULL);
	h->tenants[h->n_tenants++] = t;
	return t;
}

struct tenant *head_tenant(struct head *h, struct str org, bool create)
{
	struct tenant *t;

	pthread_rwlock_rdlock(&h->lock);
	t = find_tenant(h, org);
	pthread_rwlock_unlock(&h->lock);
	if (t || !create)
		return t;
	pthread_rwlock_wrlock(&h->lock);
	t = find_tenant(h, org);
	if (!t)
		t = tenant_new(h, org);
	pthread_rwlock_unlock(&h->lock);
	return t;
}

/* ---- finding series ------------------------------------------------------- */

static uint64_t hash_labels(const struct label *labels, uint32_t n)
{
	uint64_t hash = n;

	for (uint32_t i = 0; i < n; i++) {
		hash = hash_bytes(labels[i].name.p ? labels[i].name.p : "", labels[i].name.len,
		                  hash);
		hash = hash_bytes(labels[i].value.p ? labels[i].value.p : "", labels[i].value.len,
		                  hash);
	}
	return hash;
}

static bool same_labels(const struct series *s, const struct label *labels, uint32_t n)
{
	if (s->n_labels != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!str_eq(s->labels[i]->text, labels[i].value) ||
		    !str_eq(s->labels[i]->name->text, labels[i].name))
			return false;
	}
	return true;
}

static struct series *find_series(const struct tenant *t, uint64_t hash, const struct label *labels,
                                  uint32_t n)
{
	size_t mask = t->slots_cap - 1;

	if (t->slots_cap == 0)
		return NULL;
	for (size_t at = hash & mask; t->slots[at].series; at = (at + 1) & mask) {
		if (t->slots[at].hash == hash && same_labels(t->slots[at].series, labels, n))
			return t->slots[at].series;
	}
	return NULL;
}

static void slot_put(struct label_slot *table, size_t cap, struct label_slot slot)
{
	size_t at = slot.hash & (cap - 1);

	while (table[at].series)
		at = (at + 1) & (cap - 1);
	table[at] = slot;
}

static int slots_reserve(struct head *h, struct tenant *t)
{
	size_t cap = t->slots_cap ? t->slots_cap * 2 : 64;
	struct label_slot *table;

	if ((t->n_slots + 1) * 3 <= t->slots_cap * 2)
		return 0;
	table = mem_zalloc(cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < t->slots_cap; i++) {
		if (t->slots[i].series)
			slot_put(table, cap, t->slots[i]);
	}
	atomic_fetch_add(&h->bytes, (int64_t)((cap - t->slots_cap) * sizeof(*table)));
	free(t->slots);
	t->slots = table;
	t->slots_cap = cap;
	return 0;
}

static int add_series(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                      struct series **ret)
{
	struct index_value *values[LABELS_MAX];
	size_t index_bytes = t->index.bytes;
	struct series *s;
	uint32_t id;

	if (MEM_GROW(t->series, t->series_cap, (size_t)t->index.n_ids + 1) < 0)
		return -ENOMEM;
	if (index_intern(&t->index, labels, n, values) < 0)
		return -ENOMEM;
	s = series_new(values, n);
	if (!s)
		return -ENOMEM;
	id = index_add(&t->index, values, n);
	s->id = id;
	s->tenant = t;
	s->ref = atomic_fetch_add(&h->next_ref, 1);
	t->series[id] = s;
	atomic_fetch_add(&h->bytes, (int64_t)(series_memory(s) + t->index.bytes - index_bytes));
	atomic_fetch_add(&h->n_series, 1);
	*ret = s;
	return 0;
}

/* Under the exclusive lock. */
static int find_or_add(struct head *h, struct tenant *t, const struct label *canonical, uint32_t n,
                       struct series **ret)
{
	uint64_t hash = hash_labels(canonical, n);
	struct series *s = find_series(t, hash, canonical, n);
	int r = s ? 0 : slots_reserve(h, t);

	if (r == 0 && !s) {
		r = add_series(h, t, canonical, n, &s);
		if (r == 0) {
			slot_put(t->slots, t->slots_cap, (struct label_slot){ hash, s });
			t->n_slots++;
		}
	}
	if (r == 0)
		*ret = s;
	return r;
}

int head_series(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                struct series **ret, enum store_refusal *ret_why, struct err *e)
{
	struct label canonical[LABELS_MAX];
	struct series *s;
	uint32_t n_canonical;
	int r = series_canonical(labels, n, canonical, &n_canonical, ret_why, e);

	if (r < 0)
		return r;
	(void)pthread_rwlock_rdlock(&t->lock);
	s = find_series(t, hash_labels(canonical, n_canonical), canonical, n_canonical);
	(void)pthread_rwlock_unlock(&t->lock);
	if (s) {
		*ret = s;
		return 0;
	}
	(void)pthread_rwlock_wrlock(&t->lock);
	r = find_or_add(h, t, canonical, n_canonical, ret);
	(void)pthread_rwlock_unlock(&t->lock);
	return r;
}

void head_drop(struct head *h, uint32_t epoch)
{
	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->n_tenants; i++) {
		struct tenant *t = h->tenants[i];

		(void)pthread_rwlock_rdlock(&t->lock);
		for (uint32_t id = 0; id < t->index.n_ids; id++)
			atomic_fetch_sub(&h->bytes, (int64_t)series_drop(t->series[id], epoch));
		(void)pthread_rwlock_unlock(&t->lock);
	}
	(void)pthread_rwlock_unlock(&h->lock);
}

/* ---- selecting ------------------------------------------------------------ */

static int cmp_series(const void *a, const void *b)
{
	return series_cmp(*(struct series *const *)a, *(struct series *const *)b);
}

static int collect(struct tenant *t, const struct store_select *sel, struct epochs epochs,
                   const struct bits *bits, struct series **to, size_t *ret_n, struct err *e)
{
	size_t n = 0;

	for (uint32_t id = 0; id < t->index.n_ids; id++) {
		if (!bits_has(bits, id) ||
		    !series_overlaps(t->series[id], epochs, sel->min_ms, sel->max_ms))
			continue;
		if (sel->series_max != 0 && n == sel->series_max)
			return err_set(e, -ENOSPC,
			               "more than %llu series match; narrow the selector",
			               (unsigned long long)sel->series_max);
		if (n % 1024 == 0 && sel->deadline_mono_ns &&
		    clock_mono_ns() > sel->deadline_mono_ns)
			return err_set(e, -ECANCELED, "the time limit of the query has passed");
		to[n++] = t->series[id];
	}
	*ret_n = n;
	return 0;
}

static int select_locked(struct tenant *t, const struct store_select *sel, struct epochs epochs,
                         struct series ***ret, size_t *ret_n, struct err *e)
{
	_cleanup_(bits_done) struct bits bits = { 0 };
	_cleanup_free_ struct series **v = NULL;
	size_t n = 0;
	int r = index_select(&t->index, sel, &bits, e);

	if (r < 0)
		return r;
	v = mem_zalloc(t->index.n_ids, sizeof(struct series *));
	if (!v)
		return -ENOMEM;
	r = collect(t, sel, epochs, &bits, v, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		series_ref(v[i]);
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

int head_select(struct head *h, const struct store_select *sel, struct epochs epochs,
                struct series ***ret, size_t *ret_n, struct err *e)
{
	struct tenant *t = head_tenant(h, sel->org, false);
	int r;

	*ret = NULL;
	*ret_n = 0;
	if (!t) {
		/* Nothing there; a bad regular expression is an error all the same. */
		struct index none = { 0 };
		_cleanup_(bits_done) struct bits bits = { 0 };

		return index_select(&none, sel, &bits, e);
	}
	pthread_rwlock_rdlock(&t->lock);
	r = select_locked(t, sel, epochs, ret, ret_n, e);
	pthread_rwlock_unlock(&t->lock);
	if (r == 0 && *ret_n > 1)
		qsort(*ret, *ret_n, sizeof(**ret), cmp_series);
	return r;
}
