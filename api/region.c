/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/region.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "api/file_watch.h"
#include "api/http/listen.h"
#include "api/http/tls.h"
#include "api/metadata.h"
#include "api/name_stats.h"
#include "api/org_limits.h"
#include "api/queries.h"
#include "api/route.h"
#include "api/selfmetrics.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/pool.h"
#include "userspace/base/sdnotify.h"
#include "userspace/base/util.h"

#define REPLAY_EXTEND_US    (60 * 1000000ull)
#define STUCK_NS            (600 * 1000000000ull) /* beyond the time of a query */
#define REQUEST_MEMORY_MAX  ((size_t)1 << 30)
#define RELOAD_QUIET_NS     (100 * 1000000ull)     /* access files are read after such a pause */
#define WATCHDOG_DEFAULT_NS (3600 * 1000000000ull) /* without a watchdog: wake up now and then */

static struct metric access_stale =
	METRIC_GAUGE("periscope_region_access_reload_failed", "",
                     "1 = the access files have changed but are wrong; the old ones are in force.");
METRIC_REGISTER(access_stale);

/* --- settings --------------------------------------------------------------------------------- */

void region_settings(struct region *region, struct region_conf *ret)
{
	pthread_mutex_lock(&region->lock);
	*ret = region->conf;
	pthread_mutex_unlock(&region->lock);
}

struct access *region_access(struct region *region)
{
	struct access *access;

	pthread_mutex_lock(&region->lock);
	access = access_ref(region->access);
	pthread_mutex_unlock(&region->lock);
	return access;
}

bool region_serves(const struct region *region, const struct access *access, struct str org)
{
	const struct conf_strings *orgs = &region->conf.organisations;

	for (size_t i = 0; i < orgs->n; i++) {
		if (str_eqc(org, orgs->v[i]) ||
		    (strcmp(orgs->v[i], REGION_ANY_ORG) == 0 && store_org_is_valid(org)))
			return true;
	}
	if (access && access_org(access, org))
		return true;
	return str_eq(org, region_hosts_org(region, access));
}

struct str region_first_org(const struct region *region)
{
	const struct conf_strings *orgs = &region->conf.organisations;

	return orgs->n > 0 && strcmp(orgs->v[0], REGION_ANY_ORG) != 0 ? str_from(orgs->v[0])
	                                                              : STR_NULL;
}

struct str region_hosts_org(const struct region *region, const struct access *access)
{
	struct str first = access ? STR_NULL : region_first_org(region);

	return first.len > 0 ? first : str_from(region->conf.hosts_org);
}

static void log_access(const struct access *a)
{
	struct access_counts n = access_count(a);

	log_info("access: files are in force", U64("organisations", n.orgs),
	         U64("tokens", n.tokens), U64("keys", n.keys), U64("revoked", n.revoked));
}

/* The new files count only if all of them are right. */
static void reload_access(struct region *region)
{
	struct access *fresh, *old;
	struct err e = ERR_INIT;

	if (access_load(region->conf.access, &fresh, &e) < 0) {
		metric_set(&access_stale, 1);
		log_error("access: not reloaded, the old files stay in force", STRV("why", e.msg));
		return;
	}
	pthread_mutex_lock(&region->lock);
	old = region->access;
	region->access = fresh;
	pthread_mutex_unlock(&region->lock);
	org_limits_apply(region, old, fresh);
	access_unref(old);
	metric_set(&access_stale, 0);
	log_access(fresh);
}

static void reload_tls(struct region *region)
{
	struct err e = ERR_INIT;

	if (tls_reload(region->tls, &e) < 0)
		log_error("tls: not reloaded, the old certificate stays in force",
		          STRV("why", e.msg));
	else
		log_info("tls: the certificate is in force", STRV("file", region->conf.tls_cert));
}

