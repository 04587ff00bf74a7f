/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request from its first line to its end. While it waits or is worked on its connection is
 * suspended. The parts of its life:
 *
 *	on_uri         request line read: the exchange is made
 *	on_request     headers read, then body bytes, then the end, then the answer (see below)
 *	worker         serve(), resume; later perhaps pieces of a long answer
 *	on_completed   done(), the exchange is freed
 *
 * The library calls on_request() again and again for one exchange; @at says what this call means.
 * Of one exchange only one thread runs at a time: network thread, worker (suspended), network
 * thread; the queue's and the library's locks order them.
 */
#include "api/http/exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/answer.h"
#include "api/http/listen.h"
#include "api/http/tls.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define EARLY_ANSWER_DRAIN ((uint64_t)64 << 20) /* up to this much is dropped before a refusal */

void request_done(struct request *req)
{
	buf_done(&req->body);
	arena_done(&req->arena);
}

void response_done(struct response *resp)
{
	buf_done(&resp->body);
	if (resp->stream.ctx)
		resp->stream.free(resp->stream.ctx);
	resp->stream = (struct http_stream){ 0 };
}

void response_header(struct response *resp, const char *name, const char *fmt, ...)
{
	struct response_header *h;
	va_list ap;

	assert(resp->n_headers < RESPONSE_HEADERS_MAX);
	h = &resp->headers[resp->n_headers++];
	h->name = name;
	va_start(ap, fmt);
	(void)vsnprintf(h->value, sizeof(h->value), fmt, ap);
	va_end(ap);
}

const char *response_get_header(const struct response *resp, const char *name)
{
	for (unsigned i = 0; i < resp->n_headers; i++) {
		if (strcmp(resp->headers[i].name, name) == 0)
			return resp->headers[i].value;
	}
	return NULL;
}

/* --- an exchange comes and goes --------------------------------------------------------------- */

/*
 * The library would parse the arguments too, at 70 bytes of the headers' memory each, and a client
 * with a thousand short ones then never gets an answer (0.9.75). It reads them from this buffer
 * after the callback: an early end leaves it nothing to parse.
 */
static void hide_arguments(const char *uri)
{
	char *mark = strchr((char *)(uintptr_t)uri, '?');

	if (mark)
		mark[1] = '\0';
}

void *exchange_on_uri(void *ctx, const char *uri, struct MHD_Connection *conn)
{
	struct exchange *x = mem_zalloc(1, sizeof(*x));
	struct http *h = ctx;
	struct str text;

	if (!x)
		return NULL;
	x->h = h;
	x->conn = conn;
	x->req.start_mono_ns = clock_mono_ns();
	x->req.arena = ARENA_INIT(h->conf.request_memory_max);
	/* The library's copy lives as long as the request, but says so nowhere. */
	text = arena_str(&x->req.arena, str_from(uri));
	(void)str_cut(text, '?', &x->req.path, &x->req.query);
	hide_arguments(uri);
	return x;
}

static struct watch_conn *conn_of(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void has_request(struct MHD_Connection *conn, bool has)
{
	struct watch_conn *c = conn_of(conn);

	if (c)
		watch_conn_has_request(c, has);
}

void exchange_on_completed(void *ctx, struct MHD_Connection *conn, void **con_cls,
                           enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *con_cls;
	struct http *h = ctx;

	(void)code;
	has_request(conn, false);
	if (!x)
		return;
	*con_cls = NULL;
	if (x->admitted)
		fair_leave(h->lanes[x->req.lane], &x->item);
	h->ops.done(h->ops.ctx, &x->req, &x->resp);
	atomic_fetch_sub(&h->body_bytes, x->body_held_bytes);
	response_done(&x->resp); /* first: what it holds may be in the request's arena */
	request_done(&x->req);
	packer_free(x->packer);
	buf_done(&x->plain);
	bool in_flight = x->in_flight;

	free(x);
	if (in_flight)
		atomic_fetch_sub(&h->in_flight, 1);
}

static int socket_of(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* A connection that nothing is known of is served all the same: only slow ones would matter. */
void exchange_on_connection(void *ctx, struct MHD_Connection *conn, void **conn_ctx,
                            enum MHD_ConnectionNotificationCode code)
{
	struct http *h = ctx;
	struct watch_conn *c = *conn_ctx;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		c = mem_zalloc(1, sizeof(*c));
		if (c)
			watch_conn_add(h->watch, c, socket_of(conn));
		*conn_ctx = c;
	} else if (c) {
		watch_conn_del(h->watch, c);
		free(c);
		*conn_ctx = NULL;
	}
}

static enum http_method method_of(const char *text)
{
	static const struct {
		const char *text;
		enum http_method method;
	} rows[] = { { "GET", HTTP_GET },
		     { "HEAD", HTTP_HEAD },
		     { "POST", HTTP_POST },
		     { "OPTIONS", HTTP_OPTIONS } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(text, rows[i].text) == 0)
			return rows[i].method;
	}
	return HTTP_OTHER;
}

