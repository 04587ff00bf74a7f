/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/vm_task.bpf.c, bpf/vm_life.bpf.c and user space: shapes, and nothing else. */

#include <linux/types.h>

#define VM_TASK_VMS_MAX     8192
#define VM_TASK_THREADS_MAX 32768 /* whose use is sampled between two passes */
#define VM_TASK_DEPTH_MAX   8     /* cgroups above a thread that are looked at */

/* One thread of a watched process, as the iterator writes it. */
struct vm_task_rec {
	__u32 tgid, tid;
	__u32 slot; /* of the VM, as user space numbers them */
	__u32 pad;
	__u64 exec_ns;
	__u64 exec_ended_ns; /* of the process's threads that are gone */
	__u64 run_delay_ns;  /* throttled time included */
	__u64 utime_ns, stime_ns, gtime_ns;
	__u64 group;                /* identity of the thread's cgroup; 0 = no CFS bandwidth */
	__u64 throttled_ns;         /* of its own cgroup */
	__u64 throttled_parents_ns; /* of the cgroups above it */
	__u64 quota_ns, period_ns;  /* tightest limit of all these; 0 = none */
};

/*
 * A thread whose use is sampled. The kernel's memory at @task may be another thread's by now:
 * @tid and @start_ns tell.
 */
struct vm_task_thread {
	__u64 task; /* address */
	__u64 start_ns;
	__u64 exec_ns; /* when it was sampled last */
	__u32 tid;     /* in the initial PID namespace */
	__u32 tgid;    /* as user space sees it: key of vm_tgids */
};
