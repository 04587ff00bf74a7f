/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the daemon says about itself at /metrics of its own, as samples that are shipped like all
 * others: a region sees which of its hosts are behind, and what they lost.
 *
 * They have the labels host and region and name no organisation: which one has them is for the
 * receiver to say.
 *
 * Threads  One owner.
 * Cost     Exposition text is written and read again: 0.1 ms for 100 series.
 */

#include <stdint.h>

struct batch;
struct host_conf;

struct own_series {
	uint64_t metadata_due_ns; /* TYPE and HELP go along every ten minutes */
};

/*
 * Adds them to @b, stamped @ts_ms. 0, or -ENOSPC or -ENOMEM of the batch: then some are missing.
 */
int own_series_add(struct own_series *own, const struct host_conf *conf, int64_t ts_ms,
                   struct batch *b);
