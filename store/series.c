/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/series.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define HEAP_BYTES 16u /* what the heap adds to each piece */

/* ---- life ----------------------------------------------------------------- */

int series_init(struct series *s, uint32_t tenant, const uint32_t *labels, uint32_t n_labels,
                int64_t *bytes)
{
	size_t more_bytes = sizeof(*s->more) + n_labels * sizeof(*labels);
	struct series_more *more = mem_zalloc(1, more_bytes);

	if (!more)
		return -ENOMEM;
	more->n_labels = (uint16_t)n_labels;
	memcpy(more->labels, labels, n_labels * sizeof(*labels));
	*s = (struct series){ .number = s->number, .more = more, .tenant = tenant };
	s->state.ts_ms = INT64_MIN;
	*bytes += (int64_t)(more_bytes + HEAP_BYTES);
	return 0;
}

size_t series_memory(const struct series *s)
{
	return sizeof(*s->more) + s->more->n_labels * sizeof(s->more->labels[0]) + HEAP_BYTES;
}

void series_done(struct series *s, struct times_table *times)
{
	struct series_more *more = s->more;

	if (!more)
		return;
	for (uint32_t i = 0; i < more->n_chunks; i++)
		chunk_free(times, more->chunks[i]);
	free(more->chunks);
	free(more->open);
	if (more->late)
		free(more->late->v);
	free(more->late);
	free(more);
	s->more = NULL;
}

/* ---- open samples --------------------------------------------------------- */

/* All of them: those in @more, then the tail. */
static void get_open(const struct series *s, int64_t *ts_ms, double *values)
{
	uint8_t bytes[CHUNK_OPEN_MAX + SERIES_TAIL];
	const struct series_more *more = s->more;

	if (more->open_len > 0)
		memcpy(bytes, more->open, more->open_len);
	memcpy(bytes + more->open_len, s->tail, s->tail_len);
	chunk_get(bytes, s->mode, s->n_open, ts_ms, values);
}

static int open_reserve(struct series_more *more, size_t bytes, struct append_hint *h)
{
	size_t cap = more->open_cap;

	if (bytes <= cap)
		return 0;
	cap = MAX(bytes, cap + cap / 2);
	uint8_t *bigger = mem_realloc(more->open, cap, 1);

	if (!bigger)
		return -ENOMEM;
	h->bytes += (int64_t)(cap - more->open_cap) + (more->open_cap == 0 ? HEAP_BYTES : 0);
	more->open = bigger;
	more->open_cap = (uint16_t)cap;
	return 0;
}

static void open_free(struct series_more *more, int64_t *bytes)
{
	*bytes -= more->open_cap > 0 ? more->open_cap + HEAP_BYTES : 0;
	free(more->open);
	more->open = NULL;
	more->open_len = more->open_cap = 0;
}

/* The tail moves behind the others. */
static int spill(struct series *s, struct append_hint *h)
{
	struct series_more *more = s->more;
	int r = open_reserve(more, (size_t)more->open_len + s->tail_len, h);

	if (r < 0)
		return r;
	memcpy(more->open + more->open_len, s->tail, s->tail_len);
	more->open_len = (uint16_t)(more->open_len + s->tail_len);
	s->tail_len = 0;
	return 0;
}

/* ---- closing a chunk ------------------------------------------------------ */

void append_hint_done(struct append_hint *h)
{
	if (h->times)
		times_unref(h->table, h->times);
	h->times = NULL;
}

static struct times *shared_times(struct append_hint *h, const int64_t *ts_ms, uint32_t n)
{
	if (!h->times || h->n != n || memcmp(h->ts_ms, ts_ms, n * sizeof(*ts_ms)) != 0) {
		struct times *fresh = times_get(h->table, ts_ms, n);

		if (!fresh)
			return NULL;
		append_hint_done(h);
		h->times = fresh;
		h->n = n;
		memcpy(h->ts_ms, ts_ms, n * sizeof(*ts_ms));
	}
	atomic_fetch_add(&h->times->refs, 1);
	return h->times;
}

static int push_chunk(struct series_more *more, struct chunk *c, struct append_hint *h)
{
	uint32_t cap = more->chunks_cap ? more->chunks_cap * 2 : 2;
	struct chunk **bigger;

	if (more->n_chunks == more->chunks_cap) {
		bigger = mem_realloc(more->chunks, cap, sizeof(struct chunk *));
		if (!bigger)
			return -ENOMEM;
		h->bytes += (int64_t)((cap - more->chunks_cap) * sizeof(struct chunk *));
		more->chunks = bigger;
		more->chunks_cap = cap;
	}
	more->chunks[more->n_chunks++] = c;
	h->bytes += (int64_t)chunk_memory(c);
	return 0;
}

