/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Burst balances over restarts of the daemon: the file "cpu-balance" in the state folder.
 *
 *	periscope-cpu-balance 1 BOOT-ID
 *	PID START-TICKS AT-NS USED-NS BALANCE-NS        one line for each VM
 *
 * A VM is known by its process, so a file from before a reboot means nobody: the boot's id is in
 * the first line. It need not be young either: what a VM used since is in the kernel's own
 * counters. The file is foreign bytes like any other: a line that is not of this form is left
 * out, and a file that does not begin as above as a whole.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/buf.h"

#define CPU_STATE_VMS_MAX 8192

struct cpu_state_row {
	pid_t pid;
	uint64_t start_ticks;
	uint64_t at_ns, used_ns; /* as in struct cpu_balance */
	double balance_ns;
};

struct cpu_state {
	struct cpu_state_row *rows;
	size_t n, cap;
};

void cpu_state_done(struct cpu_state *s);
/* The row of a process, taken off @s; false when there is none. */
bool cpu_state_take(struct cpu_state *s, pid_t pid, uint64_t start_ticks,
                    struct cpu_state_row *ret);
/* -ENOMEM, -ENOSPC */
int cpu_state_put(struct cpu_state *s, const struct cpu_state_row *row);

/* Appends what @text says to @s; *@ret_bad counts what was left out. @boot_id as of now. */
int cpu_state_parse(struct cpu_state *s, struct str text, struct str boot_id, size_t *ret_bad);
void cpu_state_format(const struct cpu_state *s, struct str boot_id, struct buf *out);

/* The file in @folder, which need not be there (then nothing is read). */
int cpu_state_load(struct cpu_state *s, const char *folder, size_t *ret_bad);
/* Makes the folder; does not wait for the disk. */
int cpu_state_save(const struct cpu_state *s, const char *folder);
