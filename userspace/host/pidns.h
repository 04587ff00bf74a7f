/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * BPF programs see the kernel's own process numbers, /proc those of our PID namespace. In a
 * container the two differ, and a table of process numbers would silently match nobody: there
 * we read /proc instead.
 */

#include <stdbool.h>
#include <sys/stat.h>

#define PIDNS_INITIAL_INO 0xEFFFFFFCu /* PROC_PID_INIT_INO, linux/proc_ns.h */

static inline bool pidns_is_initial(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == PIDNS_INITIAL_INO;
}