/* All or nothing: a file that is wrong, or changes what cannot change, leaves everything as is. */
static void reload(struct region *region)
{
	struct region_conf fresh = { 0 };
	struct err e = ERR_INIT;
	const char *key;

	if (region->conf.access[0] != '\0')
		reload_access(region);
	if (region->tls)
		reload_tls(region);
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

static int open_tls(struct region *region, struct err *e)
{
	const struct region_conf *c = &region->conf;
	const struct tls_conf conf = { c->tls_cert, c->tls_key, c->tls_client_ca };

	return c->tls_cert[0] != '\0' ? tls_open(&region->tls, &conf, e) : 0;
}

static int open_access(struct region *region, struct err *e)
{
	int r = 0;

	if (region->conf.access[0] != '\0')
		r = access_load(region->conf.access, &region->access, e);
	if (region->access)
		log_access(region->access);
	return r;
}

/* Beside the store's files, in a folder of the region's own. */
static int open_metadata(struct region *region, struct err *e)
{
	_cleanup_(buf_done) struct buf dir = BUF_INIT;

	buf_printf(&dir, "%s/region", region->conf.data);
	return metadata_open(buf_cstr(&dir), &region->metadata, e);
}

/* The thread of a query is one of those that work on it. */
static unsigned query_helpers(const struct region_conf *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (c->query_threads > 0)
		return (unsigned)c->query_threads - 1;
	return cpus > 1 ? (unsigned)MIN(cpus, 64l) - 1 : 0;
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
	region->start_ms = clock_unix_ms();
	pthread_mutex_init(&region->lock, NULL);
	const struct store_conf sc = {
		.dir = region->conf.data,
		.retention_ms = region->conf.retention_ms,
		.wal_sync = (enum store_wal_sync)region->conf.wal_sync,
		.wal_sync_interval_ms = region->conf.wal_sync_interval_ms,
		.memory_max_bytes = region->conf.memory_max_bytes,
		.disk_reserve_bytes = region->conf.disk_reserve_bytes,
		.progress = on_progress,
	};
	int r = macaroon_init();

	if (r == 0)
		r = open_access(region, e);
	if (r == 0)
		r = open_tls(region, e);
	if (r == 0)
		r = store_open(&region->store, &sc, e);
	if (r == 0 && region->access)
		org_limits_apply(region, NULL, region->access);
	if (r == 0)
		r = open_metadata(region, e);
	if (r == 0)
		r = queries_new(&region->queries);
	if (r == 0)
		r = pool_new(&region->pool, query_helpers(&region->conf));
	if (r == 0)
		r = name_stats_new(&region->name_stats);
	if (r < 0) {
		/* The message may be about a folder that the region is about to forget. */
		(void)err_set(e, r, "the store in %s did not open: %s", sc.dir, strerror(-r));
		region_close(region);
		return r;
	}
	selfmetrics_start(region);
	*ret = region;
	return 0;
}

/* All workers but one, so that another organisation's query finds one; alone all of them. */
static struct fair_limits query_limits(const struct region_conf *c)
{
	bool alone = c->access[0] == '\0' && c->organisations.n == 1 &&
	             strcmp(c->organisations.v[0], REGION_ANY_ORG) != 0;
	int64_t busy_max = c->query_org_max;

	if (busy_max == 0)
		busy_max = alone || c->query_workers == 1 ? c->query_workers : c->query_workers - 1;
	return (struct fair_limits){
		.waiting_max = (size_t)c->query_waiting_max,
		.waiting_max_of_party = (size_t)c->query_org_waiting_max,
		.busy_max = (unsigned)busy_max,
		.open_max = (unsigned)c->query_org_open_max,
	};
}

/* Writes are short: turns are enough. */
static struct fair_limits write_limits(const struct region_conf *c)
{
	return (struct fair_limits){
		.waiting_max = (size_t)c->ingest_waiting_max,
		.waiting_max_of_party = (size_t)c->ingest_waiting_max,
		.busy_max = (unsigned)c->ingest_workers,
		.open_max = UINT_MAX,
	};
}

static struct http_conf http_conf_of(const struct region_conf *c)
{
	return (struct http_conf){
		.threads = (unsigned)c->http_threads,
		.workers = { [LANE_QUERY] = (unsigned)c->query_workers,
		             [LANE_WRITE] = (unsigned)c->ingest_workers },
		.lanes = { [LANE_QUERY] = query_limits(c), [LANE_WRITE] = write_limits(c) },
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
	struct http_conf conf = http_conf_of(&region->conf);
	const struct http_ops ops = {
		.begin = route_begin,
		.serve = route_serve,
		.finish = route_finish,
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
	conf.tls = region->tls;
	if (r == 0)
		r = http_start(&region->http, fd, &conf, &ops, e);
	if (r < 0)
		return r;
	fd = -1;
	selfmetrics_start_http(region);
	return 0;
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

/* A file or folder that is read again when it changes. */
struct watched {
	int fd;             /* -1 = it is not watched */
	uint64_t reload_at; /* monotonic; 0 = not due */
	void (*reload)(struct region *region);
};

enum {
	WATCHED_ACCESS,
	WATCHED_TLS,
	WATCHED_N,
};

/* What region_run() waits for. */
struct waits {
	int signals;      /* -1 = there is nothing to wait for */
	uint64_t beat_ns; /* between two signs of life */
	struct watched files[WATCHED_N];
};

static void waits_done(struct waits *w)
{
	closep(&w->signals);
	for (size_t i = 0; i < WATCHED_N; i++)
		closep(&w->files[i].fd);
}

static struct watched watch_file(const char *path, void (*read_again)(struct region *region))
{
	struct watched w = { .fd = -1, .reload = read_again };

	if (path[0] == '\0')
		return w;
	w.fd = file_watch_open(path);
	if (w.fd < 0)
		log_warn("conf: changes of a file are not noticed, send SIGHUP after one",
		         STRV("file", path), STRV("why", strerror(-w.fd)));
	return w;
}

static struct waits waits_open(struct region *region)
{
	uint64_t watchdog_ns = sdnotify_watchdog_us() * 1000 / 2;
	const sigset_t set = signals();
	struct waits w = { .beat_ns = watchdog_ns > 0 ? watchdog_ns : WATCHDOG_DEFAULT_NS };

	w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w.files[WATCHED_ACCESS] = watch_file(region->conf.access, reload_access);
	w.files[WATCHED_TLS] = watch_file(region->conf.tls_cert, reload_tls);
	return w;
}

/* Until the next sign of life, or until a file that has changed is quiet. */
static uint64_t wait_ns(const struct waits *w, uint64_t now_ns)
{
	uint64_t ns = w->beat_ns;

	for (size_t i = 0; i < WATCHED_N; i++) {
		uint64_t at = w->files[i].reload_at;

		if (at > 0)
			ns = at > now_ns ? MIN(ns, at - now_ns) : 0;
	}
	return ns;
}

/* The next signal, or 0 after a beat, or when files have changed. */
static int wait_for_signal(struct waits *w)
{
	uint64_t ns = wait_ns(w, clock_mono_ns());
	struct pollfd fds[WATCHED_N + 1] = { { .fd = w->signals, .events = POLLIN } };
	const struct timespec wait = { .tv_sec = (time_t)(ns / 1000000000),
		                       .tv_nsec = (long)(ns % 1000000000) };
	struct signalfd_siginfo info;

	for (size_t i = 0; i < WATCHED_N; i++)
		fds[i + 1] = (struct pollfd){ .fd = w->files[i].fd, .events = POLLIN };
	(void)ppoll(fds, ARRAY_SIZE(fds), &wait, NULL);
	for (size_t i = 0; i < WATCHED_N; i++) {
		if (w->files[i].fd >= 0 && file_watch_drain(w->files[i].fd))
			w->files[i].reload_at = clock_mono_ns() + RELOAD_QUIET_NS;
	}
	return read(w->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static void reload_files(struct region *region, struct waits *w)
{
	for (size_t i = 0; i < WATCHED_N; i++) {
		struct watched *f = &w->files[i];

		if (f->reload_at == 0 || clock_mono_ns() < f->reload_at)
			continue;
		f->reload_at = 0;
		f->reload(region);
	}
}

void region_run(struct region *region)
{
	_cleanup_(waits_done) struct waits w = waits_open(region);
	int sig = 0;

	(void)sdnotify_ready("serving");
	while (sig != SIGTERM && sig != SIGINT) {
		sig = wait_for_signal(&w);
		beat(region);
		reload_files(region, &w);
		if (sig == SIGHUP)
			reload(region);
		else if (sig == SIGUSR1)
			log_state(region);
	}
	log_info("stopping: running requests may end first");
}

void region_close(struct region *region)
{
	if (!region)
		return;
	atomic_store(&region->stopping, true);
	(void)sdnotify_stopping();
	if (region->http)
		selfmetrics_stop_http(region);
	http_stop(region->http, (uint64_t)region->conf.stop_timeout_ms);
	tls_free(region->tls);
	if (region->store)
		selfmetrics_stop(region);
	store_close(region->store);
	metadata_close(region->metadata);
	pool_free(region->pool);
	queries_free(region->queries);
	name_stats_free(region->name_stats);
	access_unref(region->access);
	conf_done(&region_conf_schema, &region->conf);
	pthread_mutex_destroy(&region->lock);
	free(region);
}
