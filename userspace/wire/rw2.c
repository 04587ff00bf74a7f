/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote write 2.0. The message, with the numbers of its fields:
 *
 *	Request    { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
 *	TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2;
 *	             repeated Histogram histograms = 3; repeated Exemplar exemplars = 4;
 *	             Metadata metadata = 5; int64 created_timestamp = 6; }
 *	Metadata   { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
 *
 * Symbol 0 is the empty text. References come in pairs, name and value, packed as a rule; a reader
 * of protobuf has to take them one by one as well.
 *
 * A writer's symbols are found by a hash table whose slots point into the message itself: there is
 * no second copy of the texts.
 */
#include "userspace/wire/rw2.h"

#include <stdlib.h>

#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/wire/rw_int.h"

#define FIELD_SYMBOL    4
#define FIELD_SERIES    5
#define FIELD_REFS      1
#define FIELD_SAMPLE    2
#define FIELD_HISTOGRAM 3
#define FIELD_METADATA  5
#define META_TYPE       1
#define META_HELP       3
#define META_UNIT       4

#define SLOTS_MIN 256u
/* A slot's position has 32 bits; no receiver takes a message that long. */
#define SYMBOLS_BYTES_MAX ((size_t)1 << 30)

/* ---- writing -------------------------------------------------------------- */

void rw2_writer_done(struct rw2_writer *w)
{
	buf_done(&w->symbols);
	buf_done(&w->series);
	free(w->slots);
	*w = RW2_WRITER_INIT;
}

void rw2_writer_clear(struct rw2_writer *w)
{
	buf_clear(&w->symbols);
	buf_clear(&w->series);
	if (w->slots)
		memset(w->slots, 0, w->n_slots * sizeof(*w->slots));
	w->n_symbols = w->n_samples = 0;
	w->err = 0;
}

static struct str symbol_text(const struct rw2_writer *w, const struct rw2_symbol *s)
{
	return (struct str){ w->symbols.p + s->at, s->len };
}

/* The slot of @text, or the empty one where it belongs. */
static struct rw2_symbol *slot_of(const struct rw2_writer *w, struct str text, uint32_t hash)
{
	size_t mask = w->n_slots - 1, at = hash & mask;

	while (w->slots[at].number != 0 &&
	       (w->slots[at].hash != hash || !str_eq(symbol_text(w, &w->slots[at]), text)))
		at = (at + 1) & mask;
	return &w->slots[at];
}

/* Keeps the table at most half full. */
static int grow_slots(struct rw2_writer *w)
{
	size_t n = MAX(w->n_slots * 2, (size_t)SLOTS_MIN);
	struct rw2_symbol *old = w->slots, *slots;
	size_t n_old = w->n_slots;

	if (w->n_slots > ((size_t)w->n_symbols + 1) * 2)
		return 0;
	slots = mem_zalloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	w->slots = slots;
	w->n_slots = n;
	for (size_t i = 0; i < n_old; i++) {
		size_t at = old[i].hash & (n - 1);

		while (old[i].number != 0 && slots[at].number != 0)
			at = (at + 1) & (n - 1);
		if (old[i].number != 0)
			slots[at] = old[i];
	}
	free(old);
	return 0;
}

/* Unlike a field of its own, a member of a repeated field is written when it is empty, too. */
static int put_symbol(struct rw2_writer *w, struct str text, uint32_t *ret_at)
{
	uint8_t *start = buf_reserve(&w->symbols, 1 + VARINT64_BYTES_MAX + text.len), *p;

	if (!start)
		return w->symbols.err;
	if (w->symbols.len + text.len > SYMBOLS_BYTES_MAX)
		return -ENOMEM;
	p = pb_put_head(start, FIELD_SYMBOL, text.len);
	if (text.len > 0)
		memcpy(p, text.p, text.len);
	*ret_at = (uint32_t)(w->symbols.len + (size_t)(p - start));
	w->symbols.len = *ret_at + text.len;
	return 0;
}

static int add_symbol(struct rw2_writer *w, struct str text, uint32_t hash, uint32_t *ret)
{
	struct rw2_symbol s = { .hash = hash, .len = (uint32_t)text.len };
	int r = put_symbol(w, text, &s.at);

	if (r == 0)
		r = grow_slots(w);
	if (r < 0)
		return r;
	*ret = w->n_symbols++;
	s.number = w->n_symbols;
	*slot_of(w, text, hash) = s;
	return 0;
}

static int symbol(struct rw2_writer *w, struct str text, uint32_t *ret)
{
	uint32_t hash = (uint32_t)hash_str(text);
	const struct rw2_symbol *s = slot_of(w, text, hash);

	if (s->number == 0)
		return add_symbol(w, text, hash, ret);
	*ret = s->number - 1;
	return 0;
}

static int begin_message(struct rw2_writer *w)
{
	uint32_t zero;
	int r = grow_slots(w);

	if (r == 0 && w->n_symbols == 0)
		r = add_symbol(w, STR(""), (uint32_t)hash_str(STR("")), &zero);
	return r;
}

struct refs {
	uint32_t v[2 * LABELS_MAX];
	uint32_t n;
	size_t bytes; /* packed */
};

static int make_refs(struct rw2_writer *w, const struct label *labels, uint32_t n_labels,
                     struct refs *ret)
{
	int r = n_labels > LABELS_MAX ? -EINVAL : 0;

	ret->n = 0;
	ret->bytes = 0;
	for (uint32_t i = 0; r == 0 && i < n_labels; i++) {
		r = symbol(w, labels[i].name, &ret->v[ret->n]);
		if (r == 0)
			r = symbol(w, labels[i].value, &ret->v[ret->n + 1]);
		if (r < 0)
			return r;
		ret->bytes += pb_varint_bytes(ret->v[ret->n]) + pb_varint_bytes(ret->v[ret->n + 1]);
		ret->n += 2;
	}
	return r;
}

struct meta_refs {
	uint32_t type, help, unit;
	size_t bytes; /* 0: no metadata */
};

static int make_meta(struct rw2_writer *w, const struct rw2_meta *meta, struct meta_refs *ret)
{
	int r;

	*ret = (struct meta_refs){ 0 };
	if (!meta)
		return 0;
	ret->type = meta->type;
	r = symbol(w, meta->help, &ret->help);
	if (r == 0)
		r = symbol(w, meta->unit, &ret->unit);
	ret->bytes = pb_uint_bytes(ret->type) + pb_uint_bytes(ret->help) + pb_uint_bytes(ret->unit);
	return r;
}

static uint8_t *put_refs(uint8_t *p, const struct refs *refs)
{
	if (refs->n == 0)
		return p;
	p = pb_put_head(p, FIELD_REFS, refs->bytes);
	for (uint32_t i = 0; i < refs->n; i++)
		p = varint_put(p, refs->v[i]);
	return p;
}

static uint8_t *put_meta(uint8_t *p, const struct meta_refs *m)
{
	if (m->bytes == 0)
		return p;
	p = pb_put_head(p, FIELD_METADATA, m->bytes);
	p = pb_put_uint(p, META_TYPE, m->type);
	p = pb_put_uint(p, META_HELP, m->help);
	return pb_put_uint(p, META_UNIT, m->unit);
}

static size_t field_bytes(size_t len)
{
	return len == 0 ? 0 : 1 + pb_varint_bytes(len) + len;
}

static int put_series(struct rw2_writer *w, const struct refs *refs, const struct sample *samples,
                      uint32_t n_samples, const struct meta_refs *meta)
{
	size_t len = field_bytes(refs->bytes) + rw_samples_bytes(samples, n_samples) +
	             field_bytes(meta->bytes);
	uint8_t *start = buf_reserve(&w->series, 1 + VARINT64_BYTES_MAX + len), *p = start;

	if (!start)
		return w->series.err;
	p = pb_put_head(p, FIELD_SERIES, len);
	p = put_refs(p, refs);
	for (uint32_t i = 0; i < n_samples; i++)
		p = rw_put_sample(p, &samples[i]);
	p = put_meta(p, meta);
	w->series.len += (size_t)(p - start);
	w->n_samples += n_samples;
	return 0;
}

void rw2_add(struct rw2_writer *w, const struct label *labels, uint32_t n_labels,
             const struct sample *samples, uint32_t n_samples, const struct rw2_meta *meta)
{
	struct meta_refs m;
	struct refs refs;
	int r = w->err;

	if (r == 0)
		r = begin_message(w);
	if (r == 0)
		r = make_refs(w, labels, n_labels, &refs);
	if (r == 0)
		r = make_meta(w, meta, &m);
	if (r == 0)
		r = put_series(w, &refs, samples, n_samples, &m);
	w->err = r;
}

size_t rw2_bytes(const struct rw2_writer *w)
{
	return w->symbols.len + w->series.len;
}

int rw2_finish(const struct rw2_writer *w, struct buf *out)
{
	if (w->err < 0)
		return w->err;
	buf_put_str(out, buf_str(&w->symbols));
	buf_put_str(out, buf_str(&w->series));
	return out->err;
}

/* ---- reading -------------------------------------------------------------- */

struct reader {
	struct arena *arena;
	struct rw_split *to;
	struct str *symbols;
	size_t n_symbols;
};

static int count_symbols(struct pb_cursor c, size_t *ret)
{
	struct pb_field f;
	size_t n = 0;
	int r;

	while ((r = pb_next(&c, &f)) == 0)
		n += f.number == FIELD_SYMBOL;
	*ret = n;
	return r < 0 ? r : 0;
}

static int read_symbols(struct pb_cursor c, struct reader *rd)
{
	struct pb_field f;
	size_t n = 0;
	int r = count_symbols(c, &rd->n_symbols);

	if (r < 0)
		return r;
	rd->symbols = arena_alloc(rd->arena, rd->n_symbols * sizeof(*rd->symbols));
	if (!rd->symbols)
		return arena_error(rd->arena);
	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != FIELD_SYMBOL)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r < 0)
			return r;
		rd->symbols[n++] = pb_text(&f);
	}
	return r < 0 ? r : 0;
}

