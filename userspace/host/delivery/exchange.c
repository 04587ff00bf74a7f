/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/log.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/label_text.h"

#define OWN_HEADERS_MAX 8
#define MESSAGE_TYPE    "application/x-protobuf"
#define WRITTEN_HEADER  "X-Prometheus-Remote-Write-Samples-Written"

struct exchange {
	struct http_client *client;
	struct buf body, authorization;
	const char **headers;
	size_t headers_cap;
};

int exchange_new(struct exchange **ret)
{
	struct exchange *x = mem_zalloc(1, sizeof(*x));
	int r = x ? http_client_new(&x->client) : -ENOMEM;

	if (r < 0) {
		exchange_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void exchange_free(struct exchange *x)
{
	if (!x)
		return;
	http_client_free(x->client);
	settings_forget(&x->authorization);
	buf_done(&x->body);
	free(x->headers);
	free(x);
}

static enum outcome outcome_of(int status)
{
	static const int again[] = { 401, 403, 404, 408, 429 };

	if (status >= 200 && status < 300)
		return OUTCOME_TAKEN;
	if (status == 413)
		return OUTCOME_TOO_LARGE;
	if (status == 415)
		return OUTCOME_NOT_UNDERSTOOD;
	for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
		if (status == again[i])
			return OUTCOME_AGAIN;
	}
	/* 1xx and 3xx: something that is no receiver answers; an operator will find out. */
	return status >= 400 && status < 500 ? OUTCOME_REFUSED : OUTCOME_AGAIN;
}

/*
 * Who understands version 2.0 says how many samples were written, whatever the status; one who does
 * not may well answer 204 and have stored nothing. And a form that was never taken is the first
 * suspect when the answer is that the request is bad.
 */
static enum outcome judge(const struct answer *a, int status, bool v2, bool is_proven)
{
	enum outcome o = outcome_of(status);

	if (o == OUTCOME_TAKEN && v2 && a->n_written < 0)
		return OUTCOME_NOT_UNDERSTOOD;
	if (o == OUTCOME_REFUSED && !is_proven && a->n_written < 0)
		return OUTCOME_NOT_UNDERSTOOD;
	return o;
}

static void describe(const struct http_reply *reply, struct answer *ret)
{
	char text[160];
	struct str line, rest;

	(void)str_cut(buf_str(&reply->body), '\n', &line, &rest);
	label_text_copy(text, sizeof(text), line);
	if (ret->says_taken)
		(void)snprintf(text, sizeof(text), "without the header " WRITTEN_HEADER);
	(void)snprintf(ret->why, sizeof(ret->why), "HTTP status %d: %s", reply->status, text);
}

static int64_t written(const struct http_reply *reply)
{
	uint64_t n;

	return num_parse_u64(str_from(reply->wanted), &n) == 0 && n <= INT64_MAX ? (int64_t)n : -1;
}

static const char *const *make_headers(struct exchange *x, struct settings *s,
                                       struct recode_form form)
{
	const char *own[] = {
		form.v2 ? "Content-Type: " MESSAGE_TYPE ";proto=io.prometheus.write.v2.Request"
			: "Content-Type: " MESSAGE_TYPE,
		form.coding == CODING_ZSTD ? "Content-Encoding: zstd" : "Content-Encoding: snappy",
		form.v2 ? "X-Prometheus-Remote-Write-Version: 2.0.0"
			: "X-Prometheus-Remote-Write-Version: 0.1.0",
		"User-Agent: periscope-host/" PERISCOPE_VERSION,
		x->authorization.len > 0 ? buf_cstr(&x->authorization) : NULL,
	};
	size_t n = 0;

	_Static_assert(ARRAY_SIZE(own) < OWN_HEADERS_MAX, "room for the NULL, too");
	if (MEM_GROW(x->headers, x->headers_cap, s->n_headers + OWN_HEADERS_MAX) < 0)
		return NULL;
	for (size_t i = 0; i < s->n_headers; i++)
		x->headers[n++] = s->headers[i];
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (own[i])
			x->headers[n++] = own[i];
	}
	x->headers[n] = NULL;
	return x->headers;
}

static void post(struct exchange *x, struct settings *s, struct recode_form form, struct str body,
                 bool is_proven, const _Atomic int *stop, struct answer *ret)
{
	_cleanup_(http_reply_done) struct http_reply reply = { .retry_after_s = -1 };
	const struct http_request req = { .url = s->url,
		                          .headers = make_headers(x, s, form),
		                          .body = body,
		                          .timeout_ms = s->timeout_ms,
		                          .tls = &s->tls,
		                          .wanted = WRITTEN_HEADER };
	struct err e = ERR_INIT;
	int r = req.headers ? http_post(x->client, &req, stop, &reply, &e) : -ENOMEM;

	if (r < 0) {
		(void)snprintf(ret->why, sizeof(ret->why), "%s", e.msg[0] ? e.msg : strerror(-r));
		return;
	}
	ret->n_bytes = body.len;
	ret->retry_after_s = reply.retry_after_s;
	ret->n_written = written(&reply);
	ret->says_taken = outcome_of(reply.status) == OUTCOME_TAKEN;
	ret->outcome = judge(ret, reply.status, form.v2, is_proven);
	describe(&reply, ret);
}

static bool is_as_it_is(struct recode_form form, size_t from, size_t to)
{
	return form.v2 && form.coding == CODING_ZSTD && from == 0 && to == SIZE_MAX;
}

void exchange_send(struct exchange *x, struct settings *settings, struct str block,
                   struct recode_form form, bool is_proven, size_t from, size_t to,
                   const _Atomic int *stop, struct answer *ret)
{
	struct err e = ERR_INIT;
	int r = 0;

	*ret = (struct answer){ .outcome = OUTCOME_AGAIN, .retry_after_s = -1, .n_written = -1 };
	if (settings_authorization(settings, &x->authorization, &e) < 0)
		log_warn("delivery: the token's file is no good; the token from before is used",
		         STRV("why", e.msg));
	if (!is_as_it_is(form, from, to)) {
		r = recode(block, form, from, to, &x->body);
		block = buf_str(&x->body);
	}
	if (r == 0) {
		post(x, settings, form, block, is_proven, stop, ret);
		return;
	}
	if (r == -EBADMSG)
		ret->outcome = OUTCOME_REFUSED;
	(void)snprintf(ret->why, sizeof(ret->why), "the block could not be made over: %s",
	               strerror(-r));
}
