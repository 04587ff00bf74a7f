/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The blocks that there are at one moment, and what of them is deleted: immutable, with counted
 * references. Whoever changes the list publishes a new view; whoever reads keeps the one that he
 * found.
 */

#include <stdatomic.h>
#include <stddef.h>

#include "store/block.h"
#include "store/tombstones.h"

/* A block of the manifest that cannot be opened: its samples are missing, and that is said. */
struct broken_block {
	uint64_t number;
	struct err why;
};

struct view {
	_Atomic unsigned refs;
	size_t n, n_broken;
	struct broken_block *broken;
	struct tombstones *deleted;
	struct block *blocks[]; /* ascending by number; a reference each */
};

/* Takes its own references to @blocks and @deleted. NULL when out of memory. */
struct view *view_new(struct block *const *blocks, size_t n, const struct broken_block *broken,
                      size_t n_broken, struct tombstones *deleted);
struct view *view_ref(struct view *v);
void view_unref(struct view *v); /* NULL is fine */

/* @v without the blocks @gone[0..n_gone), and with @fresh[0..n_fresh). NULL: out of memory. */
struct view *view_changed(const struct view *v, struct block *const *gone, size_t n_gone,
                          struct block *const *fresh, size_t n_fresh);

/* @v with other tombstones. */
struct view *view_deleted(const struct view *v, struct tombstones *deleted);