static int take_ref(struct pb_cursor *c, const struct reader *rd, struct str *ret)
{
	uint64_t ref;
	const uint8_t *p = varint_get(c->p, c->end, &ref);

	if (!p)
		return pb_bad(c, "a reference is cut off");
	if (ref >= rd->n_symbols)
		return pb_bad(c, "a reference to no symbol");
	c->p = p;
	*ret = rd->symbols[ref];
	return 0;
}

/* The references of a series behind one another, wherever they stood in it. */
struct pairs {
	struct pb_cursor refs;
	uint32_t n_fields;
};

static int measure(struct pb_cursor refs, const struct reader *rd, size_t *ret)
{
	struct str name, value;
	size_t bytes = 0;

	while (refs.p < refs.end) {
		int r = take_ref(&refs, rd, &name);

		if (r == 0 && refs.p == refs.end)
			r = pb_bad(&refs, "a label without a value");
		if (r == 0)
			r = take_ref(&refs, rd, &value);
		if (r < 0)
			return r;
		size_t len = rw_label_bytes(name, value);

		bytes += 1 + pb_varint_bytes(len) + len;
	}
	*ret = bytes;
	return 0;
}

/* The label fields that a 1.0 writer would send; @meta gets the name and the organisation. */
static int make_key(struct pb_cursor refs, const struct reader *rd, struct str *ret_key,
                    struct rw_metadata *meta)
{
	struct str name = STR_NULL, value = STR_NULL;
	size_t bytes;
	int r = measure(refs, rd, &bytes);
	uint8_t *start = r == 0 ? arena_alloc(rd->arena, bytes) : NULL, *p = start;

