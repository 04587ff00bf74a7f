/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/drops.h"

#include "userspace/base/metrics.h"

#define ROW(reason)                                                                     \
	METRIC_COUNTER("periscope_host_samples_dropped_total", "reason=\"" reason "\"", \
	               "Samples that will never arrive, by reason.")

static struct metric dropped[DROP_REASONS] = {
	[DROP_COLLECTION_FULL] = ROW("collection_full"),
	[DROP_QUEUE_FULL] = ROW("queue_full"),
	[DROP_REFUSED] = ROW("refused"),
	[DROP_NO_MEMORY] = ROW("no_memory"),
	[DROP_STOPPED] = ROW("stopped"),
};

__attribute__((constructor)) static void register_all(void)
{
	for (unsigned i = 0; i < DROP_REASONS; i++)
		metric_register(&dropped[i]);
}

void drops_add(enum drop_reason why, size_t n_samples)
{
	metric_add(&dropped[why], (int64_t)n_samples);
}
