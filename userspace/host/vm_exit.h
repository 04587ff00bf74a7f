/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How a VM's process ended, as far as the host can tell. With process events (bpf/vm_life.bpf.c)
 * everything is known; without them a pidfd says that it ended, and the rest is luck.
 */

#include <stdbool.h>
#include <stddef.h>

#include "bpf/vm_task.h"

struct vm_exit {
	bool status_known;
	bool oom_killed; /* by the host's OOM killer */
	int wait_status; /* as wait(2) gives it */
	/* What its threads had counted, each when it ended; those of the last moments, or none. */
	const struct vm_task_rec *threads;
	size_t n_threads;
};
