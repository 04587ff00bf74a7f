/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How often each of many texts occurred: a hash table of counters, and the largest of them.
 *
 * Limit    @n_max different texts; more are not taken, and counted in @refused.
 * Threads  One owner, or a lock around it.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/str.h"

struct count {
	uint64_t hash;
	uint64_t n;
	uint64_t last; /* the caller's */
	size_t len;
	char text[];
};

struct counts {
	struct count **slots; /* open-addressed */
	size_t n, cap;        /* cap: a power of two, or 0 */
	size_t n_max;         /* 0 = no limit */
	uint64_t refused;
};

#define COUNTS_INIT(max) ((struct counts){ .n_max = (max) })

static inline struct str count_text(const struct count *c)
{
	return (struct str){ c->text, c->len };
}

void counts_done(struct counts *c);

/* The counter of @text, made when it is missing; NULL when there are too many, or no memory. */
struct count *counts_at(struct counts *c, struct str text);
struct count *counts_find(const struct counts *c, struct str text); /* NULL = never met */

/*
 * counts_sort() - the counters in an array that the caller frees, the largest first, equal ones by
 * their texts. NULL when out of memory.
 */
const struct count **counts_sort(const struct counts *c);
