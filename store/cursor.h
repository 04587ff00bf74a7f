/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Reads untrusted bytes piece by piece. What cannot be read makes the cursor bad, for good, and is
 * zero or empty: a reader of many pieces looks once, at the end.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/base/varint.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct cursor cursor_of(struct str s)
{
	const uint8_t *p = (const uint8_t *)(s.p ? s.p : "");

	return (struct cursor){ p, p + s.len, false };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

static inline bool cursor_at_end(const struct cursor *c)
{
	return !c->bad && c->p == c->end;
}

static inline void cursor_spoil(struct cursor *c)
{
	c->bad = true;
	c->p = c->end;
}

static inline uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;
	const uint8_t *p = varint_get(c->p, c->end, &v);

	if (!p) {
		cursor_spoil(c);
		return 0;
	}
	c->p = p;
	return v;
}

static inline int64_t cursor_signed(struct cursor *c) /* zigzag */
{
	return unzigzag(cursor_varint(c));
}

/* A varint of at most @max. */
static inline uint64_t cursor_upto(struct cursor *c, uint64_t max)
{
	uint64_t v = cursor_varint(c);

	if (v <= max)
		return v;
	cursor_spoil(c);
	return 0;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)cursor_upto(c, UINT32_MAX);
}

static inline struct str cursor_bytes(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c)) {
		cursor_spoil(c);
		return STR_NULL;
	}
	struct str s = { (const char *)c->p, (size_t)n };

	c->p += n;
	return s;
}

static inline struct str cursor_text(struct cursor *c) /* its varint length in front */
{
	return cursor_bytes(c, cursor_varint(c));
}
