/* SPDX-License-Identifier: BSD-2-Clause */
/* Netlink answers and /proc/diskstats: whatever comes, nothing is read outside it. */
#include <stdlib.h>
#include <string.h>

#include "userspace/host/diskstats.h"
#include "userspace/host/rtnl_stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int on_stats(void *ctx, uint32_t ifindex, const struct rtnl_link_stats64 *stats)
{
	uint64_t *sum = ctx;

	*sum += ifindex + stats->rx_bytes; /* touch both ends */
	*sum += stats->rx_nohandler;
	return 0;
}

static int on_disk(void *ctx, const struct diskstats *d)
{
	uint64_t *sum = ctx;

	*sum += d->dev + d->v[DISKSTATS_FIELDS - 1];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint64_t sum = 0;
	uint64_t bad = 0;
	int r = rtnl_stats_parse(data, bytes, 7, on_stats, &sum);

	if (r > 1 || (r < 0 && r < -4095))
		abort();
	if (diskstats_parse((struct str){ (const char *)data, bytes }, on_disk, &sum, &bad) != 0)
		abort();
	return 0;
}
