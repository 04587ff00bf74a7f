/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/chunk.h"

#include <errno.h>
#include <stdlib.h>

#include "store/decimal.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"
#include "userspace/base/varint.h"

#define FIRST_BYTES      24u
#define SAMPLE_BYTES_MAX (2 * VARINT64_BYTES_MAX) /* XOR: at most 9 for the value, and 8 written */

struct chunk *chunk_new(uint8_t mode, uint32_t epoch)
{
	struct chunk *c = mem_alloc(sizeof(*c) + FIRST_BYTES);

	if (c)
		*c = (struct chunk){ .epoch = epoch, .cap = FIRST_BYTES, .mode = mode };
	return c;
}

static int resize(struct chunk **c, size_t cap)
{
	struct chunk *moved = mem_realloc(*c, 1, sizeof(*moved) + cap);

	if (!moved)
		return -ENOMEM;
	moved->cap = (uint16_t)cap;
	*c = moved;
	return 0;
}

static uint8_t *put_xor(uint8_t *p, uint64_t x)
{
	unsigned low = x ? (unsigned)__builtin_ctzll(x) / 8 : 0;
	unsigned keep = x ? 8 - low - (unsigned)__builtin_clzll(x) / 8 : 0;

	*p++ = (uint8_t)(low << 4 | keep);
	x >>= 8 * low;
	memcpy(p, &x, 8);
	return p + keep;
}

/* In the form that the mode keeps; false when it does not fit. */
static bool value_of(uint8_t mode, double v, uint64_t *ret)
{
	int64_t mantissa;

	if (mode == CHUNK_XOR) {
		*ret = double_bits(v);
		return true;
	}
	if (!decimal_fits(v, mode, &mantissa))
		return false;
	*ret = (uint64_t)mantissa;
	return true;
}

enum chunk_result chunk_add(struct chunk **cp, struct chunk_state *st, const struct sample *x)
{
	struct chunk *c = *cp;
	uint64_t value;

	if (c->n == CHUNK_SAMPLES_MAX || c->len > CHUNK_BYTES_MAX)
		return CHUNK_FULL;
	if (!value_of(c->mode, x->value, &value))
		return CHUNK_MODE;
	if (c->len + SAMPLE_BYTES_MAX > c->cap) {
		if (resize(cp, c->cap + MAX((size_t)c->cap / 2, (size_t)SAMPLE_BYTES_MAX)) < 0)
			return CHUNK_NO_MEM;
		c = *cp;
	}
	if (c->n == 0) { /* measured from its own time, and from nothing */
		c->min_ms = c->max_ms = x->ts_ms;
		*st = (struct chunk_state){ 0 };
	}
	uint64_t step = (uint64_t)x->ts_ms - (uint64_t)c->max_ms;
	uint8_t *p = varint_put(c->data + c->len, zigzag((int64_t)(step - (uint64_t)st->step_ms)));

	p = c->mode == CHUNK_XOR ? put_xor(p, value ^ st->value)
	                         : varint_put(p, zigzag((int64_t)(value - st->value)));
	c->len = (uint16_t)(p - c->data);
	c->max_ms = x->ts_ms;
	c->n++;
	*st = (struct chunk_state){ (int64_t)step, value };
	return CHUNK_ADDED;
}

static bool all_fit(const struct chunk *c, const double *values, uint8_t mode)
{
	uint64_t sink;

	for (uint32_t i = 0; c && i < c->n; i++) {
		if (!value_of(mode, values[i], &sink))
			return false;
	}
	return true;
}

uint8_t chunk_mode_for(const struct chunk *c, uint8_t from, double v)
{
	int64_t ts_ms[CHUNK_SAMPLES_MAX], sink;
	double values[CHUNK_SAMPLES_MAX];
	unsigned mode = decimal_digits(v, from, DECIMAL_DIGITS_SHORT, &sink);

	if (c)
		chunk_decode(c, ts_ms, values);
	while (mode <= DECIMAL_DIGITS_SHORT && !all_fit(c, values, (uint8_t)mode))
		mode = decimal_digits(v, mode + 1, DECIMAL_DIGITS_SHORT, &sink);
	return (uint8_t)MIN(mode, CHUNK_XOR);
}

int chunk_convert(struct chunk **cp, struct chunk_state *st, uint8_t mode)
{
	int64_t ts_ms[CHUNK_SAMPLES_MAX];
	double values[CHUNK_SAMPLES_MAX];
	struct chunk *c = *cp, *to = chunk_new(mode, c->epoch);
	struct chunk_state fresh = { 0 };
	enum chunk_result r = to ? CHUNK_ADDED : CHUNK_NO_MEM;

	chunk_decode(c, ts_ms, values);
	for (uint32_t i = 0; i < c->n && r == CHUNK_ADDED; i++) {
		const struct sample x = { ts_ms[i], values[i] };

		r = chunk_add(&to, &fresh, &x);
	}
	if (r != CHUNK_ADDED) { /* CHUNK_FULL: the new form is longer than the limit */
		free(to);
		return r == CHUNK_FULL ? -ENOSPC : -ENOMEM;
	}
	free(c);
	*cp = to;
	*st = fresh;
	return 0;
}

void chunk_seal(struct chunk **c)
{
	if ((*c)->cap > (*c)->len)
		(void)resize(c, (*c)->len);
}

static const uint8_t *get_xor(const uint8_t *p, uint64_t *value)
{
	unsigned low = *p >> 4, keep = *p & 15;
	uint64_t x = 0;

	memcpy(&x, p + 1, keep);
	*value ^= low < 8 ? x << 8 * low : 0;
	return p + 1 + keep;
}

void chunk_decode(const struct chunk *c, int64_t *ts_ms, double *values)
{
	const uint8_t *p = c->data, *end = c->data + c->len;
	uint64_t at = (uint64_t)c->min_ms, step = 0, value = 0, z = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		p = varint_get(p, end, &z);
		step += (uint64_t)unzigzag(z);
		at += step;
		ts_ms[i] = (int64_t)at;
		if (c->mode == CHUNK_XOR) {
			p = get_xor(p, &value);
			values[i] = double_from_bits(value);
			continue;
		}
		p = varint_get(p, end, &z);
		value += (uint64_t)unzigzag(z);
		values[i] = decimal_value((int64_t)value, c->mode);
	}
}