	if (r < 0)
		return r;
	if (!start)
		return arena_error(rd->arena);
	while (refs.p < refs.end) {
		(void)take_ref(&refs, rd, &name); /* measured, so they are there */
		(void)take_ref(&refs, rd, &value);
		if (str_eqc(name, LABEL_NAME))
			meta->name = value;
		else if (str_eqc(name, LABEL_ORG))
			meta->org = value;
		p = rw_put_label(p, name, value);
	}
	*ret_key = (struct str){ (const char *)start, bytes };
	return 0;
}

/* References that do not stand in one packed field, put together as if they did. */
static int gather_refs(struct pb_cursor series, struct arena *arena, struct pb_cursor *ret)
{
	uint8_t *start = arena_alloc(arena, (size_t)(series.end - series.p)), *p = start;
	struct pb_field f;
	int r;

	if (!start)
		return arena_error(arena);
	while ((r = pb_next(&series, &f)) == 0) {
		if (f.number != FIELD_REFS)
			continue;
		if (f.type == PB_VARINT) {
			p = varint_put(p, f.value); /* no longer than where it stood */
		} else if (f.type == PB_BYTES) {
			memcpy(p, f.data, f.len);
			p += f.len;
		} else {
			return pb_want(&series, &f, PB_BYTES);
		}
	}
	*ret = (struct pb_cursor){ start, p, start, series.e };
	return r < 0 ? r : 0;
}

