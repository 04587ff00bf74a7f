/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the kernel counts for the threads of one VM, made into the VM's CPU time by mode.
 *
 * Modes    The host sees how long a vCPU thread ran and how long it waited, not what the guest did
 *          with it. user = guest code, system = the VMM's and KVM's own work, steal = ready but not
 *          running, idle = the rest of the wall clock; the other six are 0. Under emulation
 *          (no KVM) all the thread's time is guest code.
 * Steal    run_delay contains throttled time, so that has to come off: what CFS bandwidth held
 *          back is the VM's own limit and not a busy host. Throttling is kept for the cgroup,
 *          delay for the thread; each thread bears its share of the interval's throttling by its
 *          delay.
 * Counters Everything is accumulated from differences that are never negative: a counter does not
 *          run backwards when the kernel's estimate of a share changes.
 *
 *	cpu_account_begin(); cpu_account_thread() for each record; cpu_account_end();
 *
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/vm_task.h"
#include "userspace/host/vm.h"

struct batch;
struct cpu_account;

/* For the vCPUs of @vm, which is not kept. */
int cpu_account_new(struct cpu_account **ret, const struct vm *vm);
void cpu_account_free(struct cpu_account *a); /* NULL is fine */
/*
 * Goes on for @vm, which is the same process described anew: its vCPU threads may be others, and
 * those that are not keep what they have. -ENOMEM leaves all as it was.
 */
int cpu_account_adopt(struct cpu_account *a, const struct vm *vm);

void cpu_account_begin(struct cpu_account *a);
void cpu_account_thread(struct cpu_account *a, const struct vm_task_rec *rec);
/* @elapsed_ns since the process began. */
void cpu_account_end(struct cpu_account *a, uint64_t elapsed_ns);

/*
 * The last word: what some of its threads (not the ones only that cpu_account_thread() saw) had
 * counted when they ended.
 */
void cpu_account_finish(struct cpu_account *a, const struct vm_task_rec *recs, size_t n,
                        uint64_t elapsed_ns);

/* CPU time of all threads there ever were, as of the last pass. */
uint64_t cpu_account_used_ns(const struct cpu_account *a);
/* CPUs that CFS bandwidth allows, on the tightest level; 0 = no limit. */
double cpu_account_limit(const struct cpu_account *a);

/* fly_instance_cpu, steal and throttling, to the VM begun last; -ENOSPC … of the batch. */
int cpu_account_emit(const struct cpu_account *a, bool with_throttle, struct batch *out);
