/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to registry*.c: the entries, and what the parts of the registry need of each other. */

#include <limits.h>
#include <pthread.h>

#include "userspace/host/loop_device.h"
#include "userspace/host/registry.h"
#include "userspace/host/spec.h"

#define NO_TIME UINT64_MAX

/* A VM that runs, or may soon. */
struct entry {
	uint64_t key;         /* of epoll and of nothing else; never reused */
	struct vm_spec *spec; /* NULL: found */
	struct vm *vm;        /* announced; NULL while waiting or settling */
	pid_t pid;            /* bound process; 0 = none */
	int pidfd;            /* -1 = none: its process is looked at every second */
	uint64_t start_ticks; /* of @pid, once it has been described */
	uint64_t ended_ticks; /* start time of the process ended last: not to be bound again */
	pid_t ended_pid;
	uint64_t next_ns; /* when to look at it again */
	uint32_t n_looks; /* since it was bound */
};

struct bad_file {
	char name[NAME_MAX + 1];
	char why[256];
};

/* Processes seen by the scan before, ascending: a scan looks at new ones, not at all again. */
struct seen {
	pid_t pid;
	uint32_t n_looks;
};

struct scan {
	struct seen *v;
	size_t n, cap;
	uint64_t n_scans;
};

struct registry {
	const struct host_conf *conf;
	struct registry_listener listener;
	struct registry_world world;
	int epoll_fd, timer_fd, inotify_fd, watch; /* watch < 0: the folder is not there */
	struct entry **entries;
	size_t n_entries, entries_cap;
	uint64_t last_key, last_vm_id, next_scan_ns, next_folder_ns;
	struct scan scan;
	struct loop_devices loops; /* of image files that descriptions name */
	struct vm scratch;         /* a description in the making: too big for a stack */

	pthread_mutex_t bad_lock; /* registry_metrics() reads them on another thread */
	struct bad_file *bad;
	size_t n_bad, bad_cap;
};

/* ---- registry.c: times of CLOCK_MONOTONIC, and entries */
uint64_t registry_in_seconds(const struct registry *r, unsigned n);
struct entry *registry_by_pid(const struct registry *r, pid_t pid);
/* Both look at the process at once. @spec is taken over. */
void registry_add_found(struct registry *r, pid_t pid);
int registry_add_spec(struct registry *r, struct vm_spec *spec);
void registry_change_spec(struct registry *r, struct entry *e, struct vm_spec *spec);
void registry_remove(struct registry *r, struct entry *e);

/* ---- registry_specs.c: the folder */
int registry_specs_open(struct registry *r, struct err *e);
void registry_specs_dispatch(struct registry *r);
void registry_specs_scan(struct registry *r);
/* Tries again to watch a folder that was not there. */
void registry_specs_retry(struct registry *r);

/* ---- registry_scan.c: /proc */
void registry_scan(struct registry *r);
