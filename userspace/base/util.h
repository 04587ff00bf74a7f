/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The handful of macros that every file may want. Anything bigger has a header of its own. */

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument is evaluated once; the names differ so that the two nest without shadowing. */
#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) _min_a = (a);        \
		__typeof__(b) _min_b = (b);        \
		_min_a < _min_b ? _min_a : _min_b; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) _max_a = (a);        \
		__typeof__(b) _max_b = (b);        \
		_max_a > _max_b ? _max_a : _max_b; \
	})

#define container_of(ptr, type, member)                                         \
	({                                                                      \
		const __typeof__(((type *)0)->member) *_m = (ptr);              \
		(type *)(uintptr_t)((const char *)_m - offsetof(type, member)); \
	})
