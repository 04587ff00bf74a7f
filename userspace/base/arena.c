/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

#define CHUNK_BYTES_MIN ((size_t)8 << 10)
#define CHUNK_BYTES_MAX ((size_t)1 << 20)
#define ALIGN           ((size_t)16)

#if defined(__SANITIZE_ADDRESS__)
#define ONE_PIECE_PER_CHUNK 1
#else
#define ONE_PIECE_PER_CHUNK 0
#endif

struct arena_chunk {
	struct arena_chunk *next;
	size_t bytes; /* of data[] */
	_Alignas(16) char data[];
};

/* From @c on. */
static void free_chain(struct arena *a, struct arena_chunk *c)
{
	size_t bytes = 0;

	while (c) {
		struct arena_chunk *next = c->next;

		bytes += c->bytes;
		free(c);
		c = next;
	}
	if (a->budget)
		atomic_fetch_sub(&a->budget->taken_bytes, bytes);
}

void arena_done(struct arena *a)
{
	free_chain(a, a->head);
	*a = (struct arena){ .max_bytes = a->max_bytes, .budget = a->budget };
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = a->head;

	if (!keep || ONE_PIECE_PER_CHUNK || keep->bytes > CHUNK_BYTES_MAX) {
		arena_done(a);
		return;
	}
	free_chain(a, keep->next);
	keep->next = NULL;
	*a = (struct arena){ .head = keep,
		             .cap = keep->bytes,
		             .max_bytes = a->max_bytes,
		             .budget = a->budget,
		             .taken_bytes = keep->bytes };
}

/* Chunks double from 8 KiB to 1 MiB: a small query stays small, a big one asks seldom. */
static size_t next_chunk_bytes(const struct arena *a, size_t bytes)
{
	size_t next = a->head ? a->cap * 2 : CHUNK_BYTES_MIN;

	if (ONE_PIECE_PER_CHUNK)
		return bytes;
	return MAX(MIN(next, CHUNK_BYTES_MAX), bytes);
}

static bool budget_take(struct arena_budget *b, size_t bytes)
{
	size_t before;

	if (!b)
		return true;
	before = atomic_fetch_add(&b->taken_bytes, bytes);
	if (b->max_bytes == 0 || (before <= b->max_bytes && bytes <= b->max_bytes - before))
		return true;
	atomic_fetch_sub(&b->taken_bytes, bytes);
	return false;
}

static int chunk_add(struct arena *a, size_t bytes)
{
	size_t want = next_chunk_bytes(a, bytes), all;
	struct arena_chunk *c;

	if (a->max_bytes && a->taken_bytes + want > a->max_bytes)
		want = bytes; /* the last piece may still fit */
	if (__builtin_add_overflow(a->taken_bytes, want, &all) ||
	    (a->max_bytes && all > a->max_bytes))
		return -ENOSPC;
	if (want > SIZE_MAX - sizeof(*c))
		return -ENOMEM;
	if (!budget_take(a->budget, want)) {
		if (want == bytes || !budget_take(a->budget, bytes))
			return -ENOSPC;
		all = all - want + bytes;
		want = bytes;
	}
	c = mem_alloc(sizeof(*c) + want);
	if (!c && a->budget)
		atomic_fetch_sub(&a->budget->taken_bytes, want);
	if (!c)
		return -ENOMEM;
	c->next = a->head;
	c->bytes = want;
	a->head = c;
	a->used = 0;
	a->cap = want;
	a->taken_bytes = all;
	return 0;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	size_t rounded = bytes ? (bytes + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;

	if (ONE_PIECE_PER_CHUNK)
		rounded = bytes ? bytes : 1;
	if (a->err < 0 || rounded < bytes)
		return NULL;
	if (!a->head || ONE_PIECE_PER_CHUNK || a->cap - a->used < rounded) {
		a->err = chunk_add(a, rounded);
		if (a->err < 0)
			return NULL;
	}
	void *p = a->head->data + a->used;

	a->used += rounded;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n, size_t bytes)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, bytes, &all)) {
		a->err = -ENOMEM;
		return NULL;
	}
	p = arena_alloc(a, all);
	if (p)
		memset(p, 0, all);
	return p;
}

void *arena_memdup(struct arena *a, const void *src, size_t bytes)
{
	void *p = arena_alloc(a, bytes);

	if (p && bytes > 0)
		memcpy(p, src, bytes);
	return p;
}

char *arena_strndup(struct arena *a, struct str s)
{
	char *p = s.len + 1 > s.len ? arena_alloc(a, s.len + 1) : NULL;

	if (!p)
		return NULL;
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_memdup(a, s.p, s.len);

	return (struct str){ p, p ? s.len : 0 };
}
