/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients ask about the server itself. */
#include "api/handlers/handlers.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/metrics.h"

/*
 * Grafana reads the version to know which endpoints it may use: it is that of the Prometheus API we
 * speak. A non-empty "features" would make it take us for Mimir.
 */
#define PROMETHEUS_API_VERSION "2.24.0"

int h_buildinfo(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	(void)req;
	buf_puts(&resp->body,
	         "{\"status\":\"success\",\"data\":{\"version\":\"" PROMETHEUS_API_VERSION
	         "\",\"revision\":\"periscope " PERISCOPE_VERSION "\"}}\n");
	return reply_json(resp);
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
