/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Starts and ends of VM monitors, as they happen.
 *
 * Hook     sched_process_exec and sched_process_exit: once per process (exit: per thread).
 *          Budget: a comparison with at most 16 short prefixes, or one look-up; an event only for
 *          a VM. A thread that ends leaves its counters, so that what a VM used since the last
 *          poll is not lost; the last one adds how the process ended.
 * OOM      the OOM killer marks whom it kills in signal->oom_mm, and that mark is read at the end:
 *          no hook of its own, and a whole cgroup that is killed is told as well.
 * Keys     user space owns both tables: names that it wants to hear of, processes whose exit it
 *          watches.
 * Races    the ring is shared and locked by the kernel; everything else is read only.
 * Loss     a full ring drops the event and counts it in lost; user space then scans /proc.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "bpf/task_counters.h"
#include "bpf/vm_life.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VM_LIFE_COMMS_MAX);
	__type(key, __u32);
	__type(value, struct vm_life_comm);
} vm_comms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VM_LIFE_VMS_MAX);
	__type(key, __u32);   /* tgid */
	__type(value, __u32); /* 1 */
} vm_watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, VM_LIFE_RING_BYTES);
} vm_life_ring SEC(".maps");

__u64 lost = 0;

static bool comm_has_prefix(const char *comm, const struct vm_life_comm *want)
{
	if (want->len == 0)
		return false;
	for (__u32 i = 0; i < sizeof(want->text); i++) {
		if (i >= want->len)
			return true;
		if (comm[i] != want->text[i])
			return false;
	}
	return true;
}

static bool comm_is_wanted(const char *comm)
{
	for (__u32 i = 0; i < VM_LIFE_COMMS_MAX; i++) {
		__u32 key = i;
		struct vm_life_comm *want = bpf_map_lookup_elem(&vm_comms, &key);

		if (want && comm_has_prefix(comm, want))
			return true;
	}
	return false;
}

static void send(void *rec, __u64 bytes)
{
	if (bpf_ringbuf_output(&vm_life_ring, rec, bytes, 0) != 0)
		__sync_fetch_and_add(&lost, 1);
}

static void send_thread(struct task_struct *task, __u32 tgid)
{
	struct vm_life_thread rec = { .what = VM_LIFE_REC_THREAD };

	rec.task.tgid = tgid;
	rec.task.tid = pidns_tid(task);
	read_counters(task, &rec.task);
	send(&rec, sizeof(rec));
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(vm_life_exec, struct task_struct *task)
{
	struct vm_life_rec rec = { .what = VM_LIFE_REC_EXEC };

	bpf_get_current_comm(rec.comm, sizeof(rec.comm));
	if (!comm_is_wanted(rec.comm))
		return 0;
	rec.tgid = pidns_tgid(task);
	rec.mono_ns = bpf_ktime_get_ns();
	if (rec.tgid != 0)
		send(&rec, sizeof(rec));
	return 0;
}

/* The last thread is often not the leader. Its own time is not in the process's sum yet. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(vm_life_exit, struct task_struct *task)
{
	struct vm_life_rec rec = { .what = VM_LIFE_REC_EXIT };
	__u32 tgid = pidns_tgid(task);

	if (!bpf_map_lookup_elem(&vm_watched, &tgid))
		return 0;
	send_thread(task, tgid);
	if (task->signal->live.counter != 0)
		return 0;
	bpf_get_current_comm(rec.comm, sizeof(rec.comm));
	rec.tgid = tgid;
	rec.mono_ns = bpf_ktime_get_ns();
	rec.exec_ns = task->signal->sum_sched_runtime + task->se.sum_exec_runtime;
	/* exit(2) of the last thread alone leaves the group's code at 0. */
	rec.wait_status = task->signal->group_exit_code;
	if (rec.wait_status == 0)
		rec.wait_status = task->exit_code;
	rec.oom_killed = task->signal->oom_mm != NULL;
	send(&rec, sizeof(rec));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
