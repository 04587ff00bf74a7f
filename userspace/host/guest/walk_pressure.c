/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/pressure/memory, where the guest keeps it (a kernel may have it and be told psi=0).
 *
 * The kernel brings the averages up to date every 2 s while there is anything to measure, and when
 * somebody reads; a guest at rest does neither, so what has passed since is caught up with here as
 * the kernel would. Its total may be behind by those 2 s.
 *
 * Source: kernel/sched/psi.c (psi_show, update_averages, calc_avgs), include/linux/sched/loadavg.h
 * (calc_load, calc_load_n).
 */
#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define FIXED_SHIFT  11u
#define FIXED_1      (1u << FIXED_SHIFT)
#define NS_OF_SECOND 1000000000u
#define WINDOWS      3u /* 10, 60, 300 seconds */

/* The decay of a period, of each window, as the kernel's table has it. */
static const uint64_t decays[WINDOWS] = { 1677, 1981, 2034 };

/* What the kernel would do with its averages if somebody read them now. */
struct catch_up {
	bool due;
	uint64_t missed;    /* periods in which nothing happened */
	uint64_t period_ns; /* of the last one, which is measured */
};

static uint64_t power(uint64_t x, uint64_t n)
{
	uint64_t result = FIXED_1;

	for (; n > 0; n >>= 1) {
		if (n & 1)
			result = (result * x + (FIXED_1 >> 1)) >> FIXED_SHIFT;
		x = (x * x + (FIXED_1 >> 1)) >> FIXED_SHIFT;
	}
	return result;
}

static uint64_t calc_load(uint64_t load, uint64_t decay, uint64_t active)
{
	uint64_t sum = load * decay + active * (FIXED_1 - decay);

	return (active >= load ? sum + FIXED_1 - 1 : sum) / FIXED_1;
}

static struct catch_up catch_up(struct walk *w, uint64_t group)
{
	uint64_t hz = (NS_OF_SECOND + w->tick_ns / 2) / w->tick_ns;
	uint64_t period_ns = (2 * hz + 1) * w->tick_ns;
	uint64_t next = walk_get(w, group, F_PRESSURE_NEXT);
	uint64_t last = walk_get(w, group, F_PRESSURE_LAST);
	struct catch_up c = { .due = w->now_ns >= next && next > last };

	if (!c.due)
		return c;
	c.missed = (w->now_ns - next) / period_ns;
	c.period_ns = MAX(w->now_ns - last - c.missed * period_ns, (uint64_t)1);
	return c;
}

static uint64_t average_now(uint64_t average, uint32_t window, const struct catch_up *c,
                            uint64_t stalled_ns)
{
	uint64_t percent = MIN(stalled_ns, c->period_ns) * 100 / MAX(c->period_ns, (uint64_t)1);

	if (!c->due)
		return average;
	if (c->missed > 0)
		average = calc_load(average, power(decays[window], c->missed), 0);
	return calc_load(average, decays[window], percent * FIXED_1);
}

static void read_kind(struct walk *w, enum profile_value state, struct guest_pressure *out)
{
	uint64_t group = walk_symbol(w, S_PRESSURE);
	uint64_t index = (uint64_t)walk_value(w, state) * 8;
	uint64_t averages = walk_place(w, group, F_PRESSURE_AVERAGES) + index * WINDOWS;
	uint64_t total = walk_u64(w, walk_place(w, group, F_PRESSURE_TOTALS) + index);
	uint64_t counted = walk_u64(w, walk_place(w, group, F_PRESSURE_COUNTED) + index);
	struct catch_up c = catch_up(w, group);

	for (uint32_t i = 0; i < WINDOWS; i++) {
		uint64_t v = average_now(walk_u64(w, averages + i * 8), i, &c,
		                         (uint32_t)(total - counted));

		out->average_centi[i] =
			(uint32_t)((v >> FIXED_SHIFT) * 100 + (v % FIXED_1 * 100 >> FIXED_SHIFT));
	}
	out->total_us = total / 1000;
}

void walk_pressure(struct walk *w)
{
	w->out->has_pressure = walk_get(w, walk_symbol(w, S_PRESSURE_OFF), F_STATIC_KEY_ON) == 0;
	if (!w->out->has_pressure)
		return;
	read_kind(w, V_PRESSURE_SOME, &w->out->pressure[GUEST_PRESSURE_SOME]);
	read_kind(w, V_PRESSURE_FULL, &w->out->pressure[GUEST_PRESSURE_FULL]);
}
