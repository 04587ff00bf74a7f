/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/guest_end.bpf.c and userspace/host/guest_end.c: shapes, and nothing else. */

#include <linux/types.h>

#define GUEST_END_VMS_MAX    8192
#define GUEST_END_RING_BYTES (2 * 1024 * 1024)
#define GUEST_END_PIECE      1024u
#define GUEST_END_PIECES     32u
#define GUEST_END_TEXT_BYTES (GUEST_END_PIECE * GUEST_END_PIECES)

/* Addresses in the monitor's memory; 0 = not known. */
struct guest_end_where {
	__u64 log_text;  /* the guest's ring of log text, */
	__u64 log_bytes; /* a power of two, */
	__u64 log_head;  /* where in it the next record goes (8 bytes), */
	__u64 log_id;    /* and the number of the newest record (8 bytes) */
	__u64 task_pid, task_start, task_state,
		task_code; /* of the app's process: 4, 8, 4, 4 bytes */
	__u32 taken;       /* 1: it was read already */
	__u32 pad;
};

struct guest_end_rec {
	__u32 tgid;
	__u32 pieces; /* bit i: the i-th piece of text could be read */
	__u64 log_head, log_id;
	__u64 task_start;
	__u32 task_pid; /* 0: could not be read */
	__s32 task_state, task_code;
	__u32 pad;
	/* From (log_head rounded down to pieces) - 31 pieces on: the last one holds log_head. */
	char text[GUEST_END_TEXT_BYTES];
};
