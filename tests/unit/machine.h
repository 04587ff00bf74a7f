/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The state machines of the kernel side, in user space: a segment is bytes in memory. Loads are
 * checked as the kernel checks them, and by exact-size copies under AddressSanitizer.
 */

#include <string.h>

#include "userspace/base/str.h"

struct seg {
	const unsigned char *p;
	unsigned int seq, len;
};

static inline int seg_load(const struct seg *s, unsigned int at, void *dst, unsigned int n,
                           unsigned int max)
{
	if (n == 0 || n > max || at > s->len || n > s->len - at)
		return -1;
	memcpy(dst, s->p + at, n);
	return 0;
}
