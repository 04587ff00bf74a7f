/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers that are always the same. Most say that there is none of something: this server
 * evaluates no rules, scrapes nothing and keeps no exemplars, but clients ask, and take an empty
 * list for an answer where an error would stop them.
 */
#include <string.h>

#include "api/handlers/handlers.h"
#include "api/reply.h"
#include "userspace/base/util.h"

/*
 * Grafana reads the version to know which endpoints it may use: it is that of the Prometheus API we
 * speak. "features" beside it would make Grafana take us for Mimir.
 */
#define PROMETHEUS_API_VERSION "2.24.0"

static const struct {
	const char *path, *data;
} rows[] = {
	{ "/api/v1/status/buildinfo", "{\"version\":\"" PROMETHEUS_API_VERSION "\"}" },
	{ "/api/v1/status/config", "{\"yaml\":\"\"}" },
	{ "/api/v1/rules", "{\"groups\":[]}" },
	{ "/api/v1/alerts", "{\"alerts\":[]}" },
	{ "/api/v1/notifiers", "{\"notifiers\":[]}" },
	{ "/api/v1/alertmanagers", "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}" },
	{ "/api/v1/notifications", "[]" },
	{ "/api/v1/targets", "{\"activeTargets\":[],\"droppedTargets\":[]}" },
	{ "/api/v1/targets/metadata", "[]" },
	{ "/api/v1/scrape_pools", "{\"scrapePools\":[]}" },
	{ "/api/v1/query_exemplars", "[]" },
	{ "/api/v1/features",
	  "{\"api\":{\"admin\":true,\"label_values_match\":true,\"lifecycle\":false,"
	  "\"remote_write_receiver\":true,\"search\":true,\"time_range_labels\":true,"
	  "\"time_range_series\":true},"
	  "\"promql\":{\"at_modifier\":true,\"negative_offset\":true,\"offset\":true,"
	  "\"subqueries\":true,\"utf8_names\":true},"
	  "\"prometheus\":{\"exemplar_storage\":false,\"native_histograms\":false,"
	  "\"remote_write_v2\":true}}" },
};

int h_constant(struct region *region, struct request *req, struct response *resp)
{
	size_t i = 0;

	(void)region;
	while (i < ARRAY_SIZE(rows) && strcmp(rows[i].path, req->route->path) != 0)
		i++;
	if (i == ARRAY_SIZE(rows))
		return reply_error(resp, REPLY_INTERNAL, "%s has no answer", req->route->path);
	buf_printf(&resp->body, "{\"status\":\"success\",\"data\":%s}\n", rows[i].data);
	return reply_json(resp);
}
