/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Guest memory as KVM itself has it: exact, whatever the monitor is. User-space half of
 * bpf/kvm_slots.bpf.c.
 *
 * Threads  One owner. Cost: some 100 us a look, by the number of the monitor's open files.
 */

#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/err.h"
#include "userspace/host/guest/mem.h"

struct kvm_slots;

/* -EPERM, -ENOTSUP, -ESRCH … with @e: no BPF, or KVM is not there. */
int kvm_slots_open(struct kvm_slots **ret, struct err *e);
void kvm_slots_close(struct kvm_slots *k); /* NULL is fine */

/*
 * kvm_slots_read() - the memory of the virtual machine of process @pid: the largest pieces, at most
 * MEM_SEGS_MAX of them, ascending.
 *
 * 0 and *@ret_n may be 0 (no virtual machine, or no memory yet); or a negative errno with @e.
 */
int kvm_slots_read(struct kvm_slots *k, pid_t pid, struct mem_seg out[MEM_SEGS_MAX],
                   uint32_t *ret_n, struct err *e);
