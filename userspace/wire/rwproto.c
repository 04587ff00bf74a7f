/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote write 1.0. The message, with the numbers of its fields:
 *
 *	WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
 *	TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2;
 *	               repeated Exemplar exemplars = 3; repeated Histogram histograms = 4; }
 *	Label        { string name = 1; string value = 2; }
 *	Sample       { double value = 1; int64 timestamp = 2; }
 *	MetricMetadata { MetricType type = 1; string metric_family_name = 2; string help = 4;
 *	                 string unit = 5; }
 *
 * Two passes: the first walks the framing and counts, so that each array is allocated once and at
 * its size; the second fills. A message of 2,000 series is in cache by then.
 */
#include "userspace/wire/rwproto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <snappy-c.h>

#include "userspace/base/alloc.h"
#include "userspace/base/varint.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5
};

struct cursor {
	const uint8_t *p, *end;
	const uint8_t *start; /* of the whole body, for positions in messages */
	struct err *e;
};

struct field {
	uint32_t number;
	uint32_t type;
	uint64_t value;      /* VARINT, FIXED64, FIXED32 */
	const uint8_t *data; /* BYTES */
	size_t len;
};

static int bad(const struct cursor *c, const char *what)
{
	return err_set_at(c->e, -EBADMSG, (int)(c->p - c->start),
	                  "remote write: %s at byte %zu of the message", what,
	                  (size_t)(c->p - c->start));
}

static int take_fixed(struct cursor *c, size_t bytes, uint64_t *ret)
{
	if ((size_t)(c->end - c->p) < bytes)
		return bad(c, "a number is cut off");
	*ret = 0;
	memcpy(ret, c->p, bytes); /* little-endian, as this machine */
	c->p += bytes;
	return 0;
}

static int take_bytes(struct cursor *c, struct field *f)
{
	const uint8_t *p = varint_get(c->p, c->end, &f->value);

	if (!p)
		return bad(c, "a length is cut off");
	if (f->value > (uint64_t)(c->end - p))
		return bad(c, "a length reaches past its message");
	f->data = p;
	f->len = (size_t)f->value;
	c->p = p + f->len;
	return 0;
}

