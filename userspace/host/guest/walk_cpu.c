/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/stat: the ten modes of each CPU that is online.
 *
 * A CPU without a tick counts its idle time only when it wakes up; until then the kernel adds what
 * has passed since it fell asleep, and so do we, with the guest's clock (clock.h).
 *
 * Source: fs/proc/stat.c, kernel/time/tick-sched.c (get_cpu_idle_time_us, get_cpu_iowait_time_us);
 * since 7.1 kernel/sched/cputime.c (kcpustat_field_idle, kcpustat_field_iowait).
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

static const enum profile_value modes[GUEST_MODES] = {
	[GUEST_MODE_USER] = V_CPU_USER,       [GUEST_MODE_NICE] = V_CPU_NICE,
	[GUEST_MODE_SYSTEM] = V_CPU_SYSTEM,   [GUEST_MODE_IDLE] = V_CPU_IDLE,
	[GUEST_MODE_IOWAIT] = V_CPU_IOWAIT,   [GUEST_MODE_IRQ] = V_CPU_IRQ,
	[GUEST_MODE_SOFTIRQ] = V_CPU_SOFTIRQ, [GUEST_MODE_STEAL] = V_CPU_STEAL,
	[GUEST_MODE_GUEST] = V_CPU_GUEST,     [GUEST_MODE_GUEST_NICE] = V_CPU_GUEST_NICE,
};

static uint64_t since(const struct walk *w, uint64_t start_ns)
{
	return w->now_ns > start_ns ? w->now_ns - start_ns : 0;
}

static bool waits_for_io(struct walk *w, uint32_t cpu)
{
	return walk_get(w, walk_per_cpu_symbol(w, S_CPU_RUNQUEUE, cpu), F_CPU_N_IOWAIT) > 0;
}

/* Idle and iowait are kept apart from the other modes, in the tick's state. */
static void idle_of_tick(struct walk *w, struct guest_cpu *c)
{
	uint64_t tick = walk_per_cpu_symbol(w, S_CPU_TICK, c->id);

	if (walk_has_symbol(w, S_TICKLESS) && walk_u32(w, walk_symbol(w, S_TICKLESS)) == 0)
		return; /* every tick was counted: the modes say it all */
	c->ns[GUEST_MODE_IDLE] = walk_get(w, tick, F_TICK_IDLE_NS);
	c->ns[GUEST_MODE_IOWAIT] = walk_get(w, tick, F_TICK_IOWAIT_NS);
	if (walk_get(w, tick, F_TICK_IDLE))
		c->ns[waits_for_io(w, c->id) ? GUEST_MODE_IOWAIT : GUEST_MODE_IDLE] +=
			since(w, walk_get(w, tick, F_TICK_IDLE_SINCE));
}

/* Both are among the other modes; time that was stolen meanwhile is still to be taken off. */
static void idle_of_stat(struct walk *w, struct guest_cpu *c, uint64_t stat)
{
	bool io = waits_for_io(w, c->id);
	uint64_t stolen = walk_u64(w, walk_place(w, stat, F_STAT_IDLE_STOLEN) + io * 8u);
	uint64_t slept;

	if (!walk_get(w, stat, F_STAT_IDLE))
		return;
	slept = since(w, walk_get(w, stat, F_STAT_IDLE_SINCE));
	c->ns[io ? GUEST_MODE_IOWAIT : GUEST_MODE_IDLE] += slept - MIN(stolen, slept);
}

static void read_cpu(struct walk *w, struct guest_cpu *c)
{
	uint64_t stat = walk_per_cpu_symbol(w, S_CPU_STAT, c->id);
	uint64_t counters = walk_place(w, stat, F_CPU_MODES);

	for (uint32_t i = 0; i < GUEST_MODES; i++)
		c->ns[i] = walk_u64(w, counters + (uint64_t)walk_value(w, modes[i]) * 8);
	if (walk_has(w, F_STAT_IDLE_SINCE) && walk_has(w, F_STAT_IDLE_STOLEN))
		idle_of_stat(w, c, stat);
	else
		idle_of_tick(w, c);
}

void walk_cpu(struct walk *w)
{
	struct guest_sample *out = w->out;

	out->n_cpus = 0;
	WALK_EACH_CPU(cpu, w->online)
	{
		if (out->n_cpus == GUEST_CPUS_MAX || walk_failed(w))
			return;
		out->cpus[out->n_cpus].id = cpu;
		read_cpu(w, &out->cpus[out->n_cpus++]);
	}
}
