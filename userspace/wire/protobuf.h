/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Protobuf's wire format, as far as remote write needs it: a reader of fields over untrusted bytes,
 * and the pieces of a writer. Everything is inline: a message is a few hundred thousand fields.
 *
 * The reader never looks at its end or beyond. What it refuses it names with the byte's position in
 * the whole body, through cursor.e.
 */

#include <stdint.h>
#include <string.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"
#include "userspace/base/varint.h"

enum pb_type {
	PB_VARINT = 0,
	PB_FIXED64 = 1,
	PB_BYTES = 2,
	PB_FIXED32 = 5
};

struct pb_cursor {
	const uint8_t *p, *end;
	const uint8_t *start; /* of the whole body, for positions in messages */
	struct err *e;
};

struct pb_field {
	uint32_t number;
	uint32_t type;
	uint64_t value;      /* VARINT, FIXED64, FIXED32; length of BYTES */
	const uint8_t *data; /* BYTES */
	size_t len;
};

static inline struct pb_cursor pb_open(struct str body, struct err *e)
{
	const uint8_t *p = (const uint8_t *)(body.p ? body.p : "");

	return (struct pb_cursor){ p, p + body.len, p, e };
}

static inline struct pb_cursor pb_inside(const struct pb_cursor *outer, const struct pb_field *f)
{
	return (struct pb_cursor){ f->data, f->data + f->len, outer->start, outer->e };
}

static inline int pb_bad(const struct pb_cursor *c, const char *what)
{
	return err_set_at(c->e, -EBADMSG, (int)(c->p - c->start),
	                  "remote write: %s at byte %zu of the message", what,
	                  (size_t)(c->p - c->start));
}

static inline int pb_take_fixed(struct pb_cursor *c, size_t bytes, uint64_t *ret)
{
	if ((size_t)(c->end - c->p) < bytes)
		return pb_bad(c, "a number is cut off");
	*ret = 0;
	memcpy(ret, c->p, bytes); /* little-endian, as this machine */
	c->p += bytes;
	return 0;
}

static inline int pb_take_bytes(struct pb_cursor *c, struct pb_field *f)
{
	const uint8_t *p = varint_get(c->p, c->end, &f->value);

	if (!p)
		return pb_bad(c, "a length is cut off");
	if (f->value > (uint64_t)(c->end - p))
		return pb_bad(c, "a length reaches past its message");
	f->data = p;
	f->len = (size_t)f->value;
	c->p = p + f->len;
	return 0;
}

/* 0 and a field, 1 at the end, -EBADMSG. */
static inline int pb_next(struct pb_cursor *c, struct pb_field *f)
{
	const uint8_t *p;
	uint64_t tag;

	if (c->p == c->end)
		return 1;
	p = varint_get(c->p, c->end, &tag);
	if (!p || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
		return pb_bad(c, "not a field tag");
	c->p = p;
	f->number = (uint32_t)(tag >> 3);
	f->type = (uint32_t)(tag & 7);
	switch (f->type) {
	case PB_VARINT:
		p = varint_get(c->p, c->end, &f->value);
		if (!p)
			return pb_bad(c, "a varint is cut off or too long");
		c->p = p;
		return 0;
	case PB_FIXED64:
		return pb_take_fixed(c, 8, &f->value);
	case PB_BYTES:
		return pb_take_bytes(c, f);
	case PB_FIXED32:
		return pb_take_fixed(c, 4, &f->value);
	default:
		return pb_bad(c, "unknown wire type");
	}
}

static inline int pb_want(const struct pb_cursor *c, const struct pb_field *f, enum pb_type type)
{
	return f->type == (uint32_t)type ? 0 : pb_bad(c, "a field has the wrong wire type");
}

static inline struct str pb_text(const struct pb_field *f)
{
	return (struct str){ (const char *)f->data, f->len };
}

/* ---- writing: sizes first, then bytes into room that the caller has reserved ---- */

static inline size_t pb_varint_bytes(uint64_t v)
{
	return v < 0x80 ? 1 : (70 - (size_t)__builtin_clzll(v)) / 7;
}

/* An empty text is left out, as proto3 does. */
static inline size_t pb_text_bytes(struct str s)
{
	return s.len == 0 ? 0 : 1 + pb_varint_bytes(s.len) + s.len;
}

static inline uint8_t *pb_put_head(uint8_t *p, uint32_t number, uint64_t len)
{
	*p++ = (uint8_t)(number << 3 | PB_BYTES);
	return varint_put(p, len);
}

static inline uint8_t *pb_put_text(uint8_t *p, uint32_t number, struct str s)
{
	if (s.len == 0)
		return p;
	p = pb_put_head(p, number, s.len);
	memcpy(p, s.p, s.len);
	return p + s.len;
}

/* A zero is left out. */
static inline size_t pb_uint_bytes(uint64_t v)
{
	return v == 0 ? 0 : 1 + pb_varint_bytes(v);
}

static inline uint8_t *pb_put_uint(uint8_t *p, uint32_t number, uint64_t v)
{
	if (v == 0)
		return p;
	*p++ = (uint8_t)(number << 3 | PB_VARINT);
	return varint_put(p, v);
}
