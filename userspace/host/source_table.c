/* SPDX-License-Identifier: BSD-2-Clause */
/* The sources of this build: one row each. A file of its own: tests bring their own table. */
#include "userspace/host/sources.h"

#include "userspace/base/util.h"

const struct source_ops *const source_table[] = {
	&guest_source, /* first: what the guest itself counts goes before what others make of it */
	&balloon_source,
	&vm_task_source,
	&diskstats_source,
	&run_delay_source,
	&disk_latency_source,
	&taps_source,
	&volumes_source,
	&proxy_source,
	&life_source, /* last: at a VM's end it looks at what the others have said */
	NULL,
};

const char *const *source_names(void)
{
	static const char *names[ARRAY_SIZE(source_table)];

	for (size_t i = 0; source_table[i]; i++)
		names[i] = source_table[i]->name;
	return names;
}
