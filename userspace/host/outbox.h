/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Batches on their way to the disk queues: the seam between collection, which must not wait, and
 * disks, which may make one wait. It lives in memory and holds a batch for some milliseconds.
 *
 * Full     Above samples_max whole batches are dropped, oldest first, and counted: new samples are
 *          worth more than old ones. The batch that is being worked on is not touched. A single
 *          batch may be larger than samples_max.
 * Threads  Any number of pushers, one taker; outbox_n_samples() on any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct outbox;

int outbox_new(struct outbox **ret, size_t samples_max);
void outbox_free(struct outbox *o); /* drops what is in it; NULL is fine */
void outbox_set_max(struct outbox *o, size_t samples_max);

/*
 * Takes over @b, always. After outbox_close() it is dropped and counted. @may_wait: the taker may
 * gather it with others before it goes on.
 */
void outbox_push(struct outbox *o, struct batch *b, bool may_wait);

/*
 * The oldest batch, which stays counted until outbox_release(). Waits for one until @until_mono_ns
 * (UINT64_MAX: for ever). 0, -EAGAIN when there was none, -EPIPE when closed and empty.
 */
int outbox_take(struct outbox *o, uint64_t until_mono_ns, struct batch **ret, bool *ret_may_wait);
void outbox_release(struct outbox *o, struct batch *taken);

/* No more comes; the taker drains what is there. */
void outbox_close(struct outbox *o);
size_t outbox_n_samples(struct outbox *o);
