/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From a sample of the guest's own view to series: which rows of the catalogue each family has,
 * and what is made of its numbers.
 *
 * Counters that the guest computes anew with every reading (idle time of a CPU that sleeps) may
 * step back by a little; here they never do.
 */

#include <stdint.h>

#include "userspace/host/guest/guest.h"

struct batch;

struct guest_floor { /* of one VM: what was emitted last */
	uint32_t n_cpus;
	struct guest_cpu cpus[GUEST_CPUS_MAX];
};

/*
 * guest_emit() - adds the rows of all valid families to the VM begun last in @out.
 *
 * 0, -ENOSPC or -ENOMEM of the batch.
 */
int guest_emit(const struct guest_sample *s, struct guest_floor *floor, struct batch *out);

/* Has the rows of @families without samples, so that no later source fills them in. */
void guest_emit_nothing(uint32_t families, struct batch *out);
