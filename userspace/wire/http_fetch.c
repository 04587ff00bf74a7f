/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcurl tells which sockets and which time to wait for, epoll waits. (Its own curl_multi_poll()
 * would walk all fetches at each event: with a thousand that hang until their time is up, that is
 * most of the work.) Handles are reused: making one costs more than a fetch.
 */
#include "userspace/wire/http_fetch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/wire/inflate.h"

#define EVENTS_MAX       64
#define IDLE_HANDLES_MAX 64
#define CONNECTIONS_MAX  16384L
#define RECEIVE_BYTES    16384L
#define MS_NS            1000000ull

struct fetch {
	struct fetch *prev, *next; /* of those under way */
	CURL *curl;
	const struct fetch_ops *ops;
	void *ctx;
	struct curl_slist *headers;
	struct inflater *inflater; /* of a packed body */
	size_t header_bytes;
	bool has_head, is_coded_else; /* by what was not asked for */
	int r;                        /* what a callback returned */
	char why[CURL_ERROR_SIZE];
};

struct fetcher {
	CURLM *multi;
	int epoll_fd, wake_fd;
	uint64_t timeout_ns; /* when libcurl wants to be called; UINT64_MAX = never */
	struct fetch *first; /* under way */
	CURL *idle[IDLE_HANDLES_MAX];
	size_t n_idle;
};

/* ---- what libcurl asks for ------------------------------------------------------------------ */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct fetcher *f = ctx;
	struct epoll_event ev = { .data.fd = fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(f->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	ev.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
	            (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
	if (epoll_ctl(f->epoll_fd, socket_ctx ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0)
		(void)epoll_ctl(f->epoll_fd, socket_ctx ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev);
	(void)curl_multi_assign(f->multi, fd, f);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct fetcher *f = ctx;

	(void)multi;
	f->timeout_ns =
		timeout_ms < 0 ? UINT64_MAX : clock_mono_ns() + (uint64_t)timeout_ms * MS_NS;
	return 0;
}

/* libcurl would unpack, too, but takes a stream that is cut off for a whole one. */
static int begin_unpacking(struct fetch *one)
{
	struct curl_header *coding = NULL;

	if (curl_easy_header(one->curl, "Content-Encoding", 0, CURLH_HEADER, -1, &coding) !=
	            CURLHE_OK ||
	    strcasecmp(coding->value, "identity") == 0)
		return 0;
	if (strcasecmp(coding->value, "gzip") == 0)
		return inflater_new(&one->inflater);
	one->is_coded_else = true;
	return -EBADMSG;
}

static int tell_head(struct fetch *one)
{
	const char *type = NULL;
	long status = 0;
	int r;

	(void)curl_easy_getinfo(one->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200) /* an interim answer: the real one follows */
		return 0;
	one->has_head = true;
	(void)curl_easy_getinfo(one->curl, CURLINFO_CONTENT_TYPE, &type);
	r = one->ops->head(one->ctx, (int)status, type ? type : "");
	return r < 0 ? r : begin_unpacking(one);
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct fetch *one = ctx;
	size_t bytes = size * n;
	bool is_end = bytes <= 2 && (bytes == 0 || line[0] == '\r' || line[0] == '\n');

	one->header_bytes += bytes;
	if (one->header_bytes > FETCH_HEADER_BYTES_MAX)
		one->r = -EFBIG;
	else if (is_end && !one->has_head)
		one->r = tell_head(one);
	return one->r < 0 ? 0 : bytes;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct fetch *one = ctx;
	size_t bytes = size * n;

	const struct str piece = { data, bytes };

	one->r = one->inflater ? inflater_feed(one->inflater, piece, one->ops->data, one->ctx)
	                       : one->ops->data(one->ctx, piece);
	return one->r < 0 ? CURL_WRITEFUNC_ERROR : bytes;
}

/* ---- one fetch ------------------------------------------------------------------------------ */

static int make_headers(const char *const *headers, struct curl_slist **ret)
{
	struct curl_slist *list = curl_slist_append(NULL, "Accept-Encoding: gzip");

	for (; list && headers && *headers; headers++) {
		struct curl_slist *longer = curl_slist_append(list, *headers);

		if (!longer) {
			curl_slist_free_all(list);
			return -ENOMEM;
		}
		list = longer;
	}
	*ret = list;
	return list ? 0 : -ENOMEM;
}

static void set_options(struct fetch *one, const struct fetch_request *req)
{
	CURL *h = one->curl;

	curl_easy_reset(h);
	curl_easy_setopt(h, CURLOPT_URL, req->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_PROXY, ""); /* not even the environment's */
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, one->headers);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	curl_easy_setopt(h, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, one);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, one);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, one->why);
	curl_easy_setopt(h, CURLOPT_PRIVATE, one);
}

static void link_fetch(struct fetcher *f, struct fetch *one)
{
	one->next = f->first;
	if (f->first)
		f->first->prev = one;
	f->first = one;
}

static void unlink_fetch(struct fetcher *f, struct fetch *one)
{
	if (one->next)
		one->next->prev = one->prev;
	if (one->prev)
		one->prev->next = one->next;
	else
		f->first = one->next;
}

static void fetch_free(struct fetcher *f, struct fetch *one)
{
	if (one->curl && f->n_idle < IDLE_HANDLES_MAX)
		f->idle[f->n_idle++] = one->curl;
	else
		curl_easy_cleanup(one->curl);
	curl_slist_free_all(one->headers);
	inflater_free(one->inflater);
	free(one);
}

