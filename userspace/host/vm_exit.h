/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How a VM's process ended, as far as the host can tell. With process events (bpf/vm_life.bpf.c)
 * everything is known; without them a pidfd says that it ended, and the rest is luck.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bpf/vm_task.h"

/* How its guest ended, as far as that could be found out: set by the source that reads guests. */
struct vm_exit_guest {
	bool code_known;
	bool oom;              /* its own kernel killed its app for want of memory */
	bool panicked;         /* for another reason than the end of its first process */
	int code, signal;      /* signal: that ended what the code is of; 0 = none */
	const char *code_from; /* "" or NULL: not known; see guest/ending.h */
};

struct vm_exit {
	bool status_known;
	bool oom_killed; /* by the host's OOM killer */
	int wait_status; /* as wait(2) gives it */
	/* What its threads had counted, each when it ended; those of the last moments, or none. */
	const struct vm_task_rec *threads;
	size_t n_threads;
	struct vm_exit_guest guest;
};
