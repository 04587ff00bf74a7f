/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Batches on their way to the region: what the collector made and the sender has not delivered yet.
 * The seam between the two; what is behind it lives in memory and is lost with the process.
 *
 * Full     Above samples_max whole batches are dropped, oldest first, and counted: new samples are
 *          worth more than old ones. The batch that is being sent is not touched. A single batch
 *          may be larger than samples_max.
 * Threads  One pusher, one taker; outbox_n_samples() on any.
 */

#include <stddef.h>
#include <stdint.h>

struct batch;
struct outbox;

int outbox_new(struct outbox **ret, size_t samples_max);
void outbox_free(struct outbox *o); /* drops what is in it; NULL is fine */
void outbox_set_max(struct outbox *o, size_t samples_max);

/* Takes over @b, always. After outbox_close() it is dropped and counted. */
void outbox_push(struct outbox *o, struct batch *b);

/*
 * The oldest batch, which stays counted until outbox_release(). Waits for one until @until_mono_ns
 * (UINT64_MAX: for ever). 0, -EAGAIN when there was none, -EPIPE when closed and empty.
 */
int outbox_take(struct outbox *o, uint64_t until_mono_ns, struct batch **ret);
void outbox_release(struct outbox *o, struct batch *taken);

/* No more comes; the taker drains what is there. */
void outbox_close(struct outbox *o);
size_t outbox_n_samples(struct outbox *o);
