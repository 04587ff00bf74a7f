/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From collection to the destinations:
 *
 *	collector ─▶ outbox ─▶ encoder ─┬▶ queue on disk ─▶ requests
 *	             (memory)  (rules)  └▶ queue on disk ─▶ requests    for each destination
 *
 * A thread of its own takes batches from the outbox and puts them, encoded, into every queue: a
 * slow disk or a slow receiver never holds up collection. From the moment that a batch is in the
 * queues, nothing but the limits of a queue or a refusal loses a sample of it.
 *
 * Threads  delivery_push(): any. The rest: the collector thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

struct batch;
struct delivery;
struct host_conf;

/*
 * @tap: a file that gets a record of everything (tap.h), or NULL.
 *
 * -EINVAL with @e when a token's file or a rule is no good, -EBUSY when another daemon uses the
 * folder of the queues.
 */
int delivery_new(struct delivery **ret, const struct host_conf *conf, const char *tap,
                 struct err *e);

/*
 * delivery_set_conf() - takes over the settings of delivery: all of them, or on failure none.
 *
 * A destination that is no longer there ends, its queue stays on disk. It may wait for the disk.
 */
int delivery_set_conf(struct delivery *d, const struct host_conf *conf, struct err *e);

/* Takes over @b. */
void delivery_push(struct delivery *d, struct batch *b);
/*
 * The same for one of many small batches: within a second it is in the queues, together with
 * others, which makes fewer and better requests and asks less of the disk.
 */
void delivery_push_soon(struct delivery *d, struct batch *b);

/*
 * Whether a thread has been in one request for longer than any may take, as of @now_ns (monotonic):
 * then it hangs, and no watchdog should be told that all is well. Any thread.
 */
bool delivery_is_stuck(struct delivery *d, uint64_t now_ns);

/* Sends what waits for at most @flush_ms (a request under way: a second more), then frees @d. */
void delivery_stop(struct delivery *d, int64_t flush_ms); /* NULL is fine */

void delivery_metrics(struct buf *out, void *delivery); /* exposition text; waits for no disk */
