/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Process numbers as our user space sees them. The kernel has a number for each PID namespace that
 * a process is in, from the initial one down; in a container, tables keyed by the kernel's own
 * would silently match nobody. For kernel programs only.
 */

#include <bpf/bpf_core_read.h>

#include "bpf/kernel_types.h"

#define PIDNS_DEPTH_MAX 8 /* the kernel allows 32; who nests deeper reads /proc */

/* Set before loading; 0 = we are in the initial namespace, and the kernel's numbers are ours. */
const volatile __u32 pidns_ino = 0;

/* 0: not visible to us. */
static __always_inline __u32 pidns_number(struct pid *pid)
{
	__u32 level = BPF_CORE_READ(pid, level);

	for (__u32 i = 0; i < PIDNS_DEPTH_MAX && i <= level; i++) {
		struct upid *at = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		                  i * bpf_core_type_size(struct upid);

		if (BPF_CORE_READ(at, ns, ns.inum) == pidns_ino)
			return (__u32)BPF_CORE_READ(at, nr);
	}
	return 0;
}

static __always_inline __u32 pidns_tgid(struct task_struct *task)
{
	if (pidns_ino == 0)
		return (__u32)task->tgid;
	return pidns_number(BPF_CORE_READ(task, group_leader, thread_pid));
}

static __always_inline __u32 pidns_tid(struct task_struct *task)
{
	if (pidns_ino == 0)
		return (__u32)task->pid;
	return pidns_number(BPF_CORE_READ(task, thread_pid));
}
