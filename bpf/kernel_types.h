/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * The kernel structures that our programs read, with the fields that they read and nothing else.
 * CO-RE looks fields up by name in the running kernel's BTF, so order and size do not matter here.
 * This file is thus the complete list of kernel internals that we depend on: a kernel that renames
 * one of these fields refuses to load the program, and tests/bpf/ says which.
 */

#include <linux/in6.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct sched_entity {
	__u64 sum_exec_runtime; /* ns on a CPU */
};

struct sched_info {
	unsigned long pcount;         /* times that it got a CPU */
	unsigned long long run_delay; /* ns ready and waiting, throttled time included */
};

#define CFS_NO_LIMIT (~0ull) /* RUNTIME_INF */

struct cfs_bandwidth {
	__u64 quota, period;  /* ns */
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

struct mm_struct;

#define SIGNAL_GROUP_EXIT 4u /* flags: all threads are to end */

struct signal_struct {
	struct mm_struct *oom_mm; /* set once the OOM killer has chosen this process */
	unsigned int flags;
	atomic_t live;                        /* threads that are left */
	int group_exit_code;                  /* as wait(2) gives it */
	unsigned long long sum_sched_runtime; /* ns of threads that are gone */
};

struct task_struct {
	int pid;
	int tgid;
	int exit_code, exit_state;
	__u64 start_boottime;      /* ns */
	__u64 utime, stime, gtime; /* ns */
	struct sched_entity se;
	struct sched_info sched_info;
	struct task_group *sched_task_group;
	struct signal_struct *signal;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct bpf_local_storage *bpf_storage; /* NULL: none of any program */
};

/* ---- block devices */

struct block_device {
	__u32 bd_dev; /* major << 20 | minor */
};

struct gendisk {
	struct block_device *part0; /* the whole */
};

struct request_queue {
	struct gendisk *disk;
};

#define REQ_OP_MASK 0xffu

enum req_op {
	REQ_OP_READ = 0,
	REQ_OP_WRITE = 1,
	REQ_OP_ZONE_APPEND = 7,
	REQ_OP_WRITE_ZEROES = 9,
};

struct request {
	struct request_queue *q;
	__u32 cmd_flags; /* operation and flags */
	__u32 rq_flags;
	unsigned int __data_len; /* bytes that are left */
	struct block_device *part;
	__u64 start_time_ns;
};

struct bvec_iter {
	unsigned int bi_size; /* bytes that are left */
};

struct bio {
	struct block_device *bi_bdev;
	__u32 bi_opf; /* operation and flags */
	struct bvec_iter bi_iter;
};

/* ---- sockets */

typedef struct {
	__s64 counter;
} atomic64_t;

struct kernfs_node {
	__u64 id; /* of a cgroup: the inode number of its folder */
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[1]; /* level + 1 of them, the root first; since 6.1 */
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr; /* network order */
	__u16 skc_dport;                /* network order */
	__u16 skc_num;                  /* local port, host order */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};

enum sock_flags {
	SOCK_DONE = 1, /* the peer's FIN has come */
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_nxt, rcv_wnd, snd_una, snd_nxt, write_seq;
	__u64 bytes_received, bytes_acked;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

/* ---- memory of virtual machines */

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct kvm_memory_slot {
	struct hlist_node id_node[2];
	__u64 base_gfn;
	unsigned long npages, userspace_addr;
};

struct kvm_memslots { /* since 5.17 */
	struct hlist_head id_hash[128];
	int node_idx;
};

struct kvm {
	struct kvm_memslots *memslots[1]; /* of address spaces; the first is the guest's */
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop
