/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One place where samples go: a disk queue and the threads that empty it, one for each request that
 * may be under way ("shards").
 *
 *	a request fails     all wait: backoff_min, doubled up to backoff_max, each shortened by a
 *	                    random quarter at most, so that hosts do not come back all at once; a
 *	                    longer Retry-After is obeyed. Then one request tries first.
 *	it is back          new samples go at once, older ones at catch_up_samples a second.
 *
 * Threads  destination_append(), destination_commit(): one appender. destination_put_metrics():
 *          any. The rest: one owner.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/drops.h"

struct destination;
struct destination_conf;
struct settings;
struct spool_limits;

struct destination_place {
	const char *queue_dir; /* of all destinations; "" = no files */
	uint64_t memory_bytes_max;
	bool sync;
};

/*
 * Opens its queue and starts. Takes over a reference of @settings, on success. -ENOMEM, … with @e.
 */
int destination_open(struct destination **ret, const struct destination_conf *conf,
                     struct settings *settings, const struct destination_place *place,
                     struct err *e);
/* Others from now on, for what is sent next. Takes over a reference of @settings. */
void destination_set(struct destination *d, const struct destination_conf *conf,
                     struct settings *settings, const struct destination_place *place);

/* Sends what waits until @giveup_mono_ns, if it gets through; then destination_close(). */
void destination_begin_end(struct destination *d, uint64_t giveup_mono_ns);
void destination_close(struct destination *d); /* NULL is fine */

const char *destination_name(const struct destination *d);
struct drops *destination_drops(struct destination *d);
/* Those in force; valid while no other thread may call destination_set(). */
struct settings *destination_settings(struct destination *d);

void destination_append(struct destination *d, struct str block, uint32_t n_samples, uint8_t lane,
                        uint8_t lanes);
void destination_commit(struct destination *d);

bool destination_is_stuck(const struct destination *d, uint64_t now_ns); /* delivery.h */

/* Families of @n destinations, samples dropped included; exposition text. */
void destination_put_metrics(struct buf *out, struct destination *const *all, size_t n);
