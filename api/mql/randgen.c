/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A seed is mixed with the state of the generator after WARM_UP steps from seed 1. Nobody walks
 * 7.8e12 steps for it: the recurrence is linear, so the state is a combination of the first 607
 * numbers whose factors are the coefficients of x^WARM_UP modulo x^607 - x^334 - 1, all of it
 * modulo 2^64. That takes 43 squarings, once.
 */
#include "api/mql/randgen.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LAG      RANDGEN_LAG
#define TAP      273u
#define BACK     (LAG - TAP) /* y(n) = y(n - LAG) + y(n - LAG + BACK) */
#define WARM_UP  7800000000000ull
#define SEED_MAX 2147483647 /* a prime: the modulus of the seeds' own generator */

#define NORMAL_STRIPS      128
#define NORMAL_TAIL        3.442619855899
#define NORMAL_AREA        9.91256303526217e-3
#define EXPONENTIAL_STRIPS 256
#define EXPONENTIAL_TAIL   7.69711747013104972
#define EXPONENTIAL_AREA   3.949659822581572e-3

static struct {
	uint64_t warm[LAG];
	uint32_t kn[NORMAL_STRIPS], ke[EXPONENTIAL_STRIPS];
	float wn[NORMAL_STRIPS], fn[NORMAL_STRIPS];
	float we[EXPONENTIAL_STRIPS], fe[EXPONENTIAL_STRIPS];
} tables;

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- state after the warm-up ----------------------------------------------------------------- */

static uint64_t lehmer(uint64_t x)
{
	return x * 48271 % SEED_MAX;
}

/* The first 607 numbers: three steps of the small generator in each. */
static void fill(uint64_t *v, uint64_t x, unsigned high, unsigned middle)
{
	for (unsigned i = 0; i < 20; i++)
		x = lehmer(x);
	for (unsigned i = 0; i < LAG; i++) {
		x = lehmer(x);
		v[i] = x << high;
		x = lehmer(x);
		v[i] ^= x << middle;
		x = lehmer(x);
		v[i] ^= x;
	}
}

/* @p = @p^2, as polynomials. */
static void square(uint64_t *p)
{
	uint64_t c[2 * LAG - 1] = { 0 };

	for (unsigned i = 0; i < LAG; i++) {
		for (unsigned j = 0; j < LAG; j++)
			c[i + j] += p[i] * p[j];
	}
	for (unsigned k = 2 * LAG - 2; k >= LAG; k--) {
		c[k - LAG] += c[k];
		c[k - LAG + BACK] += c[k];
	}
	memcpy(p, c, LAG * sizeof(*p));
}

/* @p = @p * x */
static void shift(uint64_t *p)
{
	uint64_t top = p[LAG - 1];

	memmove(p + 1, p, (LAG - 1) * sizeof(*p));
	p[0] = top;
	p[BACK] += top;
}

/* The array is walked downwards from BACK, so its slots hold the numbers in reverse. */
static unsigned slot_of(uint64_t n)
{
	return (unsigned)((BACK - 1 + LAG - n % LAG) % LAG);
}

static void warm_up(void)
{
	uint64_t start[LAG], y[2 * LAG], p[LAG] = { 1 };

	fill(start, 1, 20, 10);
	for (unsigned k = 0; k < LAG; k++)
		y[k] = start[slot_of(k)];
	for (unsigned k = LAG; k < 2 * LAG; k++)
		y[k] = y[k - LAG] + y[k - LAG + BACK];
	for (int bit = 63 - __builtin_clzll(WARM_UP); bit >= 0; bit--) {
		square(p);
		if (WARM_UP >> bit & 1)
			shift(p);
	}
	for (unsigned j = 0; j < LAG; j++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < LAG; i++)
			sum += p[i] * y[i + j];
		tables.warm[slot_of(WARM_UP - LAG + j)] = sum;
	}
}

/* --- ziggurats: Marsaglia and Tsang, 2000 ---------------------------------------------------- */

