/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/head.h"

#include <errno.h>
#include <stdlib.h>

#include "store/keys.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"

int head_init(struct head *h)
{
	*h = (struct head){ 0 };
	(void)pthread_rwlock_init(&h->lock, NULL);
	(void)pthread_mutex_init(&h->numbers_lock, NULL);
	room_init(&h->room);
	return times_table_init(&h->times);
}

void head_done(struct head *h)
{
	for (uint32_t i = 0; i < h->n_tenants; i++) {
		tenant_done(h->tenants[i], &h->times);
		free(h->tenants[i]);
	}
	for (size_t i = 0; i < h->n_slabs; i++)
		free(h->slabs[i]);
	free(h->tenants);
	free(h->table);
	free(h->slabs);
	free(h->free_numbers);
	times_table_done(&h->times);
	room_done(&h->room);
	(void)pthread_mutex_destroy(&h->numbers_lock);
	(void)pthread_rwlock_destroy(&h->lock);
}

/* ---- tenants -------------------------------------------------------------- */

static uint32_t *slot_of(const struct head *h, struct str org)
{
	size_t at = hash_str(org) & (h->table_cap - 1);

	while (h->table[at] != 0 && !str_eq(org, tenant_org(h->tenants[h->table[at] - 1])))
		at = (at + 1) & (h->table_cap - 1);
	return &h->table[at];
}

static struct tenant *find_tenant(const struct head *h, struct str org)
{
	uint32_t number = h->table_cap > 0 ? *slot_of(h, org) : 0;

	return number > 0 ? h->tenants[number - 1] : NULL;
}

