/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All arithmetic is on uint64_t, where it wraps: INT64_MIN followed by INT64_MAX has no int64 step,
 * but a uint64 one, and decoding wraps back to the same bits.
 *
 *	head     model | flags
 *	divisor  varint, and zigzag varint: the first number, with FLAG_DIVIDED; all that follows is
 *	         about (number - first number) / divisor
 *	first    zigzag varint: the minimum (MODEL_RANGE), else the first number
 *	second   zigzag varint: the first step (MODEL_BEND)
 *	base     zigzag varint: what was taken from each rest; without FLAG_ZIGZAG
 *	widths   one byte for all groups, or with FLAG_WIDTHS one each
 *	rests    each group from a byte of its own on
 *
 * A constant column is a model of steps with the base 0 and the width 0.
 */
#include "store/intcol.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "store/cursor.h"

enum model {
	MODEL_RANGE, /* number - minimum */
	MODEL_STEP,  /* number - number before */
	MODEL_BEND,  /* step - step before */
	MODEL_N
};

#define MODEL_MASK   0x03u
#define FLAG_ZIGZAG  0x04u /* rests are zigzag, else they are counted from the base */
#define FLAG_DIVIDED 0x08u
#define FLAG_WIDTHS  0x10u
#define BEND_ROWS    8u /* looked at to see whether steps change evenly */
#define FLAGS_ALL    (FLAG_ZIGZAG | FLAG_DIVIDED | FLAG_WIDTHS)

/* How many numbers a model takes from the front, beside its rests. */
static uint32_t fixed_of(enum model model)
{
	return (uint32_t)model;
}

static uint32_t groups_of(uint32_t n)
{
	return (n + COLUMN_GROUP - 1) / COLUMN_GROUP;
}

/* ---- encoding ------------------------------------------------------------- */

/* One way to write the column: the rests' model, and what they are counted from. */
struct plan {
	enum model model;
	bool zigzag;
	uint64_t base;
	size_t bytes; /* of the rests and their widths */
};

/* The least and the greatest number of each group: all that the width of a group depends on. */
struct ranges {
	int64_t min[COLUMN_GROUPS_MAX], max[COLUMN_GROUPS_MAX];
	uint32_t n; /* numbers */
};

static int64_t least(const struct ranges *r)
{
	int64_t min = r->min[0];

	for (uint32_t g = 1; g < groups_of(r->n); g++)
		min = r->min[g] < min ? r->min[g] : min;
	return min;
}

static unsigned width_of(const struct ranges *r, uint32_t g, uint64_t base, bool is_zigzag)
{
	if (is_zigzag)
		return bitpack_width(zigzag(r->min[g]) | zigzag(r->max[g]));
	return bitpack_width((uint64_t)r->max[g] - base);
}

static void consider(struct plan *best, enum model model, bool is_zigzag, const struct ranges *r)
{
	uint64_t base = is_zigzag || r->n == 0 ? 0 : (uint64_t)least(r);
	unsigned first = width_of(r, 0, base, is_zigzag);
	uint32_t n_groups = groups_of(r->n);
	size_t bytes = 1;
	bool vary = false;

	for (uint32_t g = 0; g < n_groups; g++) {
		uint32_t k = r->n - g * COLUMN_GROUP;
		unsigned width = width_of(r, g, base, is_zigzag);

		vary |= width != first;
		bytes += bitpack_bytes(k < COLUMN_GROUP ? k : COLUMN_GROUP, width);
	}
	bytes += vary ? n_groups - 1 : 0;
	if (bytes < best->bytes)
		*best = (struct plan){ model, is_zigzag, base, bytes };
}

static void group_range(const int64_t *v, uint32_t n, int64_t *ret_min, int64_t *ret_max)
{
	int64_t min = v[0], max = v[0];

	for (uint32_t i = 1; i < n; i++) {
		min = v[i] < min ? v[i] : min;
		max = v[i] > max ? v[i] : max;
	}
	*ret_min = min;
	*ret_max = max;
}

static void find_ranges(const uint64_t *numbers, uint32_t n, struct ranges *ret)
{
	const int64_t *v = (const int64_t *)numbers;

	ret->n = n;
	ret->min[0] = ret->max[0] = 0;
	for (uint32_t g = 0; g < groups_of(n); g++) {
		uint32_t at = g * COLUMN_GROUP, k = n - at < COLUMN_GROUP ? n - at : COLUMN_GROUP;

		group_range(v + at, k, &ret->min[g], &ret->max[g]);
	}
}

/* @to[i] = @v[i + 1] - @v[i]: n - 1 of them. */
static void steps_of(const uint64_t *v, uint32_t n, uint64_t *to)
{
	for (uint32_t i = 0; i + 1 < n; i++)
		to[i] = v[i + 1] - v[i];
}

