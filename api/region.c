/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/region.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/http/listen.h"
#include "api/route.h"
#include "api/selfmetrics.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/sdnotify.h"
#include "userspace/base/util.h"

#define REPLAY_EXTEND_US    (60 * 1000000ull)
#define STUCK_NS            (600 * 1000000000ull) /* beyond the time of a query */
#define REQUEST_MEMORY_MAX  ((size_t)1 << 30)
#define WATCHDOG_DEFAULT_NS (3600 * 1000000000ull) /* without a watchdog: wake up now and then */

/* --- settings --------------------------------------------------------------------------------- */

void region_settings(struct region *region, struct region_conf *ret)
{
	pthread_mutex_lock(&region->lock);
	*ret = region->conf;
	pthread_mutex_unlock(&region->lock);
}

int region_org_index(const struct region *region, struct str org)
{
	const struct conf_strings *orgs = &region->conf.organisations;

	for (size_t i = 0; i < orgs->n; i++) {
		if (str_eqc(org, orgs->v[i]))
			return (int)i;
	}
	return -ENOENT;
}

bool region_takes_org(const struct region *region, struct str org)
{
	return org.len == 0 || region_org_index(region, org) >= 0;
}

struct str region_org(const struct region *region, struct str org)
{
	return org.len > 0 ? org : str_from(region->conf.organisations.v[0]);
}

/* All or nothing: a file that is wrong, or changes what cannot change, leaves everything as is. */
static void reload(struct region *region)
{
	struct region_conf fresh = { 0 };
	struct err e = ERR_INIT;
	const char *key;

	if (!region->source.path) {
		log_info("conf: there is no file to reload");
		return;
	}
	(void)sdnotify_reloading();
	if (region_conf_read(&region->source, &fresh, &e) < 0) {
		log_error("conf: not reloaded, the old settings stay", STRV("why", e.msg));
	} else if ((key = conf_unreloadable_change(&region_conf_schema, &region->conf, &fresh))) {
		log_error("conf: not reloaded, a setting needs a restart", STRV("setting", key));
	} else {
		pthread_mutex_lock(&region->lock);
		region_conf_apply(&region->conf, &fresh);
		pthread_mutex_unlock(&region->lock);
		log_set_level((enum log_level)fresh.log_level);
		log_info("conf: reloaded", STRV("file", region->source.path));
	}
	conf_done(&region_conf_schema, &fresh);
	(void)sdnotify_ready("serving");
}

/* --- open, listen ----------------------------------------------------------------------------- */

static void on_progress(void *ctx, uint64_t done_bytes, uint64_t all_bytes)
{
	char status[96];

	(void)ctx;
	(void)snprintf(status, sizeof(status), "replaying the log: %llu of %llu MiB",
	               (unsigned long long)(done_bytes >> 20),
	               (unsigned long long)(all_bytes >> 20));
	(void)sdnotify_status(status);
	(void)sdnotify_extend_timeout(REPLAY_EXTEND_US);
}

int region_open(struct region **ret, struct region_conf *conf,
                const struct region_conf_source *source, struct err *e)
{
	struct region *region = mem_zalloc(1, sizeof(*region));

	if (!region) {
		conf_done(&region_conf_schema, conf);
		return err_set(e, -ENOMEM, "out of memory");
	}
	region->conf = *conf;
	*conf = (struct region_conf){ 0 };
	region->source = *source;
	pthread_mutex_init(&region->lock, NULL);
	const struct store_conf sc = {
		.dir = region->conf.data,
		.retention_ms = region->conf.retention_ms,
		.wal_sync = (enum store_wal_sync)region->conf.wal_sync,
		.wal_sync_interval_ms = region->conf.wal_sync_interval_ms,
		.memory_max_bytes = region->conf.memory_max_bytes,
		.progress = on_progress,
	};
	int r = store_open(&region->store, &sc, e);

	if (r < 0) {
		region_close(region);
		return err_set(e, r, "the store in %s did not open: %s", sc.dir, strerror(-r));
	}
	selfmetrics_start(region);
	*ret = region;
	return 0;
}

