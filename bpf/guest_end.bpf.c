/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The last words of a guest: the end of its kernel's log, and what became of its main process,
 * read from the memory of its monitor at the moment when that ends, before its memory is gone.
 *
 * Hook     sched_process_exit, since Linux 6.16, or else do_exit: in each thread that ends, while
 *          its memory is still there, whether it was killed or ended by itself. User space loads
 *          one of the two: before 6.16 the tracepoint comes when the memory is gone.
 *          Budget: one look-up for a thread of others; some 40 short copies for a VM, once.
 * Keys     user space owns the table: it says where in the monitor's memory these things are.
 * Races    the first thread that sees its whole process end takes it. Other threads may still run
 *          the guest for a moment; what they write then may be missed.
 * Memory   only what is mapped is read, nothing is faulted in: what is not there is marked so.
 * Loss     a full ring drops the record and counts it in lost: the exit code is then not known.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/guest_end.h"
#include "bpf/kernel_types.h"
#include "bpf/pidns.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GUEST_END_VMS_MAX);
	__type(key, __u32); /* tgid */
	__type(value, struct guest_end_where);
} guest_end_wheres SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, GUEST_END_RING_BYTES);
} guest_end_ring SEC(".maps");

__u64 lost = 0;

/* @n_last: threads that are counted as left when the last one is at this point. */
static bool process_ends(struct task_struct *task, int n_last)
{
	return task->signal->flags & SIGNAL_GROUP_EXIT || task->signal->live.counter == n_last;
}

#define READ(to, from) ((from) != 0 && bpf_probe_read_user(&(to), sizeof(to), (void *)(from)) == 0)

static void read_log(const struct guest_end_where *w, struct guest_end_rec *rec)
{
	__u64 first;

	rec->pieces = 0;
	rec->log_head = rec->log_id = 0;
	if (!READ(rec->log_head, w->log_head) || !READ(rec->log_id, w->log_id))
		return;
	first = (rec->log_head & ~(__u64)(GUEST_END_PIECE - 1)) -
	        (GUEST_END_PIECES - 1) * GUEST_END_PIECE;
	for (__u32 i = 0; i < GUEST_END_PIECES; i++) {
		__u64 at = (first + i * GUEST_END_PIECE) & (w->log_bytes - 1);

		if (bpf_probe_read_user(rec->text + i * GUEST_END_PIECE, GUEST_END_PIECE,
		                        (void *)(w->log_text + at)) == 0)
			rec->pieces |= 1u << i;
	}
}

static void read_task(const struct guest_end_where *w, struct guest_end_rec *rec)
{
	if (READ(rec->task_pid, w->task_pid) && READ(rec->task_start, w->task_start) &&
	    READ(rec->task_state, w->task_state) && READ(rec->task_code, w->task_code))
		return;
	rec->task_pid = 0;
	rec->task_start = 0;
	rec->task_state = rec->task_code = 0;
}

static int thread_ends(struct task_struct *task, int n_last)
{
	__u32 tgid = pidns_tgid(task);
	struct guest_end_where *w = bpf_map_lookup_elem(&guest_end_wheres, &tgid);
	struct guest_end_rec *rec;

	if (!w || !process_ends(task, n_last) || __sync_val_compare_and_swap(&w->taken, 0, 1) != 0)
		return 0;
	rec = bpf_ringbuf_reserve(&guest_end_ring, sizeof(*rec), 0);
	if (!rec) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	rec->tgid = tgid;
	rec->pad = 0;
	read_log(w, rec);
	read_task(w, rec);
	bpf_ringbuf_submit(rec, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(guest_end_exit, struct task_struct *task)
{
	return thread_ends(task, 0);
}

SEC("fentry/do_exit")
int BPF_PROG(guest_end_do_exit)
{
	return thread_ends(bpf_get_current_task_btf(), 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
