/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/series.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/utf8.h"
#include "userspace/base/util.h"

/* ---- labels --------------------------------------------------------------- */

static int refuse(enum store_refusal *ret_why, enum store_refusal why)
{
	*ret_why = why;
	return -EINVAL;
}

static int check_label(const struct label *l, enum store_refusal *ret_why, struct err *e)
{
	if (l->name.len == 0 || l->name.len > LABEL_NAME_MAX)
		return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
		               "a label name has %zu bytes; 1 to %u are accepted", l->name.len,
		               LABEL_NAME_MAX);
	if (l->value.len > LABEL_VALUE_MAX)
		return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
		               "the value of label \"%.*s\" has %zu bytes; at most %u are accepted",
		               STR_FMT(l->name), l->value.len, LABEL_VALUE_MAX);
	if (!utf8_is_valid(l->name) || !utf8_is_valid(l->value))
		return err_set(e, refuse(ret_why, STORE_REFUSED_UTF8),
		               "label \"%.*s\" is not UTF-8", (int)MIN(l->name.len, (size_t)40),
		               l->name.p);
	return 0;
}

/* Insertion sort: writers send sorted labels, and then it is one pass. */
static void insert_sorted(struct label *to, uint32_t n, const struct label *l)
{
	uint32_t i = n;

	while (i > 0 && str_cmp(to[i - 1].name, l->name) > 0) {
		to[i] = to[i - 1];
		i--;
	}
	to[i] = *l;
}

static int check_set(const struct label *v, uint32_t n, enum store_refusal *ret_why, struct err *e)
{
	bool named = false;

	for (uint32_t i = 0; i < n; i++) {
		named = named || str_eqc(v[i].name, LABEL_NAME);
		if (i > 0 && str_eq(v[i - 1].name, v[i].name))
			return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
			               "label \"%.*s\" is given twice", STR_FMT(v[i].name));
	}
	return named ? 0
	             : err_set(e, refuse(ret_why, STORE_REFUSED_NO_NAME),
	                       "a series has no metric name");
}

int series_canonical(const struct label *labels, uint32_t n, struct label *ret, uint32_t *ret_n,
                     enum store_refusal *ret_why, struct err *e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		int r = check_label(&labels[i], ret_why, e);

		if (r < 0)
			return r;
		if (labels[i].value.len == 0)
			continue;
		if (kept == LABELS_MAX)
			return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
			               "a series has more than %u labels", LABELS_MAX);
		insert_sorted(ret, kept++, &labels[i]);
	}
	*ret_n = kept;
	return check_set(ret, kept, ret_why, e);
}

static struct str name_of(const struct label *labels, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, LABEL_NAME))
			return labels[i].value;
	}
	return STR_NULL;
}

int series_cmp_labels(const struct label *a, uint32_t n_a, const struct label *b, uint32_t n_b)
{
	int c = str_cmp(name_of(a, n_a), name_of(b, n_b));

	for (uint32_t i = 0; c == 0 && i < n_a && i < n_b; i++) {
		c = str_cmp(a[i].name, b[i].name);
		if (c == 0)
			c = str_cmp(a[i].value, b[i].value);
	}
	return c != 0 ? c : n_a < n_b ? -1 : n_a > n_b;
}

/* Interned: equal texts are one pointer, and most labels of two neighbours are equal. */
static int cmp_interned(const struct index_value *a, const struct index_value *b)
{
	int c;

	if (a == b)
		return 0;
	c = a->name == b->name ? 0 : str_cmp(a->name->text, b->name->text);
	return c != 0 ? c : str_cmp(a->text, b->text);
}

int series_cmp(const struct series *a, const struct series *b)
{
	int c = cmp_interned(a->labels[a->name_at], b->labels[b->name_at]);

	for (uint32_t i = 0; c == 0 && i < a->n_labels && i < b->n_labels; i++)
		c = cmp_interned(a->labels[i], b->labels[i]);
	return c != 0 ? c : a->n_labels < b->n_labels ? -1 : a->n_labels > b->n_labels;
}

uint32_t series_labels(const struct series *s, struct label *ret)
{
	for (uint32_t i = 0; i < s->n_labels; i++)
		ret[i] = (struct label){ s->labels[i]->name->text, s->labels[i]->text };
	return s->n_labels;
}

/* ---- life ----------------------------------------------------------------- */

struct series *series_new(struct index_value *const *labels, uint32_t n_labels)
{
	struct series *s = mem_zalloc(1, sizeof(*s) + n_labels * sizeof(struct index_value *));

	if (!s)
		return NULL;
	s->n_labels = (uint16_t)n_labels;
	for (uint32_t i = 0; i < n_labels; i++) {
		s->labels[i] = labels[i];
		if (str_eqc(labels[i]->name->text, LABEL_NAME))
			s->name_at = (uint8_t)i;
	}
	atomic_init(&s->refs, 1);
	s->newest_ms = INT64_MIN;
	return s;
}

size_t series_memory(const struct series *s)
{
	return sizeof(*s) + s->n_labels * sizeof(struct index_value *);
}

void series_ref(struct series *s)
{
	atomic_fetch_add(&s->refs, 1);
}

void series_unref(struct series *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n_sealed; i++)
		free(s->sealed[i]);
	free(s->sealed);
	free(s->open);
	free(s->late);
	free(s);
}

/* ---- appending ------------------------------------------------------------ */

static int add_late(struct series *s, const struct sample *x, uint32_t epoch)
{
	if (MEM_GROW(s->late, s->late_cap, (size_t)s->n_late + 1) < 0)
		return -ENOMEM;
	s->late[s->n_late++] = (struct late_sample){ *x, epoch };
	return 0;
}

static int seal(struct series *s)
{
	if (!s->open)
		return 0;
	if (MEM_GROW(s->sealed, s->sealed_cap, (size_t)s->n_sealed + 1) < 0)
		return -ENOMEM;
	chunk_seal(&s->open);
	s->sealed[s->n_sealed++] = s->open;
	s->open = NULL;
	return 0;
}

/* A chunk that takes samples of @epoch. */
static int open_chunk(struct series *s, uint32_t epoch)
{
	int r = s->open && s->open->epoch != epoch ? seal(s) : 0;

	if (r < 0 || s->open)
		return r;
	s->open = chunk_new(s->mode, epoch);
	return s->open ? 0 : -ENOMEM;
}

/* The value needs another mode: the chunk is written anew in it, or left as it is. */
static int change_mode(struct series *s, double v)
{
	uint8_t mode = chunk_mode_for(s->open, (uint8_t)(s->open->mode + 1), v);
	int r = chunk_convert(&s->open, &s->state, mode);

	s->mode = mode;
	return r == -ENOSPC ? seal(s) : r;
}

static int add_newest(struct series *s, const struct sample *x, uint32_t epoch)
{
	for (;;) {
		int r = open_chunk(s, epoch);

		if (r < 0)
			return r;
		switch (chunk_add(&s->open, &s->state, x)) {
		case CHUNK_ADDED:
			s->newest_ms = x->ts_ms;
			return 0;
		case CHUNK_FULL:
			r = seal(s);
			break;
		case CHUNK_MODE:
			r = change_mode(s, x->value);
			break;
		case CHUNK_NO_MEM:
			return -ENOMEM;
		}
		if (r < 0)
			return r;
	}
}

static size_t samples_memory(const struct series *s)
{
	return s->sealed_cap * sizeof(struct chunk *) + s->late_cap * sizeof(*s->late) +
	       (s->open ? chunk_memory(s->open) : 0);
}

int series_append(struct series *s, const struct sample *x, uint32_t epoch, int64_t *bytes)
{
	int r;

	spin_lock(&s->lock);
	int64_t before = (int64_t)samples_memory(s);
	uint32_t n_sealed = s->n_sealed;

	r = x->ts_ms > s->newest_ms ? add_newest(s, x, epoch) : add_late(s, x, epoch);
	for (; n_sealed < s->n_sealed; n_sealed++)
		*bytes += (int64_t)chunk_memory(s->sealed[n_sealed]);
	*bytes += (int64_t)samples_memory(s) - before;
	spin_unlock(&s->lock);
	return r;
}

size_t series_drop(struct series *s, uint32_t epoch)
{
	size_t freed = 0;
	uint32_t kept = 0;

	spin_lock(&s->lock);
	for (uint32_t i = 0; i < s->n_sealed; i++) {
		if (s->sealed[i]->epoch > epoch) {
			s->sealed[kept++] = s->sealed[i];
			continue;
		}
		freed += chunk_memory(s->sealed[i]);
		free(s->sealed[i]);
	}
	s->n_sealed = kept;
	if (s->open && s->open->epoch <= epoch) {
		freed += chunk_memory(s->open);
		free(s->open);
		s->open = NULL;
	}
	kept = 0;
	for (uint32_t i = 0; i < s->n_late; i++) {
		if (s->late[i].epoch > epoch)
			s->late[kept++] = s->late[i];
	}
	s->n_late = kept;
	if (kept == 0) {
		freed += s->late_cap * sizeof(*s->late);
		free(s->late);
		s->late = NULL;
		s->late_cap = 0;
	}
	spin_unlock(&s->lock);
	return freed;
}

/* ---- reading -------------------------------------------------------------- */

/* The rule for two samples of one time: numbers beat stale marks, larger beats smaller. */
static double winner(double a, double b)
{
	if (is_stale_mark(a))
		return b;
	if (is_stale_mark(b))
		return a;
	/* -0 and 0 compare equal: the bits decide, so that the order of arrival does not. */
	if (a == b)
		return (int64_t)double_bits(a) > (int64_t)double_bits(b) ? a : b;
	return a > b ? a : b;
}

void series_columns_done(struct series_columns *c)
{
	free(c->ts_ms);
	free(c->values);
	free(c->scratch);
	*c = (struct series_columns){ 0 };
}

int series_columns_reserve(struct series_columns *c, size_t n)
{
	size_t cap = MAX(n, c->cap * 2);

	if (n <= c->cap)
		return 0;
	int64_t *ts = mem_realloc(c->ts_ms, cap, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	c->ts_ms = ts;
	double *values = mem_realloc(c->values, cap, sizeof(*values));

	if (!values)
		return -ENOMEM;
	c->values = values;
	c->cap = cap;
	return 0;
}

static int cmp_sample(const void *a, const void *b)
{
	int64_t x = ((const struct sample *)a)->ts_ms, y = ((const struct sample *)b)->ts_ms;

	return x < y ? -1 : x > y;
}

static bool ascends(const struct series_columns *c, size_t from)
{
	for (size_t i = from + 1; i < c->n; i++) {
		if (c->ts_ms[i - 1] >= c->ts_ms[i])
			return false;
	}
	return true;
}

int series_columns_merge(struct series_columns *c, size_t from)
{
	size_t n = c->n - from, k = from;

	if (ascends(c, from))
		return 0;
	if (MEM_GROW(c->scratch, c->scratch_cap, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		c->scratch[i] = (struct sample){ c->ts_ms[from + i], c->values[from + i] };
	qsort(c->scratch, n, sizeof(*c->scratch), cmp_sample);
	for (size_t i = 0; i < n; i++) {
		const struct sample *x = &c->scratch[i];

		if (k > from && c->ts_ms[k - 1] == x->ts_ms) {
			c->values[k - 1] = winner(c->values[k - 1], x->value);
			continue;
		}
		c->ts_ms[k] = x->ts_ms;
		c->values[k++] = x->value;
	}
	c->n = k;
	return 0;
}

static bool in_range(int64_t a_min, int64_t a_max, int64_t min_ms, int64_t max_ms)
{
	return a_min <= max_ms && a_max >= min_ms;
}

static bool wanted(const struct chunk *c, struct epochs epochs, int64_t min_ms, int64_t max_ms)
{
	return c && c->n > 0 && c->epoch >= epochs.from && c->epoch <= epochs.to &&
	       in_range(c->min_ms, c->max_ms, min_ms, max_ms);
}

/* The samples of @c in range; only the first and the last chunk of a range are cut. */
static int read_chunk(const struct chunk *c, int64_t min_ms, int64_t max_ms,
                      struct series_columns *to)
{
	size_t first = 0, n = c->n;
	int r = series_columns_reserve(to, to->n + n);

	if (r < 0)
		return r;
	int64_t *ts_ms = to->ts_ms + to->n;
	double *values = to->values + to->n;

	chunk_decode(c, ts_ms, values);
	while (first < n && ts_ms[first] < min_ms)
		first++;
	while (n > first && ts_ms[n - 1] > max_ms)
		n--;
	if (first > 0) {
		memmove(ts_ms, ts_ms + first, (n - first) * sizeof(*ts_ms));
		memmove(values, values + first, (n - first) * sizeof(*values));
	}
	to->n += n - first;
	return 0;
}

static int read_late(const struct series *s, struct epochs epochs, int64_t min_ms, int64_t max_ms,
                     struct series_columns *c)
{
	int r = series_columns_reserve(c, c->n + s->n_late);

	for (uint32_t i = 0; r == 0 && i < s->n_late; i++) {
		const struct late_sample *l = &s->late[i];

		if (l->epoch < epochs.from || l->epoch > epochs.to || l->sample.ts_ms < min_ms ||
		    l->sample.ts_ms > max_ms)
			continue;
		c->ts_ms[c->n] = l->sample.ts_ms;
		c->values[c->n++] = l->sample.value;
	}
	return r;
}

int series_read(struct series *s, struct epochs epochs, int64_t min_ms, int64_t max_ms,
                struct series_columns *c)
{
	size_t from = c->n;
	int r = 0;

	spin_lock(&s->lock);
	for (uint32_t i = 0; r == 0 && i < s->n_sealed; i++) {
		if (wanted(s->sealed[i], epochs, min_ms, max_ms))
			r = read_chunk(s->sealed[i], min_ms, max_ms, c);
	}
	if (r == 0 && wanted(s->open, epochs, min_ms, max_ms))
		r = read_chunk(s->open, min_ms, max_ms, c);
	if (r == 0 && s->n_late > 0)
		r = read_late(s, epochs, min_ms, max_ms, c);
	spin_unlock(&s->lock);
	return r < 0 ? r : series_columns_merge(c, from);
}

static bool late_overlaps(const struct series *s, struct epochs epochs, int64_t min_ms,
                          int64_t max_ms)
{
	for (uint32_t i = 0; i < s->n_late; i++) {
		const struct late_sample *l = &s->late[i];

		if (l->epoch >= epochs.from && l->epoch <= epochs.to && l->sample.ts_ms >= min_ms &&
		    l->sample.ts_ms <= max_ms)
			return true;
	}
	return false;
}

bool series_overlaps(struct series *s, struct epochs epochs, int64_t min_ms, int64_t max_ms)
{
	spin_lock(&s->lock);
	bool found =
		wanted(s->open, epochs, min_ms, max_ms) || late_overlaps(s, epochs, min_ms, max_ms);

	for (uint32_t i = s->n_sealed; i > 0 && !found; i--)
		found = wanted(s->sealed[i - 1], epochs, min_ms, max_ms);
	spin_unlock(&s->lock);
	return found;
}
