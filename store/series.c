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

struct str series_label(const struct series *s, struct str name)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (str_eq(s->labels[i].name, name))
			return s->labels[i].value;
	}
	return STR_NULL;
}

int series_cmp(const struct series *a, const struct series *b)
{
	int c = str_cmp(series_label(a, STR(LABEL_NAME)), series_label(b, STR(LABEL_NAME)));

	for (uint32_t i = 0; c == 0 && i < a->n_labels && i < b->n_labels; i++) {
		c = str_cmp(a->labels[i].name, b->labels[i].name);
		if (c == 0)
			c = str_cmp(a->labels[i].value, b->labels[i].value);
	}
	return c != 0 ? c : a->n_labels < b->n_labels ? -1 : a->n_labels > b->n_labels;
}

/* ---- life ----------------------------------------------------------------- */

static char *copy_text(char *at, struct str from, struct str *to)
{
	memcpy(at, from.p, from.len);
	*to = (struct str){ at, from.len };
	return at + from.len;
}

struct series *series_new(const struct label *labels, uint32_t n_labels)
{
	size_t bytes = sizeof(struct series) + n_labels * sizeof(*labels);
	size_t head = bytes;
	struct series *s;

	for (uint32_t i = 0; i < n_labels; i++)
		bytes += labels[i].name.len + labels[i].value.len;
	s = mem_zalloc(1, bytes);
	if (!s)
		return NULL;
	char *text = (char *)s + head;

	s->labels = (struct label *)(s + 1);
	s->n_labels = n_labels;
	for (uint32_t i = 0; i < n_labels; i++) {
		text = copy_text(text, labels[i].name, &s->labels[i].name);
		text = copy_text(text, labels[i].value, &s->labels[i].value);
	}
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->min_ms = INT64_MAX;
	s->max_ms = s->sealed_max_ms = INT64_MIN;
	s->bytes = bytes;
	return s;
}

void series_ref(struct series *s)
{
	atomic_fetch_add(&s->refs, 1);
}

void series_unref(struct series *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n_chunks; i++)
		free(s->chunks[i]);
	free(s->chunks);
	free(s->tail.v);
	free(s->late.v);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- samples -------------------------------------------------------------- */

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

static int tail_insert(struct series *s, struct tail *t, const struct sample *x)
{
	size_t cap = t->cap;
	uint32_t i = t->n;

	if (t->n == t->cap && MEM_GROW(t->v, t->cap, (size_t)t->n + 1) < 0)
		return -ENOMEM;
	s->bytes += (t->cap - cap) * sizeof(*x);
	while (i > 0 && t->v[i - 1].ts_ms > x->ts_ms)
		i--;
	if (i > 0 && t->v[i - 1].ts_ms == x->ts_ms) {
		t->v[i - 1].value = winner(t->v[i - 1].value, x->value);
		return 0;
	}
	memmove(&t->v[i + 1], &t->v[i], (t->n - i) * sizeof(*x));
	t->v[i] = *x;
	t->n++;
	return 0;
}

static int tail_seal(struct series *s, struct tail *t)
{
	struct chunk *c;

	if (MEM_GROW(s->chunks, s->chunks_cap, (size_t)s->n_chunks + 1) < 0)
		return -ENOMEM;
	c = chunk_new(t->v, t->n);
	if (!c)
		return -ENOMEM;
	s->bytes += sizeof(*c) + c->bytes + 8 + sizeof(c);
	s->chunks[s->n_chunks++] = c;
	if (t == &s->tail)
		s->sealed_max_ms = c->max_ms;
	t->n = 0;
	return 0;
}

static int append_one(struct series *s, const struct sample *x)
{
	struct tail *t = x->ts_ms > s->sealed_max_ms ? &s->tail : &s->late;
	int r = t->n >= SERIES_TAIL_MAX ? tail_seal(s, t) : 0;

	/* Sealing moves the border between the two tails. */
	t = x->ts_ms > s->sealed_max_ms ? &s->tail : &s->late;
	if (r == 0)
		r = tail_insert(s, t, x);
	if (r < 0)
		return r;
	s->min_ms = MIN(s->min_ms, x->ts_ms);
	s->max_ms = MAX(s->max_ms, x->ts_ms);
	return 0;
}

int series_append(struct series *s, const struct sample *v, uint32_t n, int64_t *ret_bytes)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	size_t before = s->bytes;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = append_one(s, &v[i]);
	*ret_bytes = (int64_t)s->bytes - (int64_t)before;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void series_columns_done(struct series_columns *c)
{
	free(c->ts_ms);
	free(c->values);
	free(c->scratch);
	*c = (struct series_columns){ 0 };
}

