/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Reading processes from /proc. Every function takes the root ("/proc", or a tree that a test
 * made). All of it may vanish between two calls: -ENOENT and -ESRCH are ordinary answers.
 *
 * Source: proc(5); Documentation/filesystems/proc.rst.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/buf.h"

#define PROCFS_CMDLINE_BYTES_MAX ((size_t)128 << 10)
#define PROCFS_LINK_CAP          512

struct proc_stat {
	char comm[64];
	char state; /* 'Z', 'X': dead already */
	uint64_t start_ticks;
	uint32_t n_threads;
	/* As wait(2) gives it; only of a zombie, and only for those who may trace it. */
	bool has_wait_status;
	int wait_status;
};

/* -ENOENT, -ESRCH: no such process; -EBADMSG: not in the kernel's form. */
int procfs_stat(const char *proc, pid_t pid, struct proc_stat *ret);

/* Replaces @out by the arguments, each ended by a NUL; cut at PROCFS_CMDLINE_BYTES_MAX. */
int procfs_cmdline(const char *proc, pid_t pid, struct buf *out);

/* Command name of a process (@tid 0) or of one of its threads, NUL-terminated. */
int procfs_comm(const char *proc, pid_t pid, pid_t tid, char *dst, size_t cap);

/* Second argument of the system call that a thread is in; -EAGAIN when it runs. */
int procfs_syscall(const char *proc, pid_t pid, pid_t tid, uint64_t *ret_arg2);

typedef int (*procfs_number_f)(void *ctx, long number);
/* Calls @fn for each process, thread or descriptor, ascending; stops at a negative result. */
int procfs_each_pid(const char *proc, procfs_number_f fn, void *ctx);
int procfs_each_thread(const char *proc, pid_t pid, procfs_number_f fn, void *ctx);
int procfs_each_fd(const char *proc, pid_t pid, procfs_number_f fn, void *ctx);

/* Where descriptor @fd points, NUL-terminated. */
int procfs_fd_link(const char *proc, pid_t pid, int fd, char dst[PROCFS_LINK_CAP]);
/* Value of the line "@key:" of its fdinfo; -ENOENT when there is no such line. */
int procfs_fdinfo(const char *proc, pid_t pid, int fd, const char *key, char *dst, size_t cap);
