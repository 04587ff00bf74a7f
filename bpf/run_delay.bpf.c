/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long each vCPU waited for a host CPU, every time that it got one.
 *
 * Hook     sched_switch, of every switch on the host: for an opt-in. Budget: whether the thread
 *          that leaves the CPU has any storage; for a vCPU a look-up in it, and one bucket.
 * Measure  The kernel sums up a thread's waits (run_delay) and counts how often it got a CPU
 *          (pcount). A thread that leaves a CPU had exactly one wait since it left one before, and
 *          what the sum grew by is its length. No wake-up is looked at and no clock is read.
 *          Throttled time is part of it.
 * Keys     user space owns rd_vcpus. Reading run_delay_mark goes over all threads once, and gives
 *          storage to those that are in it and takes it from those that are not.
 * Races    A thread leaves one CPU at a time, so a slot has one writer.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "bpf/run_delay.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, RUN_DELAY_VCPUS_MAX);
	__type(key, __u32);   /* tid */
	__type(value, __u32); /* slot */
} rd_vcpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct run_delay_thread);
} rd_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RUN_DELAY_VCPUS_MAX);
	__type(key, __u32); /* slot */
	__type(value, struct wait_hist);
} rd_hists SEC(".maps");

__u64 no_memory = 0; /* threads without storage */

static void note_counters(struct run_delay_thread *t, struct task_struct *task)
{
	t->run_delay_ns = task->sched_info.run_delay;
	t->n_runs = task->sched_info.pcount;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(run_delay_switch, bool preempt, struct task_struct *prev)
{
	struct run_delay_thread *t;
	struct wait_hist *h;
	__u64 wait_ns;

	if (!prev->bpf_storage)
		return 0; /* of nearly all threads: a look-up would cost three times as much */
	t = bpf_task_storage_get(&rd_threads, prev, NULL, 0);
	if (!t || !t->is_ready || t->n_runs == prev->sched_info.pcount)
		return 0;
	wait_ns = prev->sched_info.run_delay - t->run_delay_ns;
	note_counters(t, prev);
	h = bpf_map_lookup_elem(&rd_hists, &t->slot);
	if (!h)
		return 0;
	h->buckets[wait_bucket(wait_ns)]++;
	h->sum_ns += wait_ns;
	return 0;
}

SEC("iter/task")
int run_delay_mark(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct run_delay_thread *t;
	__u32 tid, *slot;

	if (!task)
		return 0; /* the call behind the last task */
	tid = pidns_tid(task);
	slot = bpf_map_lookup_elem(&rd_vcpus, &tid);
	if (!slot) {
		(void)bpf_task_storage_delete(&rd_threads, task);
		return 0;
	}
	t = bpf_task_storage_get(&rd_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		no_memory++;
		return 0;
	}
	if (!t->is_ready)
		note_counters(t, task);
	t->slot = *slot;
	barrier();
	t->is_ready = 1; /* last: the thread may be switched on another CPU at this moment */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