static void normal_tables(void)
{
	double x = NORMAL_TAIL, below = x, f = exp(-.5 * x * x), q = NORMAL_AREA / f;
	const int last = NORMAL_STRIPS - 1;

	tables.kn[0] = (uint32_t)(x / q * 0x1p31);
	tables.kn[1] = 0;
	tables.wn[0] = (float)(q / 0x1p31);
	tables.wn[last] = (float)(x / 0x1p31);
	tables.fn[0] = 1;
	tables.fn[last] = (float)f;
	for (int i = last - 1; i > 0; i--) {
		x = sqrt(-2 * log(NORMAL_AREA / x + exp(-.5 * x * x)));
		tables.kn[i + 1] = (uint32_t)(x / below * 0x1p31);
		below = x;
		tables.fn[i] = (float)exp(-.5 * x * x);
		tables.wn[i] = (float)(x / 0x1p31);
	}
}

static void exponential_tables(void)
{
	double x = EXPONENTIAL_TAIL, below = x, q = EXPONENTIAL_AREA / exp(-x);
	const int last = EXPONENTIAL_STRIPS - 1;

	tables.ke[0] = (uint32_t)(x / q * 0x1p32);
	tables.ke[1] = 0;
	tables.we[0] = (float)(q / 0x1p32);
	tables.we[last] = (float)(x / 0x1p32);
	tables.fe[0] = 1;
	tables.fe[last] = (float)exp(-x);
	for (int i = last - 1; i > 0; i--) {
		x = -log(EXPONENTIAL_AREA / x + exp(-x));
		tables.ke[i + 1] = (uint32_t)(x / below * 0x1p32);
		below = x;
		tables.fe[i] = (float)exp(-x);
		tables.we[i] = (float)(x / 0x1p32);
	}
}

static void tables_init(void)
{
	warm_up();
	normal_tables();
	exponential_tables();
}

/* --- numbers --------------------------------------------------------------------------------- */

void randgen_seed(struct randgen *g, int64_t seed)
{
	(void)pthread_once(&once, tables_init);
	seed %= SEED_MAX;
	if (seed < 0)
		seed += SEED_MAX;
	fill(g->v, seed == 0 ? 89482311 : (uint64_t)seed, 40, 20);
	for (unsigned i = 0; i < LAG; i++)
		g->v[i] ^= tables.warm[i];
	g->tap = 0;
	g->feed = BACK;
}

static uint64_t next63(struct randgen *g)
{
	g->tap = (g->tap + LAG - 1) % LAG;
	g->feed = (g->feed + LAG - 1) % LAG;
	g->v[g->feed] += g->v[g->tap];
	return g->v[g->feed] & INT64_MAX;
}

static uint32_t next32(struct randgen *g)
{
	return (uint32_t)(next63(g) >> 31);
}

double randgen_uniform(struct randgen *g)
{
	double v;

	do
		v = (double)next63(g) / 0x1p63;
	while (v == 1); /* rounded up */
	return v;
}

/* Beyond the last strip. */
static double normal_tail(struct randgen *g, bool positive)
{
	double x, y;

	do {
		x = -log(randgen_uniform(g)) * (1.0 / NORMAL_TAIL);
		y = -log(randgen_uniform(g));
	} while (y + y < x * x);
	return positive ? NORMAL_TAIL + x : -NORMAL_TAIL - x;
}

double randgen_normal(struct randgen *g)
{
	for (;;) {
		int32_t j = (int32_t)next32(g);
		uint32_t i = (uint32_t)j & (NORMAL_STRIPS - 1);
		uint32_t size = j < 0 ? 0u - (uint32_t)j : (uint32_t)j;
		double x = j * (double)tables.wn[i];

		if (size < tables.kn[i])
			return x;
		if (i == 0)
			return normal_tail(g, j > 0);
		float f = tables.fn[i], more = tables.fn[i - 1] - f;

		if (f + (float)randgen_uniform(g) * more < (float)exp(-.5 * x * x))
			return x;
	}
}

double randgen_exponential(struct randgen *g)
{
	for (;;) {
		uint32_t j = next32(g), i = j & (EXPONENTIAL_STRIPS - 1);
		double x = j * (double)tables.we[i];

		if (j < tables.ke[i])
			return x;
		if (i == 0)
			return EXPONENTIAL_TAIL - log(randgen_uniform(g));
		float f = tables.fe[i], more = tables.fe[i - 1] - f;

		if (f + (float)randgen_uniform(g) * more < (float)exp(-x))
			return x;
	}
}