/* The open samples become columns. */
static int close_chunk(struct series *s, struct append_hint *h)
{
	int64_t ts_ms[CHUNK_SAMPLES_MAX];
	double values[CHUNK_SAMPLES_MAX];
	struct times *times;
	struct chunk *c;

	get_open(s, ts_ms, values);
	times = shared_times(h, ts_ms, s->n_open);
	if (!times)
		return -ENOMEM;
	c = chunk_new(times, values, s->n_open);
	if (!c || push_chunk(s->more, c, h) < 0) {
		free(c);
		times_unref(h->table, times);
		return -ENOMEM;
	}
	open_free(s->more, &h->bytes);
	s->n_open = s->tail_len = 0;
	return 0;
}

/* ---- appending ------------------------------------------------------------ */

/* The value needs another mode: the open samples are written anew in one that takes all. */
static int change_mode(struct series *s, double v, struct append_hint *h)
{
	int64_t ts_ms[CHUNK_SAMPLES_MAX];
	double values[CHUNK_SAMPLES_MAX + 1];
	struct chunk_state st;
	int r = open_reserve(s->more, CHUNK_OPEN_MAX, h);

	if (r < 0)
		return r;
	get_open(s, ts_ms, values);
	values[s->n_open] = v;
	s->mode = chunk_mode_for(values, s->n_open + 1u, s->n_open > 0 ? s->mode : 0);
	uint8_t *p = s->more->open;

	for (uint32_t i = 0; i < s->n_open; i++) {
		const struct sample x = { ts_ms[i], values[i] };

		p = chunk_put(p, s->mode, &st, i, &x);
	}
	if (s->n_open > 0)
		s->state = st;
	s->more->open_len = (uint16_t)(p - s->more->open);
	s->tail_len = 0;
	return 0;
}

static bool ends_chunk(const struct series *s, int64_t ts_ms)
{
	return s->n_open == CHUNK_SAMPLES_MAX ||
	       (s->n_open > 0 && s->state.ts_ms / CHUNK_ROUND_MS != ts_ms / CHUNK_ROUND_MS);
}

static int append_newest(struct series *s, const struct sample *x, struct append_hint *h)
{
	uint8_t bytes[SAMPLE_BYTES_MAX];
	struct chunk_state st = s->state;
	int r = ends_chunk(s, x->ts_ms) ? close_chunk(s, h) : 0;

	if (r < 0)
		return r;
	uint8_t *end = chunk_put(bytes, s->mode, &st, s->n_open, x);

	if (!end) {
		r = change_mode(s, x->value, h);
		if (r < 0)
			return r;
		st = s->state;
		end = chunk_put(bytes, s->mode, &st, s->n_open, x);
	}
	size_t len = (size_t)(end - bytes);

	if (s->tail_len + len > SERIES_TAIL) {
		r = spill(s, h);
		if (r < 0)
			return r;
	}
	memcpy(s->tail + s->tail_len, bytes, len);
	s->tail_len = (uint8_t)(s->tail_len + len);
	s->state = st;
	s->n_open++;
	s->n++;
	return 0;
}

static int append_late(struct series_more *more, const struct sample *x, struct append_hint *h)
{
	struct late_samples *late = more->late;

	if (!late) {
		late = mem_zalloc(1, sizeof(*late));
		if (!late)
			return -ENOMEM;
		h->bytes += (int64_t)(sizeof(*late) + HEAP_BYTES);
		more->late = late;
	}
	uint32_t cap = late->cap;

	if (MEM_GROW(late->v, late->cap, (size_t)late->n + 1) < 0)
		return -ENOMEM;
	h->bytes += (int64_t)((late->cap - cap) * sizeof(*late->v));
	late->v[late->n++] = *x;
	return 0;
}

static uint32_t late_end(const struct late_samples *late)
{
	return late ? late->n_dropped + late->n : 0;
}

