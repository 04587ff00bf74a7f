/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A lock of one byte, for what is held for some hundred nanoseconds and of which there are
 * millions: a mutex would be 40 bytes of each series. Yields when the holder is not on a CPU.
 */

#include <sched.h>
#include <stdatomic.h>

struct spin {
	atomic_uchar held;
};

static inline void spin_lock(struct spin *s)
{
	for (unsigned tries = 0; atomic_exchange_explicit(&s->held, 1, memory_order_acquire);
	     tries++) {
		if (tries >= 64)
			(void)sched_yield();
	}
}

static inline void spin_unlock(struct spin *s)
{
	atomic_store_explicit(&s->held, 0, memory_order_release);
}
