/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_ulong fail_in; /* 0 = never */

void alloc_fail_at(unsigned long n)
{
	atomic_store(&fail_in, n);
}

static bool must_fail(void)
{
	unsigned long left = atomic_load_explicit(&fail_in, memory_order_relaxed);

	while (left > 0) {
		if (atomic_compare_exchange_weak(&fail_in, &left, left - 1))
			return left == 1;
	}
	return false;
}

void *mem_alloc(size_t bytes)
{
	return must_fail() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zalloc(size_t n, size_t bytes)
{
	return must_fail() ? NULL : calloc(n ? n : 1, bytes ? bytes : 1);
}

void *mem_aligned(size_t alignment, size_t bytes)
{
	void *p;

	return must_fail() || posix_memalign(&p, alignment, bytes ? bytes : 1) != 0 ? NULL : p;
}

void *mem_realloc(void *p, size_t n, size_t bytes)
{
	size_t all;

	if (must_fail() || __builtin_mul_overflow(n, bytes, &all))
		return NULL;
	return realloc(p, all ? all : 1);
}

char *mem_strndup(const char *p, size_t len)
{
	char *copy = len + 1 > len ? mem_alloc(len + 1) : NULL;

	if (!copy)
		return NULL;
	if (len > 0)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

int mem_grow(void **p, size_t *cap, size_t want, size_t bytes)
{
	size_t next = *cap < 8 ? 8 : *cap;
	void *q;

	if (want <= *cap)
		return 0;
	while (next < want) {
		if (__builtin_mul_overflow(next, (size_t)2, &next))
			return -ENOMEM;
	}
	q = mem_realloc(*p, next, bytes);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = next;
	return 0;
}
