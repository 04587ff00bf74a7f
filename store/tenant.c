/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/tenant.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

void tenant_init(struct tenant *t, struct str org, uint32_t number)
{
	*t = (struct tenant){ .number = number };
	memcpy(t->org, org.p, org.len);
	(void)pthread_rwlock_init(&t->lock, NULL);
	limits_init(&t->limits);
}

static void tables_done(struct tenant *t)
{
	texts_done(&t->texts);
	free(t->series);
	free(t->table);
	free(t->order);
	free(t->place);
}

void tenant_done(struct tenant *t, struct times_table *times)
{
	for (uint32_t i = 0; i < t->n_series; i++)
		series_done(t->series[i], times);
	tables_done(t);
	(void)pthread_rwlock_destroy(&t->lock);
}

/* ---- by label set --------------------------------------------------------- */

static uint64_t hash_of(const uint32_t *labels, uint32_t n)
{
	return hash_bytes(labels, n * sizeof(*labels), n);
}

static uint32_t *slot_of(const struct tenant *t, const uint32_t *labels, uint32_t n)
{
	size_t mask = t->table_cap - 1, at = hash_of(labels, n) & mask;

	for (; t->table[at] != 0; at = (at + 1) & mask) {
		const struct series_more *more = t->series[t->table[at] - 1]->more;

		if (more->n_labels == n && memcmp(more->labels, labels, n * sizeof(*labels)) == 0)
			break;
	}
	return &t->table[at];
}

struct series *tenant_find_known(const struct tenant *t, const uint32_t *labels, uint32_t n)
{
	if (t->table_cap == 0)
		return NULL;
	uint32_t id = *slot_of(t, labels, n);

	return id > 0 ? t->series[id - 1] : NULL;
}

struct series *tenant_find(const struct tenant *t, const struct label *labels, uint32_t n)
{
	uint32_t known[LABELS_MAX];

	for (uint32_t i = 0; i < n; i++) {
		int64_t number = texts_find(&t->texts, labels[i].name, labels[i].value);

		if (number < 0)
			return NULL;
		known[i] = (uint32_t)number;
	}
	return tenant_find_known(t, known, n);
}

