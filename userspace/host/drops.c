/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/drops.h"

#include <stdio.h>

#include "userspace/base/metrics.h"

#define FAMILY "periscope_host_samples_dropped_total"

struct drops drops_common;

static const char *const reasons[DROP_REASONS] = {
	[DROP_COLLECTION_FULL] = "collection_full",
	[DROP_OUTBOX_FULL] = "outbox_full",
	[DROP_QUEUE_FULL] = "queue_full",
	[DROP_TOO_OLD] = "too_old",
	[DROP_REFUSED] = "refused",
	[DROP_DAMAGED] = "damaged",
	[DROP_NO_MEMORY] = "no_memory",
	[DROP_STOPPED] = "stopped",
};

void drops_add(struct drops *d, enum drop_reason why, size_t n_samples)
{
	atomic_fetch_add_explicit(&d->n[why], (int64_t)n_samples, memory_order_relaxed);
}

int64_t drops_get(const struct drops *d, enum drop_reason why)
{
	return atomic_load_explicit(&d->n[why], memory_order_relaxed);
}

void drops_put_family(struct buf *out)
{
	metrics_put_family(out, FAMILY, "counter", "Samples that will never arrive, by reason.");
}

void drops_put(struct buf *out, const struct drops *d, const char *destination)
{
	char labels[160];

	for (unsigned i = 0; i < DROP_REASONS; i++) {
		if (destination)
			(void)snprintf(labels, sizeof(labels), "destination=\"%s\",reason=\"%s\"",
			               destination, reasons[i]);
		else
			(void)snprintf(labels, sizeof(labels), "reason=\"%s\"", reasons[i]);
		metrics_put(out, FAMILY, labels, (double)drops_get(d, (enum drop_reason)i));
	}
}