/* ---- what divides all ----------------------------------------------------- */

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * What divides the distances of all numbers from the first; 1 when nothing does, or when the
 * numbers are so far apart that a distance does not fit an int64.
 */
static uint64_t divisor_of(const uint64_t *v, uint32_t n)
{
	uint64_t g = 0;

	for (uint32_t i = 1; i < n && g != 1; i++) {
		int64_t distance;

		if (__builtin_sub_overflow((int64_t)v[i], (int64_t)v[0], &distance) ||
		    distance == INT64_MIN)
			return 1;
		if (distance != 0)
			g = gcd(distance < 0 ? (uint64_t)-distance : (uint64_t)distance, g);
	}
	return g > 1 ? g : 1;
}

/*
 * Exact division is a multiplication: an odd number has an inverse modulo 2^64, and each round of
 * Newton's doubles the bits that are right, of which the number itself has three.
 */
static uint64_t inverse_of(uint64_t odd)
{
	uint64_t x = odd;

	for (unsigned i = 0; i < 5; i++)
		x *= 2 - odd * x;
	return x;
}

/* @to[i] = (@v[i] - @v[0]) / @divisor, which leaves no remainder. */
static void divide(const uint64_t *v, uint32_t n, uint64_t divisor, uint64_t *to)
{
	unsigned twos = (unsigned)__builtin_ctzll(divisor);
	uint64_t inverse = inverse_of(divisor >> twos);

	for (uint32_t i = 0; i < n; i++)
		to[i] = (uint64_t)((int64_t)(v[i] - v[0]) >> twos) * inverse;
}

/* ---- choosing and writing ------------------------------------------------- */

/* Groups of @rest, with their widths in front; returns the byte behind. */
static uint8_t *put_groups(uint8_t *p, const uint64_t *rest, uint32_t n, bool *ret_vary)
{
	uint8_t widths[COLUMN_GROUPS_MAX];
	uint32_t n_groups = groups_of(n);
	bool vary = false;

	for (uint32_t g = 0; g < n_groups; g++) {
		uint32_t at = g * COLUMN_GROUP, k = n - at < COLUMN_GROUP ? n - at : COLUMN_GROUP;
		uint64_t any = 0;

		for (uint32_t j = 0; j < k; j++)
			any |= rest[at + j];
		widths[g] = (uint8_t)bitpack_width(any);
		vary |= widths[g] != widths[0];
	}
	if (n_groups == 0) {
		*p++ = 0;
	} else {
		memcpy(p, widths, vary ? n_groups : 1);
		p += vary ? n_groups : 1;
	}
	for (uint32_t g = 0; g < n_groups; g++) {
		uint32_t at = g * COLUMN_GROUP, k = n - at < COLUMN_GROUP ? n - at : COLUMN_GROUP;

		p = bitpack_put(p, rest + at, k, widths[g]);
	}
	*ret_vary = vary;
	return p;
}

/* Whether steps change so evenly that it may pay to write how they do. */
static bool bends_evenly(const uint64_t *step, uint32_t n)
{
	uint64_t change = 0, size = 0;

	if (n < BEND_ROWS)
		return false;
	for (uint32_t i = 1; i < BEND_ROWS; i++) {
		change |= zigzag((int64_t)(step[i] - step[i - 1]));
		size |= zigzag((int64_t)(step[i] - step[0]));
	}
	return bitpack_width(change) < bitpack_width(size);
}

/* Leaves the steps of @v in @s->step. */
static struct plan choose(const uint64_t *v, uint32_t n, const struct intcol_scratch *s)
{
	struct plan best = { .bytes = SIZE_MAX };
	struct ranges r;

	steps_of(v, n, s->step);
	find_ranges(s->step, n - 1, &r);
	consider(&best, MODEL_STEP, false, &r);
	if (best.bytes == 1) /* the steps are all the same */
		return best;
	consider(&best, MODEL_STEP, true, &r);
	find_ranges(v, n, &r);
	consider(&best, MODEL_RANGE, false, &r);
	if (bends_evenly(s->step, n - 1)) {
		steps_of(s->step, n - 1, s->rest);
		find_ranges(s->rest, n - 2, &r);
		consider(&best, MODEL_BEND, true, &r);
	}
	return best;
}

