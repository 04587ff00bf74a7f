/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A scripted HTTP server for tests of clients: answers the n-th request by the n-th line of the
 * script, the last line for ever, and remembers what it was asked. One connection at a time.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/base/buf.h"

#define PEER_REQUESTS_MAX 64

struct peer_answer {
	int status;
	const char *headers; /* "Retry-After: 1\r\n" */
	const char *body;
	bool hang_up; /* no answer at all */
	bool stall;   /* none until the client hangs up */
};

struct peer_request {
	struct buf head, body;
};

struct peer {
	int fd;
	char url[64];
	const struct peer_answer *script;
	size_t n_script;
	pthread_t thread;
	_Atomic size_t n_requests;
	struct peer_request requests[PEER_REQUESTS_MAX];
};

static inline size_t peer_body_bytes(const struct buf *head)
{
	const char *at = strcasestr(head->p, "\r\ncontent-length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* One request from the stream; false when the client left. */
static inline bool peer_read(int fd, struct peer_request *req)
{
	char c;

	while (req->head.len < 4 || memcmp(req->head.p + req->head.len - 4, "\r\n\r\n", 4) != 0) {
		if (read(fd, &c, 1) != 1)
			return false;
		buf_putc(&req->head, c);
	}
	(void)buf_cstr(&req->head);
	for (size_t left = peer_body_bytes(&req->head); left > 0; left--) {
		if (read(fd, &c, 1) != 1)
			return false;
		buf_putc(&req->body, c);
	}
	return true;
}

static inline bool peer_answer(int fd, const struct peer_answer *a)
{
	struct buf out = BUF_INIT;
	char sink[64];

	if (a->hang_up)
		return false;
	while (a->stall && read(fd, sink, sizeof(sink)) > 0)
		;
	buf_printf(&out, "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n%s", a->status,
	           a->headers ? a->headers : "", a->body ? strlen(a->body) : 0,
	           a->body ? a->body : "");
	bool ok = !a->stall && write(fd, out.p, out.len) == (ssize_t)out.len;

	buf_done(&out);
	return ok;
}

static inline void *peer_run(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		int fd = accept(p->fd, NULL, NULL);

		if (fd < 0)
			return NULL; /* shut down: the test is over */
		for (;;) {
			size_t n = atomic_load(&p->n_requests);
			struct peer_request *req = &p->requests[n % PEER_REQUESTS_MAX];

			buf_clear(&req->head);
			buf_clear(&req->body);
			if (!peer_read(fd, req))
				break;
			atomic_store(&p->n_requests, n + 1);
			if (!peer_answer(fd, &p->script[n < p->n_script ? n : p->n_script - 1]))
				break;
		}
		(void)close(fd);
	}
}

static inline struct peer *peer_start(const struct peer_answer *script, size_t n_script)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct peer *p = calloc(1, sizeof(*p));
	socklen_t len = sizeof(sa);

	assert_non_null(p);
	p->script = script;
	p->n_script = n_script;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(0, bind(p->fd, (struct sockaddr *)&sa, sizeof(sa)));
	assert_int_equal(0, listen(p->fd, 8));
	assert_int_equal(0, getsockname(p->fd, (struct sockaddr *)&sa, &len));
	(void)snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u/api/v1/write",
	               ntohs(sa.sin_port));
	assert_int_equal(0, pthread_create(&p->thread, NULL, peer_run, p));
	return p;
}

/* After the client has closed its connection. */
static inline void peer_stop(struct peer *p)
{
	(void)shutdown(p->fd, SHUT_RDWR);
	(void)pthread_join(p->thread, NULL);
	(void)close(p->fd);
	for (size_t i = 0; i < PEER_REQUESTS_MAX; i++) {
		buf_done(&p->requests[i].head);
		buf_done(&p->requests[i].body);
	}
	free(p);
}

static inline bool peer_head_has(const struct peer *p, size_t request, const char *line)
{
	return strstr(p->requests[request].head.p, line) != NULL;
}
