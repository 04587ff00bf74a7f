/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What time it is in a guest. Its timekeeper says when it was last updated, which in an idle guest
 * without ticks may be half a second ago and more; idle time needs to know "now".
 *
 * Envelope: d = guest's time of its last update - host's time when it was read. A sample right
 * after an update has the largest d, so now = host's now + the largest d of late. "Of late" is
 * between one and two windows of samples: the two clocks drift apart by parts per million, and a
 * maximum kept for ever would run away. A guest that was paused falls behind by that much at once,
 * and is followed at once.
 *
 * Source: kernel/time/timekeeping.c (tkr_mono.base + xtime_nsec >> shift).
 */

#include <stdbool.h>
#include <stdint.h>

#define ENVELOPE_SAMPLES   32                        /* of a window */
#define ENVELOPE_BEHIND_NS ((int64_t)5 * 1000000000) /* this far behind, it was paused */

struct envelope {
	int64_t now_max_ns, before_max_ns; /* of d, in this window and in the one before */
	uint32_t n;                        /* samples of this window */
	bool set, before_set;
};

/* @guest_ns: the guest's last update; @host_ns: CLOCK_MONOTONIC when that was read. */
void envelope_add(struct envelope *e, uint64_t guest_ns, uint64_t host_ns);
/* The guest's monotonic time at the host's @host_ns; 0 before the first envelope_add(). */
uint64_t envelope_now(const struct envelope *e, uint64_t host_ns);