static struct str header(struct exchange *x, const char *name)
{
	const char *value = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, name);

	return value ? arena_str(&x->req.arena, str_from(value)) : STR_NULL;
}

/* "127.0.0.1:1234", or empty. */
static struct str client_of(struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char text[LISTEN_TEXT_MAX];

	if (!info || listen_print(info->client_addr, text, sizeof(text)) < 0)
		return STR_NULL;
	return arena_str(&x->req.arena, str_from(text));
}

/* Asked for only where an authority is set: it costs a signature's check. */
static bool is_certified(struct exchange *x)
{
	const struct tls *tls = x->h->conf.tls;
	const union MHD_ConnectionInfo *info =
		tls && tls_client_ca(tls)
			? MHD_get_connection_info(x->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION)
			: NULL;

	return info && info->tls_session && tls_client_is_certified(info->tls_session);
}

static void refuse(struct exchange *x, int status, const char *why)
{
	struct http *h = x->h;

	x->resp.status = h->ops.refuse(h->ops.ctx, status, why, &x->resp);
}

/* --- the phases of on_request() --------------------------------------------------------------- */

static uint64_t declared_bytes(struct exchange *x)
{
	const char *text = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, "Content-Length");

	return text ? strtoull(text, NULL, 10) : 0; /* the library has checked it */
}

/*
 * A refusal waits for a body that is not absurd: closing a connection with unread bytes resets
 * it, and many a client then never sees the answer.
 */
static enum MHD_Result refuse_early(struct exchange *x)
{
	x->at = AT_REFUSED;
	return declared_bytes(x) > EARLY_ANSWER_DRAIN ? answer_queue(x) : MHD_YES;
}

static enum MHD_Result on_headers(struct exchange *x, const char *method)
{
	struct http *h = x->h;
	struct request *req = &x->req;
	int status = 0;

	req->method = method_of(method);
	req->content_type = header(x, "Content-Type");
	req->content_encoding = header(x, "Content-Encoding");
	req->rw_version = header(x, "X-Prometheus-Remote-Write-Version");
	req->authorization = header(x, "Authorization");
	req->accept = header(x, "Accept");
	req->accept_encoding = header(x, "Accept-Encoding");
	req->user_agent = header(x, "User-Agent");
	req->origin = header(x, "Origin");
	req->client = client_of(x);
	req->client_is_certified = is_certified(x);
	if (arena_error(&req->arena) < 0) {
		refuse(x, 503, "out of memory");
		return refuse_early(x);
	}
	x->at = AT_BODY;
	status = h->ops.begin(h->ops.ctx, req, &x->resp);
	if (status == 0 && declared_bytes(x) > req->body_bytes_max) {
		atomic_fetch_add(&h->refused_large, 1);
		refuse(x, 413, "the body is above the limit");
		status = x->resp.status;
	}
	return status == 0 ? MHD_YES : refuse_early(x);
}

