/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The kernel's own CPU counters of a thread, and the CFS bandwidth of the cgroups that it is in.
 * For kernel programs only. The walk up the cgroups is bounded, and a limit may sit on a parent
 * (jailer layouts).
 */

#include <bpf/bpf_core_read.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "bpf/vm_task.h"

/* Keeps the tightest limit: the least quota for each second. */
static __always_inline void note_limit(struct task_group *tg, struct vm_task_rec *rec)
{
	__u64 quota = BPF_CORE_READ(tg, cfs_bandwidth.quota);
	__u64 period = BPF_CORE_READ(tg, cfs_bandwidth.period);

	if (quota == CFS_NO_LIMIT || period == 0)
		return;
	/* Both are below 2^36 (about a minute), so the products do not overflow. */
	if (rec->quota_ns == 0 || quota / 1024 * rec->period_ns < rec->quota_ns / 1024 * period) {
		rec->quota_ns = quota;
		rec->period_ns = period;
	}
}

static __always_inline void read_bandwidth(struct task_struct *task, struct vm_task_rec *rec)
{
	struct task_group *tg = task->sched_task_group;

	if (!tg || !bpf_core_field_exists(tg->cfs_bandwidth))
		return;
	rec->group = (__u64)tg;
	rec->throttled_ns = BPF_CORE_READ(tg, cfs_bandwidth.throttled_time);
	note_limit(tg, rec);
	for (int i = 0; i < VM_TASK_DEPTH_MAX; i++) {
		tg = BPF_CORE_READ(tg, parent);
		if (!tg)
			break;
		rec->throttled_parents_ns += BPF_CORE_READ(tg, cfs_bandwidth.throttled_time);
		note_limit(tg, rec);
	}
}

static __always_inline void read_counters(struct task_struct *task, struct vm_task_rec *rec)
{
	rec->exec_ns = task->se.sum_exec_runtime;
	rec->exec_ended_ns = task->signal->sum_sched_runtime;
	rec->run_delay_ns = task->sched_info.run_delay;
	rec->utime_ns = task->utime;
	rec->stime_ns = task->stime;
	rec->gtime_ns = task->gtime;
	read_bandwidth(task, rec);
}
