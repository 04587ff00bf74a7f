/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* What every unit test includes: cmocka with its prerequisites, and the project's test helpers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "userspace/base/rng.h"
#include "userspace/base/sample.h"
#include "userspace/base/str.h"
#include "userspace/base/util.h"

/* Names the case in progress; cmocka prints it above the failing line. */
#define unit_note(...) print_message("    " __VA_ARGS__), print_message("\n")

/* TEST_SEED=<n> replays a run; every run prints its seed. */
static inline struct rng unit_rng(void)
{
	const char *text = getenv("TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1;

	print_message("    TEST_SEED=%llu\n", (unsigned long long)seed);
	return (struct rng){ .s = seed };
}

/* Exact-size heap copy, so that AddressSanitizer sees a read of even one byte too many. */
static inline void *unit_memdup(const void *src, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	assert_non_null(copy);
	if (bytes > 0)
		memcpy(copy, src, bytes);
	return copy;
}

static inline struct str unit_strdup(struct str s)
{
	return (struct str){ unit_memdup(s.p, s.len), s.len };
}

/* cmocka 1.1.5 has no assert for doubles: equal bits, or both within @tolerance relative. */
#define assert_double_near(expected, actual, tolerance)                                          \
	do {                                                                                     \
		double _x = (expected), _y = (actual);                                           \
		double _d = _x > _y ? _x - _y : _y - _x;                                         \
		double _m = _x < 0 ? -_x : _x;                                                   \
		if (double_bits(_x) != double_bits(_y) && !(_x != _x && _y != _y) && _x != _y && \
		    !(_d <= (tolerance) * (_m > 1 ? _m : 1)))                                    \
			fail_msg("%s: expected %.17g, got %.17g", #actual, _x, _y);              \
	} while (0)

#define assert_str_equal(expected, actual)                                                    \
	do {                                                                                  \
		struct str _x = (expected), _y = (actual);                                    \
		if (!str_eq(_x, _y))                                                          \
			fail_msg("%s: expected \"%.*s\", got \"%.*s\"", #actual, STR_FMT(_x), \
			         STR_FMT(_y));                                                \
	} while (0)
