/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/host.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/sdnotify.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/catalog.h"
#include "userspace/host/delivery/delivery.h"
#include "userspace/host/discover.h"
#include "userspace/host/drops.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/own_series.h"
#include "userspace/host/registry.h"
#include "userspace/host/sampler.h"
#include "userspace/host/scrape/scraper.h"
#include "userspace/host/selfhttp.h"
#include "userspace/host/simulate.h"
#include "userspace/host/source.h"
#include "userspace/host/sources.h"
#include "userspace/host/stale.h"
#include "userspace/host/stamp.h"
#include "userspace/host/vm_age.h"
#include "userspace/host/vm_life.h"
#include "userspace/wire/http_client.h"

#define EVENTS_MAX 16

static struct metric ticks =
	METRIC_COUNTER("periscope_host_collections_total", "", "Collections made.");
static struct metric ticks_missed =
	METRIC_COUNTER("periscope_host_collections_missed_total", "",
                       "Collections left out because the one before took too long.");
static struct metric events_up =
	METRIC_GAUGE("periscope_host_process_events_up", "",
                     "1 while the kernel tells of process starts and ends; 0: /proc is scanned.");
static struct metric events_lost = METRIC_COUNTER("periscope_host_process_events_lost_total", "",
                                                  "Process events lost; each led to a scan.");
static struct metric reloads_failed = METRIC_COUNTER(
	"periscope_host_reloads_failed_total", "", "Reloads refused because of the settings file.");
METRIC_REGISTER(ticks);
METRIC_REGISTER(ticks_missed);
METRIC_REGISTER(events_up);
METRIC_REGISTER(events_lost);
METRIC_REGISTER(reloads_failed);

DEFINE_CLEANUP(struct batch *, batch_free);
DEFINE_CLEANUP(struct sources *, sources_free);

struct host {
	struct host_conf *conf;
	const char *path;
	struct host_extras extras;
	struct registry *registry;
	struct sources *sources;
	struct delivery *delivery;
	struct scraper *scraper;
	struct selfhttp *selfhttp;
	struct vm_life *life; /* NULL: no process events */
	struct batch *last;   /* the tick before */
	struct batch **ended; /* since then: last samples of VMs that ended */
	size_t n_ended, ended_cap;
	struct sampler sampler;
	struct stamper stamper;
	struct own_series own;
	uint64_t n_lost_seen;
	uint64_t young_until_ns; /* VMs are, as far as is known */
	int epoll_fd, timer_fd, sample_fd, young_fd, signal_fd;
	bool ending, in_life;
};

/* ---- young VMs ------------------------------------------------------------------------------ */

static void arm_young(const struct host *h, bool on)
{
	const struct timespec second = { .tv_sec = 1 };
	const struct itimerspec each_second = { second, second }, off = { 0 };

	(void)timerfd_settime(h->young_fd, 0, on ? &each_second : &off, NULL);
}

static void look_soon_while_young(struct host *h)
{
	const bool armed = h->young_until_ns != 0;

	h->young_until_ns = clock_mono_ns() + (VM_YOUNG_S + 1) * 1000000000ull;
	if (!armed)
		arm_young(h, true);
}

static void on_young(struct host *h)
{
	uint64_t n;

	(void)!read(h->young_fd, &n, sizeof(n)); /* only to make it unreadable again */
	sources_look_soon(h->sources);
	if (clock_mono_ns() < h->young_until_ns)
		return;
	h->young_until_ns = 0;
	arm_young(h, false);
}

/* ---- VMs and processes ---------------------------------------------------------------------- */

static void on_vm_added(void *ctx, const struct vm *vm)
{
	struct host *h = ctx;

	log_info("VM runs", STRV("instance", vm->instance), STRV("app", vm->app),
	         I64("pid", vm->pid), U64("vcpus", vm->n_vcpus), U64("disks", vm->n_disks),
	         U64("taps", vm->n_taps));
	sources_vm_added(h->sources, vm);
	look_soon_while_young(h);
	if (scraper_vm_added(h->scraper, vm) < 0)
		log_warn("scrape: no memory for the VM's endpoints",
		         STRV("instance", vm->instance));
}

