/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Buckets of all durations at the proxies, for the kernel side and for user space: BOUND(upper
 * bound in nanoseconds, the same in seconds as label le has it). From half a millisecond, below
 * which a proxy's answer is never too slow, to a minute, above which a client has gone away.
 * Changing a row changes series that users have: docs/proxy.md names them.
 */

#define LATENCY_BOUNDS_N 17

/* clang-format off */
#define LATENCY_BOUNDS(BOUND)           \
	BOUND(500000ull, "0.0005")      \
	BOUND(1000000ull, "0.001")      \
	BOUND(2500000ull, "0.0025")     \
	BOUND(5000000ull, "0.005")      \
	BOUND(10000000ull, "0.01")      \
	BOUND(25000000ull, "0.025")     \
	BOUND(50000000ull, "0.05")      \
	BOUND(75000000ull, "0.075")     \
	BOUND(100000000ull, "0.1")      \
	BOUND(250000000ull, "0.25")     \
	BOUND(500000000ull, "0.5")      \
	BOUND(1000000000ull, "1")       \
	BOUND(2500000000ull, "2.5")     \
	BOUND(5000000000ull, "5")       \
	BOUND(10000000000ull, "10")     \
	BOUND(30000000000ull, "30")     \
	BOUND(60000000000ull, "60")
/* clang-format on */
