/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Deleting by selector.
 *
 *	flush    all that there is goes into blocks, and is read from there
 *	hide     a tombstone is durable, then visible: scans leave out what it names
 *	remove   merges write blocks without it; a tombstone that no block needs is forgotten
 *
 * What is appended after the flush is never hidden, whatever its time is.
 */

#include <stdbool.h>

#include "store/view.h"

struct store;

/* Is something of @b deleted, and has been for so long that it is to be removed? */
bool delete_is_due(struct block *b, const struct tombstones *t, int64_t now_ms, bool is_forced);

/* Forgets tombstones that no block needs any more. */
int delete_forget(struct store *s);
