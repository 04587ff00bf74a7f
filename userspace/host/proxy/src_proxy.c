/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source proxy: what the proxies of this host do, seen from the kernel. See proxy_int.h for the
 * parts and docs/proxy.md for what is measured and how exactly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/proxy/proxy_int.h"

#define CONSUME_EVERY_NS 50000000ull

/* ---- the thread ----------------------------------------------------------------------------- */

static void consume(struct source *src)
{
	int r = programs_consume(src->programs);

	if (r < 0)
		log_warn("proxy: reading records failed", STRV("why", strerror(-r)));
}

static struct timespec after_ns(uint64_t ns)
{
	uint64_t at_ns = clock_mono_ns() + ns;

	return (struct timespec){ (time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000) };
}

static void *run(void *ctx)
{
	struct source *src = ctx;

	pthread_mutex_lock(&src->lock);
	while (!src->ending) {
		struct timespec until = after_ns(CONSUME_EVERY_NS);

		(void)pthread_cond_timedwait(&src->wake, &src->lock, &until);
		/* First, so that connections of a proxy that has just begun are known as such. */
		watch_look(src);
		consume(src);
	}
	pthread_mutex_unlock(&src->lock);
	return NULL;
}

static int start_thread(struct source *src)
{
	int r = pthread_create(&src->thread, NULL, run, src);

	src->has_thread = r == 0;
	if (r == 0)
		(void)pthread_setname_np(src->thread, "proxy");
	return -r;
}

static void stop_thread(struct source *src)
{
	if (!src->has_thread)
		return;
	pthread_mutex_lock(&src->lock);
	src->ending = true;
	pthread_cond_signal(&src->wake);
	pthread_mutex_unlock(&src->lock);
	(void)pthread_join(src->thread, NULL);
}

/* ---- the source ----------------------------------------------------------------------------- */

static void proxy_free(struct source *src)
{
	if (!src)
		return;
	metrics_collector_del(watch_metrics, src);
	stop_thread(src);
	watch_close(src);
	programs_close(src->programs);
	events_forget(src);
	conns_free(src->conns);
	hosts_free(src->hosts);
	hellos_free(src->hellos);
	names_free(src->names);
	owners_free(src->owners);
	free(src->vms);
	(void)pthread_cond_destroy(&src->wake);
	(void)pthread_mutex_destroy(&src->lock);
	free(src);
}

DEFINE_CLEANUP(struct source *, proxy_free);

static struct source *source_new(const struct host_conf *conf)
{
	struct source *src = mem_zalloc(1, sizeof(*src));
	pthread_condattr_t attr;

	if (!src)
		return NULL;
	(void)pthread_mutex_init(&src->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&src->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)snprintf(src->host, sizeof(src->host), "%s", conf->host_id);
	(void)snprintf(src->region, sizeof(src->region), "%s", conf->region);
	return src;
}

static int open_tables(struct source *src, const struct host_conf *conf)
{
	int r = owners_new(&src->owners, conf->discovery_org, src->region);

	if (r == 0)
		r = names_new(&src->names);
	if (r == 0)
		r = conns_new(&src->conns);
	if (r == 0)
		r = hosts_new(&src->hosts);
	if (r == 0)
		r = hellos_new(&src->hellos);
	return r < 0 ? r : attribution_add_routes(src, &conf->routes);
}

static int proxy_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	_cleanup_(proxy_freep) struct source *src = source_new(conf);
	int r = src ? open_tables(src, conf) : -ENOMEM;

	/* Without a proxy there is nothing to do, and nothing wrong. */
	if (r == 0 && conf->proxies.n > 0) {
		r = programs_open(&src->programs, events_take, src, e);
		if (r == 0)
			r = watch_open(src, &conf->proxies, e);
		if (r == 0) {
			watch_look(src);
			r = start_thread(src);
		}
	}
	if (r < 0)
		return r;
	metrics_collector_add(watch_metrics, src);
	*ret_src = TAKE_PTR(src);
	return 0;
}

static int proxy_vm_added(struct source *src, const struct vm *vm)
{
	int r = 0;

	pthread_mutex_lock(&src->lock);
	if (src->n_proxies > 0)
		r = attribution_add_vm(src, vm);
	pthread_mutex_unlock(&src->lock);
	return r;
}

static void proxy_vm_gone(struct source *src, const struct vm *vm)
{
	pthread_mutex_lock(&src->lock);
	if (src->n_proxies > 0)
		attribution_remove_vm(src, vm);
	pthread_mutex_unlock(&src->lock);
}

struct emit {
	struct source *src;
	struct batch *out;
	int64_t now_ms;
};

static int emit_owner(void *ctx, struct owner *w, uint32_t number)
{
	const struct emit *e = ctx;
	bool is_vm = w->instance[0] != '\0';
	const struct batch_owner owner = {
		.id = is_vm ? w->vm_id : BATCH_OWNER_ID | number,
		.org = w->org,
		.app = w->app,
		.host = e->src->host,
		.instance = w->instance,
		.region = w->region,
	};

	if (!w->accounts || (is_vm && w->vm_id == 0) || (number != OWNER_NOBODY && w->n_refs == 0))
		return 0;
	int r = batch_begin(e->out, &owner, e->now_ms);

	return r < 0 ? r : accounts_emit(w, e->out);
}

static void look_at_all(struct source *src)
{
	uint64_t began_ns;
	int r;

	watch_look(src);
	consume(src);
	began_ns = clock_mono_ns();
	events_begin_pass(src);
	r = watch_each_conn(src);
	events_end_pass(src);
	/* The ends of what was closed meanwhile are in the ring by now. */
	consume(src);
	if (r == 0)
		events_sweep(src, began_ns);
	else
		log_warn("proxy: looking at connections failed", STRV("why", strerror(-r)));
}

static int proxy_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *why)
{
	struct emit e = { src, out, now_ms };
	int r;

	(void)why;
	if (src->n_proxies == 0)
		return 0;
	pthread_mutex_lock(&src->lock);
	look_at_all(src);
	r = owners_each(src->owners, emit_owner, &e);
	pthread_mutex_unlock(&src->lock);
	return r;
}

const struct source_ops proxy_source = {
	.name = "proxy",
	.open = proxy_open,
	.vm_added = proxy_vm_added,
	.vm_gone = proxy_vm_gone,
	.collect = proxy_collect,
	.free = proxy_free,
};