int series_append(struct series *s, const struct sample *x, struct append_hint *h)
{
	int r;

	spin_lock(&s->lock);
	if (s->epoch != h->epoch) {
		s->epoch = h->epoch;
		s->mark = s->n;
		if (s->more->late)
			s->more->late->mark = late_end(s->more->late);
	}
	r = x->ts_ms > s->state.ts_ms ? append_newest(s, x, h) : append_late(s->more, x, h);
	spin_unlock(&s->lock);
	return r;
}

/* ---- reading -------------------------------------------------------------- */

/* What is cut from both ends of ascending samples by positions and by time. */
static void cut(struct columns *c, uint32_t n, uint32_t position, const struct series_range *range)
{
	int64_t *ts_ms = c->ts_ms + c->n;
	double *values = c->values + c->n;
	uint32_t first = range->from.n > position ? range->from.n - position : 0;
	uint32_t end = MIN(n, range->to.n - position);

	while (first < end && ts_ms[first] < range->min_ms)
		first++;
	while (end > first && ts_ms[end - 1] > range->max_ms)
		end--;
	if (first > 0) {
		memmove(ts_ms, ts_ms + first, (end - first) * sizeof(*ts_ms));
		memmove(values, values + first, (end - first) * sizeof(*values));
	}
	c->n += end - first;
}

static bool wanted(uint32_t position, uint32_t n, const struct series_range *range)
{
	return position < range->to.n && position + n > range->from.n;
}

static void get_times(struct columns *c, const struct times *times)
{
	if (c->times_serial != times->serial) {
		times_decode(times, c->times);
		c->times_serial = times->serial;
	}
	memcpy(c->ts_ms + c->n, c->times, times->n * sizeof(*c->times));
}

static int read_chunks(const struct series_more *more, const struct series_range *range,
                       struct columns *c)
{
	uint32_t position = more->n_dropped;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < more->n_chunks; position += more->chunks[i++]->n) {
		const struct chunk *x = more->chunks[i];

		if (!wanted(position, x->n, range) || x->times->min_ms > range->max_ms ||
		    x->times->max_ms < range->min_ms)
			continue;
		r = columns_reserve(c, c->n + x->n);
		if (r < 0)
			break;
		get_times(c, x->times);
		chunk_values(x, c->values + c->n);
		cut(c, x->n, position, range);
	}
	return r;
}

static int read_open(const struct series *s, const struct series_range *range, struct columns *c)
{
	uint32_t position = s->n - s->n_open;
	int r;

	if (s->n_open == 0 || !wanted(position, s->n_open, range) || s->state.ts_ms < range->min_ms)
		return 0;
	r = columns_reserve(c, c->n + s->n_open);
	if (r < 0)
		return r;
	get_open(s, c->ts_ms + c->n, c->values + c->n);
	cut(c, s->n_open, position, range);
	return 0;
}

static int read_late(const struct late_samples *late, const struct series_range *range,
                     struct columns *c, bool *sorted)
{
	uint32_t first = MAX(range->from.n_late, late->n_dropped);
	int r = columns_reserve(c, c->n + late->n);

	for (uint32_t at = first; r == 0 && at < range->to.n_late; at++) {
		const struct sample *x = &late->v[at - late->n_dropped];

		if (x->ts_ms < range->min_ms || x->ts_ms > range->max_ms)
			continue;
		c->ts_ms[c->n] = x->ts_ms;
		c->values[c->n++] = x->value;
		*sorted = false;
	}
	return r;
}

int series_read(struct series *s, const struct series_range *range, struct columns *c,
                bool *ret_sorted)
{
	int r;

	*ret_sorted = true;
	spin_lock(&s->lock);
	r = read_chunks(s->more, range, c);
	if (r == 0)
		r = read_open(s, range, c);
	if (r == 0 && s->more->late)
		r = read_late(s->more->late, range, c, ret_sorted);
	spin_unlock(&s->lock);
	return r;
}

static int64_t first_open_ms(const struct series *s)
{
	const uint8_t *p = s->more->open_len > 0 ? s->more->open : s->tail;
	uint64_t z = 0;

	(void)varint_get(p, p + VARINT64_BYTES_MAX, &z);
	return unzigzag(z);
}

