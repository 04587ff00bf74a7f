/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Buckets of what a VM waits for on its host, a CPU or a disk, for the kernel side and for user
 * space: BOUND(upper bound in nanoseconds, the same in seconds as label le has it). From 10
 * microseconds, which is as long as a wake-up takes anyway, to 10 seconds, at which something
 * hangs. Changing a row changes series that users have.
 */

#include <linux/types.h>

#define WAIT_BOUNDS_N 19

/* clang-format off */
#define WAIT_BOUNDS(BOUND)              \
	BOUND(10000ull, "1e-05")        \
	BOUND(25000ull, "2.5e-05")      \
	BOUND(50000ull, "5e-05")        \
	BOUND(100000ull, "0.0001")      \
	BOUND(250000ull, "0.00025")     \
	BOUND(500000ull, "0.0005")      \
	BOUND(1000000ull, "0.001")      \
	BOUND(2500000ull, "0.0025")     \
	BOUND(5000000ull, "0.005")      \
	BOUND(10000000ull, "0.01")      \
	BOUND(25000000ull, "0.025")     \
	BOUND(50000000ull, "0.05")      \
	BOUND(100000000ull, "0.1")      \
	BOUND(250000000ull, "0.25")     \
	BOUND(500000000ull, "0.5")      \
	BOUND(1000000000ull, "1")       \
	BOUND(2500000000ull, "2.5")     \
	BOUND(5000000000ull, "5")       \
	BOUND(10000000000ull, "10")
/* clang-format on */

/* Not cumulative; the last bucket is for what is above all bounds. */
struct wait_hist {
	__u64 buckets[WAIT_BOUNDS_N + 1];
	__u64 sum_ns;
};

/* Short waits are by far the most, so this begins with them. */
static inline __attribute__((always_inline)) __u32 wait_bucket(__u64 ns)
{
	__u32 i = 0;

#define WAIT_STEP(bound_ns, text) \
	if (ns <= (bound_ns))     \
		return i;         \
	i++;
	WAIT_BOUNDS(WAIT_STEP)
#undef WAIT_STEP
	return i;
}
