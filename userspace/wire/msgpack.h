/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The part of MessagePack that tokens are made of: a cursor over untrusted bytes that hands out
 * slices of them, and the writer of the same. Nothing is allocated by reading.
 *
 * Canonical  Numbers, lengths and counts are accepted in their shortest form only, so a value has
 *            one text and a signature over the bytes is one over the value. msgpack_skip() alone
 *            accepts any well-formed value: what is not understood is only carried along.
 * Bounds     No length is believed before it is checked against what is left; nesting ends at
 *            MSGPACK_DEPTH_MAX.
 * Source     github.com/msgpack/msgpack, spec.md
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"

#define MSGPACK_DEPTH_MAX 8u

struct msgpack {
	const uint8_t *p, *end;
};

static inline struct msgpack msgpack_from(struct str s)
{
	return (struct msgpack){ (const uint8_t *)s.p, (const uint8_t *)s.p + s.len };
}

static inline bool msgpack_at_end(const struct msgpack *m)
{
	return m->p == m->end;
}

/*
 * Each takes one value of its kind off the front: 0, or -EBADMSG and the cursor has not moved.
 * Arrays and maps give their count (of pairs), whose values follow; the count is at most what the
 * bytes that are left can hold.
 */
int msgpack_array(struct msgpack *m, uint32_t *ret_n);
int msgpack_map(struct msgpack *m, uint32_t *ret_n);
int msgpack_uint(struct msgpack *m, uint64_t *ret);
int msgpack_int(struct msgpack *m, int64_t *ret); /* negative ones too */
int msgpack_bool(struct msgpack *m, bool *ret);
int msgpack_bin(struct msgpack *m, struct str *ret);
int msgpack_str(struct msgpack *m, struct str *ret);

/* Any one value, as the slice that it is. Cost: O(its bytes), no recursion. */
int msgpack_skip(struct msgpack *m, struct str *ret);

void msgpack_put_array(struct buf *b, uint32_t n);
void msgpack_put_map(struct buf *b, uint32_t n);
void msgpack_put_uint(struct buf *b, uint64_t v);
void msgpack_put_int(struct buf *b, int64_t v);
void msgpack_put_bool(struct buf *b, bool v);
void msgpack_put_bin(struct buf *b, struct str s);
void msgpack_put_str(struct buf *b, struct str s);
