/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

struct vm;

#define VM_YOUNG_S 15u /* so long, more may happen than between two ticks */

/* How long the VM's process has run. */
uint64_t vm_age_ns(const struct vm *vm);
