/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients ask about the server itself. */
#include <time.h>

#include "api/handlers/handlers.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"

static void put_rfc3339(struct buf *out, int64_t ms)
{
	time_t at = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	(void)gmtime_r(&at, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_puts(out, text);
}

int h_health(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	(void)req;
	return reply_text(resp, "OK\n");
}

int h_ready(struct region *region, struct request *req, struct response *resp)
{
	(void)req;
	if (atomic_load(&region->stopping))
		return reply_error(resp, REPLY_UNAVAILABLE, "the server is stopping");
	return reply_text(resp, "OK\n");
}

int h_metrics(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	(void)req;
	metrics_write(&resp->body);
	if (resp->body.err < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	resp->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return resp->status = 200;
}

/* Those settings that a client may want to know, by the names of Prometheus' own flags. */
int h_flags(struct region *region, struct request *req, struct response *resp)
{
	struct region_conf c;

	(void)req;
	region_settings(region, &c);
	buf_printf(&resp->body,
	           "{\"status\":\"success\",\"data\":{\"query.timeout\":\"%llds\","
	           "\"query.lookback-delta\":\"5m\",\"query.max-samples\":\"%lld\","
	           "\"storage.tsdb.retention.time\":\"%lldh\","
	           "\"web.enable-remote-write-receiver\":\"true\"}}\n",
	           (long long)(c.query_timeout_ms / 1000), (long long)c.query_samples_max,
	           (long long)(c.retention_ms / 3600000));
	return reply_json(resp);
}

int h_runtimeinfo(struct region *region, struct request *req, struct response *resp)
{
	struct region_conf c;

	(void)req;
	region_settings(region, &c);
	buf_puts(&resp->body, "{\"status\":\"success\",\"data\":{\"startTime\":\"");
	put_rfc3339(&resp->body, region->start_ms);
	buf_puts(&resp->body, "\",\"serverTime\":\"");
	put_rfc3339(&resp->body, clock_unix_ms());
	buf_printf(&resp->body,
	           "\",\"reloadConfigSuccess\":true,\"storageRetention\":\"%lldh\"}}\n",
	           (long long)(c.retention_ms / 3600000));
	return reply_json(resp);
}

/* Fly documents remote read as not supported; so do we. */
int h_read(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	(void)req;
	return reply_error(resp, REPLY_NOT_IMPLEMENTED,
	                   "remote read is not supported; use /api/v1/query_range,"
	                   " /api/v1/export or /federate");
}
