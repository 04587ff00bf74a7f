/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What has been deleted and may still be in blocks: selectors, each with a range of time. A
 * tombstone hides samples in blocks that are not younger than itself: those whose `deleted`
 * (store/block_format.h) is below its number. What came later is not touched by it.
 *
 * Shape    a list by ascending number, immutable, with counted references; part of a view. On disk
 *          one file, replaced as a whole (docs/format/tombstones.md).
 */

#include <stdatomic.h>

#include "store/store.h"
#include "userspace/base/arena.h"

struct tombstone {
	uint64_t number;
	struct str org;
	int64_t min_ms, max_ms; /* inclusive */
	int64_t made_ms;        /* when; wall clock */
	const struct store_match_set *sets;
	size_t n_sets; /* 0 = every series */
	struct store_match_set enforced;
};

struct tombstones {
	_Atomic unsigned refs;
	struct arena arena; /* of everything */
	struct tombstone *v;
	size_t n;
	uint64_t last; /* number of the newest that ever was */
};

/* Without any. NULL = out of memory. */
struct tombstones *tombstones_new(uint64_t last);
struct tombstones *tombstones_ref(struct tombstones *t);
void tombstones_unref(struct tombstones *t); /* NULL is fine */

/*
 * A copy: of those of @t for which @keep is NULL or says so, and with @more (may be NULL), whose
 * number is @last + 1. NULL = out of memory.
 */
typedef bool (*tombstone_keep_f)(const void *ctx, const struct tombstone *x);
struct tombstones *tombstones_changed(const struct tombstones *t, tombstone_keep_f keep,
                                      const void *ctx, const struct tombstone *more);

/* Untrusted bytes; those above @last are left out. -EBADMSG and -EPROTO with @e, -ENOMEM. */
int tombstones_parse(struct str bytes, uint64_t last, struct tombstones **ret, struct err *e);

/* The file of a store; no file is no tombstones. */
int tombstones_read(const char *dir, uint64_t last, struct tombstones **ret, struct err *e);
/* Whole and durable, or as it was before. */
int tombstones_write(const char *dir, const struct tombstones *t);