/* Exact for chunks' own ranges, not for what is between their samples. */
static bool overlaps(const struct series *s, int64_t min_ms, int64_t max_ms)
{
	const struct series_more *more = s->more;
	uint32_t position = s->n - s->n_open;

	if (s->n_open > 0 && s->n > s->floor && s->state.ts_ms >= min_ms &&
	    (s->state.ts_ms <= max_ms || first_open_ms(s) <= max_ms))
		return true;
	for (uint32_t i = more->n_chunks; i > 0 && position > s->floor; i--) {
		const struct chunk *c = more->chunks[i - 1];

		if (c->times->min_ms <= max_ms && c->times->max_ms >= min_ms)
			return true;
		if (c->times->max_ms < min_ms)
			break; /* those before are older still */
		position -= c->n;
	}
	for (uint32_t i = 0; more->late && i < more->late->n; i++) {
		const struct sample *x = &more->late->v[i];

		if (more->late->n_dropped + i >= more->late->floor && x->ts_ms >= min_ms &&
		    x->ts_ms <= max_ms)
			return true;
	}
	return false;
}

bool series_snapshot(struct series *s, int64_t min_ms, int64_t max_ms, struct position *ret_from,
                     struct position *ret_to)
{
	const struct late_samples *late = s->more->late;

	spin_lock(&s->lock);
	bool found = overlaps(s, min_ms, max_ms);

	if (found) {
		*ret_from = (struct position){ s->floor, late ? late->floor : 0 };
		*ret_to = (struct position){ s->n, late_end(late) };
	}
	spin_unlock(&s->lock);
	return found;
}

/* ---- flushing ------------------------------------------------------------- */

void series_unflushed(struct series *s, uint32_t epoch, struct position *ret_from,
                      struct position *ret_to)
{
	spin_lock(&s->lock);
	const struct late_samples *late = s->more->late;
	bool is_later = s->epoch >= epoch; /* its last append came behind the begin of @epoch */

	*ret_from = (struct position){ s->flushed, late ? late->flushed : 0 };
	*ret_to = (struct position){ is_later ? s->mark : s->n,
		                     is_later && late ? late->mark : late_end(late) };
	spin_unlock(&s->lock);
}

void series_set_flushed(struct series *s, const struct position *to)
{
	spin_lock(&s->lock);
	s->flushed = to->n;
	if (s->more->late)
		s->more->late->flushed = to->n_late;
	spin_unlock(&s->lock);
}

void series_raise_floor(struct series *s)
{
	spin_lock(&s->lock);
	s->floor = s->flushed;
	if (s->more->late)
		s->more->late->floor = s->more->late->flushed;
	spin_unlock(&s->lock);
}

static void drop_chunks(struct series *s, struct times_table *times, int64_t *bytes)
{
	struct series_more *more = s->more;
	uint32_t n = 0;

	while (n < more->n_chunks && more->n_dropped + more->chunks[n]->n <= s->floor) {
		more->n_dropped += more->chunks[n]->n;
		*bytes -= (int64_t)chunk_memory(more->chunks[n]);
		chunk_free(times, more->chunks[n++]);
	}
	if (n > 0)
		memmove(more->chunks, more->chunks + n,
		        (more->n_chunks - n) * sizeof(struct chunk *));
	more->n_chunks -= n;
	if (more->n_chunks == 0) {
		*bytes -= (int64_t)(more->chunks_cap * sizeof(struct chunk *));
		free(more->chunks);
		more->chunks = NULL;
		more->chunks_cap = 0;
	}
}

static void drop_late(struct series_more *more, int64_t *bytes)
{
	struct late_samples *late = more->late;
	uint32_t n = late->floor - late->n_dropped;

	memmove(late->v, late->v + n, (late->n - n) * sizeof(*late->v));
	late->n -= n;
	late->n_dropped += n;
	if (late->n > 0)
		return;
	*bytes -= (int64_t)(late->cap * sizeof(*late->v));
	free(late->v);
	late->v = NULL;
	late->cap = 0;
}

size_t series_drop(struct series *s, struct times_table *times)
{
	int64_t bytes = 0;

	spin_lock(&s->lock);
	drop_chunks(s, times, &bytes);
	if (s->n_open > 0 && s->floor == s->n) {
		s->n_open = s->tail_len = 0;
		s->more->n_dropped = s->n;
		open_free(s->more, &bytes);
	}
	if (s->more->late && s->more->late->n > 0)
		drop_late(s->more, &bytes);
	spin_unlock(&s->lock);
	return (size_t)-bytes;
}

bool series_is_idle(const struct series *s, uint32_t epoch)
{
	return s->epoch < epoch && s->n_open == 0 && s->more->n_chunks == 0 &&
	       (!s->more->late || s->more->late->n == 0);
}
