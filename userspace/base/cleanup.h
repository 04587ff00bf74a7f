/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Scope-bound ownership. A local that owns something says so at its declaration:
 *
 *	_cleanup_(part_freep) struct part *p = NULL;
 *
 * and hands it over with TAKE_PTR(). There is no other way to transfer ownership out of a function,
 * so a reviewer finds every owner and every hand-over by searching for two words.
 */

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))

/* Defines <func>p(), the cleanup for a variable of the pointer type @type; NULL stays untouched. */
#define DEFINE_CLEANUP(type, func)          \
	static inline void func##p(type *p) \
	{                                   \
		if (*p)                     \
			func(*p);           \
	}                                   \
	_Static_assert(1, "swallow the semicolon")

#define TAKE_PTR(ptr)                          \
	({                                     \
		__typeof__(ptr) *_pp = &(ptr); \
		__typeof__(ptr) _p = *_pp;     \
		*_pp = NULL;                   \
		_p;                            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
