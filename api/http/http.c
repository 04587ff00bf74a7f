/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP server on libmicrohttpd: a few epoll threads own the connections, the work is done by
 * worker threads behind one bounded queue for each lane. While a request waits or is worked on its
 * connection is suspended. The parts of a connection's life:
 *
 *	on_uri         request line read: the exchange is made
 *	on_request     headers read, then body bytes, then the end, then the answer (see below)
 *	worker_run     serve(), resume
 *	on_completed   done(), the exchange is freed
 *
 * The library calls on_request() again and again for one exchange; @at says what this call means.
 * Of one exchange only one thread runs at a time: network thread, worker (suspended), network
 * thread; the queue's and the library's locks order them.
 *
 * Rejected: a thread for each connection (slow clients would cost threads), and the library's own
 * argument parser (it is not strict about escapes, and cannot be fuzzed by itself).
 */
#include "api/http/http.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <microhttpd.h>

#include "api/http/listen.h"
#include "userspace/base/alloc.h"
#include "userspace/base/beat.h"
#include "userspace/base/clock.h"
#include "userspace/base/queue.h"
#include "userspace/base/util.h"

#define SEND_BLOCK_BYTES   ((size_t)64 << 10)
#define EARLY_ANSWER_DRAIN ((uint64_t)64 << 20) /* up to this much is dropped before a refusal */

struct http {
	struct MHD_Daemon *daemon;
	struct http_conf conf;
	struct http_ops ops;
	struct queue *lanes[LANE_N];
	struct worker *workers;
	unsigned n_workers;
	_Atomic bool stopping;
	_Atomic uint64_t in_flight; /* handed to a worker, or being answered */
	_Atomic uint64_t body_bytes;
	_Atomic uint64_t received_bytes, sent_bytes;
	_Atomic uint64_t refused_busy, refused_large, refused_slow;
};

struct worker {
	pthread_t thread;
	struct http *h;
	struct queue *lane;
	struct beat beat; /* of one request */
};

struct exchange {
	struct http *h;
	struct MHD_Connection *conn;
	struct request req;
	struct response resp;
	enum {
		AT_HEADERS,
		AT_BODY,
		AT_REFUSED, /* the answer is ready, the body is read and dropped first */
		AT_WORK,
		AT_ANSWER
	} at;
	uint64_t body_seen_bytes; /* dropped ones included */
	uint64_t body_held_bytes; /* counted in h->body_bytes */
	bool in_flight;
	bool stream_ended;
	size_t stream_sent; /* of resp.body */
};

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

static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *conn)
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

static void on_completed(void *ctx, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *con_cls;
	struct http *h = ctx;

	(void)conn;
	(void)code;
	if (!x)
		return;
	*con_cls = NULL;
	h->ops.done(h->ops.ctx, &x->req, &x->resp);
	atomic_fetch_sub(&h->body_bytes, x->body_held_bytes);
	request_done(&x->req);
	response_done(&x->resp);
	bool in_flight = x->in_flight;

	free(x);
	if (in_flight)
		atomic_fetch_sub(&h->in_flight, 1);
}

