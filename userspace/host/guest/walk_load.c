/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/loadavg.
 *
 * Source: fs/proc/loadavg.c, include/linux/sched/loadavg.h (FSHIFT is 11).
 */
#include "userspace/host/guest/walk.h"

#define FIXED_SHIFT 11u
#define FIXED_1     (1u << FIXED_SHIFT)

void walk_load(struct walk *w)
{
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t v = walk_u64(w, walk_symbol(w, S_LOAD) + i * 8) + FIXED_1 / 200;

		/* Cut to two digits as the kernel does, not rounded. */
		w->out->load_centi[i] =
			(uint32_t)((v >> FIXED_SHIFT) * 100 + (v % FIXED_1 * 100 >> FIXED_SHIFT));
	}
}
