/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Made-up VMs: a source whose readings are invented and whose everything else is real. It puts the
 * load of a full host on batch, stale marks, rules, queues and requests, to measure what they cost
 * and to see that they lose nothing, on a machine that has no VM at all.
 *
 * Readings  Rows of the catalogue, as often as the VM has vCPUs, disks and interfaces, until the
 *           number of series is reached. Most VMs do little, some are busy; counters of errors stay
 *           0, sizes stay, counters grow by whole numbers, memory goes up and down by pages.
 *           The same options make the same numbers.
 */

#include <stdint.h>

#include "userspace/base/err.h"

struct batch;
struct simulation;
struct source_ops;

#define SIMULATE_VMS_MAX    100000u
#define SIMULATE_SERIES_MAX 1000u

struct simulate_opts {
	uint32_t n_vms, n_series; /* series of each VM */
};

/* "VMS=1000" or "VMS=1000,SERIES=150", which is the default. -EINVAL with @e. */
int simulate_parse(const char *text, struct simulate_opts *ret, struct err *e);

int simulation_new(struct simulation **ret, const struct simulate_opts *opts, const char *host,
                   const char *region);
void simulation_free(struct simulation *s); /* NULL is fine */
/* The next reading of every VM. 0, or what the batch says: -ENOSPC, -ENOMEM. */
int simulation_collect(struct simulation *s, int64_t now_ms, struct batch *out);

/* The same as a source, with what simulate_use() was told before it is opened. */
extern const struct source_ops simulate_source;
void simulate_use(const struct simulate_opts *opts);
