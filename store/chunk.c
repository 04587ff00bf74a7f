/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/chunk.h"

#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/varint.h"

/* Exactly representable both ways; -0 is not (it would come back as 0). */
static bool is_whole(double v)
{
	return v > -0x1p53 && v < 0x1p53 && (double)(int64_t)v == v &&
	       double_bits(v) != double_bits(-0.0);
}

static bool all_whole(const struct sample *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!is_whole(v[i].value))
			return false;
	}
	return true;
}

static uint8_t *put_times(uint8_t *p, const struct sample *v, uint32_t n)
{
	uint64_t before = 0, delta_before = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t delta = (uint64_t)v[i].ts_ms - before;

		p = varint_put(p, zigzag((int64_t)(delta - delta_before)));
		delta_before = i > 0 ? delta : 0;
		before = (uint64_t)v[i].ts_ms;
	}
	return p;
}

static uint8_t *put_whole(uint8_t *p, const struct sample *v, uint32_t n)
{
	int64_t before = 0;

	for (uint32_t i = 0; i < n; i++) {
		p = varint_put(p, zigzag((int64_t)v[i].value - before));
		before = (int64_t)v[i].value;
	}
	return p;
}

static uint8_t *put_xor(uint8_t *p, const struct sample *v, uint32_t n)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t x = double_bits(v[i].value) ^ before;
		unsigned low = x ? (unsigned)__builtin_ctzll(x) / 8 : 0;
		unsigned keep = x ? 8 - low - (unsigned)__builtin_clzll(x) / 8 : 0;

		*p++ = (uint8_t)(low << 4 | keep);
		x >>= 8 * low;
		memcpy(p, &x, 8); /* the bound leaves room for all eight */
		p += keep;
		before = double_bits(v[i].value);
	}
	return p;
}

struct chunk *chunk_new(const struct sample *v, uint32_t n)
{
	_cleanup_free_ uint8_t *scratch = mem_alloc((size_t)n * (VARINT64_BYTES_MAX + 10) + 8);
	struct chunk *c;
	uint8_t *end;

	if (!scratch)
		return NULL;
	bool whole = all_whole(v, n);

	end = put_times(scratch, v, n);
	end = whole ? put_whole(end, v, n) : put_xor(end, v, n);
	c = mem_alloc(sizeof(*c) + (size_t)(end - scratch) + 8);
	if (!c)
		return NULL;
	*c = (struct chunk){ .min_ms = v[0].ts_ms,
		             .max_ms = v[n - 1].ts_ms,
		             .n = n,
		             .bytes = (uint32_t)(end - scratch),
		             .whole = whole };
	memcpy(c->data, scratch, c->bytes);
	return c;
}

static const uint8_t *get_times(const struct chunk *c, struct sample *ret)
{
	const uint8_t *p = c->data, *end = c->data + c->bytes;
	uint64_t before = 0, delta = 0, z = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		p = varint_get(p, end, &z);
		delta += (uint64_t)unzigzag(z);
		before += delta;
		ret[i].ts_ms = (int64_t)before;
		if (i == 0)
			delta = 0;
	}
	return p;
}

static void get_whole(const struct chunk *c, const uint8_t *p, struct sample *ret)
{
	const uint8_t *end = c->data + c->bytes;
	int64_t before = 0;
	uint64_t z = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		p = varint_get(p, end, &z);
		before += unzigzag(z);
		ret[i].value = (double)before;
	}
}

static void get_xor(const struct chunk *c, const uint8_t *p, struct sample *ret)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		unsigned low = *p >> 4, keep = *p & 15;
		uint64_t x = 0;

		memcpy(&x, p + 1, keep);
		before ^= low < 8 ? x << 8 * low : 0;
		ret[i].value = double_from_bits(before);
		p += 1 + keep;
	}
}

void chunk_decode(const struct chunk *c, struct sample *ret)
{
	const uint8_t *p = get_times(c, ret);

	if (c->whole)
		get_whole(c, p, ret);
	else
		get_xor(c, p, ret);
}
