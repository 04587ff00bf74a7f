/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/json_out.h"
#include "userspace/base/util.h"

#define RETRY_AFTER_S 2

static const struct kind {
	int status;
	const char *type;
	unsigned retry_after_s;
} kinds[REPLY_N] = {
	[REPLY_BAD_DATA] = { 400, "bad_data", 0 },
	[REPLY_NO_TOKEN] = { 401, "unauthorized", 0 },
	[REPLY_FORBIDDEN] = { 403, "forbidden", 0 },
	[REPLY_NOT_FOUND] = { 404, "not_found", 0 },
	[REPLY_METHOD] = { 405, "bad_data", 0 },
	[REPLY_TOO_LARGE] = { 413, "bad_data", 0 },
	[REPLY_UNSUPPORTED] = { 415, "bad_data", 0 },
	[REPLY_EXECUTION] = { 422, "execution", 0 },
	[REPLY_TOO_MANY] = { 429, "too_many_requests", RETRY_AFTER_S },
	[REPLY_CANCELED] = { 499, "canceled", 0 },
	[REPLY_INTERNAL] = { 500, "internal", 0 },
	[REPLY_NOT_IMPLEMENTED] = { 501, "unavailable", 0 },
	[REPLY_UNAVAILABLE] = { 503, "unavailable", RETRY_AFTER_S },
	[REPLY_TIMEOUT] = { 503, "timeout", 0 },
};

enum reply_error reply_kind_of(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].status == status)
			return (enum reply_error)i;
	}
	return REPLY_INTERNAL;
}

static void clear(struct response *resp)
{
	response_done(resp);
	*resp = (struct response){ 0 };
}

int reply_error(struct response *resp, enum reply_error kind, const char *fmt, ...)
{
	const struct kind *k = &kinds[kind];
	char sentence[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	clear(resp);
	buf_puts(&resp->body, "{\"status\":\"error\",\"errorType\":\"");
	buf_puts(&resp->body, k->type);
	buf_puts(&resp->body, "\",\"error\":");
	json_put_str(&resp->body, str_from(sentence));
	buf_puts(&resp->body, "}\n");
	resp->content_type = REPLY_JSON;
	if (k->retry_after_s > 0)
		response_header(resp, "Retry-After", "%u", k->retry_after_s);
	return resp->status = k->status;
}

int reply_text(struct response *resp, const char *text)
{
	clear(resp);
	buf_puts(&resp->body, text);
	resp->content_type = REPLY_TEXT;
	return resp->status = 200;
}

int reply_json(struct response *resp)
{
	if (resp->body.err < 0)
		return reply_error(resp,
		                   resp->body.err == -ENOSPC ? REPLY_EXECUTION : REPLY_UNAVAILABLE,
		                   "the answer is too big; ask for less, or set a limit");
	resp->content_type = REPLY_JSON;
	return resp->status = 200;
}

int reply_empty(struct response *resp, int status)
{
	clear(resp);
	return resp->status = status;
}

int reply_engine_error(struct response *resp, int code, const struct err *e)
{
	const char *why = e->msg[0] ? e->msg : "the request failed";

	switch (code) {
	case -EINVAL:
	case -ENOSPC:
		return reply_error(resp, REPLY_EXECUTION, "%s", why);
	case -ECANCELED:
		return reply_error(resp, REPLY_TIMEOUT, "%s",
		                   e->msg[0] ? e->msg : "the timeout is over");
	case -EAGAIN:
		return reply_error(resp, REPLY_TOO_MANY, "%s", why);
	case -ENOMEM:
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	default:
		return reply_error(resp, REPLY_INTERNAL, "%s", why);
	}
}

int reply_args_error(struct response *resp, int code, const struct err *e)
{
	if (code != -EINVAL)
		return reply_engine_error(resp, code, e);
	return reply_error(resp, REPLY_BAD_DATA, "%s", e->msg);
}
