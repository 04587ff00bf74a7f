/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/selfmetrics.h"

#include <stddef.h>
#include <stdio.h>

#include "api/org_limits.h"
#include "api/region.h"
#include "api/route.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

/* One number of a statistics struct: where it is and what it is called. */
struct stat_row {
	const char *name, *type, *help;
	size_t offset;
};

static void put_rows(struct buf *out, const struct stat_row *rows, size_t n, const void *stats)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = (const char *)stats + rows[i].offset;
		uint64_t value;

		memcpy(&value, at, sizeof(value));
		metrics_put_family(out, rows[i].name, rows[i].type, rows[i].help);
		metrics_put(out, rows[i].name, "", (double)value);
	}
}

#define STORE_ROW(name, type, field, help)                                                      \
	{                                                                                       \
		"periscope_region_store_" name, type, help, offsetof(struct store_stats, field) \
	}
static const struct stat_row store_rows[] = {
	STORE_ROW("organisations", "gauge", orgs, "Organisations with recent samples."),
	STORE_ROW("series", "gauge", series, "Series with recent samples."),
	STORE_ROW("samples", "gauge", samples, "Samples that are in no block yet."),
	STORE_ROW("memory_bytes", "gauge", memory_bytes, "Memory of recent samples."),
	STORE_ROW("wal_bytes", "gauge", wal_bytes, "Write-ahead log on disk."),
	STORE_ROW("wal_segments", "gauge", wal_segments, "Files of the write-ahead log."),
	STORE_ROW("wal_syncs_total", "counter", wal_syncs, "Group commits."),
	STORE_ROW("wal_errors_total", "counter", wal_errors, "Failed writes or syncs of the log."),
	STORE_ROW("appends_total", "counter", appends, "Batches appended."),
	STORE_ROW("samples_accepted_total", "counter", accepted, "Samples stored."),
	STORE_ROW("replayed_records", "gauge", replayed_records, "Log records read at the start."),
	STORE_ROW("replay_bad_records", "gauge", replay_bad_records,
	          "Log records that were broken."),
	STORE_ROW("replay_cut_bytes", "gauge", replay_cut_bytes,
	          "Bytes of a torn end that was cut."),
	STORE_ROW("replay_ms", "gauge", replay_ms, "Milliseconds that the replay took."),
	STORE_ROW("blocks", "gauge", blocks, "Blocks on disk."),
	STORE_ROW("block_bytes", "gauge", block_bytes, "Their bytes."),
	STORE_ROW("block_samples", "gauge", block_samples, "Samples in blocks."),
	STORE_ROW("bad_pages_total", "counter", bad_pages,
	          "Damaged pages of blocks that were read."),
	STORE_ROW("flushes_total", "counter", flushes, "Flushes of memory to blocks."),
	STORE_ROW("flush_errors_total", "counter", flush_errors, "Flushes that failed."),
	STORE_ROW("flushed_samples_total", "counter", flushed_samples, "Samples flushed."),
	STORE_ROW("merges_total", "counter", merges, "Merges of blocks."),
	STORE_ROW("merge_errors_total", "counter", merge_errors, "Merges that failed."),
	STORE_ROW("merges_put_off_total", "counter", merges_put_off,
	          "Merges put off for want of free space."),
	STORE_ROW("merged_samples_total", "counter", merged_samples, "Samples written by merges."),
	STORE_ROW("expired_blocks_total", "counter", expired_blocks,
	          "Blocks removed because all in them was older than the retention."),
	STORE_ROW("written_bytes_total", "counter", written_bytes,
	          "Bytes written to the log and to blocks."),
};

#define HTTP_ROW(name, type, field, help)                                                     \
	{                                                                                     \
		"periscope_region_http_" name, type, help, offsetof(struct http_stats, field) \
	}
static const struct stat_row http_rows[] = {
	HTTP_ROW("connections", "gauge", connections, "Open connections."),
	HTTP_ROW("in_flight", "gauge", in_flight, "Requests being worked on or answered."),
	HTTP_ROW("queries_waiting", "gauge", waiting[LANE_QUERY], "Queries waiting for a worker."),
	HTTP_ROW("writes_waiting", "gauge", waiting[LANE_WRITE], "Writes waiting for a worker."),
	HTTP_ROW("body_bytes", "gauge", body_bytes, "Bodies of requests in memory."),
	HTTP_ROW("received_bytes_total", "counter", received_bytes, "Body bytes received."),
	HTTP_ROW("sent_bytes_total", "counter", sent_bytes, "Body bytes sent."),
	HTTP_ROW("refused_busy_total", "counter", refused_busy,
	         "Requests refused because too many were waiting."),
	HTTP_ROW("refused_large_total", "counter", refused_large,
	         "Requests refused because of their size."),
	HTTP_ROW("cancelled_total", "counter", cancelled,
	         "Requests whose client hung up before they were begun."),
	HTTP_ROW("refused_slow_total", "counter", refused_slow,
	         "Connections closed because a request came too slowly."),
};

static void collect_store(struct buf *out, void *ctx)
{
	struct region *region = ctx;
	struct store_stats stats;
	char label[64];

	store_stats(region->store, &stats);
	put_rows(out, store_rows, ARRAY_SIZE(store_rows), &stats);
	metrics_put_family(out, "periscope_region_store_samples_refused_total", "counter",
	                   "Samples the store refused, by reason.");
	for (unsigned i = 0; i < STORE_REFUSED_N; i++) {
		(void)snprintf(label, sizeof(label), "reason=\"%s\"",
		               store_refusal_name((enum store_refusal)i));
		metrics_put(out, "periscope_region_store_samples_refused_total", label,
		            (double)stats.refused[i]);
	}
}

static void collect_http(struct buf *out, void *ctx)
{
	struct region *region = ctx;
	struct http_stats stats;

	http_get_stats(region->http, &stats);
	put_rows(out, http_rows, ARRAY_SIZE(http_rows), &stats);
}

static void collect_build(struct buf *out, void *ctx)
{
	(void)ctx;
	metrics_put_family(out, "periscope_region_build_info", "gauge", "Version of the program.");
	metrics_put(out, "periscope_region_build_info", "version=\"" PERISCOPE_VERSION "\"", 1);
}

static const metrics_collect_f collectors[] = { collect_build, collect_store, org_limits_collect,
	                                        route_collect };

void selfmetrics_start(struct region *region)
{
	for (size_t i = 0; i < ARRAY_SIZE(collectors); i++)
		metrics_collector_add(collectors[i], region);
}

void selfmetrics_stop(struct region *region)
{
	for (size_t i = 0; i < ARRAY_SIZE(collectors); i++)
		metrics_collector_del(collectors[i], region);
}

void selfmetrics_start_http(struct region *region)
{
	metrics_collector_add(collect_http, region);
}

void selfmetrics_stop_http(struct region *region)
{
	metrics_collector_del(collect_http, region);
}
