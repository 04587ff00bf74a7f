/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Loop devices by the file behind them. A description may name a VM's image file although the
 * monitor opens the loop device that stands for it; the kernel counts I/O for the device.
 *
 * Identity   device and inode of the file, not its path: another path may lead to the same file.
 * Source     /sys/block/loopN/loop/backing_file, and dev beside it; no device is opened.
 * Threads    One owner.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop_device {
	dev_t file_dev, dev;
	ino_t file_ino;
};

struct loop_devices {
	struct loop_device *rows;
	size_t n, cap;
	uint64_t read_ns; /* 0 = never */
};

void loop_devices_done(struct loop_devices *t);

/*
 * loop_devices_find() - the loop device over the file @path; 0 when there is none, or no file.
 *
 * @sys_block is "/sys/block" or a test's tree. It is read again when @t is older than
 * LOOP_DEVICES_AGE_NS_MAX. Cost: then, a file for each loop device of the host.
 */
#define LOOP_DEVICES_AGE_NS_MAX (10ull * 1000000000)
dev_t loop_devices_find(struct loop_devices *t, const char *sys_block, const char *path);
