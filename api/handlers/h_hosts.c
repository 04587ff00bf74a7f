/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /api/v1/status/hosts: which hosts the organisation's VMs are on, and whether what they send is
 * late. An organisation learns of a host only while a VM of its own is there.
 */
#include <errno.h>

#include "api/handlers/filters.h"
#include "api/handlers/handlers.h"
#include "api/hosts.h"
#include "api/json_out.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

struct ask {
	struct region *region;
	struct request *req;
	struct region_conf conf;
	struct store_select sel;
	struct hosts hosts;
	int64_t now_ms;
	struct err e;
};

static void ask_done(struct ask *a)
{
	hosts_done(&a->hosts);
}

static int scan(struct ask *a, int (*see)(struct hosts *h, const struct store_series *s))
{
	struct store_scan *scan;
	struct store_series s;
	int r = store_scan_open(a->region->store, &a->sel, &scan, &a->e);

	if (r < 0)
		return r;
	while ((r = store_scan_next(scan, &s)) == 0) {
		r = see(&a->hosts, &s);
		if (r < 0)
			break;
	}
	store_scan_close(scan);
	return r < 0 ? r : 0;
}

/* What the token reaches, and of that the series that say that a VM is there. */
static int scan_up(struct ask *a)
{
	const struct store_match_set *all = &a->sel.enforced;
	struct store_matcher *v = ARENA_ARRAY(&a->req->arena, struct store_matcher, all->n + 1);

	if (!v)
		return arena_error(&a->req->arena);
	if (all->n > 0)
		memcpy(v, all->v, all->n * sizeof(*v));
	v[all->n] = (struct store_matcher){ STORE_EQ, STR(LABEL_NAME), str_from(a->conf.hosts_up) };
	a->sel.enforced = (struct store_match_set){ v, all->n + 1 };
	return scan(a, hosts_see_up);
}

static int scan_own(struct ask *a)
{
	static const struct store_matcher names = { STORE_RE, STR_INIT(LABEL_NAME),
		                                    STR_INIT(HOSTS_OWN_NAMES) };

	a->sel.org = region_hosts_org(a->region, a->req->access);
	a->sel.sets = NULL;
	a->sel.n_sets = 0;
	a->sel.enforced = (struct store_match_set){ &names, 1 };
	return scan(a, hosts_see_own);
}

static int look(struct ask *a)
{
	int r = filters_select(a->req, false, &a->sel, &a->e);

	if (r < 0)
		return r;
	a->sel.min_ms = a->now_ms - a->conf.hosts_window_ms;
	a->sel.max_ms = a->now_ms + STORE_FUTURE_MS_MAX;
	a->sel.deadline_mono_ns = clock_mono_ns() + (uint64_t)a->conf.labels_timeout_ms * 1000000;
	a->sel.series_max = (uint64_t)a->conf.labels_series_max;
	/* Whoever sees all of the hosts' own organisation sees also hosts without a VM. */
	a->hosts.may_add = a->sel.n_sets == 0 && a->sel.enforced.n == 0 &&
	                   str_eq(a->req->org, region_hosts_org(a->region, a->req->access));
	r = scan_up(a);
	return r < 0 ? r : scan_own(a);
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void put_queue(struct buf *out, const struct host_state *s)
{
	buf_puts(out, ",\"queueLag\":");
	if (s->has_queue)
		buf_put_double(out, s->queue_lag_s);
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"queueSamples\":");
	if (s->has_queue)
		buf_put_double(out, s->queue_samples);
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"lostSamples\":");
	buf_put_double(out, s->lost);
}

static void put_host(const struct ask *a, struct buf *out, const struct host_state *s)
{
	enum host_fault fault = host_judge(s, a->now_ms, a->conf.hosts_late_ms);

	buf_puts(out, "{\"host\":");
	json_put_str(out, s->host);
	buf_puts(out, ",\"region\":");
	json_put_str(out, s->region);
	buf_printf(out, ",\"instances\":%llu,\"lastSeen\":", (unsigned long long)s->n_instances);
	json_put_ts(out, s->last_ms);
	buf_puts(out, ",\"lag\":");
	json_put_ts(out, MAX((int64_t)0, a->now_ms - s->last_ms));
	put_queue(out, s);
	buf_printf(out, ",\"degraded\":%s,\"reason\":\"%s\"}",
	           fault == HOST_FINE ? "false" : "true", host_fault_name(fault));
}

static void put_answer(const struct ask *a, struct buf *out)
{
	size_t n_degraded = 0;

	for (size_t i = 0; i < a->hosts.n; i++)
		n_degraded +=
			host_judge(&a->hosts.v[i], a->now_ms, a->conf.hosts_late_ms) != HOST_FINE;
	buf_printf(out, "{\"status\":\"success\",\"data\":{\"degraded\":%zu,\"hosts\":[",
	           n_degraded);
	for (size_t i = 0; i < a->hosts.n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_host(a, out, &a->hosts.v[i]);
	}
	buf_puts(out, "]}}\n");
}

int h_hosts(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(ask_done) struct ask a = {
		.region = region, .req = req, .now_ms = clock_unix_ms(), .e = ERR_INIT
	};

	region_settings(region, &a.conf);
	a.hosts = (struct hosts){ .index = COUNTS_INIT(HOSTS_MAX),
		                  .arena = &req->arena,
		                  .destination = str_from(a.conf.hosts_destination) };
	int r = look(&a);

	if (r < 0)
		return a.e.code == -EINVAL ? reply_args_error(resp, r, &a.e)
		                           : reply_engine_error(resp, r, &a.e);
	hosts_sort(&a.hosts);
	put_answer(&a, &resp->body);
	return reply_json(resp);
}
