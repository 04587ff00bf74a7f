/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/vm_life.bpf.c and userspace/host/vm_life.c: shapes, and nothing else. */

#include <linux/types.h>

#include "bpf/vm_task.h"

#define VM_LIFE_COMMS_MAX  16
#define VM_LIFE_VMS_MAX    8192
#define VM_LIFE_RING_BYTES (1024 * 1024)

enum vm_life_rec_what {
	VM_LIFE_REC_EXEC,
	VM_LIFE_REC_THREAD, /* a watched process lost a thread: struct vm_life_thread */
	VM_LIFE_REC_EXIT
};

struct vm_life_comm { /* a prefix of comm; len 0 = unused */
	char text[16];
	__u32 len;
};

struct vm_life_rec {
	__u32 what; /* enum vm_life_rec_what */
	__u32 tgid;
	__u64 mono_ns;
	__u64 exec_ns;     /* EXIT: of the whole process */
	__s32 wait_status; /* EXIT */
	__u32 oom_killed;  /* EXIT: 1 = chosen by the host's OOM killer */
	char comm[16];
};

/* What a thread of a VM had counted when it ended. */
struct vm_life_thread {
	__u32 what;
	__u32 pad;
	struct vm_task_rec task;
};
