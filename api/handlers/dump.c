/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/dump.h"

#include <errno.h>
#include <stdatomic.h>

#include "api/handlers/filters.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"

static struct metric samples_dumped = METRIC_COUNTER("periscope_region_export_samples_total", "",
                                                     "Samples read by exports and federation.");
METRIC_REGISTER(samples_dumped);

/* --- the stream ------------------------------------------------------------------------------- */

static int next_series(struct dump *d)
{
	int r = store_scan_next(d->scan, &d->series);

	if (r != 0)
		return r;
	metric_add(&samples_dumped, d->series.n);
	d->row = 0;
	d->in_series = true;
	d->n_series++;
	return 0;
}

static int dump_next(void *ctx, struct buf *out, size_t want)
{
	struct dump *d = ctx;
	size_t from = out->len;
	int r = 0;

	if (!d->began)
		buf_put_str(out, d->format->head);
	d->began = true;
	while (r == 0 && out->err == 0 && out->len - from < want) {
		if (atomic_load_explicit(&d->req->gone, memory_order_relaxed))
			return -ECANCELED;
		if (!d->in_series)
			r = next_series(d);
		if (r == 0)
			d->format->rows(d, out, want - (out->len - from));
		if (d->row >= d->series.n)
			d->in_series = false;
	}
	if (r == 1)
		buf_put_str(out, d->format->tail);
	return out->err < 0 ? out->err : r;
}

/* The struct itself is in the request's arena, which lives longer. */
static void dump_free(void *ctx)
{
	struct dump *d = ctx;

	store_scan_close(d->scan);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static int read_range(const struct params *p, int64_t default_start_ms, struct store_select *sel,
                      struct err *e)
{
	int64_t now_ms = clock_unix_ms();
	int r = params_time_ms(p, "end", now_ms, now_ms, &sel->max_ms, e);

	if (r == 0)
		r = params_time_ms(p, "start", now_ms, default_start_ms, &sel->min_ms, e);
	if (r == 0 && sel->min_ms > sel->max_ms)
		r = err_set(e, -EINVAL, "the range ends before it starts");
	return r;
}

int dump_reply(struct region *region, struct request *req, struct response *resp,
               const struct dump_format *format, void *format_ctx, int64_t default_start_ms)
{
	struct dump *d = ARENA_NEW(&req->arena, struct dump);
	struct store_select sel = { 0 };
	struct err e = ERR_INIT;
	int r = d ? read_range(&req->params, default_start_ms, &sel, &e) : arena_error(&req->arena);

	if (r == 0)
		r = filters_select(req, true, &sel, &e);
	if (r < 0)
		return reply_args_error(resp, r, &e);
	r = store_scan_open(region->store, &sel, &d->scan, &e);
	if (r < 0)
		return reply_engine_error(resp, r, &e);
	d->req = req;
	d->format = format;
	d->format_ctx = format_ctx;
	resp->stream = (struct http_stream){ dump_next, dump_free, d };
	resp->content_type = format->content_type;
	return resp->status = 200;
}
