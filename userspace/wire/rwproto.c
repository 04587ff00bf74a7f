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

#include "userspace/base/alloc.h"
#include "userspace/wire/rw_int.h"

struct counts {
	size_t series, metadata, labels, samples;
	uint64_t histograms;
};

static int count_series(struct pb_cursor c, struct counts *n)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		n->labels += f.number == 1;
		n->samples += f.number == 2;
		n->histograms += f.number == 4;
	}
	return r < 0 ? r : 0;
}

static int count_all(struct pb_cursor c, struct counts *n)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 3)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r < 0)
			return r;
		n->metadata += f.number == 3;
		n->series += f.number == 1;
		if (f.number == 1)
			r = count_series(pb_inside(&c, &f), n);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int decode_label(struct pb_cursor c, struct label *ret)
{
	struct pb_field f;
	int r;

	*ret = (struct label){ 0 };
	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r < 0)
			return r;
		*(f.number == 1 ? &ret->name : &ret->value) = pb_text(&f);
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

static int decode_series(struct pb_cursor c, struct fill *to)
{
	struct series_in *s = to->series++;
	struct pb_field f;
	int r;

	*s = (struct series_in){ .labels = to->labels, .samples = to->samples };
	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 2)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r == 0)
			r = f.number == 1 ? decode_label(pb_inside(&c, &f), to->labels++)
			                  : rw_get_sample(pb_inside(&c, &f), to->samples++);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	s->n_labels = (uint32_t)(to->labels - s->labels);
	s->n_samples = (uint32_t)(to->samples - s->samples);
	return 0;
}

