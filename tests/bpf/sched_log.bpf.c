/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Test only: an independent log of switches and wake-ups of one thread. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "tests/bpf/sched_log.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} sched_log_ring SEC(".maps");

const volatile __u32 target_tid = 0;
__u64 lost = 0;

/*
 * The scheduler's clock of a CPU, and the same without what was no time of any thread: interrupts,
 * and what a hypervisor stole, where the kernel is told of it. Both stand still between a switch
 * and its event; another clock, read here, would count what is stolen in between.
 */
struct rq___clocks {
	__u64 clock, clock_task;
} __attribute__((preserve_access_index));

struct cfs_rq___clocks {
	struct rq___clocks *rq;
} __attribute__((preserve_access_index));

struct sched_entity___clocks {
	struct cfs_rq___clocks *cfs_rq;
} __attribute__((preserve_access_index));

struct task_struct___clocks {
	struct sched_entity___clocks se;
} __attribute__((preserve_access_index));

static void put(enum sched_log_what what, const struct task_struct *task)
{
	const struct task_struct___clocks *t = (const void *)task;
	struct sched_log_rec rec = { .what = what };

	if (bpf_core_field_exists(t->se.cfs_rq)) {
		/* Through the task, for want of the runqueue's address. */
		struct rq___clocks *rq = BPF_CORE_READ(t, se.cfs_rq, rq);

		rec.clock_ns = BPF_CORE_READ(rq, clock);
		rec.clock_task_ns = BPF_CORE_READ(rq, clock_task);
	} else {
		rec.clock_ns = rec.clock_task_ns = bpf_ktime_get_ns();
	}
	if (bpf_ringbuf_output(&sched_log_ring, &rec, sizeof(rec), BPF_RB_NO_WAKEUP) != 0)
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_log_sw, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	if (pidns_tid(prev) == target_tid)
		put(preempt || prev_state == 0 ? SCHED_LOG_OUT_READY : SCHED_LOG_OUT_ASLEEP, prev);
	if (pidns_tid(next) == target_tid)
		put(SCHED_LOG_IN, next);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_log_wake, struct task_struct *task)
{
	if (pidns_tid(task) == target_tid)
		put(SCHED_LOG_WOKEN, task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
