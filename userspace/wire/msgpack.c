/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One table says what each first byte means; reading a value of a kind is then: look the byte up,
 * refuse another kind, take the big-endian number behind it, refuse it when a shorter form existed.
 */
#include "userspace/wire/msgpack.h"

#include <errno.h>

enum kind {
	KIND_UINT,
	KIND_INT, /* a negative number, or a positive one in a signed form */
	KIND_NIL,
	KIND_BOOL,
	KIND_FLOAT,
	KIND_BIN,
	KIND_STR,
	KIND_EXT,
	KIND_ARRAY,
	KIND_MAP,
	KIND_BAD,
};

/* What a value begins with. */
struct head {
	enum kind kind;
	uint32_t bytes; /* of the head, the number behind the first byte included */
	uint64_t value; /* the number, or length or count; two's complement of KIND_INT */
	uint64_t least; /* the smallest number for which this form is the shortest */
};

/* The first bytes 0xc0 to 0xdf: what follows them. */
static const struct form {
	enum kind kind;
	uint8_t number_bytes; /* a big-endian number behind the first byte */
	uint8_t fixed;        /* or: the value itself; lengths of the fixext forms */
	uint64_t least;
} forms[32] = {
	[0xc0 - 0xc0] = { KIND_NIL, 0, 0, 0 },
	[0xc1 - 0xc0] = { KIND_BAD, 0, 0, 0 },
	[0xc2 - 0xc0] = { KIND_BOOL, 0, 0, 0 },
	[0xc3 - 0xc0] = { KIND_BOOL, 0, 1, 0 },
	[0xc4 - 0xc0] = { KIND_BIN, 1, 0, 0 },
	[0xc5 - 0xc0] = { KIND_BIN, 2, 0, 1u << 8 },
	[0xc6 - 0xc0] = { KIND_BIN, 4, 0, 1u << 16 },
	[0xc7 - 0xc0] = { KIND_EXT, 1, 0, 0 },
	[0xc8 - 0xc0] = { KIND_EXT, 2, 0, 0 },
	[0xc9 - 0xc0] = { KIND_EXT, 4, 0, 0 },
	[0xca - 0xc0] = { KIND_FLOAT, 4, 0, 0 },
	[0xcb - 0xc0] = { KIND_FLOAT, 8, 0, 0 },
	[0xcc - 0xc0] = { KIND_UINT, 1, 0, 1u << 7 },
	[0xcd - 0xc0] = { KIND_UINT, 2, 0, 1u << 8 },
	[0xce - 0xc0] = { KIND_UINT, 4, 0, 1u << 16 },
	[0xcf - 0xc0] = { KIND_UINT, 8, 0, 1ull << 32 },
	[0xd0 - 0xc0] = { KIND_INT, 1, 0, 33 },
	[0xd1 - 0xc0] = { KIND_INT, 2, 0, (1u << 7) + 1 },
	[0xd2 - 0xc0] = { KIND_INT, 4, 0, (1u << 15) + 1 },
	[0xd3 - 0xc0] = { KIND_INT, 8, 0, (1ull << 31) + 1 },
	[0xd4 - 0xc0] = { KIND_EXT, 0, 1, 0 },
	[0xd5 - 0xc0] = { KIND_EXT, 0, 2, 0 },
	[0xd6 - 0xc0] = { KIND_EXT, 0, 4, 0 },
	[0xd7 - 0xc0] = { KIND_EXT, 0, 8, 0 },
	[0xd8 - 0xc0] = { KIND_EXT, 0, 16, 0 },
	[0xd9 - 0xc0] = { KIND_STR, 1, 0, 32 },
	[0xda - 0xc0] = { KIND_STR, 2, 0, 1u << 8 },
	[0xdb - 0xc0] = { KIND_STR, 4, 0, 1u << 16 },
	[0xdc - 0xc0] = { KIND_ARRAY, 2, 0, 16 },
	[0xdd - 0xc0] = { KIND_ARRAY, 4, 0, 1u << 16 },
	[0xde - 0xc0] = { KIND_MAP, 2, 0, 16 },
	[0xdf - 0xc0] = { KIND_MAP, 4, 0, 1u << 16 },
};

