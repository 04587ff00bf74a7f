/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Our PID namespace, for the programs that translate process numbers (bpf/pidns.h). */

#include <stdint.h>
#include <sys/stat.h>

#define PIDNS_INITIAL_INO 0xEFFFFFFCu /* PROC_PID_INIT_INO, linux/proc_ns.h */

/* What bpf/pidns.h wants in pidns_ino: 0 in the initial namespace. */
static inline uint32_t pidns_ino_of_ours(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == PIDNS_INITIAL_INO)
		return 0;
	return (uint32_t)st.st_ino;
}
