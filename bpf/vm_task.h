/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/vm_task.bpf.c and userspace/host/task_reader.c: shapes, and nothing else. */

#include <linux/types.h>

#define VM_TASK_VMS_MAX   4096
#define VM_TASK_DEPTH_MAX 8 /* cgroups above a thread that are looked at */

/* One thread of a watched process, as the iterator writes it. */
struct vm_task_rec {
	__u32 tgid, tid;
	__u64 exec_ns;
	__u64 run_delay_ns; /* throttled time included */
	__u64 utime_ns, stime_ns, gtime_ns;
	__u64 group;                /* identity of the thread's cgroup; 0 = no CFS bandwidth */
	__u64 throttled_ns;         /* of its own cgroup */
	__u64 throttled_parents_ns; /* of the cgroups above it */
};
