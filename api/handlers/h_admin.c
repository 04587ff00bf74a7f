/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /api/v1/admin/tsdb/delete_series, of one organisation, and snapshots, of all: those of Prometheus
 * and those of VictoriaMetrics under its own paths. Whatever changes something takes POST only.
 */
#include "api/handlers/filters.h"
#include "api/handlers/handlers.h"
#include "api/json_out.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"

/* --- deleting --------------------------------------------------------------------------------- */

static int read_range(const struct params *p, struct store_select *sel, struct err *e)
{
	int64_t now_ms = clock_unix_ms();
	int r = params_time_ms(p, "start", now_ms, INT64_MIN, &sel->min_ms, e);

	if (r == 0)
		r = params_time_ms(p, "end", now_ms, INT64_MAX, &sel->max_ms, e);
	if (r == 0 && sel->min_ms > sel->max_ms)
		r = err_set(e, -EINVAL, "the range ends before it starts");
	return r;
}

int h_delete_series(struct region *region, struct request *req, struct response *resp)
{
	struct store_select sel = { 0 };
	struct region_conf conf;
	struct err e = ERR_INIT;
	uint64_t n = 0;
	int r = read_range(&req->params, &sel, &e);

	if (r == 0)
		r = filters_select(req, true, &sel, &e);
	if (r < 0)
		return reply_args_error(resp, r, &e);
	region_settings(region, &conf);
	sel.deadline_mono_ns = clock_mono_ns() + (uint64_t)conf.query_timeout_ms * 1000000;
	r = store_delete(region->store, &sel, &n, &e);
	if (r < 0)
		return reply_engine_error(resp, r, &e);
	log_info("series deleted", STRS("org", req->org), STRS("token", req->grant.who),
	         STRS("client", req->client), U64("series", n));
	return reply_empty(resp, 204);
}

/* --- snapshots -------------------------------------------------------------------------------- */

static int reply_store_error(struct response *resp, int r, const struct err *e)
{
	if (r == -ENOENT)
		return reply_error(resp, REPLY_NOT_FOUND, "%s", e->msg);
	return reply_engine_error(resp, r, e);
}

static int create(struct region *region, const struct request *req, struct response *resp,
                  char *ret_name)
{
	struct err e = ERR_INIT;
	int r = store_snapshot_create(region->store, ret_name, &e);

	if (r < 0)
		return reply_store_error(resp, r, &e);
	log_info("snapshot made", STRV("name", ret_name), STRS("token", req->grant.who));
	return 0;
}

int h_snapshot(struct region *region, struct request *req, struct response *resp)
{
	char name[STORE_SNAPSHOT_NAME_MAX];
	int status = create(region, req, resp, name);

	if (status != 0)
		return status;
	buf_printf(&resp->body, "{\"status\":\"success\",\"data\":{\"name\":\"%s\"}}\n", name);
	return reply_json(resp);
}

int h_snapshot_create(struct region *region, struct request *req, struct response *resp)
{
	char name[STORE_SNAPSHOT_NAME_MAX];
	int status = create(region, req, resp, name);

	if (status != 0)
		return status;
	buf_printf(&resp->body, "{\"status\":\"ok\",\"snapshot\":\"%s\"}\n", name);
	return reply_json(resp);
}

struct listing {
	struct buf *out;
	size_t n;
};

static int put_name(void *ctx, struct str name)
{
	struct listing *l = ctx;

	if (l->n++ > 0)
		buf_putc(l->out, ',');
	json_put_str(l->out, name);
	return l->out->err;
}

int h_snapshot_list(struct region *region, struct request *req, struct response *resp)
{
	struct listing l = { .out = &resp->body };
	struct err e = ERR_INIT;

	(void)req;
	buf_puts(l.out, "{\"status\":\"ok\",\"snapshots\":[");
	int r = store_snapshots_each(region->store, put_name, &l);

	buf_puts(l.out, "]}\n");
	return r < 0 ? reply_store_error(resp, r, &e) : reply_json(resp);
}

static int delete_one(struct region *region, const struct request *req, struct str name,
                      struct err *e)
{
	int r = store_snapshot_delete(region->store, name, e);

	if (r == 0)
		log_info("snapshot deleted", STRS("name", name), STRS("token", req->grant.who));
	return r;
}

int h_snapshot_delete(struct region *region, struct request *req, struct response *resp)
{
	struct str name = params_get(&req->params, "snapshot");
	struct err e = ERR_INIT;

	if (name.len == 0)
		return reply_error(resp, REPLY_BAD_DATA, "argument snapshot is missing");
	int r = delete_one(region, req, name, &e);

	if (r < 0)
		return reply_store_error(resp, r, &e);
	buf_puts(&resp->body, "{\"status\":\"ok\"}\n");
	return reply_json(resp);
}

/* The names first: the list must not change under whoever reads it. */
static int keep_name(void *ctx, struct str name)
{
	struct buf *names = ctx;

	buf_put_str(names, name);
	buf_putc(names, '\n');
	return names->err;
}

int h_snapshot_delete_all(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf names = BUF_INIT;
	struct err e = ERR_INIT;
	int r = store_snapshots_each(region->store, keep_name, &names);

	for (struct str rest = buf_str(&names), name; r == 0 && rest.len > 0;) {
		(void)str_cut(rest, '\n', &name, &rest);
		r = delete_one(region, req, name, &e);
		r = r == -ENOENT ? 0 : r; /* somebody else was faster */
	}
	if (r < 0)
		return reply_store_error(resp, r, &e);
	buf_puts(&resp->body, "{\"status\":\"ok\"}\n");
	return reply_json(resp);
}
