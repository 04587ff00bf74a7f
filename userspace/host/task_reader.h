/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Per-thread CPU accounting of watched processes, from the BPF iterator (bpf/vm_task.bpf.c) or,
 * where the kernel refuses it, from /proc/PID/task/TID/{schedstat,stat}: some 20 times dearer, and
 * without the cgroup's throttling. Both give the same records.
 *
 * Each watched process has a slot, a small number that the caller chooses; records carry it.
 *
 * Threads  The collector's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/vm_task.h"

struct err;
struct task_reader;

typedef int (*task_record_f)(void *ctx, const struct vm_task_rec *rec);

/* Falls back to /proc when BPF is refused: @e then says why, and the call still succeeds. */
int task_reader_open(struct task_reader **ret, bool allow_bpf, struct err *e);
void task_reader_free(struct task_reader *r); /* NULL is fine */
bool task_reader_uses_bpf(const struct task_reader *r);

/* @slot < VM_TASK_VMS_MAX, of nobody else. */
int task_reader_watch(struct task_reader *r, pid_t tgid, uint32_t slot);
void task_reader_unwatch(struct task_reader *r, pid_t tgid);

/* Calls @fn for every thread of every watched process, threads of one process in no given order. */
int task_reader_read(struct task_reader *r, task_record_f fn, void *ctx);

/*
 * task_reader_sample() - brings task_reader_used_ns() up to date.
 *
 * It knows the threads that the last task_reader_read() found. -ENOTSUP without BPF.
 * Cost: 0.2 us for each thread.
 */
int task_reader_sample(struct task_reader *r);
/* CPU time of the threads in @slot since some moment: only differences mean anything. */
uint64_t task_reader_used_ns(const struct task_reader *r, uint32_t slot);
