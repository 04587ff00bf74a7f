/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU time, run delay, guest time and CFS throttling of every thread of every VM, in one pass; and
 * what each VM has used, cheaply, several times a second.
 *
 * Hook     none. vm_task_iter is an iterator that user space reads when it polls; vm_task_sample
 *          runs when user space calls it. The kernel keeps the counters.
 * Keys     user space owns vm_tgids: it inserts a VM's tgid when the VM starts and deletes it
 *          when it is gone. A thread of anybody else costs one look-up.
 * Sample   the pass notes where each thread's task_struct is; the sample reads one counter there,
 *          without a walk over all tasks of the host. A task that ended meanwhile is told by its
 *          number and start time and forgotten; a read of memory that is gone fails, harmlessly.
 * Races    reads only; a counter that is written meanwhile is read before or after.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/pidns.h"
#include "bpf/task_counters.h"
#include "bpf/vm_task.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VM_TASK_VMS_MAX);
	__type(key, __u32);   /* tgid of the VM's monitor process */
	__type(value, __u32); /* the VM's slot */
} vm_tgids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VM_TASK_THREADS_MAX);
	__type(key, __u32); /* tid in the initial PID namespace */
	__type(value, struct vm_task_thread);
} vm_threads SEC(".maps");

/* What a VM's threads have used since they were first seen: a sum that only grows. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, VM_TASK_VMS_MAX);
	__type(key, __u32); /* slot */
	__type(value, __u64);
} vm_used_ns SEC(".maps");

__u64 threads_left_out = 0; /* for want of room in vm_threads */

static void note_thread(struct task_struct *task, const struct vm_task_rec *rec)
{
	struct vm_task_thread fresh = {
		.task = (__u64)task,
		.start_ns = task->start_boottime,
		.exec_ns = rec->exec_ns,
		.tid = (__u32)task->pid,
		.tgid = rec->tgid,
	};
	struct vm_task_thread *known = bpf_map_lookup_elem(&vm_threads, &fresh.tid);

	if (known && known->task == fresh.task && known->start_ns == fresh.start_ns &&
	    known->tgid == fresh.tgid)
		return;
	if (bpf_map_update_elem(&vm_threads, &fresh.tid, &fresh, BPF_ANY) != 0)
		threads_left_out++;
}

SEC("iter/task")
int vm_task_iter(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_task_rec rec = {};
	__u32 *slot;

	if (!task)
		return 0; /* the call behind the last task */
	rec.tgid = pidns_tgid(task);
	slot = bpf_map_lookup_elem(&vm_tgids, &rec.tgid);
	if (!slot)
		return 0;
	rec.slot = *slot;
	rec.tid = pidns_tid(task);
	read_counters(task, &rec);
	note_thread(task, &rec);
	/* A full buffer makes the kernel call us again for this task, with room. */
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/* Forgets a thread that ended, or whose VM did. */
static long sample_thread(void *map, __u32 *tid, struct vm_task_thread *known, void *unused)
{
	struct task_struct *task = (void *)known->task;
	__u64 exec_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
	__u32 *slot = bpf_map_lookup_elem(&vm_tgids, &known->tgid);
	__u64 *used = slot ? bpf_map_lookup_elem(&vm_used_ns, slot) : NULL;

	if (!used || (__u32)BPF_CORE_READ(task, pid) != known->tid ||
	    BPF_CORE_READ(task, start_boottime) != known->start_ns ||
	    BPF_CORE_READ(task, exit_state) != 0) {
		bpf_map_delete_elem(map, tid);
		return 0;
	}
	if (exec_ns > known->exec_ns)
		*used += exec_ns - known->exec_ns;
	known->exec_ns = exec_ns;
	return 0;
}

SEC("syscall")
int vm_task_sample(void *ctx)
{
	bpf_for_each_map_elem(&vm_threads, sample_thread, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