/* 0 and a field, 1 at the end, -EBADMSG. */
static int next_field(struct cursor *c, struct field *f)
{
	const uint8_t *p;
	uint64_t tag;

	if (c->p == c->end)
		return 1;
	p = varint_get(c->p, c->end, &tag);
	if (!p || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
		return bad(c, "not a field tag");
	c->p = p;
	f->number = (uint32_t)(tag >> 3);
	f->type = (uint32_t)(tag & 7);
	switch (f->type) {
	case WIRE_VARINT:
		p = varint_get(c->p, c->end, &f->value);
		if (!p)
			return bad(c, "a varint is cut off or too long");
		c->p = p;
		return 0;
	case WIRE_FIXED64:
		return take_fixed(c, 8, &f->value);
	case WIRE_BYTES:
		return take_bytes(c, f);
	case WIRE_FIXED32:
		return take_fixed(c, 4, &f->value);
	default:
		return bad(c, "unknown wire type");
	}
}

static struct cursor inside(const struct cursor *outer, const struct field *f)
{
	return (struct cursor){ f->data, f->data + f->len, outer->start, outer->e };
}

static int want_type(const struct cursor *c, const struct field *f, enum wire_type type)
{
	return f->type == (uint32_t)type ? 0 : bad(c, "a field has the wrong wire type");
}

static struct str text_of(const struct field *f)
{
	return (struct str){ (const char *)f->data, f->len };
}

struct counts {
	size_t series, metadata, labels, samples;
	uint64_t histograms;
};

static int count_series(struct cursor c, struct counts *n)
{
	struct field f;
	int r;

	while ((r = next_field(&c, &f)) == 0) {
		n->labels += f.number == 1;
		n->samples += f.number == 2;
		n->histograms += f.number == 4;
	}
	return r < 0 ? r : 0;
}

static int count_all(struct cursor c, struct counts *n)
{
	struct field f;
	int r;

	while ((r = next_field(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 3)
			continue;
		r = want_type(&c, &f, WIRE_BYTES);
		if (r < 0)
			return r;
		n->metadata += f.number == 3;
		n->series += f.number == 1;
		if (f.number == 1)
			r = count_series(inside(&c, &f), n);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int decode_label(struct cursor c, struct label *ret)
{
	struct field f;
	int r;

	*ret = (struct label){ 0 };
	while ((r = next_field(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		r = want_type(&c, &f, WIRE_BYTES);
		if (r < 0)
			return r;
		*(f.number == 1 ? &ret->name : &ret->value) = text_of(&f);
	}
	return r < 0 ? r : 0;
}

static int decode_sample(struct cursor c, struct sample *ret)
{
	struct field f;
	int r;

	*ret = (struct sample){ 0 };
	while ((r = next_field(&c, &f)) == 0) {
		if (f.number == 1) {
			r = want_type(&c, &f, WIRE_FIXED64);
			ret->value = double_from_bits(f.value);
		} else if (f.number == 2) {
			r = want_type(&c, &f, WIRE_VARINT);
			ret->ts_ms = (int64_t)f.value;
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Where the second pass writes; room for exactly what the first pass counted. */
struct fill {
	struct series_in *series;
	struct rw_metadata *metadata;
	struct label *labels;
	struct sample *samples;
};

static int decode_series(struct cursor c, struct fill *to)
{
	struct series_in *s = to->series++;
	struct field f;
	int r;

	*s = (struct series_in){ .labels = to->labels, .samples = to->samples };
	while ((r = next_field(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		r = want_type(&c, &f, WIRE_BYTES);
		if (r == 0)
			r = f.number == 1 ? decode_label(inside(&c, &f), to->labels++)
			                  : decode_sample(inside(&c, &f), to->samples++);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	s->n_labels = (uint32_t)(to->labels - s->labels);
	s->n_samples = (uint32_t)(to->samples - s->samples);
	return 0;
}

static int decode_metadata(struct cursor c, struct rw_metadata *ret)
{
	struct field f;
	int r;

	*ret = (struct rw_metadata){ 0 };
	while ((r = next_field(&c, &f)) == 0) {
		struct str *text = f.number == 2   ? &ret->name
		                   : f.number == 4 ? &ret->help
		                   : f.number == 5 ? &ret->unit
		                                   : NULL;

		if (f.number == 1) {
			r = want_type(&c, &f, WIRE_VARINT);
			ret->type = (uint32_t)f.value;
		} else if (text) {
			r = want_type(&c, &f, WIRE_BYTES);
			*text = text_of(&f);
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int decode_all(struct cursor c, struct fill *to)
{
	struct field f;
	int r;

	while ((r = next_field(&c, &f)) == 0) {
		if (f.number == 1)
			r = decode_series(inside(&c, &f), to);
		else if (f.number == 3)
			r = decode_metadata(inside(&c, &f), to->metadata++);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int rw_decode(struct str body, struct arena *arena, struct rw_request *ret, uint64_t *ret_skipped,
              struct err *e)
{
	const uint8_t *p = (const uint8_t *)(body.p ? body.p : "");
	struct cursor c = { p, p + body.len, p, e };
	struct counts n = { 0 };
	int r = count_all(c, &n);

	if (r < 0)
		return r;
	struct fill to = {
		.series = arena_alloc(arena, n.series * sizeof(*to.series)),
		.metadata = arena_alloc(arena, n.metadata * sizeof(*to.metadata)),
		.labels = arena_alloc(arena, n.labels * sizeof(*to.labels)),
		.samples = arena_alloc(arena, n.samples * sizeof(*to.samples)),
	};

	if (!to.series || !to.metadata || !to.labels || !to.samples)
		return err_set(e, arena_error(arena), "remote write: no memory for %zu samples",
		               n.samples);
	struct rw_request out = {
		.series = to.series,
		.metadata = to.metadata,
		.n_series = n.series,
		.n_metadata = n.metadata,
		.n_samples = n.samples,
	};

	r = decode_all(c, &to);
	if (r < 0)
		return r;
	*ret = out;
	if (ret_skipped)
		*ret_skipped = n.histograms;
	return 0;
}

/* ---- series by their bytes ------------------------------------------------ */

#define TAG_LABEL  0x0a /* field 1, bytes */
#define TAG_SAMPLE 0x12 /* field 2, bytes */
#define TAG_VALUE  0x09 /* field 1, 64 bits */
#define TAG_TIME   0x10 /* field 2, varint */

/* The label fields at the start of a series, nearly always all of them. */
static const uint8_t *skip_labels(const uint8_t *p, const uint8_t *end)
{
	while (end - p >= 2 && p[0] == TAG_LABEL && p[1] < 0x80 && end - p - 2 >= p[1])
		p += 2 + p[1];
	return p;
}

/* As every writer sends it: value, then time. False: read it the long way. */
static bool take_plain_sample(const struct field *f, struct sample *ret)
{
	const uint8_t *end = f->data + f->len;
	uint64_t ts = 0;

	if (f->len < 11 || f->data[0] != TAG_VALUE || f->data[9] != TAG_TIME ||
	    varint_get(f->data + 10, end, &ts) != end)
		return false;
	memcpy(&ret->value, f->data + 1, sizeof(ret->value));
	ret->ts_ms = (int64_t)ts;
	return true;
}

static int split_sample(struct cursor *c, const struct field *f, struct rw_split *to)
{
	int r = want_type(c, f, WIRE_BYTES);

	if (r == 0)
		r = MEM_GROW(to->samples, to->samples_cap, to->n_samples + 1);
	if (r == 0 && !take_plain_sample(f, &to->samples[to->n_samples]))
		r = decode_sample(inside(c, f), &to->samples[to->n_samples]);
	to->n_samples += r == 0;
	return r;
}

/* Label fields that stand apart, put together. */
static int gather_key(struct cursor c, struct arena *arena, struct str *ret)
{
	char *p = arena_alloc(arena, (size_t)(c.end - c.p));
	struct field f;
	int r;

	if (!p)
		return arena_error(arena);
	*ret = (struct str){ p, 0 };
	for (const uint8_t *at = c.p; (r = next_field(&c, &f)) == 0; at = c.p) {
		if (f.number != 1)
			continue;
		memcpy(p + ret->len, at, (size_t)(c.p - at));
		ret->len += (size_t)(c.p - at);
	}
	return r < 0 ? r : 0;
}

static int split_series(struct cursor c, struct arena *arena, struct rw_split *to)
{
	struct series_keyed *s = &to->series[to->n_series];
	const struct cursor whole = c;
	size_t first = to->n_samples;
	bool apart = false;
	struct field f;
	int r;

	c.p = skip_labels(c.p, c.end);
	const uint8_t *key_end = c.p;

	for (const uint8_t *at = c.p; (r = next_field(&c, &f)) == 0; at = c.p) {
		if (f.number == 2) {
			r = split_sample(&c, &f, to);
		} else if (f.number == 1) {
			r = want_type(&c, &f, WIRE_BYTES);
			apart |= at != key_end;
			key_end = c.p;
		}
		to->n_histograms += f.number == 4;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*s = (struct series_keyed){
		.key = { (const char *)whole.p, (size_t)(key_end - whole.p) },
		.n_samples = (uint32_t)(to->n_samples - first),
	};
	to->n_series++;
	return apart ? gather_key(whole, arena, &s->key) : 0;
}

static int split_all(struct cursor c, struct arena *arena, struct rw_split *to)
{
	struct field f;
	int r;

	while ((r = next_field(&c, &f)) == 0) {
		if (f.number != 1)
			continue;
		r = want_type(&c, &f, WIRE_BYTES);
		if (r == 0)
			r = MEM_GROW(to->series, to->series_cap, to->n_series + 1);
		if (r == 0)
			r = split_series(inside(&c, &f), arena, to);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int rw_split(struct str body, struct arena *arena, struct rw_split *ret, struct err *e)
{
	const uint8_t *p = (const uint8_t *)(body.p ? body.p : "");
	const struct cursor c = { p, p + body.len, p, e };
	struct rw_split out = { 0 };
	int r = split_all(c, arena, &out);

	if (r < 0) {
		rw_split_done(&out);
		return r;
	}
	for (size_t i = 0, at = 0; i < out.n_series; i++) { /* the array moves no more */
		out.series[i].samples = out.samples ? out.samples + at : NULL;
		at += out.series[i].n_samples;
	}
	*ret = out;
	return 0;
}

void rw_split_done(struct rw_split *s)
{
	free(s->series);
	free(s->samples);
	*s = (struct rw_split){ 0 };
}

int rw_labels(struct str key, struct label *ret, uint32_t cap, uint32_t *ret_n, struct err *e)
{
	const uint8_t *p = (const uint8_t *)(key.p ? key.p : "");
	struct cursor c = { p, p + key.len, p, e };
	struct field f;
	uint32_t n = 0;
	int r;

	while ((r = next_field(&c, &f)) == 0) {
		if (n == cap)
			return -ENOSPC;
		r = want_type(&c, &f, WIRE_BYTES);
		if (r == 0)
			r = decode_label(inside(&c, &f), &ret[n++]);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

/* ---- writing -------------------------------------------------------------- */

static size_t varint_bytes(uint64_t v)
{
	return v < 0x80 ? 1 : (70 - (size_t)__builtin_clzll(v)) / 7;
}

static size_t text_bytes(struct str s)
{
	return s.len == 0 ? 0 : 1 + varint_bytes(s.len) + s.len;
}

static size_t label_bytes(const struct label *l)
{
	return text_bytes(l->name) + text_bytes(l->value);
}

/* proto3 leaves a zero out; a double of -0 has bits and is written. */
static size_t sample_bytes(const struct sample *s)
{
	return (double_bits(s->value) != 0 ? 9 : 0) +
	       (s->ts_ms != 0 ? 1 + varint_bytes((uint64_t)s->ts_ms) : 0);
}

static size_t series_bytes(const struct label *labels, uint32_t n_labels,
                           const struct sample *samples, uint32_t n_samples)
{
	size_t all = 0;

	for (uint32_t i = 0; i < n_labels; i++)
		all += 1 + varint_bytes(label_bytes(&labels[i])) + label_bytes(&labels[i]);
	for (uint32_t i = 0; i < n_samples; i++)
		all += 1 + varint_bytes(sample_bytes(&samples[i])) + sample_bytes(&samples[i]);
	return all;
}

static uint8_t *put_head(uint8_t *p, uint32_t number, uint64_t len)
{
	*p++ = (uint8_t)(number << 3 | WIRE_BYTES);
	return varint_put(p, len);
}

static uint8_t *put_text(uint8_t *p, uint32_t number, struct str s)
{
	if (s.len == 0)
		return p;
	p = put_head(p, number, s.len);
	memcpy(p, s.p, s.len);
	return p + s.len;
}

static uint8_t *put_sample(uint8_t *p, const struct sample *s)
{
	p = put_head(p, 2, sample_bytes(s));
	if (double_bits(s->value) != 0) {
		*p++ = 1 << 3 | WIRE_FIXED64;
		memcpy(p, &s->value, 8);
		p += 8;
	}
	if (s->ts_ms != 0) {
		*p++ = 2 << 3 | WIRE_VARINT;
		p = varint_put(p, (uint64_t)s->ts_ms);
	}
	return p;
}

static uint8_t *put_labels(uint8_t *p, const struct label *labels, uint32_t n_labels)
{
	for (uint32_t i = 0; i < n_labels; i++) {
		p = put_head(p, 1, label_bytes(&labels[i]));
		p = put_text(p, 1, labels[i].name);
		p = put_text(p, 2, labels[i].value);
	}
	return p;
}

void rw_encode_labels(struct buf *out, const struct label *labels, uint32_t n_labels)
{
	uint8_t *start = buf_reserve(out, series_bytes(labels, n_labels, NULL, 0));

	if (start)
		out->len += (size_t)(put_labels(start, labels, n_labels) - start);
}

void rw_encode_series(struct buf *out, const struct label *labels, uint32_t n_labels,
                      const struct sample *samples, uint32_t n_samples)
{
	size_t len = series_bytes(labels, n_labels, samples, n_samples);
	uint8_t *start = buf_reserve(out, 1 + VARINT64_BYTES_MAX + len), *p = start;

	if (!p)
		return;
	p = put_head(p, 1, len);
	p = put_labels(p, labels, n_labels);
	for (uint32_t i = 0; i < n_samples; i++)
		p = put_sample(p, &samples[i]);
	out->len += (size_t)(p - start);
}

void rw_encode_metadata(struct buf *out, const struct rw_metadata *m)
{
	size_t type_bytes = m->type != 0 ? 1 + varint_bytes(m->type) : 0;
	size_t len = type_bytes + text_bytes(m->name) + text_bytes(m->help) + text_bytes(m->unit);
	uint8_t *start = buf_reserve(out, 1 + VARINT64_BYTES_MAX + len), *p = start;

	if (!p)
		return;
	p = put_head(p, 3, len);
	if (m->type != 0) {
		*p++ = 1 << 3 | WIRE_VARINT;
		p = varint_put(p, m->type);
	}
	p = put_text(p, 2, m->name);
	p = put_text(p, 4, m->help);
	p = put_text(p, 5, m->unit);
	out->len += (size_t)(p - start);
}

/* ---- compression ---------------------------------------------------------- */

int rw_compress(struct str body, struct buf *out)
{
	size_t len = snappy_max_compressed_length(body.len);

	buf_clear(out);
	char *dst = buf_reserve(out, len);

	if (!dst)
		return out->err;
	if (snappy_compress(body.p ? body.p : "", body.len, dst, &len) != SNAPPY_OK)
		return -EINVAL;
	out->len = len;
	return 0;
}

/* The densest element of the format is a copy: 3 bytes for up to 64. */
#define EXPANSION_MAX 22

int rw_decompress(struct str packed, size_t max_bytes, struct buf *out)
{
	size_t len;

	buf_clear(out);
	if (!packed.p || snappy_uncompressed_length(packed.p, packed.len, &len) != SNAPPY_OK)
		return -EBADMSG;
	if (len > max_bytes)
		return -EFBIG;
	/* A few bytes must not make us reserve @max_bytes: the size they claim is impossible. */
	if (len / EXPANSION_MAX > packed.len)
		return -EBADMSG;
	char *dst = buf_reserve(out, len);

	if (!dst)
		return out->err;
	if (snappy_uncompress(packed.p, packed.len, dst, &len) != SNAPPY_OK)
		return -EBADMSG;
	out->len = len;
	return 0;
}