static struct head head_of_small(uint8_t byte)
{
	if (byte < 0x80)
		return (struct head){ KIND_UINT, 1, byte, 0 };
	if (byte < 0x90)
		return (struct head){ KIND_MAP, 1, byte & 0x0f, 0 };
	if (byte < 0xa0)
		return (struct head){ KIND_ARRAY, 1, byte & 0x0f, 0 };
	if (byte < 0xc0)
		return (struct head){ KIND_STR, 1, byte & 0x1f, 0 };
	return (struct head){ KIND_INT, 1, (uint64_t)(int64_t)(int8_t)byte, 1 };
}

/* Signed numbers of 1, 2 and 4 bytes, widened. */
static uint64_t sign_extended(uint64_t v, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(v << shift) >> shift);
}

/* KIND_BAD when the bytes end too early. */
static struct head head_at(const struct msgpack *m)
{
	static const struct head none = { KIND_BAD, 0, 0, 0 };
	uint64_t v = 0;

	if (m->p == m->end)
		return none;
	if (m->p[0] < 0xc0 || m->p[0] >= 0xe0)
		return head_of_small(m->p[0]);
	const struct form *f = &forms[m->p[0] - 0xc0];

	if ((size_t)(m->end - m->p) < 1u + f->number_bytes)
		return none;
	for (unsigned i = 0; i < f->number_bytes; i++)
		v = v << 8 | m->p[1 + i];
	if (f->kind == KIND_INT)
		v = sign_extended(v, f->number_bytes);
	return (struct head){ f->kind, 1u + f->number_bytes, f->number_bytes ? v : f->fixed,
		              f->least };
}

static int take(struct msgpack *m, enum kind kind, uint64_t *ret)
{
	struct head h = head_at(m);

	if (h.kind != kind || h.value < h.least)
		return -EBADMSG;
	m->p += h.bytes;
	*ret = h.value;
	return 0;
}

static int take_count(struct msgpack *m, enum kind kind, unsigned bytes_each, uint32_t *ret)
{
	struct msgpack at = *m;
	uint64_t n;

	if (take(&at, kind, &n) < 0 || n > (uint64_t)(at.end - at.p) / bytes_each)
		return -EBADMSG;
	*m = at;
	*ret = (uint32_t)n;
	return 0;
}

int msgpack_array(struct msgpack *m, uint32_t *ret_n)
{
	return take_count(m, KIND_ARRAY, 1, ret_n);
}

int msgpack_map(struct msgpack *m, uint32_t *ret_n)
{
	return take_count(m, KIND_MAP, 2, ret_n);
}

int msgpack_uint(struct msgpack *m, uint64_t *ret)
{
	return take(m, KIND_UINT, ret);
}

int msgpack_int(struct msgpack *m, int64_t *ret)
{
	struct head h = head_at(m);
	int64_t v = (int64_t)h.value;

	if (h.kind == KIND_INT) {
		/* Only what is negative, and its magnitude says whether the form is right. */
		if (v >= 0 || (uint64_t)(-(v + 1)) + 1 < h.least)
			return -EBADMSG;
	} else if (h.kind != KIND_UINT || h.value < h.least || v < 0) {
		return -EBADMSG;
	}
	m->p += h.bytes;
	*ret = v;
	return 0;
}

int msgpack_bool(struct msgpack *m, bool *ret)
{
	uint64_t v;
	int r = take(m, KIND_BOOL, &v);

	if (r == 0)
		*ret = v != 0;
	return r;
}

static int take_text(struct msgpack *m, enum kind kind, struct str *ret)
{
	uint32_t n;
	int r = take_count(m, kind, 1, &n);

	if (r < 0)
		return r;
	*ret = (struct str){ (const char *)m->p, n };
	m->p += n;
	return 0;
}

int msgpack_bin(struct msgpack *m, struct str *ret)
{
	return take_text(m, KIND_BIN, ret);
}

int msgpack_str(struct msgpack *m, struct str *ret)
{
	return take_text(m, KIND_STR, ret);
}

