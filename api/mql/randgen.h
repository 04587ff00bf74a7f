/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Random numbers that repeat by their seed. The stream is that of Go's math/rand, because queries
 * with a seed are written against VictoriaMetrics: an additive lagged Fibonacci generator
 * y(n) = y(n - 607) + y(n - 273), and ziggurats over it.
 */

#include <stdint.h>

#define RANDGEN_LAG 607u

struct randgen {
	uint64_t v[RANDGEN_LAG];
	uint32_t tap, feed;
};

void randgen_seed(struct randgen *g, int64_t seed);
double randgen_uniform(struct randgen *g);     /* in [0, 1) */
double randgen_normal(struct randgen *g);      /* mean 0, deviation 1 */
double randgen_exponential(struct randgen *g); /* mean 1 */
