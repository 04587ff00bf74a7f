/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The event log that CPU accounting is compared with: every switch of one thread. */

#include <linux/types.h>

struct sched_log_rec {
	__u64 mono_ns;
	__u32 in;       /* 1 = switched in, 0 = switched out */
	__u32 runnable; /* switched out although it could have gone on */
};