static int table_reserve(struct head *h)
{
	size_t cap = h->table_cap ? h->table_cap * 2 : 16;

	if ((h->n_tenants + 1ul) * 2 <= h->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	free(h->table);
	h->table = table;
	h->table_cap = cap;
	for (uint32_t i = 0; i < h->n_tenants; i++)
		*slot_of(h, tenant_org(h->tenants[i])) = i + 1;
	return 0;
}

static struct tenant *tenant_new(struct head *h, struct str org)
{
	struct tenant *t = mem_alloc(sizeof(*t));

	if (!t || MEM_GROW(h->tenants, h->tenants_cap, h->n_tenants + 1ul) < 0 ||
	    table_reserve(h) < 0) {
		free(t);
		return NULL;
	}
	tenant_init(t, org, h->n_tenants);
	*slot_of(h, org) = h->n_tenants + 1;
	h->tenants[h->n_tenants++] = t;
	atomic_fetch_add(&h->bytes, (int64_t)sizeof(*t));
	return t;
}

struct tenant *head_tenant(struct head *h, struct str org, bool create)
{
	struct tenant *t;

	(void)pthread_rwlock_rdlock(&h->lock);
	t = find_tenant(h, org);
	(void)pthread_rwlock_unlock(&h->lock);
	if (t || !create)
		return t;
	(void)pthread_rwlock_wrlock(&h->lock);
	t = find_tenant(h, org);
	if (!t)
		t = tenant_new(h, org);
	(void)pthread_rwlock_unlock(&h->lock);
	return t;
}

uint32_t head_n_tenants(struct head *h)
{
	(void)pthread_rwlock_rdlock(&h->lock);
	uint32_t n = h->n_tenants;

	(void)pthread_rwlock_unlock(&h->lock);
	return n;
}

struct tenant *head_tenant_at(struct head *h, uint32_t i)
{
	(void)pthread_rwlock_rdlock(&h->lock);
	struct tenant *t = h->tenants[i];

	(void)pthread_rwlock_unlock(&h->lock);
	return t;
}

/* ---- series --------------------------------------------------------------- */

static int add_slab(struct head *h)
{
	struct series *slab;

	if (MEM_GROW(h->slabs, h->slabs_cap, h->n_slabs + 1) < 0)
		return -ENOMEM;
	slab = mem_aligned(64, SLAB_SERIES * sizeof(*slab));
	if (!slab)
		return -ENOMEM;
	h->slabs[h->n_slabs++] = slab;
	atomic_fetch_add(&h->bytes, (int64_t)(SLAB_SERIES * sizeof(*slab)));
	return 0;
}

/* Memory for one more series, with its number. */
static int take_number(struct head *h, struct series **ret)
{
	uint32_t number;
	int r = 0;

	(void)pthread_mutex_lock(&h->numbers_lock);
	if (h->n_free > 0) {
		number = h->free_numbers[--h->n_free];
	} else {
		if (h->n_numbers == h->n_slabs * SLAB_SERIES)
			r = h->n_numbers < UINT32_MAX - SLAB_SERIES ? add_slab(h) : -ENOMEM;
		number = h->n_numbers;
		h->n_numbers += r == 0;
	}
	if (r == 0) {
		*ret = &h->slabs[number / SLAB_SERIES][number % SLAB_SERIES];
		**ret = (struct series){ .number = number };
	}
	(void)pthread_mutex_unlock(&h->numbers_lock);
	return r;
}

static void give_number(struct head *h, const struct series *s)
{
	(void)pthread_mutex_lock(&h->numbers_lock);
	/* Without memory for the list the number is lost, until the next start. */
	if (MEM_GROW(h->free_numbers, h->free_cap, h->n_free + 1) == 0)
		h->free_numbers[h->n_free++] = s->number;
	(void)pthread_mutex_unlock(&h->numbers_lock);
}

static int check_limits(struct tenant *t, enum store_refusal *ret_why, struct err *e)
{
	uint64_t max = atomic_load(&t->limits.series_max);

	if (max != 0 && t->n_series >= max) {
		*ret_why = STORE_REFUSED_SERIES;
		return err_set(e, -EINVAL, "the organisation has %u series, its limit",
		               t->n_series);
	}
	if (!bucket_take(&t->limits.new_series, 1, clock_mono_ns())) {
		*ret_why = STORE_REFUSED_NEW_SERIES;
		return err_set(e, -EINVAL,
		               "the organisation's limit of new series in an hour is reached");
	}
	return 0;
}

/* Under the exclusive lock of @t. */
static int find_or_add(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                       struct series **ret, enum store_refusal *ret_why, struct err *e)
{
	struct series *s = tenant_find(t, labels, n);
	int64_t bytes = 0;
	int r = 0;

	if (!s) {
		r = check_limits(t, ret_why, e);
		if (r == 0)
			r = take_number(h, &s);
		if (r < 0)
			return r;
		r = tenant_add(t, labels, n, s, &bytes);
		atomic_fetch_add(&h->bytes, bytes);
		if (r < 0) {
			give_number(h, s);
			return r;
		}
		atomic_fetch_add(&h->n_series, 1);
	}
	*ret = s;
	return 0;
}

int head_series(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                struct series **ret, enum store_refusal *ret_why, struct err *e)
{
	const struct label_limits limits = limits_of_labels(&t->limits);
	struct label canonical[LABELS_MAX];
	uint32_t n_canonical;
	int r = labels_canonical(labels, n, &limits, canonical, &n_canonical, ret_why, e);

	if (r < 0)
		return r;
	(void)pthread_rwlock_rdlock(&t->lock);
	*ret = tenant_find(t, canonical, n_canonical);
	(void)pthread_rwlock_unlock(&t->lock);
	if (*ret)
		return 0;
	(void)pthread_rwlock_wrlock(&t->lock);
	r = find_or_add(h, t, canonical, n_canonical, ret, ret_why, e);
	(void)pthread_rwlock_unlock(&t->lock);
	return r;
}

int head_series_known(struct head *h, struct tenant *t, const uint32_t *labels, uint32_t n,
                      struct series **ret)
{
	struct series *s = tenant_find_known(t, labels, n);
	int64_t bytes = 0;
	int r = s ? 0 : take_number(h, &s);

	if (r == 0 && !s->more) {
		r = tenant_add_known(t, labels, n, s, &bytes);
		atomic_fetch_add(&h->bytes, bytes);
		if (r < 0)
			give_number(h, s);
		else
			atomic_fetch_add(&h->n_series, 1);
	}
	if (r == 0)
		*ret = s;
	return r;
}

/* ---- the life of flushed samples ------------------------------------------ */

typedef void (*series_f)(struct head *h, struct series *s);

static void each_series(struct head *h, series_f fn)
{
	for (uint32_t i = 0; i < head_n_tenants(h); i++) {
		struct tenant *t = head_tenant_at(h, i);

		(void)pthread_rwlock_rdlock(&t->lock);
		for (uint32_t id = 0; id < t->n_series; id++)
			fn(h, t->series[id]);
		(void)pthread_rwlock_unlock(&t->lock);
	}
}

static void raise_one(struct head *h, struct series *s)
{
	(void)h;
	series_raise_floor(s);
}

bool head_raise_floor(struct head *h)
{
	if (h->has_drop)
		return false;
	each_series(h, raise_one);
	atomic_fetch_add(&h->floor, 1);
	h->has_drop = true;
	return true;
}

static void drop_one(struct head *h, struct series *s)
{
	atomic_fetch_sub(&h->bytes, (int64_t)series_drop(s, &h->times));
}

void head_drop(struct head *h)
{
	uint32_t before = atomic_load(&h->floor) - 1;

	if (!h->has_drop || atomic_load(&h->n_scans[before % 2]) > 0)
		return;
	each_series(h, drop_one);
	h->has_drop = false;
}

/* Worth the work when a fourth of the series would go. */
static bool has_many_idle(const struct tenant *t, uint32_t epoch)
{
	uint32_t n = 0;

	for (uint32_t id = 0; id < t->n_series; id++)
		n += series_is_idle(t->series[id], epoch);
	return n > 0 && n >= t->n_series / 4;
}

static bool has_no_more(const struct series *s)
{
	return !s->more;
}

static size_t collect_one(struct head *h, struct tenant *t, uint32_t epoch)
{
	_cleanup_free_ struct series **gone = NULL;
	int64_t bytes = 0;
	size_t n = 0;

	if (atomic_load(&t->n_scans) > 0 || !has_many_idle(t, epoch) ||
	    tenant_rebuild(t, epoch, &gone, &n, &bytes) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		bytes -= (int64_t)series_memory(gone[i]);
		series_done(gone[i], &h->times);
		give_number(h, gone[i]);
	}
	atomic_fetch_add(&h->bytes, bytes);
	atomic_fetch_sub(&h->n_series, n);
	return n;
}

void head_collect(struct head *h, struct keys *keys, uint32_t epoch)
{
	int64_t bytes = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < head_n_tenants(h); i++) {
		struct tenant *t = head_tenant_at(h, i);

		(void)pthread_rwlock_wrlock(&t->lock);
		n += collect_one(h, t, epoch);
		(void)pthread_rwlock_unlock(&t->lock);
	}
	if (n > 0)
		keys_sweep(keys, has_no_more, &bytes);
	atomic_fetch_add(&h->bytes, bytes);
}
