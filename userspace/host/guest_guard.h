/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Samples of guests whose memory somebody else brings (userfaultfd, after a restored snapshot): a
 * read may wait for that one, and nothing but its answer or the monitor's end wakes it. They are
 * taken on a thread of their own. One that does not come back in time is left behind, with the
 * guest that it reads, and the next sample gets another thread; what came back late is cleared
 * away later.
 *
 * Threads  Called by one; the threads that it makes touch nothing but their job.
 * Cost     a thread and 4 MiB while there are such guests.
 */

#include <stdint.h>

#include "userspace/host/guest/guest.h"

#define GUEST_GUARD_HUNG_MAX 4   /* threads that are left behind; then there are no more samples */
#define GUEST_GUARD_WAIT_MS  250 /* for a sample */

struct guest_guard;

int guest_guard_new(struct guest_guard **ret); /* -ENOMEM */
/* Threads that still hang are left to the end of the process. NULL is fine. */
void guest_guard_free(struct guest_guard *g);

/*
 * guest_guard_sample() - as guest_sample(), or
 *   -ETIMEDOUT  it hangs: @guest and the reference @profile are the guard's from now on
 *   -EBUSY      too many hang
 */
int guest_guard_sample(struct guest_guard *g, struct guest *guest, const struct profile *profile,
                       uint32_t families, uint64_t host_ns, struct guest_sample *ret);

/* Threads that hang, after those that came back were cleared away. */
uint32_t guest_guard_n_hung(struct guest_guard *g);
