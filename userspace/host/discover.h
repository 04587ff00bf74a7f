/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A VM from its monitor's process alone: command line, open descriptors, thread names. Works for
 * every monitor in the table; for any other process it finds what descriptors and threads tell.
 *
 * Best effort by nature: threads appear a little after exec, a Firecracker that is configured by
 * its API says nothing on its command line, and QEMU names its threads only with debug-threads=on.
 * What was found is returned; the caller asks again (see discover_settled()).
 *
 * Cost     A few hundred microseconds: one command line, one readlink for each descriptor, one name
 *          for each thread. Needs CAP_SYS_PTRACE for other users' processes.
 */

#include <stdbool.h>

#include "userspace/host/vm.h"

/* The monitor that a command name belongs to; VMM_OTHER when it is none. */
enum vmm_kind discover_kind(const char *comm);
const char *discover_kind_name(enum vmm_kind kind); /* "firecracker", …, "other" */

/* Prefixes of command names for vm_life_want_comm(); NULL behind the last. */
const char *discover_comm(size_t i);

/*
 * discover_process() - fills the parts of @vm that its process tells: vmm, kvm, pid, start_ticks,
 * n_vcpus_spec, memory_bytes, taps, disks, vcpus. Labels and id are left alone.
 *
 * @proc is "/proc" or a test's tree. @name takes the VM's own name, "" when it has none.
 * Returns 0, -ESRCH when there is no such process (any more) or it is dead, -ENOMEM.
 */
int discover_process(const char *proc, pid_t pid, struct vm *vm, char name[VM_LABEL_CAP]);

/* True when there are as many vCPU threads as the VM is said to have, or at least one. */
bool discover_settled(const struct vm *vm);

/* Device number or inode of @path as the process @pid sees it (@pid 0: as we do). */
void discover_disk_identity(const char *proc, pid_t pid, struct vm_disk *disk);
