/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The kernel structures that our programs read, with the fields that they read and nothing else.
 * CO-RE looks fields up by name in the running kernel's BTF, so order and size do not matter here.
 * This file is thus the complete list of kernel internals that we depend on: a kernel that renames
 * one of these fields refuses to load the program, and tests/bpf/ says which.
 */

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct sched_entity {
	__u64 sum_exec_runtime; /* ns on a CPU */
};

struct sched_info {
	unsigned long long run_delay; /* ns ready and waiting, throttled time included */
};

struct cfs_bandwidth {
	__u64 throttled_time; /* ns, summed over CPUs */
};

struct task_group {
	struct task_group *parent;
	struct cfs_bandwidth cfs_bandwidth; /* only with CONFIG_CFS_BANDWIDTH */
};

struct ns_common {
	unsigned int inum; /* of /proc/PID/ns/x */
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid { /* a process's number in one namespace */
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1 of them, the initial namespace's first */
};

struct signal_struct {
	atomic_t live;                        /* threads that are left */
	int group_exit_code;                  /* as wait(2) gives it */
	unsigned long long sum_sched_runtime; /* ns of threads that are gone */
};

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	__u64 utime, stime, gtime; /* ns */
	struct sched_entity se;
	struct sched_info sched_info;
	struct task_group *sched_task_group;
	struct signal_struct *signal;
	struct task_struct *group_leader;
	struct pid *thread_pid;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop
