/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/sources.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

#define REOPEN_MIN_NS (15ull * 1000000000)
#define REOPEN_MAX_NS (600ull * 1000000000)

struct slot {
	const struct source_ops *ops;
	struct source *src; /* NULL: off */
	uint64_t reopen_ns, wait_ns;
	uint32_t n_failures; /* in a row */
	char why[256];       /* it is off; sources.lock */
	_Atomic int64_t n_errors, n_samples, collect_ns;
	_Atomic int up; /* as @src, for the thread that writes metrics */
};

struct sources {
	const struct host_conf *conf;
	struct slot slots[SOURCES_MAX];
	size_t n;
	pthread_mutex_t lock; /* of the reasons, which another thread reads for /metrics */
};

static bool is_wanted(const struct host_conf *conf, const struct source_ops *ops)
{
	if (ops->is_chosen && !ops->is_chosen(conf))
		return false;
	for (size_t i = 0; i < conf->sources.n; i++) {
		if (strcmp(conf->sources.v[i], ops->name) == 0)
			return true;
	}
	return conf->sources.n == 0;
}

static void set_why(struct sources *all, struct slot *s, const char *why)
{
	pthread_mutex_lock(&all->lock);
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	pthread_mutex_unlock(&all->lock);
}

static void switch_off(struct sources *all, struct slot *s, const char *why)
{
	set_why(all, s, why);
	if (s->src)
		s->ops->free(s->src);
	s->src = NULL;
	atomic_store(&s->up, 0);
	s->wait_ns = MIN(MAX(s->wait_ns * 2, REOPEN_MIN_NS), REOPEN_MAX_NS);
	s->reopen_ns = clock_mono_ns() + s->wait_ns;
	log_warn("source: off", STRV("source", s->ops->name), STRV("why", s->why),
	         U64("again_in_s", s->wait_ns / 1000000000));
}

static void open_slot(struct sources *all, struct slot *s)
{
	struct err e = ERR_INIT;
	int r = s->ops->open(&s->src, all->conf, &e);

	if (r < 0) {
		s->src = NULL; /* outputs are set on success only, but do not rely on it */
		atomic_fetch_add(&s->n_errors, 1);
		switch_off(all, s, e.msg[0] ? e.msg : strerror(-r));
		return;
	}
	s->n_failures = 0;
	set_why(all, s, "");
	atomic_store(&s->up, 1);
	log_info("source: on", STRV("source", s->ops->name));
}

static void slot_vm_added(struct slot *s, const struct vm *vm)
{
	int r = s->src && s->ops->vm_added ? s->ops->vm_added(s->src, vm) : 0;

	if (r == 0)
		return;
	atomic_fetch_add(&s->n_errors, 1);
	log_warn("source: no samples of this VM", STRV("source", s->ops->name),
	         STRV("instance", vm->instance), STRV("why", strerror(-r)));
}

int sources_new(struct sources **ret, const struct source_ops *const *table,
                const struct host_conf *conf)
{
	struct sources *s = mem_zalloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->conf = conf;
	pthread_mutex_init(&s->lock, NULL);
	for (size_t i = 0; table[i]; i++) {
		if (!is_wanted(conf, table[i]))
			continue;
		assert(s->n < SOURCES_MAX);
		s->slots[s->n].ops = table[i];
		open_slot(s, &s->slots[s->n++]);
	}
	*ret = s;
	return 0;
}

void sources_free(struct sources *s)
{
	for (size_t i = 0; s && i < s->n; i++) {
		if (s->slots[i].src)
			s->slots[i].ops->free(s->slots[i].src);
	}
	if (s)
		pthread_mutex_destroy(&s->lock);
	free(s);
}

void sources_set_conf(struct sources *s, const struct host_conf *conf)
{
	s->conf = conf;
	for (size_t i = 0; i < s->n; i++) {
		if (s->slots[i].src && s->slots[i].ops->set_conf)
			s->slots[i].ops->set_conf(s->slots[i].src, conf);
	}
}

void sources_vm_added(struct sources *s, const struct vm *vm)
{
	for (size_t i = 0; i < s->n; i++)
		slot_vm_added(&s->slots[i], vm);
}

void sources_vm_gone(struct sources *s, const struct vm *vm)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->slots[i].src && s->slots[i].ops->vm_gone)
			s->slots[i].ops->vm_gone(s->slots[i].src, vm);
	}
}

void sources_vm_exited(struct sources *s, const struct vm *vm, struct vm_exit *how, int64_t now_ms,
                       struct batch *out)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->slots[i].src || !s->slots[i].ops->vm_exited)
			continue;
		batch_begin_source(out);
		s->slots[i].ops->vm_exited(s->slots[i].src, vm, how, now_ms, out);
	}
}

static int tell_vm(void *ctx, const struct vm *vm)
{
	slot_vm_added(ctx, vm);
	return 0;
}

static void reopen(struct sources *s, struct slot *slot, const struct registry *vms)
{
	if (slot->src || clock_mono_ns() < slot->reopen_ns)
		return;
	open_slot(s, slot);
	if (slot->src)
		(void)registry_each(vms, tell_vm, slot);
}

static void count_result(struct sources *all, struct slot *s, int r, const struct err *e)
{
	const char *cause = e->msg[0] ? e->msg : strerror(-r);
	char why[256];

	if (r == 0) {
		s->n_failures = 0;
		s->wait_ns = 0;
		return;
	}
	atomic_fetch_add(&s->n_errors, 1);
	if (r == -ENOSPC) /* the batch is full: not the source's fault, and counted there */
		return;
	log_warn("source: collecting failed", STRV("source", s->ops->name), STRV("why", cause));
	if (++s->n_failures < SOURCES_FAILURES_MAX)
		return;
	(void)snprintf(why, sizeof(why), "collecting failed %d times in a row: %.180s",
	               SOURCES_FAILURES_MAX, cause);
	switch_off(all, s, why);
}

static void collect_slot(struct sources *s, struct slot *slot, int64_t now_ms, struct batch *out)
{
	uint64_t begin_ns = clock_mono_ns();
	size_t before = batch_n_samples(out);
	struct err e = ERR_INIT;

	batch_begin_source(out);
	int r = slot->ops->collect(slot->src, now_ms, out, &e);

	atomic_fetch_add(&slot->n_samples, (int64_t)(batch_n_samples(out) - before));
	atomic_fetch_add(&slot->collect_ns, (int64_t)(clock_mono_ns() - begin_ns));
	count_result(s, slot, r, &e);
}

void sources_collect(struct sources *s, const struct registry *vms, int64_t now_ms,
                     struct batch *out)
{
	for (size_t i = 0; i < s->n; i++) {
		reopen(s, &s->slots[i], vms);
		if (s->slots[i].src && s->slots[i].ops->begin)
			s->slots[i].ops->begin(s->slots[i].src);
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->slots[i].src)
			collect_slot(s, &s->slots[i], now_ms, out);
	}
}

void sources_look_soon(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->slots[i].src && s->slots[i].ops->look_soon)
			s->slots[i].ops->look_soon(s->slots[i].src);
	}
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t sources_sample(struct sources *s, uint64_t mono_ns)
{
	uint64_t begin_ns = thread_cpu_ns();

	for (size_t i = 0; i < s->n; i++) {
		const struct slot *slot = &s->slots[i];

		if (slot->src && slot->ops->sample && slot->ops->sample(slot->src, mono_ns) < 0)
			atomic_fetch_add(&s->slots[i].n_errors, 1);
	}
	return thread_cpu_ns() - begin_ns;
}

size_t sources_n_up(const struct sources *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->slots[i].src != NULL;
	return n;
}

bool sources_off(const struct sources *s, size_t i, const char **ret_name, const char **ret_why)
{
	for (size_t at = 0; at < s->n; at++) {
		if (s->slots[at].src || i-- > 0)
			continue;
		*ret_name = s->slots[at].ops->name;
		*ret_why = s->slots[at].why;
		return true;
	}
	return false;
}

/* ---- own metrics ---------------------------------------------------------------------------- */

static double read_up(const struct slot *s)
{
	return atomic_load(&s->up);
}

static double read_errors(const struct slot *s)
{
	return (double)atomic_load(&s->n_errors);
}

static double read_samples(const struct slot *s)
{
	return (double)atomic_load(&s->n_samples);
}

static double read_seconds(const struct slot *s)
{
	return (double)atomic_load(&s->collect_ns) / 1e9;
}

static const struct {
	const char *name, *type, *help;
	double (*read)(const struct slot *s);
} families[] = {
	{ "periscope_host_source_up", "gauge",
	  "1 while the source works; 0, with the reason, while it is off.", read_up },
	{ "periscope_host_source_errors_total", "counter", "Failures of the source.", read_errors },
	{ "periscope_host_source_samples_total", "counter", "Samples collected.", read_samples },
	{ "periscope_host_source_collect_seconds_total", "counter", "Time spent collecting.",
	  read_seconds },
};

static void put_metric(struct buf *out, struct sources *s, struct slot *slot, size_t family)
{
	_cleanup_(buf_done) struct buf labels = BUF_INIT;

	metrics_put_label(&labels, "source", slot->ops->name);
	pthread_mutex_lock(&s->lock);
	if (families[family].read == read_up && slot->why[0])
		metrics_put_label(&labels, "reason", slot->why);
	pthread_mutex_unlock(&s->lock);
	metrics_put(out, families[family].name, buf_cstr(&labels), families[family].read(slot));
}

void sources_metrics(struct buf *out, void *sources)
{
	struct sources *s = sources;

	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		metrics_put_family(out, families[f].name, families[f].type, families[f].help);
		for (size_t i = 0; i < s->n; i++)
			put_metric(out, s, &s->slots[i], f);
	}
}

void sources_dump(const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		log_info("source: state", STRV("source", s->slots[i].ops->name),
		         STRV("state", s->slots[i].src ? "on" : "off"),
		         STRV("why", s->slots[i].why),
		         I64("errors", atomic_load(&s->slots[i].n_errors)),
		         I64("samples", atomic_load(&s->slots[i].n_samples)));
}
