/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Which VMs run here. Two inputs are merged: description files (vms_dir, by inotify) and monitors
 * found running (exec events from outside, and scans of /proc). A process that a file claims is
 * not found a second time.
 *
 *	file:   waiting -- process alive --> running -- it ends --> waiting -- file gone -->
 *	found:  settling (no vCPU thread yet) ----> running -- it ends -->
 *
 * The listener learns of every VM that begins and ends to run, in order; a VM whose description
 * changes ends and begins (see vm.h). Both are noticed within a second.
 *
 * Ends are seen by a pidfd for each VM and, earlier still, by registry_exited(), which also knows
 * how it ended.
 *
 * Threads  All functions on the collector thread; registry_metrics() on any.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_exit.h"

struct batch;
struct host_conf;
struct registry;

#define REGISTRY_VMS_MAX 8192

struct registry_listener {
	void (*added)(void *ctx, const struct vm *vm);
	/* @how is NULL when the process goes on: its description changed. */
	void (*gone)(void *ctx, const struct vm *vm, const struct vm_exit *how);
	void *ctx;
};

/* The outside world, for tests; zeroes stand for the real one. */
struct registry_world {
	const char *proc; /* NULL = "/proc" */
	/* Events of processes: NULL when there are none, and then /proc is scanned every second. */
	int (*watch)(void *ctx, pid_t pid);
	void (*unwatch)(void *ctx, pid_t pid);
	/* Hands over what events wait: a process was found dead, and one of them may say how. */
	void (*drain)(void *ctx);
	void *ctx;
	uint64_t second_ns; /* how long "every second" waits; 0 = a second */
};

/* @conf is borrowed until registry_reload() gives another. -ENOMEM, -EMFILE … with @e. */
int registry_new(struct registry **ret, const struct host_conf *conf,
                 const struct registry_listener *listener, const struct registry_world *world,
                 struct err *e);
void registry_free(struct registry *r); /* announces no end */

/* Readable when registry_dispatch() has something to do: for epoll. */
int registry_fd(const struct registry *r);
void registry_dispatch(struct registry *r);

/* First look at the folder and at /proc; later looks come by registry_dispatch(). */
void registry_start(struct registry *r);
/* After events of processes were lost. */
void registry_rescan(struct registry *r);
/* A process with the command name @comm began; a watched one ended. */
void registry_executed(struct registry *r, pid_t pid, const char *comm);
void registry_exited(struct registry *r, pid_t pid, const struct vm_exit *how);

/*
 * registry_reload() - takes over another configuration.
 *
 * Found VMs get labels by the new templates (or end, when discovery is now off); all others are
 * described anew.
 */
void registry_reload(struct registry *r, const struct host_conf *conf);

/* Appends fly_instance_up of every running VM. 0, -ENOSPC or -ENOMEM of the batch. */
int registry_collect(struct registry *r, int64_t now_ms, struct batch *out);

typedef int (*registry_vm_f)(void *ctx, const struct vm *vm);
int registry_each(const struct registry *r, registry_vm_f fn, void *ctx);
size_t registry_n_running(const struct registry *r);

/* Families of the registry's own metrics, as exposition text. */
void registry_metrics(struct buf *out, void *registry);
void registry_dump(const struct registry *r); /* to the log */