static struct http_conf http_conf_of(const struct region_conf *c)
{
	return (struct http_conf){
		.threads = (unsigned)c->http_threads,
		.workers = { [LANE_QUERY] = (unsigned)c->query_workers,
		             [LANE_WRITE] = (unsigned)c->ingest_workers },
		.waiting_max = { [LANE_QUERY] = (size_t)c->query_waiting_max,
		                 [LANE_WRITE] = (size_t)c->ingest_waiting_max },
		.connections_max = (unsigned)c->connections_max,
		.connections_per_address_max = (unsigned)c->connections_per_address_max,
		.header_bytes_max = c->header_bytes_max,
		.bodies_bytes_max = c->bodies_bytes_max,
		.idle_timeout_ms = (uint64_t)c->idle_timeout_ms,
		.body_timeout_ms = (uint64_t)c->body_timeout_ms,
		.request_memory_max = REQUEST_MEMORY_MAX,
	};
}

int region_listen(struct region *region, char *ret_address, struct err *e)
{
	const struct http_conf conf = http_conf_of(&region->conf);
	const struct http_ops ops = {
		.begin = route_begin,
		.serve = route_serve,
		.done = route_done,
		.refuse = route_refuse,
		.ctx = region,
	};
	_cleanup_close_ int fd = -1;
	struct listen_address address;
	int r = listen_parse(str_from(region->conf.listen), &address, e);

	if (r == 0)
		r = listen_open(&address, &fd, e);
	if (r == 0)
		r = listen_format(fd, ret_address, LISTEN_TEXT_MAX);
	if (r == 0)
		r = http_start(&region->http, fd, &conf, &ops, e);
	if (r == 0)
		fd = -1;
	return r;
}

/* --- run, close ------------------------------------------------------------------------------- */

static sigset_t signals(void)
{
	static const int list[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		(void)sigaddset(&set, list[i]);
	return set;
}

void region_block_signals(void)
{
	sigset_t set = signals();

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* SIGUSR1: what is going on, as one line. */
static void log_state(struct region *region)
{
	struct store_stats s;
	struct http_stats h;

	store_stats(region->store, &s);
	http_get_stats(region->http, &h);
	log_info("state", U64("series", s.series), U64("samples", s.samples),
	         U64("memory_bytes", s.memory_bytes), U64("wal_bytes", s.wal_bytes),
	         U64("connections", h.connections), U64("in_flight", h.in_flight),
	         U64("queries_waiting", h.waiting[LANE_QUERY]),
	         U64("writes_waiting", h.waiting[LANE_WRITE]));
}

/* Nobody is told that all is well while a request takes longer than any may. */
static void beat(struct region *region)
{
	struct region_conf conf;

	region_settings(region, &conf);
	uint64_t limit_ns = STUCK_NS + (uint64_t)conf.query_timeout_ms * 1000000;

	if (http_is_stuck(region->http, clock_mono_ns(), limit_ns))
		log_error("a request hangs: the watchdog is not told that all is well");
	else
		(void)sdnotify_watchdog();
}

void region_run(struct region *region)
{
	uint64_t beat_ns = sdnotify_watchdog_us() * 1000 / 2;
	const uint64_t ns = beat_ns > 0 ? beat_ns : WATCHDOG_DEFAULT_NS;
	const struct timespec wait = { .tv_sec = (time_t)(ns / 1000000000),
		                       .tv_nsec = (long)(ns % 1000000000) };
	const sigset_t set = signals();

	(void)sdnotify_ready("serving");
	for (;;) {
		int sig = sigtimedwait(&set, NULL, &wait);

		beat(region);
		if (sig == SIGHUP)
			reload(region);
		else if (sig == SIGUSR1)
			log_state(region);
		else if (sig > 0)
			break;
	}
	log_info("stopping: running requests may end first");
}

void region_close(struct region *region)
{
	if (!region)
		return;
	atomic_store(&region->stopping, true);
	(void)sdnotify_stopping();
	http_stop(region->http, (uint64_t)region->conf.stop_timeout_ms);
	if (region->store)
		selfmetrics_stop(region);
	store_close(region->store);
	conf_done(&region_conf_schema, &region->conf);
	pthread_mutex_destroy(&region->lock);
	free(region);
}
