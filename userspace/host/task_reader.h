/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Per-thread CPU accounting of watched processes, from the BPF iterator (bpf/vm_task.bpf.c) or,
 * where the kernel refuses it, from /proc/PID/task/TID/{schedstat,stat}: some 20 times dearer, and
 * without the cgroup's throttling. Both give the same records.
 *
 * Threads  The collector's.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "bpf/vm_task.h"

struct err;
struct task_reader;

typedef int (*task_record_f)(void *ctx, const struct vm_task_rec *rec);

/* Falls back to /proc when BPF is refused: @e then says why, and the call still succeeds. */
int task_reader_open(struct task_reader **ret, bool allow_bpf, struct err *e);
void task_reader_free(struct task_reader *r); /* NULL is fine */
bool task_reader_uses_bpf(const struct task_reader *r);

int task_reader_watch(struct task_reader *r, pid_t tgid);
void task_reader_unwatch(struct task_reader *r, pid_t tgid);

/* Calls @fn for every thread of every watched process, threads of one process in no given order. */
int task_reader_read(struct task_reader *r, task_record_f fn, void *ctx);