static int table_reserve(struct tenant *t, int64_t *bytes)
{
	size_t cap = t->table_cap ? t->table_cap * 2 : 64;

	if ((t->n_series + 1ul) * 2 <= t->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*bytes += (int64_t)((cap - t->table_cap) * sizeof(*table));
	free(t->table);
	t->table = table;
	t->table_cap = cap;
	for (uint32_t id = 0; id < t->n_series; id++) {
		const struct series_more *more = t->series[id]->more;

		*slot_of(t, more->labels, more->n_labels) = id + 1;
	}
	return 0;
}

static int reserve(struct tenant *t, int64_t *bytes)
{
	size_t cap = t->series_cap;
	int r = MEM_GROW(t->series, t->series_cap, (size_t)t->n_series + 1);

	*bytes += (int64_t)((t->series_cap - cap) * sizeof(struct series *));
	return r < 0 ? r : table_reserve(t, bytes);
}

int tenant_add_known(struct tenant *t, const uint32_t *labels, uint32_t n, struct series *s,
                     int64_t *bytes)
{
	int r = reserve(t, bytes);

	if (r == 0)
		r = series_init(s, t->number, labels, n, bytes);
	if (r < 0)
		return r;
	s->id = t->n_series;
	*slot_of(t, labels, n) = s->id + 1;
	t->series[t->n_series++] = s;
	return 0;
}

int tenant_add(struct tenant *t, const struct label *labels, uint32_t n, struct series *s,
               int64_t *bytes)
{
	size_t texts_bytes = t->texts.bytes;
	uint32_t known[LABELS_MAX];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = texts_intern(&t->texts, &labels[i], &known[i]);
	*bytes += (int64_t)(t->texts.bytes - texts_bytes);
	return r < 0 ? r : tenant_add_known(t, known, n, s, bytes);
}

uint32_t tenant_labels(const struct tenant *t, const struct series *s, struct label *ret)
{
	const struct series_more *more = s->more;

	for (uint32_t i = 0; i < more->n_labels; i++)
		ret[i] = texts_label(&t->texts, more->labels[i]);
	return more->n_labels;
}

/* ---- lists and order ------------------------------------------------------ */

static int index_new(struct tenant *t)
{
	int r = 0;

	for (; t->n_indexed < t->n_series && r == 0; t->n_indexed += r == 0) {
		const struct series_more *more = t->series[t->n_indexed]->more;

		r = texts_index(&t->texts, more->labels, more->n_labels, t->n_indexed);
	}
	return r;
}

/* Series being sorted: the ranks of its first two labels decide most comparisons. */
struct sorted {
	uint64_t front;
	uint32_t id;
};

static int cmp_labels(const struct tenant *t, uint32_t a, uint32_t b)
{
	const struct series_more *x = t->series[a]->more, *y = t->series[b]->more;
	uint32_t n = MIN((uint32_t)x->n_labels, (uint32_t)y->n_labels);

	for (uint32_t i = 0; i < n; i++) {
		if (x->labels[i] != y->labels[i])
			return t->texts.v[x->labels[i]].rank < t->texts.v[y->labels[i]].rank ? -1
			                                                                     : 1;
	}
	return x->n_labels < y->n_labels ? -1 : x->n_labels > y->n_labels;
}

static int cmp_sorted(const void *a, const void *b, void *ctx)
{
	const struct sorted *x = a, *y = b;

	if (x->front != y->front)
		return x->front < y->front ? -1 : 1;
	return cmp_labels(ctx, x->id, y->id);
}

static uint64_t front_of(const struct tenant *t, uint32_t id)
{
	const struct series_more *more = t->series[id]->more;
	uint64_t front = (uint64_t)t->texts.v[more->labels[0]].rank << 32;

	/* A set without a second label is before those that have one. */
	return more->n_labels > 1 ? front | (t->texts.v[more->labels[1]].rank + 1ull) : front;
}

static int sort_new(struct tenant *t, struct sorted **ret)
{
	uint32_t n = t->n_series - t->n_ordered;
	struct sorted *v = mem_zalloc(n, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		v[i].id = t->n_ordered + i;
		v[i].front = front_of(t, v[i].id);
	}
	qsort_r(v, n, sizeof(*v), cmp_sorted, t);
	*ret = v;
	return 0;
}

static int order_new(struct tenant *t)
{
	_cleanup_free_ struct sorted *fresh = NULL;
	_cleanup_free_ uint32_t *order = NULL;
	uint32_t i = 0, k = 0, n_fresh = t->n_series - t->n_ordered;
	uint32_t *place;
	int r = n_fresh > 0 ? texts_rank(&t->texts) : 0;

	if (n_fresh == 0 || r < 0)
		return r;
	order = mem_zalloc(t->n_series, sizeof(*order));
	place = order ? mem_realloc(t->place, t->n_series, sizeof(*place)) : NULL;
	if (!place)
		return -ENOMEM;
	t->place = place;
	r = sort_new(t, &fresh);
	if (r < 0)
		return r;
	for (uint32_t at = 0; at < t->n_series; at++) {
		bool take_old = i < t->n_ordered &&
		                (k == n_fresh || cmp_labels(t, t->order[i], fresh[k].id) < 0);

		order[at] = take_old ? t->order[i++] : fresh[k++].id;
		place[order[at]] = at;
	}
	free(t->order);
	t->order = TAKE_PTR(order);
	t->n_ordered = t->n_series;
	return 0;
}

static bool is_indexed(const struct tenant *t, bool order)
{
	return t->n_indexed == t->n_series && (!order || t->n_ordered == t->n_series);
}

int tenant_lock_indexed(struct tenant *t, bool order)
{
	for (;;) {
		(void)pthread_rwlock_rdlock(&t->lock);
		if (is_indexed(t, order))
			return 0;
		(void)pthread_rwlock_unlock(&t->lock);
		(void)pthread_rwlock_wrlock(&t->lock);
		int r = index_new(t);

		if (r == 0 && order)
			r = order_new(t);
		(void)pthread_rwlock_unlock(&t->lock);
		if (r < 0)
			return r;
	}
}

/* ---- rebuilding ----------------------------------------------------------- */

/* What is left of a tenant, beside it until all of it is there: nothing fails half-way. */
struct rebuilt {
	struct texts texts;
	uint32_t *labels; /* of all series that stay, one behind the other */
	size_t n_labels, labels_cap;
	struct series **series;
	uint32_t *table;
	size_t cap, table_cap;
	uint32_t n;
	struct series **gone;
	size_t n_gone, gone_cap;
};

static void rebuilt_done(struct rebuilt *r)
{
	texts_done(&r->texts);
	free(r->labels);
	free(r->series);
	free(r->table);
	free(r->gone);
}

static int leave(struct rebuilt *to, struct series *s)
{
	int r = MEM_GROW(to->gone, to->gone_cap, to->n_gone + 1);

	if (r == 0)
		to->gone[to->n_gone++] = s;
	return r;
}

static int keep(struct rebuilt *to, const struct tenant *t, struct series *s)
{
	const struct series_more *more = s->more;
	int r = MEM_GROW(to->labels, to->labels_cap, to->n_labels + more->n_labels);

	for (uint32_t i = 0; r == 0 && i < more->n_labels; i++) {
		const struct label l = texts_label(&t->texts, more->labels[i]);

		r = texts_intern(&to->texts, &l, &to->labels[to->n_labels + i]);
	}
	if (r == 0)
		r = MEM_GROW(to->series, to->cap, to->n + 1ul);
	if (r < 0)
		return r;
	to->n_labels += more->n_labels;
	to->series[to->n++] = s;
	return 0;
}

static size_t tables_bytes(const struct texts *texts, size_t series_cap, size_t table_cap)
{
	return texts->bytes + series_cap * sizeof(struct series *) + table_cap * sizeof(uint32_t);
}

/* Cannot fail. */
static void take_over(struct tenant *t, struct rebuilt *from)
{
	const uint32_t *labels = from->labels;

	tables_done(t);
	t->texts = from->texts;
	t->series = TAKE_PTR(from->series);
	t->series_cap = from->cap;
	t->table = TAKE_PTR(from->table);
	t->table_cap = from->table_cap;
	t->order = t->place = NULL;
	t->n_series = t->n_indexed = t->n_ordered = 0;
	from->texts = (struct texts){ 0 };
	for (uint32_t i = 0; i < from->n; i++) {
		struct series *s = t->series[i];
		uint32_t n = s->more->n_labels;

		memcpy(s->more->labels, labels, n * sizeof(*labels));
		labels += n;
		s->id = i;
		s->chain = 0; /* its labels have other numbers now */
		*slot_of(t, s->more->labels, n) = i + 1;
		t->n_series++;
	}
}

int tenant_rebuild(struct tenant *t, uint32_t epoch, struct series ***ret_gone, size_t *ret_n,
                   int64_t *bytes)
{
	_cleanup_(rebuilt_done) struct rebuilt to = { .table_cap = 64 };
	size_t before = tables_bytes(&t->texts, t->series_cap, t->table_cap);
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < t->n_series; id++) {
		struct series *s = t->series[id];

		r = series_is_idle(s, epoch) ? leave(&to, s) : keep(&to, t, s);
	}
	while (to.table_cap < 2ul * (to.n + 1))
		to.table_cap *= 2;
	to.table = mem_zalloc(to.table_cap, sizeof(*to.table));
	if (r < 0 || !to.table)
		return -ENOMEM;
	take_over(t, &to);
	*ret_gone = TAKE_PTR(to.gone);
	*ret_n = to.n_gone;
	*bytes += (int64_t)tables_bytes(&t->texts, t->series_cap, t->table_cap) - (int64_t)before;
	return 0;
}