/* One head and what belongs to it, but not the values inside of it: *@ret_inner are to follow. */
static int skip_one(struct msgpack *m, uint64_t *ret_inner)
{
	struct head h = head_at(m);
	uint64_t more = 0;

	*ret_inner = 0;
	if (h.kind == KIND_BAD)
		return -EBADMSG;
	m->p += h.bytes;
	if (h.kind == KIND_BIN || h.kind == KIND_STR)
		more = h.value;
	else if (h.kind == KIND_EXT)
		more = h.value + 1; /* its type */
	else if (h.kind == KIND_ARRAY)
		*ret_inner = h.value;
	else if (h.kind == KIND_MAP)
		*ret_inner = 2 * h.value;
	if (more > (uint64_t)(m->end - m->p) || *ret_inner > (uint64_t)(m->end - m->p))
		return -EBADMSG;
	m->p += more;
	return 0;
}

int msgpack_skip(struct msgpack *m, struct str *ret)
{
	uint64_t left[MSGPACK_DEPTH_MAX] = { 1 }; /* values still to come, by nesting */
	struct msgpack at = *m;
	unsigned depth = 0;
	uint64_t inner;

	for (;;) {
		while (left[depth] == 0) {
			if (depth-- == 0) {
				*ret = (struct str){ (const char *)m->p, (size_t)(at.p - m->p) };
				m->p = at.p;
				return 0;
			}
		}
		left[depth]--;
		if (skip_one(&at, &inner) < 0)
			return -EBADMSG;
		if (inner > 0 && ++depth == MSGPACK_DEPTH_MAX)
			return -EBADMSG;
		if (inner > 0)
			left[depth] = inner;
	}
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_number(struct buf *b, uint8_t first, uint64_t v, unsigned bytes)
{
	buf_putc(b, (char)first);
	while (bytes-- > 0)
		buf_putc(b, (char)(v >> (8 * bytes)));
}

/* A length or count: in the first byte up to @small_max, else behind it in 1, 2 or 4 bytes. */
static void put_length(struct buf *b, uint32_t n, int small, uint32_t small_max, int first8,
                       uint8_t first16)
{
	if (small >= 0 && n <= small_max)
		buf_putc(b, (char)(small | (int)n));
	else if (first8 >= 0 && n <= UINT8_MAX)
		put_number(b, (uint8_t)first8, n, 1);
	else if (n <= UINT16_MAX)
		put_number(b, first16, n, 2);
	else
		put_number(b, (uint8_t)(first16 + 1), n, 4);
}

void msgpack_put_array(struct buf *b, uint32_t n)
{
	put_length(b, n, 0x90, 15, -1, 0xdc);
}

void msgpack_put_map(struct buf *b, uint32_t n)
{
	put_length(b, n, 0x80, 15, -1, 0xde);
}

void msgpack_put_uint(struct buf *b, uint64_t v)
{
	if (v < 0x80)
		buf_putc(b, (char)v);
	else if (v <= UINT8_MAX)
		put_number(b, 0xcc, v, 1);
	else if (v <= UINT16_MAX)
		put_number(b, 0xcd, v, 2);
	else if (v <= UINT32_MAX)
		put_number(b, 0xce, v, 4);
	else
		put_number(b, 0xcf, v, 8);
}

void msgpack_put_int(struct buf *b, int64_t v)
{
	uint64_t bits = (uint64_t)v;

	if (v >= 0)
		msgpack_put_uint(b, bits);
	else if (v >= -32)
		buf_putc(b, (char)v);
	else if (v >= INT8_MIN)
		put_number(b, 0xd0, bits & UINT8_MAX, 1);
	else if (v >= INT16_MIN)
		put_number(b, 0xd1, bits & UINT16_MAX, 2);
	else if (v >= INT32_MIN)
		put_number(b, 0xd2, bits & UINT32_MAX, 4);
	else
		put_number(b, 0xd3, bits, 8);
}

void msgpack_put_bool(struct buf *b, bool v)
{
	buf_putc(b, (char)(v ? 0xc3 : 0xc2));
}

void msgpack_put_bin(struct buf *b, struct str s)
{
	put_length(b, (uint32_t)s.len, -1, 0, 0xc4, 0xc5);
	buf_put_str(b, s);
}

void msgpack_put_str(struct buf *b, struct str s)
{
	put_length(b, (uint32_t)s.len, 0xa0, 31, 0xd9, 0xda);
	buf_put_str(b, s);
}
