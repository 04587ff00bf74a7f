/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Durations counted in fixed buckets, with an exact sum.
 *
 * Unit     nanoseconds; the catalogue makes seconds of them.
 * Buckets  not cumulative here: one counter each, the last for what is above all bounds. They are
 *          summed up when they are exported.
 * Threads  none of its own: the owner of the struct is the owner of the numbers.
 */

#include <stdint.h>

#define HISTOGRAM_BUCKETS_MAX 32

struct histogram_bounds {
	const uint64_t *le_ns;       /* ascending; a value equal to a bound is inside */
	const char *const *le_texts; /* in seconds, as the label has them; one more: "+Inf" */
	uint32_t n;                  /* bounds; one bucket more, at most HISTOGRAM_BUCKETS_MAX */
};

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS_MAX];
	uint64_t sum_ns;
};

/* The bounds of every duration at the proxies: bpf/latency_bounds.h has the table. */
extern const struct histogram_bounds latency_bounds;
/* The bounds of what a VM waits for on its host: bpf/wait_bounds.h has the table. */
extern const struct histogram_bounds wait_bounds;

struct wait_hist;

/* What the kernel side counted, by wait_bounds. */
void histogram_from_waits(struct histogram *h, const struct wait_hist *waits);

/* The index of the bucket that @ns belongs to. O(log n). */
uint32_t histogram_bucket(const struct histogram_bounds *b, uint64_t ns);

void histogram_observe(struct histogram *h, const struct histogram_bounds *b, uint64_t ns);
uint64_t histogram_count(const struct histogram *h, const struct histogram_bounds *b);
