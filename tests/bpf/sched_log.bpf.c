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

static void put(enum sched_log_what what)
{
	struct sched_log_rec rec = { .mono_ns = bpf_ktime_get_ns(), .what = what };

	if (bpf_ringbuf_output(&sched_log_ring, &rec, sizeof(rec), BPF_RB_NO_WAKEUP) != 0)
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_log_sw, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	if (pidns_tid(prev) == target_tid)
		put(prev_state == 0 ? SCHED_LOG_OUT_READY : SCHED_LOG_OUT_ASLEEP);
	if (pidns_tid(next) == target_tid)
		put(SCHED_LOG_IN);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_log_wake, struct task_struct *task)
{
	if (pidns_tid(task) == target_tid)
		put(SCHED_LOG_WOKEN);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
