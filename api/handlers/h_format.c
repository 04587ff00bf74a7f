/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Texts of queries, no data. /prettify-query and /expand-with-exprs are what VictoriaMetrics' query
 * editor asks for: a query that cannot be read is no failure of the request there, the status is
 * 200 and the answer says why. /api/v1/format_query and /api/v1/parse_query are Prometheus'; the
 * latter gives an editor of queries also the tokens and what may stand at the cursor, for a text
 * that is no query as well.
 */
#include <errno.h>

#include "api/handlers/handlers.h"
#include "api/json_out.h"
#include "api/mql/mql.h"
#include "api/params.h"
#include "api/reply.h"
#include "userspace/base/util.h"

typedef int (*format_f)(struct str text, struct buf *out, struct err *e);

/* @ok, @bad: the names of the members with the text or with the reason. */
static int answer(struct request *req, struct response *resp, format_f format, const char *ok,
                  const char *bad)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	int r = format(params_get(&req->params, "query"), &text, &e);

	if (r < 0 && r != -EINVAL)
		return reply_engine_error(resp, r, &e);
	if (r < 0 && e.pos >= 0)
		buf_printf(&text, "%s (at byte %d)", e.msg, e.pos);
	else if (r < 0)
		buf_puts(&text, e.msg);
	buf_printf(&resp->body, "{\"status\":\"%s\",\"%s\":", r < 0 ? "error" : "success",
	           r < 0 ? bad : ok);
	json_put_str(&resp->body, buf_str(&text));
	buf_puts(&resp->body, "}\n");
	if (text.err < 0 || resp->body.err < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	return reply_json(resp);
}

int h_prettify(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	return answer(req, resp, mql_prettify, "query", "msg");
}

int h_expand(struct region *region, struct request *req, struct response *resp)
{
	(void)region;
	return answer(req, resp, mql_expand, "expr", "error");
}

/* --- Prometheus' ------------------------------------------------------------------------------ */

static int reply_bad_query(struct response *resp, int r, const struct err *e)
{
	if (r != -EINVAL || e->pos < 0)
		return reply_args_error(resp, r, e);
	return reply_error(resp, REPLY_BAD_DATA, "%s (at byte %d)", e->msg, e->pos);
}

int h_format_query(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	int r = mql_prettify(params_get(&req->params, "query"), &text, &e);

	(void)region;
	if (r < 0)
		return reply_bad_query(resp, r, &e);
	buf_puts(&resp->body, "{\"status\":\"success\",\"data\":");
	json_put_str(&resp->body, buf_str(&text));
	buf_puts(&resp->body, "}\n");
	return reply_json(resp);
}

static void put_expects(struct buf *out, unsigned expects)
{
	static const char *const names[] = { "metric",  "function", "label",   "value",
		                             "matcher", "duration", "operator" };
	const char *before = "";

	buf_puts(out, "{\"expects\":[");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(expects & 1u << i))
			continue;
		buf_printf(out, "%s\"%s\"", before, names[i]);
		before = ",";
	}
	buf_putc(out, ']');
}

static int put_completion(struct buf *out, struct str text, size_t at)
{
	struct mql_context c;
	int r = mql_complete(text, at, &c);

	if (r < 0)
		return r;
	put_expects(out, c.expects);
	buf_printf(out, ",\"from\":%u,\"to\":%u,\"prefix\":", c.from, c.to);
	json_put_str(out, c.prefix);
	buf_puts(out, ",\"label\":");
	json_put_str(out, c.label);
	buf_puts(out, ",\"metric\":");
	json_put_str(out, c.metric);
	buf_putc(out, '}');
	return out->err;
}

/* ,"tokens":[…],"completion":{…} */
static int put_editing(struct buf *out, struct str text, size_t at)
{
	buf_puts(out, ",\"tokens\":");
	int r = mql_tokens_json(text, out);

	buf_puts(out, ",\"completion\":");
	return r < 0 ? r : put_completion(out, text, at);
}

/* The error in the same words as anywhere else, with the place as a number. */
static void put_error(struct buf *out, const struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	buf_printf(&text, "%s (at byte %d)", e->msg, e->pos);
	buf_puts(out, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":");
	json_put_str(out, e->pos < 0 ? str_from(e->msg) : buf_str(&text));
	buf_printf(out, ",\"position\":%d", e->pos);
}

int h_parse_query(struct region *region, struct request *req, struct response *resp)
{
	struct str text = params_get(&req->params, "query");
	struct buf *out = &resp->body;
	struct err e = ERR_INIT;
	int64_t at;
	int r = params_int(&req->params, "pos", (int64_t)text.len, &at, &e);

	(void)region;
	if (r < 0 || at < 0)
		return reply_error(resp, REPLY_BAD_DATA, "argument pos is not a byte of the query");
	buf_puts(out, "{\"status\":\"success\",\"data\":");
	r = mql_tree_json(text, out, &e);
	if (r < 0 && r != -EINVAL)
		return reply_engine_error(resp, r, &e);
	resp->status = r < 0 ? 400 : 200;
	if (r < 0) {
		buf_clear(out);
		put_error(out, &e);
	}
	r = put_editing(out, text, (size_t)at);
	buf_puts(out, "}\n");
	if (r < 0)
		return reply_engine_error(resp, r, &e);
	resp->content_type = REPLY_JSON;
	return resp->status;
}
