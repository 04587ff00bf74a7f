/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The event log that CPU accounting is compared with: every switch and wake-up of one thread. */

#include <linux/types.h>

enum sched_log_what {
	SCHED_LOG_IN,
	SCHED_LOG_OUT_READY, /* although it could have gone on */
	SCHED_LOG_OUT_ASLEEP,
	SCHED_LOG_WOKEN /* or told so while it was running */
};

struct sched_log_rec {
	__u64 clock_ns;      /* of the CPU */
	__u64 clock_task_ns; /* the same without time that was no thread's */
	__u32 what;          /* enum sched_log_what */
	__u32 pad;
};
