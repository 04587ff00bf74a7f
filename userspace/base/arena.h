/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Bump allocator for the lifetime of one request, query or batch: many small pieces, freed whole.
 *
 * Limit    @max_bytes is a budget (of chunks taken from the heap). Past it arena_alloc() returns
 *          NULL for good, arena_error() says why, and the query ends with a clear error.
 * ASan     In a sanitizer build each piece is its own malloc, so overruns are seen.
 * Shared   Several arenas may have one budget together, so that the threads that work on one thing
 *          have one limit.
 * Threads  One owner; parallel workers have arenas of their own.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/str.h"

struct arena_chunk;

struct arena_budget {
	_Atomic size_t taken_bytes;
	size_t max_bytes; /* 0 = no limit */
};

struct arena {
	struct arena_chunk *head;    /* newest first */
	size_t used, cap;            /* of the newest chunk */
	size_t taken_bytes;          /* from the heap, all chunks */
	size_t max_bytes;            /* 0 = no limit */
	struct arena_budget *budget; /* NULL = none */
	int err;                     /* sticky: -ENOSPC (budget) or -ENOMEM */
};

#define ARENA_INIT(max)   ((struct arena){ .max_bytes = (max) })
#define ARENA_SHARE(from) ((struct arena){ .budget = (from) })

void arena_done(struct arena *a); /* frees everything; the arena may be used again */
/* Like arena_done(), but keeps one chunk for the next round. */
void arena_reset(struct arena *a);

/* Aligned for any type, not zeroed. NULL when the budget or the machine is exhausted. O(1). */
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_zalloc(struct arena *a, size_t n, size_t bytes);
void *arena_memdup(struct arena *a, const void *src, size_t bytes);
char *arena_strndup(struct arena *a, struct str s);  /* NUL-terminated copy */
struct str arena_str(struct arena *a, struct str s); /* p is NULL on failure, unless empty */

#define ARENA_NEW(a, type)      ((type *)arena_zalloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), (n), sizeof(type)))

/* 0, or what stopped it: -ENOSPC for the budget, -ENOMEM for the machine. */
static inline int arena_error(const struct arena *a)
{
	return a->err;
}
