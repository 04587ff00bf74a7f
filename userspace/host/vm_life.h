/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Process starts and ends, as they happen: user-space half of bpf/vm_life.bpf.c (tp_btf
 * sched_process_exec and sched_process_exit into a ring buffer). The registry listens; it is not
 * a source of samples.
 *
 * The ring is bounded: lost events are counted by the kernel side, and the caller answers a loss
 * with a scan of /proc. Exec events are sent only for processes whose comm is in the wanted table
 * (VMM names), events of ends only for watched tgids, so a busy host costs two map look-ups a
 * process.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/host/vm_exit.h"

struct err;

struct vm_life_event {
	enum {
		VM_LIFE_EXEC,
		VM_LIFE_EXIT
	} what;
	pid_t pid;           /* tgid */
	uint64_t mono_ns;    /* when it happened */
	uint64_t exec_ns;    /* EXIT: CPU time of the whole process */
	struct vm_exit exit; /* EXIT; its threads are good until the callback returns */
	char comm[16];
};

struct vm_life;
typedef void (*vm_life_f)(void *ctx, const struct vm_life_event *ev);

/* -EPERM, -ENOTSUP (no BTF) … with @e; the caller then falls back to scanning and pidfds. */
int vm_life_open(struct vm_life **ret, vm_life_f fn, void *ctx, struct err *e);
void vm_life_close(struct vm_life *l); /* NULL is fine */

/* Matches the beginning of comm: "qemu-system-". */
int vm_life_want_comm(struct vm_life *l, const char *comm);
int vm_life_watch(struct vm_life *l, pid_t tgid); /* report its exit */
void vm_life_unwatch(struct vm_life *l, pid_t tgid);

int vm_life_fd(const struct vm_life *l); /* readable when events are waiting: for epoll */
/* Calls @fn for each; returns how many, or < 0. Not from within @fn. */
int vm_life_dispatch(struct vm_life *l);
uint64_t vm_life_lost(const struct vm_life *l);
