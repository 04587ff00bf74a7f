/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/selfhttp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/host_conf.h"

#define CONNECTIONS_MAX 16u
#define HEADER_BYTES    ((size_t)16 << 10)
#define IDLE_S          10u
#define BACKLOG         16

struct selfhttp {
	struct MHD_Daemon *daemon;
};

static void put_health(struct buf *out)
{
	buf_puts(out, "OK\n");
}

static const struct {
	const char *path, *content_type;
	void (*put)(struct buf *out);
} pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics_write },
	{ "/health", "text/plain; charset=utf-8", put_health },
	{ "/-/healthy", "text/plain; charset=utf-8", put_health },
	{ "/-/ready", "text/plain; charset=utf-8", put_health },
};

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned status, struct str body,
                              const char *header, const char *value)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(
		body.len, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r = MHD_NO;

	if (!m)
		return MHD_NO;
	if (MHD_add_response_header(m, header, value) == MHD_YES)
		r = MHD_queue_response(conn, status, m);
	MHD_destroy_response(m);
	return r;
}

static enum MHD_Result serve(struct MHD_Connection *conn, const char *url)
{
	_cleanup_(buf_done) struct buf body = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (strcmp(url, pages[i].path) != 0)
			continue;
		pages[i].put(&body);
		if (body.err != 0)
			break;
		return answer(conn, MHD_HTTP_OK, buf_str(&body), "Content-Type",
		              pages[i].content_type);
	}
	if (body.err != 0)
		return answer(conn, MHD_HTTP_SERVICE_UNAVAILABLE, STR("out of memory\n"),
		              "Content-Type", "text/plain");
	return answer(conn, MHD_HTTP_NOT_FOUND, STR("try /metrics or /health\n"), "Content-Type",
	              "text/plain");
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **con_cls)
{
	static int seen;

	(void)ctx;
	(void)version;
	(void)data;
	if (!*con_cls) { /* the headers: an answer now would end a keep-alive */
		*con_cls = &seen;
		return MHD_YES;
	}
	if (*bytes > 0) {
		*bytes = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer(conn, MHD_HTTP_METHOD_NOT_ALLOWED, STR("only GET and HEAD\n"),
		              "Allow", "GET, HEAD");
	return serve(conn, url);
}

static socklen_t fill_address(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int open_socket(const char *listen_at, int *ret_fd, struct err *e)
{
	struct sockaddr_storage sa;
	char host[64];
	uint16_t port;
	int on = 1;
	int r = host_conf_split_listen(listen_at, host, sizeof(host), &port);
	socklen_t len = r == 0 ? fill_address(host, port, &sa) : 0;

	if (len == 0)
		return err_set(e, -EINVAL, "listen: \"%.60s\" is not a loopback address",
		               listen_at);
	_cleanup_close_ int fd =
		socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, neg_errno(), "listen: %.60s: %s", listen_at, strerror(errno));
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int selfhttp_start(struct selfhttp **ret, const char *listen_at, struct err *e)
{
	_cleanup_free_ struct selfhttp *h = mem_zalloc(1, sizeof(*h));
	int fd = -1;
	int r = 0;

	*ret = NULL;
	if (listen_at[0] == '\0')
		return 0;
	if (!h)
		return err_set(e, -ENOMEM, "listen: out of memory");
	r = open_socket(listen_at, &fd, e);
	if (r < 0)
		return r;
	h->daemon =
		MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL,
	                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
	                         CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADER_BYTES,
	                         MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
	if (!h->daemon) {
		(void)close(fd);
		return err_set(e, -EIO, "listen: the HTTP server did not start");
	}
	*ret = TAKE_PTR(h);
	return 0;
}

void selfhttp_stop(struct selfhttp *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon); /* closes the socket, too */
	free(h);
}