/* At once, not at the next tick: its last samples, and stale marks for all its other series. */
static void on_vm_gone(void *ctx, const struct vm *vm, const struct vm_exit *how)
{
	_cleanup_(batch_freep) struct batch *b = NULL;
	const int64_t now_ms = clock_unix_ms();
	struct host *h = ctx;

	scraper_vm_gone(h->scraper, vm);
	log_info("VM ended", STRV("instance", vm->instance), STRV("app", vm->app),
	         I64("pid", vm->pid));
	if (batch_new(&b, (size_t)h->conf->tick_samples_max) < 0) {
		sources_vm_gone(h->sources, vm);
		return; /* the next tick marks them */
	}
	if (how) {
		struct vm_exit found = *how; /* and what the sources add */

		sources_vm_exited(h->sources, vm, &found, now_ms, b);
	}
	sources_vm_gone(h->sources, vm);
	(void)stale_mark_vm(b, h->last, vm->id, now_ms);
	if (MEM_GROW(h->ended, h->ended_cap, h->n_ended + 1) == 0)
		h->ended[h->n_ended++] = batch_ref(b);
	delivery_push(h->delivery, TAKE_PTR(b));
}

static void forget_ended(struct host *h)
{
	while (h->n_ended > 0)
		batch_free(h->ended[--h->n_ended]);
}

static void on_life(void *ctx, const struct vm_life_event *ev)
{
	struct host *h = ctx;

	if (ev->what == VM_LIFE_EXEC)
		registry_executed(h->registry, ev->pid, ev->comm);
	else
		registry_exited(h->registry, ev->pid, &ev->exit);
}

static int watch(void *ctx, pid_t pid)
{
	struct host *h = ctx;

	return vm_life_watch(h->life, pid);
}

static void unwatch(void *ctx, pid_t pid)
{
	struct host *h = ctx;

	vm_life_unwatch(h->life, pid);
}

static void dispatch_life(struct host *h)
{
	h->in_life = true;
	int r = vm_life_dispatch(h->life);
	uint64_t n_lost = vm_life_lost(h->life);

	h->in_life = false;
	if (r < 0)
		log_warn("process events: reading failed", STRV("why", strerror(-r)));
	if (n_lost == h->n_lost_seen && r >= 0)
		return;
	metric_add(&events_lost, (int64_t)(n_lost - h->n_lost_seen));
	h->n_lost_seen = n_lost;
	registry_rescan(h->registry);
}

