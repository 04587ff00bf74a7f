/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The HTTP server, and the request and response that handlers see. Nobody but http.c knows the
 * library behind it, so a test makes a request in memory and calls the same handlers.
 *
 * Life of a request
 *   begin()  on a network thread, when the headers are there: picks the lane and the limit of the
 *            body, or answers at once.
 *   body     is collected into a buffer with that limit.
 *   serve()  on a worker thread of the lane (LANE_NOW: on the network thread, so it must not
 *            wait). The connection is suspended meanwhile and costs no thread.
 *   send     the body from memory, or piece by piece from the response's stream, which runs on
 *            worker threads, too. Packed if the client takes that.
 *   done()   once, whatever happened.
 *
 * Fairness Lanes take from each organisation in turn; see fair_queue.h.
 * Limits   Connections in all and by address, headers, body of one request, bodies of all
 *          requests, time to send a request, requests waiting in a lane. Each refusal is answered
 *          (413, 429, 503) and counted; a connection that is too slow is closed.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/auth/grant.h"
#include "api/http/fair_queue.h"
#include "api/params.h"
#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"

enum http_method { /* bits, so that a route lists several */
	HTTP_GET = 1,
	HTTP_HEAD = 2,
	HTTP_POST = 4,
	HTTP_OPTIONS = 8,
	HTTP_OTHER = 16
};

enum lane {
	LANE_NOW,   /* answered on the network thread */
	LANE_QUERY, /* reads */
	LANE_WRITE, /* ingestion: waits for the disk */
	LANE_N,
};

struct access;
struct route;
struct tls;

struct request {
	enum http_method method;
	struct str path;  /* before the '?', as sent */
	struct str query; /* behind it */
	struct str content_type, content_encoding, rw_version;
	struct str authorization; /* never logged, never sent back */
	struct str accept, accept_encoding, user_agent, origin;
	struct str client;        /* address and port */
	bool client_is_certified; /* by TLS; see http/tls.h */
	_Atomic bool gone;        /* the client has hung up: nobody waits for the answer */
	struct buf body;
	struct arena arena;      /* for whatever lives as long as the request */
	uint64_t start_mono_ns;  /* the request line was there */
	uint64_t queued_mono_ns; /* the whole body was there; 0 in LANE_NOW */

	/* Filled by begin(). */
	const struct route *route; /* NULL when the path is unknown */
	enum lane lane;
	size_t body_bytes_max;
	struct str path_arg;   /* what the route's wildcard stands for */
	struct access *access; /* who may do what, as of the start; NULL = no tokens. Owned. */
	struct grant grant;    /* of the token */
	struct str org; /* that the request is about; empty = series of a write say it themselves */
	struct params params;
};

/* A body that is made while it is sent. */
struct http_stream {
	/* Appends about @want bytes or a little more; 0 more to come, 1 that was all, < 0 error. */
	int (*next)(void *ctx, struct buf *out, size_t want);
	void (*free)(void *ctx);
	void *ctx; /* NULL = no stream */
};

/* Besides Content-Type; names are constants, values are formatted into the struct. */
#define RESPONSE_HEADERS_MAX      12u
#define RESPONSE_HEADER_VALUE_MAX 96u

struct response_header {
	const char *name;
	char value[RESPONSE_HEADER_VALUE_MAX];
};

struct response {
	int status;
	const char *content_type; /* NULL = none */
	struct buf body;          /* what is there already; the stream continues it */
	struct http_stream stream;
	bool is_packed; /* compression would not make it smaller */
	struct response_header headers[RESPONSE_HEADERS_MAX];
	unsigned n_headers;
};

/* Adds a header; its value is cut at RESPONSE_HEADER_VALUE_MAX bytes. */
void response_header(struct response *resp, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The value of a header that was added, or NULL. */
const char *response_get_header(const struct response *resp, const char *name);

void request_done(struct request *req);
void response_done(struct response *resp);

struct http_ops {
	/* Returns 0 to go on, or the status of @resp, which is then the answer. */
	int (*begin)(void *ctx, struct request *req, struct response *resp);
	int (*serve)(void *ctx, struct request *req, struct response *resp);
	/* Before an answer is sent, whoever made it; may add headers. May be NULL. */
	void (*finish)(void *ctx, const struct request *req, struct response *resp);
	void (*done)(void *ctx, const struct request *req, const struct response *resp);
	/* Fills @resp for a refusal of the server itself; returns the status. */
	int (*refuse)(void *ctx, int status, const char *why, struct response *resp);
	void *ctx;
};

struct http_conf {
	unsigned threads;                 /* of the network */
	unsigned workers[LANE_N];         /* LANE_NOW: ignored */
	struct fair_limits lanes[LANE_N]; /* by organisation */
	unsigned connections_max, connections_per_address_max;
	size_t header_bytes_max;
	uint64_t bodies_bytes_max; /* of all requests together */
	uint64_t idle_timeout_ms;  /* of a connection */
	uint64_t body_timeout_ms;  /* to receive one whole request */
	size_t request_memory_max; /* arena of a request */
	struct tls *tls;           /* NULL = plain HTTP; it must outlive the server */
};

struct http_stats {
	uint64_t connections, in_flight, waiting[LANE_N], body_bytes;
	uint64_t received_bytes, sent_bytes;
	uint64_t refused_busy, refused_large, refused_slow, cancelled;
};

struct http;

/*
 * http_start() - serves on the listening socket @fd, which it takes over on success.
 * -EINVAL, -ENOMEM, -EIO with @e.
 */
int http_start(struct http **ret, int fd, const struct http_conf *conf, const struct http_ops *ops,
               struct err *e);

/*
 * http_stop() - accepts nothing more, answers what came in (new requests on old connections get
 * 503), for at most @grace_ms, then closes everything and frees @h.
 */
void http_stop(struct http *h, uint64_t grace_ms);
/*
 * Whether a worker has been on one request for more than @limit_ns, as of @now_ns (monotonic). Any
 * thread.
 */
bool http_is_stuck(const struct http *h, uint64_t now_ns, uint64_t limit_ns);
void http_get_stats(struct http *h, struct http_stats *ret);
