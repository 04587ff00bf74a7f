/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples that were collected and will never arrive: one counter family, whoever drops them. What
 * is lost before the destinations part is counted in drops_common, the rest for each destination.
 * Threads: any.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"

enum drop_reason {
	DROP_COLLECTION_FULL, /* the batch of a tick had no room */
	DROP_OUTBOX_FULL,     /* the queues did not take them in time */
	DROP_QUEUE_FULL,      /* the destination was away for too long */
	DROP_TOO_OLD,         /* the same, by the queue's limit of age */
	DROP_REFUSED,         /* the destination will not have them */
	DROP_DAMAGED,         /* the disk did not keep them */
	DROP_NO_MEMORY,
	DROP_STOPPED, /* the daemon ended, and there was no disk to keep them on */
	DROP_REASONS
};

struct drops {
	_Atomic int64_t n[DROP_REASONS];
};

extern struct drops drops_common;

void drops_add(struct drops *d, enum drop_reason why, size_t n_samples);
int64_t drops_get(const struct drops *d, enum drop_reason why);

/* The family's head; then its lines of one @d, all reasons: labels destination (if any), reason. */
void drops_put_family(struct buf *out);
void drops_put(struct buf *out, const struct drops *d, const char *destination);