int fetcher_start(struct fetcher *f, const struct fetch_request *req, const struct fetch_ops *ops,
                  void *ctx, struct fetch **ret)
{
	struct fetch *one = mem_zalloc(1, sizeof(*one));
	int r = one ? make_headers(req->headers, &one->headers) : -ENOMEM;

	if (!one)
		return r;
	if (r == 0)
		one->curl = f->n_idle > 0 ? f->idle[--f->n_idle] : curl_easy_init();
	if (!one->curl)
		r = -ENOMEM;
	if (r == 0) {
		one->ops = ops;
		one->ctx = ctx;
		set_options(one, req);
		r = curl_multi_add_handle(f->multi, one->curl) == CURLM_OK ? 0 : -ENOMEM;
	}
	if (r < 0) {
		fetch_free(f, one);
		return r;
	}
	link_fetch(f, one);
	*ret = one;
	return 0;
}

void fetcher_cancel(struct fetcher *f, struct fetch *one)
{
	(void)curl_multi_remove_handle(f->multi, one->curl);
	unlink_fetch(f, one);
	fetch_free(f, one);
}

static int result_of(const struct fetch *one, CURLcode code)
{
	if (one->r < 0)
		return one->r;
	if (code == CURLE_OK && one->inflater && !inflater_is_whole(one->inflater))
		return -EBADMSG;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

static void finish(struct fetcher *f, CURL *easy, CURLcode code)
{
	char *private = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	struct fetch *one = (struct fetch *)(void *)private;
	const struct fetch_ops *ops = one->ops;
	void *ctx = one->ctx;
	int r = result_of(one, code);
	char why[CURL_ERROR_SIZE];

	memcpy(why, one->why, sizeof(why));
	if (one->is_coded_else)
		(void)snprintf(why, sizeof(why), "a content coding other than gzip");
	else if (r == -EBADMSG && (code == CURLE_OK || one->inflater))
		(void)snprintf(why, sizeof(why), "the body is cut off, or no gzip");
	else if (r == -EFBIG && one->header_bytes > FETCH_HEADER_BYTES_MAX)
		(void)snprintf(why, sizeof(why), "headers above %zu bytes", FETCH_HEADER_BYTES_MAX);
	else if (why[0] == '\0')
		(void)snprintf(why, sizeof(why), "%s", curl_easy_strerror(code));
	fetcher_cancel(f, one);
	ops->done(ctx, r, why);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static void collect_finished(struct fetcher *f)
{
	const CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(f->multi, &left))) {
		if (msg->msg == CURLMSG_DONE)
			finish(f, msg->easy_handle, msg->data.result);
	}
}

static void dispatch(struct fetcher *f, const struct epoll_event *ev)
{
	uint64_t sink;
	int running, mask = 0;

	if (ev->data.fd == f->wake_fd) {
		(void)!read(f->wake_fd, &sink, sizeof(sink));
		return;
	}
	mask |= ev->events & EPOLLIN ? CURL_CSELECT_IN : 0;
	mask |= ev->events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	mask |= ev->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
	(void)curl_multi_socket_action(f->multi, ev->data.fd, mask, &running);
}

static int wait_ms(const struct fetcher *f, uint64_t until_ns)
{
	uint64_t now_ns = clock_mono_ns(), first_ns = MIN(until_ns, f->timeout_ns);

	if (first_ns <= now_ns)
		return 0;
	return (int)MIN((first_ns - now_ns + MS_NS - 1) / MS_NS, (uint64_t)3600000);
}

void fetcher_run(struct fetcher *f, uint64_t until_mono_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(f->epoll_fd, events, EVENTS_MAX, wait_ms(f, until_mono_ns)), running;

	for (int i = 0; i < n; i++)
		dispatch(f, &events[i]);
	if (clock_mono_ns() >= f->timeout_ns) {
		f->timeout_ns = UINT64_MAX;
		(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect_finished(f);
}

void fetcher_wake(struct fetcher *f)
{
	const uint64_t one = 1;

	(void)!write(f->wake_fd, &one, sizeof(one));
}

/* ---- life ----------------------------------------------------------------------------------- */

static int open_fds(struct fetcher *f)
{
	struct epoll_event ev = { .events = EPOLLIN };

	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = f->wake_fd;
	if (f->epoll_fd < 0 || f->wake_fd < 0 ||
	    epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, f->wake_fd, &ev) < 0)
		return neg_errno();
	return 0;
}

DEFINE_CLEANUP(struct fetcher *, fetcher_free);

int fetcher_new(struct fetcher **ret)
{
	_cleanup_(fetcher_freep) struct fetcher *f = mem_zalloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->epoll_fd = f->wake_fd = -1;
	f->timeout_ns = UINT64_MAX;
	f->multi = curl_multi_init();
	if (!f->multi)
		return -ENOMEM;
	r = open_fds(f);
	if (r < 0)
		return r;
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
	*ret = TAKE_PTR(f);
	return 0;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	while (f->first)
		fetcher_cancel(f, f->first);
	while (f->n_idle > 0)
		curl_easy_cleanup(f->idle[--f->n_idle]);
	curl_multi_cleanup(f->multi);
	closep(&f->epoll_fd);
	closep(&f->wake_fd);
	free(f);
}
