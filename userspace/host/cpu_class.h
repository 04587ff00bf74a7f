/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What kind of vCPU was sold, and the burst balance that goes with it. The classes are settings
 * (cpu_classes); a VM names one in its description.
 *
 * Baseline  quota / period CPUs for each vCPU: what a VM may use for ever.
 * Balance   CPU time saved up while a VM uses less than its baseline, and spent while it uses
 *           more: db/dt = baseline - use, between 0 and the class's maximum. A VM that has none
 *           left is held to its baseline. The model mirrors what the platform does to its VMs; it
 *           does not do it.
 *
 * Threads   Pure functions on the caller's data.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/conf.h"

struct cpu_class {
	char *name;
	int64_t period_ms, quota_ms;              /* of each vCPU */
	int64_t balance_start_ms, balance_max_ms; /* of each vCPU; maximum 0 = no balance */
};

extern const struct conf_schema cpu_class_schema;

/* The class @name among @classes, or NULL. */
const struct cpu_class *cpu_class_find(const struct conf_structs *classes, const char *name);
/* In CPUs. */
double cpu_class_baseline(const struct cpu_class *c, uint32_t n_vcpus);

struct cpu_balance {
	uint64_t at_ns;   /* CLOCK_BOOTTIME of the last step; 0 = no step yet */
	uint64_t used_ns; /* the VM's CPU time then */
	double ns;
	double use_ratio; /* CPUs used between the last two steps */
};

/*
 * cpu_balance_step() - brings @b to @now_ns, when the VM had used @used_ns in all.
 *
 * The first step sets the start balance. Steps may be of any length: one that was missed is part
 * of the next. A clock or counter that runs backwards counts as standing still.
 */
void cpu_balance_step(struct cpu_balance *b, const struct cpu_class *c, uint32_t n_vcpus,
                      uint64_t now_ns, uint64_t used_ns);

/* Seconds until the balance is used up if the VM goes on as between the last two steps; +Inf. */
double cpu_balance_seconds_left(const struct cpu_balance *b, const struct cpu_class *c,
                                uint32_t n_vcpus);
