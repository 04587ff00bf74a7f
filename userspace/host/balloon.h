/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What a guest's balloon driver tells its monitor of the guest's memory, asked of the monitor: QEMU
 * by QMP, Firecracker by its API, each on a Unix socket. For guests that cannot be read: three of
 * their fields, exactly.
 *
 * Requests are all written at once and answers are whatever has come: the monitor is foreign, and
 * nothing waits for it here. Pure.
 *
 * Source: the page virtio-balloon-stats of the manual of QEMU; the API description of Firecracker.
 */

#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/str.h"

#define BALLOON_ANSWER_BYTES_MAX ((size_t)64 << 10)
#define BALLOON_PATH_CAP         128 /* of the device in QEMU's tree */

struct balloon_memory { /* bytes */
	uint64_t total, free, available;
};

/* QMP: where the device is ("" as long as that is not known); then its numbers. */
void balloon_ask_qmp(const char *device, uint32_t interval_s, struct buf *out);
void balloon_ask_firecracker(struct buf *out);

/*
 * What has come so far: 0 and *@ret; -EAGAIN: not all of it, yet; -ENODATA: there is no balloon,
 * or its driver has said nothing; -EBADMSG: not an answer of that monitor.
 */
int balloon_read_qmp(struct str answer, char device[BALLOON_PATH_CAP], struct balloon_memory *ret);
int balloon_read_firecracker(struct str answer, struct balloon_memory *ret);
