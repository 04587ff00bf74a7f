/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/disk_latency.bpf.c and userspace/host/src_disk_latency.c: shapes, nothing else. */

#include <linux/types.h>

#include "bpf/wait_bounds.h"

#define DISK_LATENCY_DISKS_MAX 32768
#define DISK_LATENCY_BIOS_MAX  32768 /* in flight */

/* A block device's number as the kernel packs it. */
#define DISK_LATENCY_DEV(major, minor) ((__u32)(major) << 20 | (__u32)(minor))

enum disk_latency_op {
	DISK_LATENCY_READ,
	DISK_LATENCY_WRITE,
	DISK_LATENCY_OPS
};

struct disk_latency {
	struct wait_hist ops[DISK_LATENCY_OPS];
	__u32 by_bio; /* a device that makes no requests (device-mapper) */
	__u32 pad;
};

struct disk_latency_bio { /* one in flight */
	__u64 start_ns;
	__u32 dev;
	__u32 op;
};
