/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/chunk.h"

#include <errno.h>
#include <stdlib.h>

#include "store/decimal.h"
#include "store/valcol.h"
#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

/* ---- open samples --------------------------------------------------------- */

static uint8_t *put_bits(uint8_t *p, uint64_t x)
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

	if (mode == CHUNK_BITS) {
		*ret = double_bits(v);
		return true;
	}
	if (!decimal_fits(v, mode, &mantissa))
		return false;
	*ret = (uint64_t)mantissa;
	return true;
}

uint8_t *chunk_put(uint8_t *p, uint8_t mode, struct chunk_state *st, uint32_t n,
                   const struct sample *x)
{
	int64_t step = 0;
	uint64_t value;

	if (!value_of(mode, x->value, &value))
		return NULL;
	if (n == 0) {
		*st = (struct chunk_state){ 0 };
		p = varint_put(p, zigzag(x->ts_ms));
	} else {
		step = (int64_t)((uint64_t)x->ts_ms - (uint64_t)st->ts_ms);
		p = varint_put(p, zigzag((int64_t)((uint64_t)step - (uint64_t)st->step_ms)));
	}
	p = mode == CHUNK_BITS ? put_bits(p, value ^ st->value)
	                       : varint_put(p, zigzag((int64_t)(value - st->value)));
	*st = (struct chunk_state){ x->ts_ms, step, value };
	return p;
}

uint8_t chunk_mode_for(const double *values, uint32_t n, uint8_t from)
{
	unsigned mode = from;
	uint64_t sink;

	for (uint32_t i = 0; i < n && mode < CHUNK_BITS;) {
		if (value_of((uint8_t)mode, values[i], &sink)) {
			i++;
		} else {
			i = 0;
			mode = mode == DECIMAL_DIGITS_SHORT ? CHUNK_BITS : mode + 1;
		}
	}
	return (uint8_t)mode;
}

static uint64_t get_varint(const uint8_t **p)
{
	uint64_t v = **p & 0x7f;
	unsigned shift = 7;

	while (*(*p)++ & 0x80) {
		v |= (uint64_t)(**p & 0x7f) << shift;
		shift += 7;
	}
	return v;
}

static uint64_t get_bits(const uint8_t **p)
{
	unsigned low = **p >> 4, keep = **p & 15;
	uint64_t x = 0;

	memcpy(&x, *p + 1, keep);
	*p += 1 + keep;
	return low < 8 ? x << 8 * low : 0;
}

void chunk_get(const uint8_t *p, uint8_t mode, uint32_t n, int64_t *ts_ms, double *values)
{
	uint64_t at = 0, step = 0, value = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t more = (uint64_t)unzigzag(get_varint(&p));

		/* The first is a time, not a step from one. */
		step = i > 0 ? step + more : 0;
		at = i > 0 ? at + step : more;
		ts_ms[i] = (int64_t)at;
		if (mode == CHUNK_BITS) {
			value ^= get_bits(&p);
			values[i] = double_from_bits(value);
		} else {
			value += (uint64_t)unzigzag(get_varint(&p));
			values[i] = decimal_value((int64_t)value, mode);
		}
	}
}

/* ---- chunks --------------------------------------------------------------- */

struct chunk *chunk_new(struct times *times, const double *values, uint32_t n)
{
	uint64_t room[3][CHUNK_SAMPLES_MAX];
	int64_t number[CHUNK_SAMPLES_MAX];
	uint16_t odd[CHUNK_SAMPLES_MAX];
	const struct valcol_scratch scratch = { number, odd, { room[0], room[1], room[2] } };
	uint8_t data[VALCOL_BOUND(CHUNK_SAMPLES_MAX)];
	size_t bytes = valcol_encode(values, n, data, &scratch);
	struct chunk *c = mem_alloc(sizeof(*c) + bytes);

	if (!c)
		return NULL;
	*c = (struct chunk){ times, n, (uint32_t)bytes };
	memcpy(c->data, data, bytes);
	return c;
}

void chunk_free(struct times_table *t, struct chunk *c)
{
	times_unref(t, c->times);
	free(c);
}

void chunk_values(const struct chunk *c, double *ret)
{
	uint8_t data[VALCOL_BOUND(CHUNK_SAMPLES_MAX)];

	memcpy(data, c->data, c->bytes);
	(void)valcol_decode(data, c->bytes, c->n, ret);
}