/* A process was found dead. What says how may be among the very events that are being handled. */
static void drain(void *ctx)
{
	struct host *h = ctx;

	if (h->in_life)
		return;
	h->in_life = true;
	(void)vm_life_dispatch(h->life);
	h->in_life = false;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

static int arm_timer(struct host *h)
{
	int64_t every_ms = h->conf->interval_ms;
	int64_t first_ms = (clock_unix_ms() / every_ms + 1) * every_ms;
	const struct itimerspec spec = {
		.it_value = { .tv_sec = first_ms / 1000, .tv_nsec = first_ms % 1000 * 1000000 },
		.it_interval = { .tv_sec = every_ms / 1000, .tv_nsec = every_ms % 1000 * 1000000 },
	};

	return timerfd_settime(h->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec,
	                       NULL) < 0
	               ? neg_errno()
	               : 0;
}

static int collect(struct host *h, struct batch **ret)
{
	_cleanup_(batch_freep) struct batch *b = NULL;
	int64_t now_ms = stamp_next(&h->stamper, clock_unix_ms(), h->conf->interval_ms);
	int r = batch_new(&b, (size_t)h->conf->tick_samples_max);

	if (r < 0)
		return r;
	if (own_series_add(&h->own, h->conf, now_ms, b) < 0)
		log_warn("collection: no room for the daemon's own series");
	r = registry_collect(h->registry, now_ms, b);
	if (r < 0 && r != -ENOSPC)
		return r;
	sources_collect(h->sources, h->registry, now_ms, b);
	int64_t marked = stale_mark_ended(b, h->last, now_ms);

	for (size_t i = 0; i < h->n_ended && marked >= 0; i++)
		marked = stale_mark_ended(b, h->ended[i], now_ms);
	if (marked < 0)
		log_warn("collection: no memory for stale marks");
	*ret = TAKE_PTR(b);
	return 0;
}

static void tick(struct host *h)
{
	struct batch *b;
	int r = collect(h, &b);

	metric_add(&ticks, 1);
	if (r < 0) {
		log_error("collection failed", STRV("why", strerror(-r)));
		return;
	}
	if (batch_n_refused(b) > 0) {
		drops_add(&drops_common, DROP_COLLECTION_FULL, batch_n_refused(b));
		log_warn("collection is full: samples were refused",
		         U64("samples", batch_n_refused(b)));
	}
	batch_free(h->last);
	forget_ended(h);
	h->last = batch_ref(b);
	delivery_push(h->delivery, b);
}

static void on_timer(struct host *h)
{
	uint64_t n = 0;

	if (read(h->timer_fd, &n, sizeof(n)) < 0) {
		if (errno == ECANCELED) /* somebody set the clock */
			(void)arm_timer(h);
		return;
	}
	if (n > 1)
		metric_add(&ticks_missed, (int64_t)n - 1);
	tick(h);
}

static void arm_sampler(const struct host *h, uint64_t window_ns)
{
	const struct timespec window = { .tv_sec = (time_t)(window_ns / 1000000000),
		                         .tv_nsec = (long)(window_ns % 1000000000) };
	const struct itimerspec on = { window, window }, off = { 0 };

	(void)timerfd_settime(h->sample_fd, 0, h->conf->peaks_enabled ? &on : &off, NULL);
}

static void on_sample(struct host *h)
{
	const uint64_t before_ns = atomic_load(&h->sampler.window_ns);
	uint64_t n, window_ns;

	(void)!read(h->sample_fd, &n, sizeof(n)); /* only to make it unreadable again */
	if (registry_n_running(h->registry) == 0)
		return;
	window_ns = sampler_note(&h->sampler, sources_sample(h->sources, clock_mono_ns()),
	                         h->conf->peaks_cpu_max_ratio);
	if (window_ns != before_ns)
		arm_sampler(h, window_ns);
}

/* ---- signals -------------------------------------------------------------------------------- */

static sigset_t signals(void)
{
	static const int list[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		(void)sigaddset(&set, list[i]);
	return set;
}

void host_block_signals(void)
{
	sigset_t set = signals();

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void conf_free(struct host_conf *conf)
{
	if (conf)
		host_conf_done(conf);
	free(conf);
}

DEFINE_CLEANUP(struct host_conf *, conf_free);

static int load_again(struct host *h, struct host_conf **ret, struct err *e)
{
	_cleanup_free_ struct host_conf *fresh = mem_zalloc(1, sizeof(*fresh));
	const char *fixed;
	int r = fresh ? host_conf_load(h->path, source_names(), fresh, e) : -ENOMEM;

	if (r < 0)
		return r;
	if (h->extras.simulate)
		fresh->discovery_enabled = false;
	fixed = conf_unreloadable_change(&host_conf_schema, h->conf, fresh);
	if (fixed) {
		host_conf_done(fresh);
		return err_set(e, -EINVAL, "%s: a change needs a restart", fixed);
	}
	*ret = TAKE_PTR(fresh);
	return 0;
}

static void use_conf(struct host *h, struct host_conf *fresh)
{
	bool new_interval = fresh->interval_ms != h->conf->interval_ms;

	log_set_level((enum log_level)fresh->log_level);
	sources_set_conf(h->sources, fresh);
	scraper_set_conf(h->scraper, fresh);
	registry_reload(h->registry, fresh);
	conf_free(h->conf);
	h->conf = fresh;
	if (new_interval)
		(void)arm_timer(h);
	arm_sampler(h, SAMPLER_WINDOW_NS);
}

static void reload(struct host *h)
{
	_cleanup_(conf_freep) struct host_conf *fresh = NULL;
	struct err e = ERR_INIT;

	(void)sdnotify_reloading();
	int r = load_again(h, &fresh, &e);

	if (r == 0)
		r = delivery_set_conf(h->delivery, fresh, &e);
	if (r == 0) {
		use_conf(h, TAKE_PTR(fresh));
		log_info("settings read again");
	} else {
		metric_add(&reloads_failed, 1);
		log_error("settings not read again, those before stay",
		          STRV("why", e.msg[0] ? e.msg : strerror(-r)));
	}
	(void)sdnotify_ready("collecting");
}

static void dump(struct host *h)
{
	log_info("state", U64("vms", registry_n_running(h->registry)),
	         U64("sources_up", sources_n_up(h->sources)),
	         U64("samples_in_last_collection", h->last ? batch_n_samples(h->last) : 0));
	registry_dump(h->registry);
	sources_dump(h->sources);
}

static void on_signal(struct host *h)
{
	struct signalfd_siginfo info;

	while (read(h->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(h);
		else if (info.ssi_signo == SIGUSR1)
			dump(h);
		else
			h->ending = true;
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

static void put_build_info(struct buf *out, void *ctx)
{
	(void)ctx;
	metrics_put_family(out, "periscope_host_build_info", "gauge", "Version of the program.");
	metrics_put(out, "periscope_host_build_info", "version=\"" PERISCOPE_VERSION "\"", 1);
}

/* Each VM costs a descriptor; the default of 1,024 would be a limit nobody asked for. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void open_life(struct host *h)
{
	struct err e = ERR_INIT;
	int r = vm_life_open(&h->life, on_life, h, &e);

	for (size_t i = 0; r == 0 && discover_comm(i); i++)
		r = vm_life_want_comm(h->life, discover_comm(i));
	metric_set(&events_up, r == 0);
	if (r == 0)
		return;
	vm_life_close(h->life);
	h->life = NULL;
	log_warn("process events: off, /proc is scanned every second",
	         STRV("why", e.msg[0] ? e.msg : strerror(-r)));
}

static int add_fd(struct host *h, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? neg_errno() : 0;
}

static int open_fds(struct host *h)
{
	const sigset_t set = signals();
	int r = 0;

	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	h->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	h->sample_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	h->young_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->epoll_fd < 0 || h->timer_fd < 0 || h->sample_fd < 0 || h->young_fd < 0 ||
	    h->signal_fd < 0)
		return neg_errno();
	const int fds[] = { h->timer_fd,
		            h->sample_fd,
		            h->young_fd,
		            h->signal_fd,
		            registry_fd(h->registry),
		            h->life ? vm_life_fd(h->life) : -1 };

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0)
			r = add_fd(h, fds[i]);
	}
	arm_sampler(h, SAMPLER_WINDOW_NS);
	return r == 0 ? arm_timer(h) : r;
}

static int open_sources(const struct host *h, struct sources **ret, struct err *e)
{
	static const struct source_ops *const simulated[] = { &simulate_source, NULL };
	_cleanup_(sources_freep) struct sources *s = NULL;
	int r;

	if (h->extras.simulate)
		simulate_use(h->extras.simulate);
	r = sources_new(&s, h->extras.simulate ? simulated : source_table, h->conf);

	if (r == 0 && sources_n_up(s) == 0)
		r = err_set(e, -EPERM, "none of the sources works here: run it as root");
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

static void push_scrape(void *ctx, struct batch *b)
{
	struct host *h = ctx;

	delivery_push_soon(h->delivery, b);
}

static int open_parts(struct host *h, struct err *e)
{
	const struct registry_listener listener = { on_vm_added, on_vm_gone, h };
	int r = open_sources(h, &h->sources, e);

	if (r == 0)
		r = delivery_new(&h->delivery, h->conf, h->extras.tap, e);
	if (r == 0)
		r = scraper_new(&h->scraper, h->conf, push_scrape, h, e);
	if (r < 0)
		return r;
	open_life(h);
	const struct registry_world world = { .watch = h->life ? watch : NULL,
		                              .unwatch = h->life ? unwatch : NULL,
		                              .drain = h->life ? drain : NULL,
		                              .ctx = h };

	r = registry_new(&h->registry, h->conf, &listener, &world, e);
	if (r == 0)
		r = open_fds(h);
	if (r < 0)
		return r;
	metrics_collector_add(put_build_info, h);
	metrics_collector_add(registry_metrics, h->registry);
	metrics_collector_add(sources_metrics, h->sources);
	metrics_collector_add(delivery_metrics, h->delivery);
	metrics_collector_add(scraper_metrics, h->scraper);
	metrics_collector_add(sampler_metrics, &h->sampler);
	return selfhttp_start(&h->selfhttp, h->conf->listen, e);
}

int host_open(struct host **ret, struct host_conf *conf, const char *path,
              const struct host_extras *extras, struct err *e)
{
	struct host *h = mem_zalloc(1, sizeof(*h));

	if (!h) {
		conf_free(conf);
		return -ENOMEM;
	}
	h->conf = conf;
	h->path = path;
	h->epoll_fd = h->timer_fd = h->sample_fd = h->young_fd = h->signal_fd = -1;
	h->sampler = (struct sampler)SAMPLER_INIT;
	h->extras = *extras;
	if (extras->simulate)
		conf->discovery_enabled = false;
	raise_descriptor_limit();
	int r = catalog_set_prefix(conf->prefix);

	if (r == 0)
		r = http_client_global_init();
	if (r == 0)
		r = open_parts(h, e);
	if (r < 0) {
		host_close(h);
		return r;
	}
	*ret = h;
	return 0;
}

static void dispatch(struct host *h, int fd)
{
	if (fd == h->signal_fd)
		on_signal(h);
	else if (fd == h->timer_fd)
		on_timer(h);
	else if (fd == h->sample_fd)
		on_sample(h);
	else if (fd == h->young_fd)
		on_young(h);
	else if (fd == registry_fd(h->registry))
		registry_dispatch(h->registry);
	else
		dispatch_life(h);
}

static int watchdog_wait_ms(void)
{
	uint64_t us = sdnotify_watchdog_us();

	return us == 0 ? -1 : (int)MIN(us / 2000 + 1, (uint64_t)60000);
}

/* Nobody is told that all is well while delivery hangs; the collector is this thread. */
static void beat(const struct host *h)
{
	if (delivery_is_stuck(h->delivery, clock_mono_ns()))
		log_error("delivery hangs: the watchdog is not told that all is well");
	else
		(void)sdnotify_watchdog();
}

void host_run(struct host *h)
{
	struct epoll_event events[EVENTS_MAX];
	const int wait_ms = watchdog_wait_ms();

	registry_start(h->registry);
	log_info("collecting", STRV("version", PERISCOPE_VERSION),
	         U64("vms", registry_n_running(h->registry)),
	         U64("sources", sources_n_up(h->sources)));
	tick(h); /* who waits for readiness may rely on samples being on their way */
	(void)sdnotify_ready("collecting");
	while (!h->ending) {
		int n = epoll_wait(h->epoll_fd, events, EVENTS_MAX, wait_ms);

		for (int i = 0; i < n && !h->ending; i++)
			dispatch(h, events[i].data.fd);
		beat(h);
	}
	(void)sdnotify_stopping();
	log_info("ending: what waits is sent first");
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void host_close(struct host *h)
{
	if (!h)
		return;
	selfhttp_stop(h->selfhttp);
	if (h->registry) {
		metrics_collector_del(put_build_info, h);
		metrics_collector_del(registry_metrics, h->registry);
		metrics_collector_del(sources_metrics, h->sources);
		metrics_collector_del(delivery_metrics, h->delivery);
		metrics_collector_del(scraper_metrics, h->scraper);
		metrics_collector_del(sampler_metrics, &h->sampler);
	}
	registry_free(h->registry);
	sources_free(h->sources);
	vm_life_close(h->life);
	batch_free(h->last);
	forget_ended(h);
	free(h->ended);
	scraper_free(h->scraper); /* pushes into delivery */
	delivery_stop(h->delivery, h->conf->flush_ms);
	close_fd(h->epoll_fd);
	close_fd(h->timer_fd);
	close_fd(h->sample_fd);
	close_fd(h->young_fd);
	close_fd(h->signal_fd);
	conf_free(h->conf);
	free(h);
}
