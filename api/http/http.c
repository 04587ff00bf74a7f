/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP server on libmicrohttpd: a few epoll threads own the connections, the work is done by
 * worker threads behind one fair queue for each lane. What happens to a request is in exchange.c
 * and answer.c; here are the threads, and the beginning and end of it all.
 *
 * Rejected: a thread for each connection (slow clients would cost threads), and the library's own
 * argument parser (it is not strict about escapes, and cannot be fuzzed by itself).
 */
#include "api/http/http.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api/http/exchange.h"
#include "api/http/tls.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

/* --- workers ---------------------------------------------------------------------------------- */

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct fair_item *item;

	while (fair_pop(w->lane, &item) == 0) {
		struct exchange *x = container_of(item, struct exchange, item);

		beat_begin(&w->beat);
		exchange_work(x);
		beat_end(&w->beat);
		fair_idle(w->lane, item);
		exchange_resume(x);
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
		r = fair_queue_new(&h->lanes[lane], &h->conf.lanes[lane]);
		for (unsigned i = 0; r == 0 && i < h->conf.workers[lane]; i++)
			r = start_worker(h, (enum lane)lane);
	}
	return r;
}

/* They end what waits; the lanes stay, for requests that are being answered leave them later. */
static void stop_workers(struct http *h)
{
	for (unsigned lane = 0; lane < LANE_N; lane++) {
		if (h->lanes[lane])
			fair_close(h->lanes[lane]);
	}
	for (unsigned i = 0; i < h->n_workers; i++)
		(void)pthread_join(h->workers[i].thread, NULL);
	free(h->workers);
	h->workers = NULL;
	h->n_workers = 0;
}

/* --- start and stop --------------------------------------------------------------------------- */

/* The library's own unescaping is switched off: the path and the arguments are ours to decode. */
static size_t unescape_nothing(void *ctx, struct MHD_Connection *conn, char *text)
{
	(void)ctx;
	(void)conn;
	return strlen(text);
}

#define TLS_OPTIONS_MAX 4

/* For a server without TLS: none. */
static void put_tls_options(const struct tls *tls, struct MHD_OptionItem ret[TLS_OPTIONS_MAX])
{
	char *client_ca = tls ? (char *)(uintptr_t)tls_client_ca(tls) : NULL;
	const struct MHD_OptionItem end = { MHD_OPTION_END, 0, NULL };
	size_t n = 0;

	if (tls) {
		ret[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK2, 0,
			                            tls_retrieve_function() };
		ret[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
			                            (char *)(uintptr_t)TLS_PRIORITIES };
	}
	if (client_ca)
		ret[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0, client_ca };
	ret[n] = end;
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
	const struct http_conf *c = &h->conf;
	struct MHD_OptionItem tls[TLS_OPTIONS_MAX];
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;

	put_tls_options(c->tls, tls);
	return MHD_start_daemon(c->tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL,
	                        exchange_on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
	                        MHD_OPTION_THREAD_POOL_SIZE, c->threads,
	                        MHD_OPTION_CONNECTION_LIMIT, c->connections_max,
	                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, c->connections_per_address_max,
	                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, c->header_bytes_max,
	                        MHD_OPTION_CONNECTION_TIMEOUT,
	                        (unsigned)(c->idle_timeout_ms / 1000), MHD_OPTION_URI_LOG_CALLBACK,
	                        exchange_on_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
	                        exchange_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
	                        exchange_on_connection, h, MHD_OPTION_UNESCAPE_CALLBACK,
	                        unescape_nothing, NULL, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static void http_free(struct http *h)
{
	for (unsigned lane = 0; lane < LANE_N; lane++)
		fair_queue_free(h->lanes[lane]);
	watch_free(h->watch);
	free(h);
}

int http_start(struct http **ret, int fd, const struct http_conf *conf, const struct http_ops *ops,
               struct err *e)
{
	struct http *h = mem_zalloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	h->conf = *conf;
	h->ops = *ops;
	int r = watch_new(&h->watch, conf->idle_timeout_ms);

	if (r == 0)
		r = start_workers(h);
	if (r == 0) {
		h->daemon = start_daemon(h, fd);
		r = h->daemon ? 0 : -EIO;
	}
	if (r < 0) {
		stop_workers(h);
		http_free(h);
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
	/* What still runs is told that nobody waits for it; then nothing is suspended. */
	watch_all_gone(h->watch);
	stop_workers(h);
	MHD_stop_daemon(h->daemon);
	if (fd >= 0)
		(void)close(fd);
	http_free(h);
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

static size_t waiting(struct fair_queue *q)
{
	struct fair_stats stats;

	fair_get_stats(q, &stats);
	return stats.waiting;
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
		.refused_slow = atomic_load(&h->refused_slow) + watch_slow_closed(h->watch),
		.cancelled = atomic_load(&h->cancelled),
	};
	for (unsigned lane = LANE_NOW + 1; lane < LANE_N; lane++)
		ret->waiting[lane] = waiting(h->lanes[lane]);
}