static bool in_range(int64_t a_min, int64_t a_max, int64_t min_ms, int64_t max_ms)
{
	return a_min <= max_ms && a_max >= min_ms;
}

static int cmp_sample(const void *a, const void *b)
{
	int64_t x = ((const struct sample *)a)->ts_ms, y = ((const struct sample *)b)->ts_ms;

	return x < y ? -1 : x > y;
}

/* Everything that may be in range, chunk after chunk, into scratch; *@ret_sorted if it ascends. */
static size_t gather(struct series *s, int64_t min_ms, int64_t max_ms, struct sample *to,
                     bool *ret_sorted)
{
	const struct tail *tails[] = { &s->tail, &s->late };
	size_t n = 0;

	for (uint32_t i = 0; i < s->n_chunks; i++) {
		if (in_range(s->chunks[i]->min_ms, s->chunks[i]->max_ms, min_ms, max_ms)) {
			chunk_decode(s->chunks[i], to + n);
			n += s->chunks[i]->n;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		memcpy(to + n, tails[i]->v ? tails[i]->v : to, tails[i]->n * sizeof(*to));
		n += tails[i]->n;
	}
	*ret_sorted = true;
	for (size_t i = 1; i < n && *ret_sorted; i++)
		*ret_sorted = to[i - 1].ts_ms < to[i].ts_ms;
	return n;
}

static size_t gather_bound(const struct series *s, int64_t min_ms, int64_t max_ms)
{
	size_t n = (size_t)s->tail.n + s->late.n;

	for (uint32_t i = 0; i < s->n_chunks; i++) {
		if (in_range(s->chunks[i]->min_ms, s->chunks[i]->max_ms, min_ms, max_ms))
			n += s->chunks[i]->n;
	}
	return n;
}

static int columns_reserve(struct series_columns *c, size_t n)
{
	if (n <= c->cap)
		return 0;
	int64_t *ts = mem_realloc(c->ts_ms, n, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	c->ts_ms = ts;
	double *values = mem_realloc(c->values, n, sizeof(*values));

	if (!values)
		return -ENOMEM;
	c->values = values;
	c->cap = (uint32_t)n;
	return 0;
}

static void to_columns(const struct sample *v, size_t n, int64_t min_ms, int64_t max_ms,
                       struct series_columns *ret)
{
	uint32_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i].ts_ms < min_ms || v[i].ts_ms > max_ms)
			continue;
		if (k > 0 && ret->ts_ms[k - 1] == v[i].ts_ms) {
			ret->values[k - 1] = winner(ret->values[k - 1], v[i].value);
			continue;
		}
		ret->ts_ms[k] = v[i].ts_ms;
		ret->values[k++] = v[i].value;
	}
	ret->n = k;
}

int series_read(struct series *s, int64_t min_ms, int64_t max_ms, struct series_columns *ret)
{
	bool sorted = true;
	size_t n = 0;
	int r;

	ret->n = 0;
	pthread_mutex_lock(&s->lock);
	r = MEM_GROW(ret->scratch, ret->scratch_cap, gather_bound(s, min_ms, max_ms) + 1);
	if (r == 0)
		n = gather(s, min_ms, max_ms, ret->scratch, &sorted);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		r = columns_reserve(ret, n);
	if (r < 0)
		return r;
	if (!sorted)
		qsort(ret->scratch, n, sizeof(*ret->scratch), cmp_sample);
	to_columns(ret->scratch, n, min_ms, max_ms, ret);
	return 0;
}

static bool tail_overlaps(const struct tail *t, int64_t min_ms, int64_t max_ms)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->v[i].ts_ms >= min_ms && t->v[i].ts_ms <= max_ms)
			return true;
	}
	return false;
}

bool series_overlaps(struct series *s, int64_t min_ms, int64_t max_ms)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	if (in_range(s->min_ms, s->max_ms, min_ms, max_ms))
		found = tail_overlaps(&s->tail, min_ms, max_ms) ||
		        tail_overlaps(&s->late, min_ms, max_ms);
	for (uint32_t i = 0; i < s->n_chunks && !found; i++)
		found = in_range(s->chunks[i]->min_ms, s->chunks[i]->max_ms, min_ms, max_ms);
	pthread_mutex_unlock(&s->lock);
	return found;
}

size_t series_drop_before(struct series *s, int64_t before_ms)
{
	size_t freed = 0;
	uint32_t kept = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		if (s->chunks[i]->max_ms >= before_ms) {
			s->chunks[kept++] = s->chunks[i];
			continue;
		}
		freed += sizeof(struct chunk) + s->chunks[i]->bytes + 8 + sizeof(s->chunks[i]);
		free(s->chunks[i]);
	}
	s->n_chunks = kept;
	s->bytes -= freed;
	pthread_mutex_unlock(&s->lock);
	return freed;
}
