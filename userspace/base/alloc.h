/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The heap, behind one door: tests make the n-th allocation fail, and that is the only way to see
 * whether an out-of-memory path works. Memory from here is freed with plain free().
 *
 * Threads: the failure counter is per process and atomic; production cost is one relaxed load.
 */

#include <stddef.h>

void *mem_alloc(size_t bytes);            /* not zeroed; NULL when out of memory */
void *mem_zalloc(size_t n, size_t bytes); /* zeroed array of @n; overflow is out of memory */
void *mem_aligned(size_t alignment, size_t bytes);  /* not zeroed; @alignment is a power of two */
void *mem_realloc(void *p, size_t n, size_t bytes); /* array of @n; @p stays valid on failure */
char *mem_strndup(const char *p, size_t len);       /* NUL-terminated copy of exactly @len bytes */

/* Room for at least @want elements of @bytes; grows geometrically. -ENOMEM leaves all as it was. */
int mem_grow(void **p, size_t *cap, size_t want, size_t bytes);
#define MEM_GROW(ptr, cap, want)                                        \
	({                                                              \
		void *_vp = (ptr);                                      \
		size_t _cap = (cap);                                    \
		int _r = mem_grow(&_vp, &_cap, (want), sizeof(*(ptr))); \
		if (_r == 0) {                                          \
			(ptr) = _vp;                                    \
			(cap) = (__typeof__(cap))_cap;                  \
		}                                                       \
		_r;                                                     \
	})

/*
 * Fails the @n-th allocation from now on (1 = the next one), once; 0 switches it off. Tests
 * only.
 */
void alloc_fail_at(unsigned long n);