/* Keeps the bytes, or turns the exchange into a refusal that drops them. */
static void keep_body(struct exchange *x, const char *data, size_t bytes)
{
	struct http *h = x->h;
	uint64_t all = atomic_fetch_add(&h->body_bytes, bytes) + bytes;

	x->body_held_bytes += bytes;
	if (x->req.body.len == 0) /* at once, so that it does not move while it grows */
		(void)buf_reserve(&x->req.body, MIN(declared_bytes(x), x->req.body_bytes_max));
	if (x->req.body.len + bytes > x->req.body_bytes_max) {
		atomic_fetch_add(&h->refused_large, 1);
		refuse(x, 413, "the body is above the limit");
	} else if (all > h->conf.bodies_bytes_max) {
		atomic_fetch_add(&h->refused_busy, 1);
		refuse(x, 503, "too many bodies are being received");
	} else {
		buf_put(&x->req.body, data, bytes);
		if (x->req.body.err == 0)
			return;
		refuse(x, 503, "out of memory");
	}
	x->at = AT_REFUSED;
	buf_done(&x->req.body);
	atomic_fetch_sub(&h->body_bytes, x->body_held_bytes);
	x->body_held_bytes = 0;
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t *bytes)
{
	struct http *h = x->h;
	uint64_t took_ns = clock_mono_ns() - x->req.start_mono_ns;

	atomic_fetch_add_explicit(&h->received_bytes, *bytes, memory_order_relaxed);
	x->body_seen_bytes += *bytes;
	if (took_ns > h->conf.body_timeout_ms * 1000000) {
		atomic_fetch_add(&h->refused_slow, 1);
		return MHD_NO;
	}
	if (x->at == AT_BODY)
		keep_body(x, data, *bytes);
	else if (x->body_seen_bytes > x->req.body_bytes_max + EARLY_ANSWER_DRAIN)
		return MHD_NO;
	*bytes = 0;
	return MHD_YES;
}

/* --- with the workers ------------------------------------------------------------------------- */

static void watch_begin(struct exchange *x)
{
	if (x->req.lane == LANE_QUERY)
		x->ticket = watch_client(x->h->watch, socket_of(x->conn), &x->req.gone);
}

void exchange_resume(struct exchange *x)
{
	watch_client_done(x->h->watch, socket_of(x->conn), x->ticket);
	x->ticket = (struct watch_ticket){ 0 };
	MHD_resume_connection(x->conn);
}

static void serve(struct exchange *x)
{
	struct http *h = x->h;

	if (atomic_load(&x->req.gone)) {
		atomic_fetch_add(&h->cancelled, 1);
		refuse(x, 499, "the client has hung up");
	} else {
		x->resp.status = h->ops.serve(h->ops.ctx, &x->req, &x->resp);
		answer_pack(x);
	}
}

void exchange_work(struct exchange *x)
{
	x->admitted = true;
	if (x->at == AT_WORK)
		serve(x);
	else if (atomic_load(&x->req.gone))
		x->failed = true;
	else
		answer_refill(x);
}

int exchange_queue_more(struct exchange *x)
{
	watch_begin(x);
	return fair_push_more(x->h->lanes[x->req.lane], &x->item);
}

static void refuse_busy(struct exchange *x, int why)
{
	static const char *const all = "too many requests are waiting";
	static const char *const own = "too many requests of the organisation are waiting";

	atomic_fetch_add(&x->h->refused_busy, 1);
	/* Of a write: what is answered with 429 is lost with many a sender. */
	refuse(x, why == -EDQUOT && x->req.lane != LANE_WRITE ? 429 : 503,
	       why == -EDQUOT ? own : all);
}

static enum MHD_Result to_worker(struct exchange *x)
{
	struct http *h = x->h;

	x->at = AT_WORK;
	x->req.queued_mono_ns = clock_mono_ns();
	/* First suspended, then visible to a worker: it may be done before this function is. */
	MHD_suspend_connection(x->conn);
	watch_begin(x);
	int r = fair_push(h->lanes[x->req.lane], x->req.org, &x->item);

	if (r < 0) {
		refuse_busy(x, r);
		exchange_resume(x);
	}
	return MHD_YES;
}

static enum MHD_Result on_end(struct exchange *x)
{
	struct http *h = x->h;

	if (x->at == AT_REFUSED || x->at == AT_WORK)
		return answer_queue(x);
	if (x->at != AT_BODY)
		return MHD_NO;
	x->in_flight = true;
	atomic_fetch_add(&h->in_flight, 1);
	if (atomic_load(&h->stopping)) {
		refuse(x, 503, "the server is stopping");
		return answer_queue(x);
	}
	if (x->req.lane != LANE_NOW)
		return to_worker(x);
	x->resp.status = h->ops.serve(h->ops.ctx, &x->req, &x->resp);
	answer_pack(x);
	return answer_queue(x);
}

enum MHD_Result exchange_on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *bytes, void **con_cls)
{
	struct exchange *x = *con_cls;

	(void)ctx;
	(void)url;
	(void)version;
	if (!x)
		return MHD_NO; /* no memory for the exchange */
	if (x->at == AT_HEADERS) {
		has_request(conn, true);
		return on_headers(x, method);
	}
	return *bytes > 0 ? on_body(x, data, bytes) : on_end(x);
}
