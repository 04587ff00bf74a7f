/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A worker's sign of life, by which a watchdog tells busy from stuck: the worker says when it
 * begins and ends a piece of work, the watcher knows how long one may take. Idle is never stuck.
 *
 * Threads  One worker for each beat; any number of watchers.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/clock.h"

struct beat {
	_Atomic uint64_t since_ns; /* monotonic; 0 = idle */
};

static inline void beat_begin(struct beat *b)
{
	atomic_store_explicit(&b->since_ns, clock_mono_ns(), memory_order_relaxed);
}

static inline void beat_end(struct beat *b)
{
	atomic_store_explicit(&b->since_ns, 0, memory_order_relaxed);
}

/* Whether the piece of work that is under way at @now_ns began more than @limit_ns ago. */
static inline bool beat_is_stuck(const struct beat *b, uint64_t now_ns, uint64_t limit_ns)
{
	uint64_t since_ns = atomic_load_explicit(&b->since_ns, memory_order_relaxed);

	return since_ns != 0 && now_ns > since_ns && now_ns - since_ns > limit_ns;
}
