/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/histogram.h"

#include "bpf/latency_bounds.h"
#include "bpf/wait_bounds.h"
#include "userspace/base/util.h"

#define NS(ns, text)   ns,
#define TEXT(ns, text) text,

static const uint64_t latency_ns[] = { LATENCY_BOUNDS(NS) };
static const char *const latency_texts[] = { LATENCY_BOUNDS(TEXT) "+Inf" };

_Static_assert(ARRAY_SIZE(latency_ns) == LATENCY_BOUNDS_N, "the table and its length");
_Static_assert(LATENCY_BOUNDS_N < HISTOGRAM_BUCKETS_MAX, "and one for what is above");

const struct histogram_bounds latency_bounds = { latency_ns, latency_texts, LATENCY_BOUNDS_N };

static const uint64_t wait_ns[] = { WAIT_BOUNDS(NS) };
static const char *const wait_texts[] = { WAIT_BOUNDS(TEXT) "+Inf" };

_Static_assert(ARRAY_SIZE(wait_ns) == WAIT_BOUNDS_N, "the table and its length");
_Static_assert(WAIT_BOUNDS_N < HISTOGRAM_BUCKETS_MAX, "and one for what is above");

const struct histogram_bounds wait_bounds = { wait_ns, wait_texts, WAIT_BOUNDS_N };

void histogram_from_waits(struct histogram *h, const struct wait_hist *waits)
{
	for (uint32_t i = 0; i <= WAIT_BOUNDS_N; i++)
		h->buckets[i] = waits->buckets[i];
	h->sum_ns = waits->sum_ns;
}

uint32_t histogram_bucket(const struct histogram_bounds *b, uint64_t ns)
{
	uint32_t lo = 0, hi = b->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ns <= b->le_ns[mid])
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

void histogram_observe(struct histogram *h, const struct histogram_bounds *b, uint64_t ns)
{
	h->buckets[histogram_bucket(b, ns)]++;
	h->sum_ns += ns;
}

uint64_t histogram_count(const struct histogram *h, const struct histogram_bounds *b)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i <= b->n; i++)
		n += h->buckets[i];
	return n;
}