static enum http_method method_of(const char *text)
{
	static const struct {
		const char *text;
		enum http_method method;
	} rows[] = { { "GET", HTTP_GET }, { "HEAD", HTTP_HEAD }, { "POST", HTTP_POST } };

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

/* --- answers ---------------------------------------------------------------------------------- */

/* Makes more of the body when all that was made is sent. */
static int stream_refill(struct exchange *x)
{
	struct response *resp = &x->resp;

	if (x->stream_sent < resp->body.len || x->stream_ended)
		return 0;
	buf_clear(&resp->body);
	x->stream_sent = 0;
	int r = resp->stream.next(resp->stream.ctx, &resp->body, SEND_BLOCK_BYTES);

	x->stream_ended = r == 1;
	return r < 0 ? r : 0;
}

static ssize_t on_send(void *ctx, uint64_t pos, char *dst, size_t max)
{
	struct exchange *x = ctx;
	size_t n;

	(void)pos;
	if (stream_refill(x) < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = MIN(max, x->resp.body.len - x->stream_sent);
	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	memcpy(dst, x->resp.body.p + x->stream_sent, n);
	x->stream_sent += n;
	atomic_fetch_add_explicit(&x->h->sent_bytes, n, memory_order_relaxed);
	return (ssize_t)n;
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct response *resp = &x->resp;

	if (resp->stream.ctx)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SEND_BLOCK_BYTES,
		                                         on_send, x, NULL);
	atomic_fetch_add_explicit(&x->h->sent_bytes, resp->body.len, memory_order_relaxed);
	/* The buffer is the exchange's, and that outlives the sending. */
	return MHD_create_response_from_buffer(resp->body.len, resp->body.p,
	                                       MHD_RESPMEM_PERSISTENT);
}

static bool add_headers(struct exchange *x, struct MHD_Response *m)
{
	const struct response *resp = &x->resp;
	bool ok = true;

	if (resp->content_type)
		ok = MHD_add_response_header(m, "Content-Type", resp->content_type) == MHD_YES;
	for (unsigned i = 0; ok && i < resp->n_headers; i++)
		ok = MHD_add_response_header(m, resp->headers[i].name, resp->headers[i].value) ==
		     MHD_YES;
	if (ok && atomic_load(&x->h->stopping))
		ok = MHD_add_response_header(m, "Connection", "close") == MHD_YES;
	return ok;
}

static enum MHD_Result answer(struct exchange *x)
{
	struct MHD_Response *m = make_response(x);
	enum MHD_Result r = MHD_NO;

	x->at = AT_ANSWER;
	if (m && add_headers(x, m))
		r = MHD_queue_response(x->conn, (unsigned)x->resp.status, m);
	if (m)
		MHD_destroy_response(m);
	return r;
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
	return declared_bytes(x) > EARLY_ANSWER_DRAIN ? answer(x) : MHD_YES;
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
	req->client = client_of(x);
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

static enum MHD_Result to_worker(struct exchange *x)
{
	struct http *h = x->h;

	x->at = AT_WORK;
	x->req.queued_mono_ns = clock_mono_ns();
	/* First suspended, then visible to a worker: it may be done before this function is. */
	MHD_suspend_connection(x->conn);
	if (queue_push(h->lanes[x->req.lane], x) == 0)
		return MHD_YES;
	atomic_fetch_add(&h->refused_busy, 1);
	refuse(x, x->req.lane == LANE_WRITE ? 429 : 503, "too many requests are waiting");
	MHD_resume_connection(x->conn);
	return MHD_YES;
}

static enum MHD_Result on_end(struct exchange *x)
{
	struct http *h = x->h;

	if (x->at == AT_REFUSED || x->at == AT_WORK)
		return answer(x);
	if (x->at != AT_BODY)
		return MHD_NO;
	x->in_flight = true;
	atomic_fetch_add(&h->in_flight, 1);
	if (atomic_load(&h->stopping)) {
		refuse(x, 503, "the server is stopping");
		return answer(x);
	}
	if (x->req.lane != LANE_NOW)
		return to_worker(x);
	x->resp.status = h->ops.serve(h->ops.ctx, &x->req, &x->resp);
	return answer(x);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **con_cls)
{
	struct exchange *x = *con_cls;

	(void)ctx;
	(void)conn;
	(void)url;
	(void)version;
	if (!x)
		return MHD_NO; /* no memory for the exchange */
	if (x->at == AT_HEADERS)
		return on_headers(x, method);
	return *bytes > 0 ? on_body(x, data, bytes) : on_end(x);
}

/* --- workers ---------------------------------------------------------------------------------- */

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct http *h = w->h;
	void *item;

