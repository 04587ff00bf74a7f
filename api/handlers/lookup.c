/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/lookup.h"

#include <errno.h>
#include <stdatomic.h>

#include "api/handlers/filters.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define DAY_MS           (86400 * 1000ll)
#define DEFAULT_RANGE_MS (5 * 60 * 1000ll)
#define ANSWER_BYTES_MAX ((size_t)256 << 20)

/* Without a start: the last five minutes, from the beginning of their (UTC) day. */
static int64_t default_start_ms(int64_t end_ms)
{
	int64_t ms = end_ms - DEFAULT_RANGE_MS;

	return ms > 0 ? ms - ms % DAY_MS : 0;
}

static int read_args(struct lookup *l, struct request *req, const struct region_conf *conf,
                     bool match_required)
{
	const struct params *p = &req->params;
	int64_t now_ms = clock_unix_ms(), limit, ms;
	int r = params_time_ms(p, "end", now_ms, now_ms, &l->sel.max_ms, &l->e);

	if (r == 0)
		r = params_time_ms(p, "start", now_ms, default_start_ms(l->sel.max_ms),
		                   &l->sel.min_ms, &l->e);
	if (r == 0)
		r = params_int(p, "limit", 0, &limit, &l->e);
	if (r == 0)
		r = params_duration_ms(p, "timeout", conf->labels_timeout_ms, &ms, &l->e);
	if (r == 0)
		r = filters_select(req, match_required, &l->sel, &l->e);
	if (r < 0)
		return r;
	if (l->sel.min_ms > l->sel.max_ms)
		return err_set(&l->e, -EINVAL, "the range ends before it starts");
	l->limit = limit > 0 ? (uint64_t)limit : UINT64_MAX;
	l->sel.deadline_mono_ns =
		clock_mono_ns() + (uint64_t)MIN(ms, conf->labels_timeout_ms) * 1000000;
	return 0;
}

int lookup_begin(struct lookup *l, struct region *region, struct request *req,
                 struct response *resp, bool match_required)
{
	struct region_conf conf;
	int r;

	region_settings(region, &conf);
	*l = (struct lookup){ .e = ERR_INIT, .out = &resp->body, .gone = &req->gone };
	l->sel.series_max = (uint64_t)conf.labels_series_max;
	r = read_args(l, req, &conf, match_required);
	if (r < 0)
		return reply_args_error(resp, r, &l->e);
	resp->body.max = ANSWER_BYTES_MAX;
	buf_puts(l->out, "{\"status\":\"success\",\"data\":[");
	return 0;
}

int lookup_item(struct lookup *l)
{
	if (atomic_load_explicit(l->gone, memory_order_relaxed))
		return err_set(&l->e, -ECANCELED, "the client has hung up");
	if (l->n == l->limit) {
		l->cut = true;
		return LOOKUP_FULL;
	}
	if (l->n++ > 0)
		buf_putc(l->out, ',');
	return l->out->err;
}

int lookup_end(struct lookup *l, struct response *resp, int r)
{
	if (r < 0 && r != LOOKUP_FULL && l->out->err == 0)
		return reply_engine_error(resp, r, &l->e);
	buf_puts(l->out,
	         l->cut ? "],\"warnings\":[\"results truncated due to limit\"]}\n" : "]}\n");
	return reply_json(resp);
}