static uint8_t *put_plan(uint8_t *p, const struct plan *plan, const uint64_t *v, uint64_t *step,
                         uint64_t *rest, uint32_t n, uint8_t *head)
{
	const uint64_t *from = plan->model == MODEL_RANGE ? v : step;
	uint32_t n_rests = n - fixed_of(plan->model);
	bool vary;

	p = varint_put(p, zigzag((int64_t)(plan->model == MODEL_RANGE ? plan->base : v[0])));
	if (plan->model == MODEL_BEND) {
		p = varint_put(p, zigzag((int64_t)step[0]));
		steps_of(step, n - 1, rest);
		from = rest;
	}
	if (plan->model != MODEL_RANGE && !plan->zigzag)
		p = varint_put(p, zigzag((int64_t)plan->base));
	for (uint32_t i = 0; i < n_rests; i++)
		rest[i] = plan->zigzag ? zigzag((int64_t)from[i]) : from[i] - plan->base;
	p = put_groups(p, rest, n_rests, &vary);
	*head = (uint8_t)(plan->model | (plan->zigzag ? FLAG_ZIGZAG : 0) |
	                  (vary ? FLAG_WIDTHS : 0));
	return p;
}

size_t intcol_encode(const int64_t *numbers, uint32_t n, uint8_t *dst,
                     const struct intcol_scratch *s)
{
	const uint64_t *v = (const uint64_t *)numbers;
	uint8_t *p = dst + 1;

	assert(n > 0);
	assert(n <= COLUMN_ROWS_MAX);
	uint64_t divisor = n > 2 ? divisor_of(v, n) : 1;

	if (divisor > 1) {
		divide(v, n, divisor, s->quotient);
		p = varint_put(p, divisor);
		p = varint_put(p, zigzag((int64_t)v[0]));
		v = s->quotient;
	}
	const struct plan plan = choose(v, n, s);

	p = put_plan(p, &plan, v, s->step, s->rest, n, dst);
	*dst = (uint8_t)(*dst | (divisor > 1 ? FLAG_DIVIDED : 0));
	return (size_t)(p - dst);
}

/* ---- decoding ------------------------------------------------------------- */

static void get_groups(struct cursor *c, uint32_t n, bool vary, uint64_t *ret)
{
	uint32_t n_groups = groups_of(n), n_widths = vary ? n_groups : 1;
	const uint8_t *width = c->p;

	if (c->bad || cursor_left(c) < n_widths || (vary && n_groups < 2)) {
		cursor_spoil(c);
		return;
	}
	c->p += n_widths;
	for (uint32_t at = 0; at < n; at += COLUMN_GROUP, width += vary) {
		uint32_t k = n - at < COLUMN_GROUP ? n - at : COLUMN_GROUP;

		if (*width > 64 || bitpack_bytes(k, *width) > cursor_left(c)) {
			cursor_spoil(c);
			return;
		}
		bitpack_get(c->p, k, *width, ret + at);
		c->p += bitpack_bytes(k, *width);
	}
}

static void undo_zigzag(uint64_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = (uint64_t)unzigzag(v[i]);
}

static void undo_base(uint64_t *v, uint32_t n, uint64_t base)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] += base;
}

/* @v[0] is the first number, steps less @base follow: each becomes the sum of all before. */
static void sum_up(uint64_t *v, uint32_t n, uint64_t base)
{
	uint64_t sum = v[0];

	for (uint32_t i = 1; i < n; i++) {
		sum += v[i] + base;
		v[i] = sum;
	}
}

int intcol_decode(const uint8_t *src, size_t bytes, uint32_t n, int64_t *numbers)
{
	struct cursor c = { src + 1, src + bytes, false };
	uint64_t *v = (uint64_t *)numbers, divisor = 1, origin = 0, base = 0;

	if (bytes == 0 || n == 0 || n > COLUMN_ROWS_MAX)
		return -EBADMSG;
	uint8_t head = src[0];
	enum model model = (enum model)(head & MODEL_MASK);
	uint32_t fixed = fixed_of(model);

	if ((head & ~(MODEL_MASK | FLAGS_ALL)) != 0 || model == MODEL_N || fixed > n)
		return -EBADMSG;
	if (head & FLAG_DIVIDED) {
		divisor = cursor_varint(&c);
		origin = (uint64_t)cursor_signed(&c);
	}
	for (uint32_t i = 0; i < fixed; i++)
		v[i] = (uint64_t)cursor_signed(&c);
	if (!(head & FLAG_ZIGZAG))
		base = (uint64_t)cursor_signed(&c);
	else if (model == MODEL_RANGE)
		return -EBADMSG;
	get_groups(&c, n - fixed, (head & FLAG_WIDTHS) != 0, v + fixed);
	if (!cursor_at_end(&c))
		return -EBADMSG;
	if (head & FLAG_ZIGZAG)
		undo_zigzag(v + fixed, n - fixed);
	if (model == MODEL_RANGE)
		undo_base(v, n, base);
	if (model == MODEL_BEND)
		sum_up(v + 1, n - 1, base);
	if (model != MODEL_RANGE)
		sum_up(v, n, model == MODEL_STEP ? base : 0);
	for (uint32_t i = 0; divisor != 1 && i < n; i++)
		v[i] = v[i] * divisor + origin;
	return 0;
}