	while (queue_pop(w->lane, -1, &item) == 0) {
		struct exchange *x = item;

		beat_begin(&w->beat);
		x->resp.status = h->ops.serve(h->ops.ctx, &x->req, &x->resp);
		beat_end(&w->beat);
		MHD_resume_connection(x->conn);
	}
	return NULL;
}

static int start_worker(struct http *h, enum lane lane)
{
	struct worker *w = &h->workers[h->n_workers];
	char name[16];

	w->h = h;
	w->lane = h->lanes[lane];
	int r = pthread_create(&w->thread, NULL, worker_run, w);

	if (r != 0)
		return -r;
	(void)snprintf(name, sizeof(name), "%s-%u", lane == LANE_QUERY ? "query" : "ingest",
	               h->n_workers);
	(void)pthread_setname_np(w->thread, name);
	h->n_workers++;
	return 0;
}

static int start_workers(struct http *h)
{
	unsigned all = 0;
	int r = 0;

	for (unsigned lane = LANE_NOW + 1; lane < LANE_N; lane++)
		all += h->conf.workers[lane];
	h->workers = mem_zalloc(all, sizeof(*h->workers));
	if (!h->workers)
		return -ENOMEM;
	for (unsigned lane = LANE_NOW + 1; r == 0 && lane < LANE_N; lane++) {
		r = queue_new(&h->lanes[lane], h->conf.waiting_max[lane]);
		for (unsigned i = 0; r == 0 && i < h->conf.workers[lane]; i++)
			r = start_worker(h, (enum lane)lane);
	}
	return r;
}

static void stop_workers(struct http *h)
{
	for (unsigned lane = 0; lane < LANE_N; lane++) {
		if (h->lanes[lane])
			queue_close(h->lanes[lane]);
	}
	for (unsigned i = 0; i < h->n_workers; i++)
		(void)pthread_join(h->workers[i].thread, NULL);
	for (unsigned lane = 0; lane < LANE_N; lane++) {
		if (h->lanes[lane])
			queue_free(h->lanes[lane]);
	}
	free(h->workers);
}

/* --- start and stop --------------------------------------------------------------------------- */

/* The library's own unescaping is switched off: the path and the arguments are ours to decode. */
static size_t unescape_nothing(void *ctx, struct MHD_Connection *conn, char *text)
{
	(void)ctx;
	(void)conn;
	return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
	const struct http_conf *c = &h->conf;

	return MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL,
		NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
		c->threads, MHD_OPTION_CONNECTION_LIMIT, c->connections_max,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, c->connections_per_address_max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, c->header_bytes_max,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(c->idle_timeout_ms / 1000),
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		h, MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL, MHD_OPTION_END);
}

int http_start(struct http **ret, int fd, const struct http_conf *conf, const struct http_ops *ops,
               struct err *e)
{
	struct http *h = mem_zalloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	h->conf = *conf;
	h->ops = *ops;
	int r = start_workers(h);

	if (r == 0) {
		h->daemon = start_daemon(h, fd);
		r = h->daemon ? 0 : -EIO;
	}
	if (r < 0) {
		stop_workers(h);
		free(h);
		return err_set(e, r, "the HTTP server did not start: %s", strerror(-r));
	}
	*ret = h;
	return 0;
}

void http_stop(struct http *h, uint64_t grace_ms)
{
	uint64_t until_ns = clock_mono_ns() + grace_ms * 1000000;
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	if (!h)
		return;
	atomic_store(&h->stopping, true);
	int fd = MHD_quiesce_daemon(h->daemon);

	while (atomic_load(&h->in_flight) > 0 && clock_mono_ns() < until_ns)
		(void)nanosleep(&nap, NULL);
	/* Workers end what they have begun (queries have a deadline); then nothing is suspended. */
	stop_workers(h);
	MHD_stop_daemon(h->daemon);
	if (fd >= 0)
		(void)close(fd);
	free(h);
}

static uint64_t connections(struct http *h)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

bool http_is_stuck(const struct http *h, uint64_t now_ns, uint64_t limit_ns)
{
	for (unsigned i = 0; i < h->n_workers; i++) {
		if (beat_is_stuck(&h->workers[i].beat, now_ns, limit_ns))
			return true;
	}
	return false;
}

void http_get_stats(struct http *h, struct http_stats *ret)
{
	*ret = (struct http_stats){
		.connections = connections(h),
		.in_flight = atomic_load(&h->in_flight),
		.body_bytes = atomic_load(&h->body_bytes),
		.received_bytes = atomic_load(&h->received_bytes),
		.sent_bytes = atomic_load(&h->sent_bytes),
		.refused_busy = atomic_load(&h->refused_busy),
		.refused_large = atomic_load(&h->refused_large),
		.refused_slow = atomic_load(&h->refused_slow),
	};
	for (unsigned lane = LANE_NOW + 1; lane < LANE_N; lane++)
		ret->waiting[lane] = queue_n(h->lanes[lane]);
}
