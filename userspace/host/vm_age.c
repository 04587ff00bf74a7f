/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/vm_age.h"

#include <time.h>
#include <unistd.h>

#include "userspace/host/vm.h"

#define NS_OF_SECOND 1000000000u

uint64_t vm_age_ns(const struct vm *vm)
{
	uint64_t ns_per_tick = NS_OF_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t start_ns = vm->start_ticks * ns_per_tick, now_ns;
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts); /* what start_ticks counts in */
	now_ns = (uint64_t)ts.tv_sec * NS_OF_SECOND + (uint64_t)ts.tv_nsec;
	return now_ns > start_ns ? now_ns - start_ns : 0;
}
