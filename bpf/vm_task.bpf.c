/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU time, run delay, guest time and CFS throttling of every thread of every VM, in one pass.
 *
 * Hook     none: an iterator that user space reads when it polls. The kernel keeps the counters.
 * Keys     user space owns vm_tgids: it inserts a VM's tgid when the VM starts and deletes it when
 *          it is gone. A thread of anybody else costs one look-up.
 * Races    reads only; a counter that is written meanwhile is read before or after.
 * Limits   the walk up the cgroups is bounded. A limit may sit on a parent (jailer layouts).
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "bpf/vm_task.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VM_TASK_VMS_MAX);
	__type(key, __u32);   /* tgid of the VM's monitor process */
	__type(value, __u64); /* the registry's id of the VM */
} vm_tgids SEC(".maps");

static __u64 parents_throttled(struct task_group *tg)
{
	__u64 sum = 0;

	for (int i = 0; i < VM_TASK_DEPTH_MAX; i++) {
		tg = BPF_CORE_READ(tg, parent);
		if (!tg)
			break;
		sum += BPF_CORE_READ(tg, cfs_bandwidth.throttled_time);
	}
	return sum;
}

static void read_bandwidth(struct task_struct *task, struct vm_task_rec *rec)
{
	struct task_group *tg = task->sched_task_group;

	if (!tg || !bpf_core_field_exists(tg->cfs_bandwidth))
		return;
	rec->group = (__u64)tg;
	rec->throttled_ns = BPF_CORE_READ(tg, cfs_bandwidth.throttled_time);
	rec->throttled_parents_ns = parents_throttled(tg);
}

SEC("iter/task")
int vm_task_iter(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_task_rec rec = {};
	__u32 tgid;

	if (!task)
		return 0; /* the call behind the last task */
	tgid = pidns_tgid(task);
	if (!bpf_map_lookup_elem(&vm_tgids, &tgid))
		return 0;
	rec.tgid = tgid;
	rec.tid = pidns_tid(task);
	rec.exec_ns = task->se.sum_exec_runtime;
	rec.run_delay_ns = task->sched_info.run_delay;
	rec.utime_ns = task->utime;
	rec.stime_ns = task->stime;
	rec.gtime_ns = task->gtime;
	read_bandwidth(task, &rec);
	/* A full buffer makes the kernel call us again for this task, with room. */
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