static int read_meta(struct pb_cursor c, const struct reader *rd, struct rw_metadata *ret)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != META_TYPE && f.number != META_HELP && f.number != META_UNIT)
			continue;
		r = pb_want(&c, &f, PB_VARINT);
		if (r == 0 && f.number != META_TYPE && f.value >= rd->n_symbols)
			r = pb_bad(&c, "a reference to no symbol");
		if (r < 0)
			return r;
		if (f.number == META_TYPE)
			ret->type = (uint32_t)f.value;
		else
			*(f.number == META_HELP ? &ret->help : &ret->unit) = rd->symbols[f.value];
	}
	return r < 0 ? r : 0;
}

static int add_meta(struct rw_split *to, const struct rw_metadata *m)
{
	const struct rw_metadata *last =
		to->n_metadata > 0 ? &to->metadata[to->n_metadata - 1] : NULL;

	if (m->name.len == 0 || (m->type == 0 && m->help.len == 0 && m->unit.len == 0))
		return 0;
	if (last && str_eq(last->name, m->name) && str_eq(last->org, m->org))
		return 0;
	if (MEM_GROW(to->metadata, to->metadata_cap, to->n_metadata + 1) < 0)
		return -ENOMEM;
	to->metadata[to->n_metadata++] = *m;
	return 0;
}

/* What a series holds besides its references. */
static int read_fields(struct pb_cursor c, const struct reader *rd, struct pairs *refs,
                       struct rw_metadata *meta)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number == FIELD_REFS) {
			refs->refs = pb_inside(&c, &f);
			refs->n_fields += f.type == PB_BYTES ? 1 : 2; /* 2: not one packed field */
		} else if (f.number == FIELD_SAMPLE) {
			r = rw_split_sample(&c, &f, rd->to);
		} else if (f.number == FIELD_METADATA) {
			r = pb_want(&c, &f, PB_BYTES);
			if (r == 0)
				r = read_meta(pb_inside(&c, &f), rd, meta);
		}
		rd->to->n_histograms += f.number == FIELD_HISTOGRAM;
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int read_series(struct pb_cursor c, const struct reader *rd)
{
	struct rw_split *to = rd->to;
	struct series_keyed *s = &to->series[to->n_series];
	struct pairs refs = { .refs = { c.p, c.p, c.start, c.e } };
	struct rw_metadata meta = { 0 };
	size_t first = to->n_samples;
	int r = read_fields(c, rd, &refs, &meta);

	if (r == 0 && refs.n_fields > 1)
		r = gather_refs(c, rd->arena, &refs.refs);
	if (r == 0)
		r = make_key(refs.refs, rd, &s->key, &meta);
	if (r == 0)
		r = add_meta(to, &meta);
	if (r < 0)
		return r;
	s->n_samples = (uint32_t)(to->n_samples - first);
	s->samples = NULL;
	to->n_series++;
	return 0;
}

static int read_all(struct pb_cursor c, const struct reader *rd)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != FIELD_SERIES)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r == 0)
			r = MEM_GROW(rd->to->series, rd->to->series_cap, rd->to->n_series + 1);
		if (r == 0)
			r = read_series(pb_inside(&c, &f), rd);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int rw2_split(struct str body, struct arena *arena, struct rw_split *ret, struct err *e)
{
	const struct pb_cursor c = pb_open(body, e);
	struct rw_split out = { 0 };
	struct reader rd = { .arena = arena, .to = &out };
	int r = read_symbols(c, &rd);

	if (r == 0)
		r = read_all(c, &rd);
	if (r < 0) {
		rw_split_done(&out);
		return r;
	}
	rw_split_point(&out);
	*ret = out;
	return 0;
}
