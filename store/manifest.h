/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The list of what belongs to the store: MANIFEST, a text (docs/format/manifest.md), replaced as a
 * whole. A block that is not in it is not there, whatever the folder says; a log segment before the
 * first one that it names has been flushed.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/err.h"
#include "userspace/base/str.h"

#define MANIFEST_BLOCKS_MAX 100000u

struct manifest {
	uint64_t epoch;       /* the last one that is flushed */
	uint64_t wal_first;   /* first segment that is still needed */
	uint64_t next_block;  /* number of the next block */
	uint64_t next_delete; /* of the next tombstone */
	uint64_t *blocks;     /* ascending */
	size_t n_blocks, blocks_cap;
};

void manifest_done(struct manifest *m);

/* Sorted in; -ENOMEM. */
int manifest_add(struct manifest *m, uint64_t block);
void manifest_remove(struct manifest *m, uint64_t block);

/* Untrusted text. -EBADMSG and -EPROTO (a later version) with @e, -ENOMEM. */
int manifest_parse(struct str text, struct manifest *ret, struct err *e);

/* -ENOENT when there is none, else as manifest_parse() or what the disk says. */
int manifest_read(const char *dir, struct manifest *ret, struct err *e);
/* Whole and durable, or as it was before. */
int manifest_write(const char *dir, const struct manifest *m);
