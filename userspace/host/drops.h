/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples that were collected and will never arrive: one counter family, whoever drops them.
 * Threads: any.
 */

#include <stddef.h>

enum drop_reason {
	DROP_COLLECTION_FULL, /* the batch of a tick had no room */
	DROP_QUEUE_FULL,      /* the region was away for too long */
	DROP_REFUSED,         /* the region will not have them */
	DROP_NO_MEMORY,
	DROP_STOPPED, /* the daemon ended before they could be sent */
	DROP_REASONS
};

void drops_add(enum drop_reason why, size_t n_samples);
