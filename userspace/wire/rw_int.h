/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Private to rw*.c: what both versions of remote write have in common. A sample is the same message
 * in both, Sample { double value = 1; int64 timestamp = 2; }, and field 2 of its series; a label is
 * Label { string name = 1; string value = 2; }, which version 2.0 spells with symbols, and keys
 * (struct series_keyed) are made of in both.
 */

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/sample.h"
#include "userspace/wire/protobuf.h"
#include "userspace/wire/rwproto.h"

#define RW_TAG_VALUE 0x09 /* field 1, 64 bits */
#define RW_TAG_TIME  0x10 /* field 2, varint */

static inline int rw_get_sample(struct pb_cursor c, struct sample *ret)
{
	struct pb_field f;
	int r;

	*ret = (struct sample){ 0 };
	while ((r = pb_next(&c, &f)) == 0) {
		if (f.number == 1) {
			r = pb_want(&c, &f, PB_FIXED64);
			ret->value = double_from_bits(f.value);
		} else if (f.number == 2) {
			r = pb_want(&c, &f, PB_VARINT);
			ret->ts_ms = (int64_t)f.value;
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* As every writer sends it: value, then time. False: read it the long way. */
static inline bool rw_get_plain_sample(const struct pb_field *f, struct sample *ret)
{
	const uint8_t *end = f->data + f->len;
	uint64_t ts = 0;

	if (f->len < 11 || f->data[0] != RW_TAG_VALUE || f->data[9] != RW_TAG_TIME ||
	    varint_get(f->data + 10, end, &ts) != end)
		return false;
	memcpy(&ret->value, f->data + 1, sizeof(ret->value));
	ret->ts_ms = (int64_t)ts;
	return true;
}

static inline int rw_split_sample(struct pb_cursor *c, const struct pb_field *f,
                                  struct rw_split *to)
{
	int r = pb_want(c, f, PB_BYTES);

	if (r == 0)
		r = MEM_GROW(to->samples, to->samples_cap, to->n_samples + 1);
	if (r == 0 && !rw_get_plain_sample(f, &to->samples[to->n_samples]))
		r = rw_get_sample(pb_inside(c, f), &to->samples[to->n_samples]);
	to->n_samples += r == 0;
	return r;
}

/* The array moves no more: series point into it. */
static inline void rw_split_point(struct rw_split *s)
{
	for (size_t i = 0, at = 0; i < s->n_series; i++) {
		s->series[i].samples = s->samples ? s->samples + at : NULL;
		at += s->series[i].n_samples;
	}
}

/* proto3 leaves a zero out; a double of -0 has bits and is written. */
static inline size_t rw_sample_bytes(const struct sample *s)
{
	return (double_bits(s->value) != 0 ? 9 : 0) + pb_uint_bytes((uint64_t)s->ts_ms);
}

static inline uint8_t *rw_put_sample(uint8_t *p, const struct sample *s)
{
	p = pb_put_head(p, 2, rw_sample_bytes(s));
	if (double_bits(s->value) != 0) {
		*p++ = 1 << 3 | PB_FIXED64;
		memcpy(p, &s->value, 8);
		p += 8;
	}
	return pb_put_uint(p, 2, (uint64_t)s->ts_ms);
}

static inline size_t rw_samples_bytes(const struct sample *samples, uint32_t n)
{
	size_t all = 0;

	for (uint32_t i = 0; i < n; i++)
		all += 1 + pb_varint_bytes(rw_sample_bytes(&samples[i])) +
		       rw_sample_bytes(&samples[i]);
	return all;
}

static inline size_t rw_label_bytes(struct str name, struct str value)
{
	return pb_text_bytes(name) + pb_text_bytes(value);
}

static inline uint8_t *rw_put_label(uint8_t *p, struct str name, struct str value)
{
	p = pb_put_head(p, 1, rw_label_bytes(name, value));
	p = pb_put_text(p, 1, name);
	return pb_put_text(p, 2, value);
}
