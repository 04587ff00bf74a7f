/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/run_delay.bpf.c and userspace/host/src_run_delay.c: shapes, and nothing else. */

#include <linux/types.h>

#include "bpf/wait_bounds.h"

#define RUN_DELAY_VCPUS_MAX 32768

/* What the kernel side keeps with a vCPU's thread: the kernel's counters at its last switch. */
struct run_delay_thread {
	__u64 run_delay_ns, n_runs;
	__u32 slot; /* index of run_delay_hist */
	__u32 is_ready;
};