static int decode_metadata(struct pb_cursor c, struct rw_metadata *ret)
{
	struct pb_field f;
	int r;

	*ret = (struct rw_metadata){ 0 };
	while ((r = pb_next(&c, &f)) == 0) {
		struct str *text = f.number == 2   ? &ret->name
		                   : f.number == 4 ? &ret->help
		                   : f.number == 5 ? &ret->unit
		                                   : NULL;

		if (f.number == 1) {
			r = pb_want(&c, &f, PB_VARINT);
			ret->type = (uint32_t)f.value;
		} else if (text) {
			r = pb_want(&c, &f, PB_BYTES);
			*text = pb_text(&f);
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int decode_all(struct pb_cursor c, struct fill *to)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number == 1)
			r = decode_series(pb_inside(&c, &f), to);
		else if (f.number == 3)
			r = decode_metadata(pb_inside(&c, &f), to->metadata++);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int rw_decode(struct str body, struct arena *arena, struct rw_request *ret, uint64_t *ret_skipped,
              struct err *e)
{
	struct pb_cursor c = pb_open(body, e);
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

#define TAG_LABEL 0x0a /* field 1, bytes */

/* The label fields at the start of a series, nearly always all of them. */
static const uint8_t *skip_labels(const uint8_t *p, const uint8_t *end)
{
	while (end - p >= 2 && p[0] == TAG_LABEL && p[1] < 0x80 && end - p - 2 >= p[1])
		p += 2 + p[1];
	return p;
}

/* Label fields that stand apart, put together. */
static int gather_key(struct pb_cursor c, struct arena *arena, struct str *ret)
{
	char *p = arena_alloc(arena, (size_t)(c.end - c.p));
	struct pb_field f;
	int r;

	if (!p)
		return arena_error(arena);
	*ret = (struct str){ p, 0 };
	for (const uint8_t *at = c.p; (r = pb_next(&c, &f)) == 0; at = c.p) {
		if (f.number != 1)
			continue;
		memcpy(p + ret->len, at, (size_t)(c.p - at));
		ret->len += (size_t)(c.p - at);
	}
	return r < 0 ? r : 0;
}

static int split_series(struct pb_cursor c, struct arena *arena, struct rw_split *to)
{
	struct series_keyed *s = &to->series[to->n_series];
	const struct pb_cursor whole = c;
	size_t first = to->n_samples;
	bool apart = false;
	struct pb_field f;
	int r;

	c.p = skip_labels(c.p, c.end);
	const uint8_t *key_end = c.p;

	for (const uint8_t *at = c.p; (r = pb_next(&c, &f)) == 0; at = c.p) {
		if (f.number == 2) {
			r = rw_split_sample(&c, &f, to);
		} else if (f.number == 1) {
			r = pb_want(&c, &f, PB_BYTES);
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

static int split_metadata(struct pb_cursor c, struct rw_split *to)
{
	int r = MEM_GROW(to->metadata, to->metadata_cap, to->n_metadata + 1);

	if (r == 0)
		r = decode_metadata(c, &to->metadata[to->n_metadata]);
	to->n_metadata += r == 0;
	return r;
}

static int split_all(struct pb_cursor c, struct arena *arena, struct rw_split *to)
{
	struct pb_field f;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number != 1 && f.number != 3)
			continue;
		r = pb_want(&c, &f, PB_BYTES);
		if (r == 0 && f.number == 3)
			r = split_metadata(pb_inside(&c, &f), to);
		else if (r == 0)
			r = MEM_GROW(to->series, to->series_cap, to->n_series + 1);
		if (r == 0 && f.number == 1)
			r = split_series(pb_inside(&c, &f), arena, to);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int rw_split(struct str body, struct arena *arena, struct rw_split *ret, struct err *e)
{
	const struct pb_cursor c = pb_open(body, e);
	struct rw_split out = { 0 };
	int r = split_all(c, arena, &out);

	if (r < 0) {
		rw_split_done(&out);
		return r;
	}
	rw_split_point(&out);
	*ret = out;
	return 0;
}

void rw_split_done(struct rw_split *s)
{
	free(s->series);
	free(s->samples);
	free(s->metadata);
	*s = (struct rw_split){ 0 };
}

int rw_labels(struct str key, struct label *ret, uint32_t cap, uint32_t *ret_n, struct err *e)
{
	struct pb_cursor c = pb_open(key, e);
	struct pb_field f;
	uint32_t n = 0;
	int r;

	while ((r = pb_next(&c, &f)) == 0) {
		if (n == cap)
			return -ENOSPC;
		r = pb_want(&c, &f, PB_BYTES);
		if (r == 0)
			r = decode_label(pb_inside(&c, &f), &ret[n++]);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

/* ---- writing -------------------------------------------------------------- */

static size_t labels_bytes(const struct label *labels, uint32_t n_labels)
{
	size_t all = 0;

	for (uint32_t i = 0; i < n_labels; i++) {
		size_t len = rw_label_bytes(labels[i].name, labels[i].value);

		all += 1 + pb_varint_bytes(len) + len;
	}
	return all;
}

static uint8_t *put_labels(uint8_t *p, const struct label *labels, uint32_t n_labels)
{
	for (uint32_t i = 0; i < n_labels; i++)
		p = rw_put_label(p, labels[i].name, labels[i].value);
	return p;
}

void rw_encode_labels(struct buf *out, const struct label *labels, uint32_t n_labels)
{
	uint8_t *start = buf_reserve(out, labels_bytes(labels, n_labels));

	if (start)
		out->len += (size_t)(put_labels(start, labels, n_labels) - start);
}

/* Room for a series whose labels take @labels_len bytes, which the caller puts at the result. */
static uint8_t *begin_series(struct buf *out, size_t labels_len, const struct sample *samples,
                             uint32_t n_samples)
{
	size_t len = labels_len + rw_samples_bytes(samples, n_samples);
	uint8_t *p = buf_reserve(out, 1 + VARINT64_BYTES_MAX + len);

	return p ? pb_put_head(p, 1, len) : NULL;
}

static void end_series(struct buf *out, uint8_t *p, const struct sample *samples,
                       uint32_t n_samples)
{
	for (uint32_t i = 0; i < n_samples; i++)
		p = rw_put_sample(p, &samples[i]);
	out->len = (size_t)((char *)p - out->p);
}

void rw_encode_series(struct buf *out, const struct label *labels, uint32_t n_labels,
                      const struct sample *samples, uint32_t n_samples)
{
	uint8_t *p = begin_series(out, labels_bytes(labels, n_labels), samples, n_samples);

	if (p)
		end_series(out, put_labels(p, labels, n_labels), samples, n_samples);
}

void rw_encode_keyed(struct buf *out, const struct series_keyed *s)
{
	uint8_t *p = begin_series(out, s->key.len, s->samples, s->n_samples);

	if (!p)
		return;
	if (s->key.len > 0)
		memcpy(p, s->key.p, s->key.len);
	end_series(out, p + s->key.len, s->samples, s->n_samples);
}

void rw_encode_metadata(struct buf *out, const struct rw_metadata *m)
{
	size_t len = pb_uint_bytes(m->type) + pb_text_bytes(m->name) + pb_text_bytes(m->help) +
	             pb_text_bytes(m->unit);
	uint8_t *start = buf_reserve(out, 1 + VARINT64_BYTES_MAX + len), *p = start;

	if (!p)
		return;
	p = pb_put_head(p, 3, len);
	p = pb_put_uint(p, 1, m->type);
	p = pb_put_text(p, 2, m->name);
	p = pb_put_text(p, 4, m->help);
	p = pb_put_text(p, 5, m->unit);
	out->len += (size_t)(p - start);
}
