/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /prettify-query and /expand-with-exprs: texts of queries, no data. As VictoriaMetrics' query
 * editor expects it, a query that cannot be read is no failure of the request: the status is 200
 * and the answer says why.
 */
#include <errno.h>

#include "api/handlers/handlers.h"
#include "api/json_out.h"
#include "api/params.h"
#include "api/reply.h"

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
