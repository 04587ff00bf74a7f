/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread, one fetcher, and two arrays: the targets, and when each is due. The second is dense,
 * so that looking for the next of some thousands is one short walk.
 */
#include "userspace/host/scrape/scraper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/scrape/target.h"
#include "userspace/wire/http_fetch.h"

#define MS_NS                1000000ull
#define IDLE_NS              (3600ull * 1000000000)
#define LATE_MS              1000   /* a moment that is missed by more is left out */
#define METADATA_INTERVAL_MS 600000 /* TYPE and HELP are sent this often */
#define SKIP_MAX             19u    /* intervals that a hostile endpoint is left alone */

/* What the collector thread wants: VMs that came (their targets), or one that went. */
struct command {
	struct command *next;
	struct target *targets[VM_SCRAPES_MAX];
	uint32_t n;
	uint64_t gone_id;
};

struct counters {
	_Atomic int64_t n_targets, n_under_way, memory_bytes;
	_Atomic int64_t n_results[SCRAPE_REFUSALS], n_samples, n_bytes, n_bad_lines, n_missed;
};

struct scraper {
	scraper_push_f push;
	void *ctx;
	pthread_t thread;
	struct counters counters;
	bool loopback; /* the collector thread's */

	pthread_mutex_t lock; /* of what follows */
	struct command *first, **end;
	struct scrape_conf next_conf;
	bool is_ending;

	/* Of the thread alone. */
	struct scrape_conf conf;
	struct fetcher *fetcher;
	struct target **targets;
	uint64_t *due_ns;   /* of each, monotonic */
	int64_t *moment_ms; /* the same by the wall clock: the timestamp */
	size_t n, targets_cap, due_cap, moments_cap;
};

static uint64_t mono_ms(void)
{
	return clock_mono_ns() / MS_NS;
}

/* ---- one scrape ----------------------------------------------------------------------------- */

static void count_under_way(struct scraper *s, int64_t n)
{
	atomic_fetch_add(&s->counters.n_under_way, n);
}

static void log_refused(const struct target *t, enum scrape_refusal refusal, const char *why)
{
	log_warn("scrape: refused", STRV("org", t->vm->org), STRV("instance", t->vm->instance),
	         STRV("port", t->port), STRV("path", t->path),
	         STRV("reason", scrape_refusal_name(refusal)), STRV("why", why));
}

static void log_lines(const struct target *t)
{
	log_warn("scrape: lines refused", STRV("org", t->vm->org),
	         STRV("instance", t->vm->instance), STRV("port", t->port), STRV("path", t->path),
	         U64("lines", t->reading.n_bad), U64("first", t->reading.first_bad_line),
	         STRV("why", t->reading.first_bad));
}

static bool is_about_size(enum scrape_refusal r)
{
	return r == SCRAPE_TOO_LARGE || r == SCRAPE_TOO_MANY_SAMPLES || r == SCRAPE_MEMORY;
}

/* What the result means for the next scrapes. */
static void learn(struct target *t, enum scrape_refusal refusal, uint64_t n_samples)
{
	uint64_t n = refusal == SCRAPE_TAKEN ? n_samples : 0;

	t->vm->n_samples += n - t->n_last_samples;
	t->n_last_samples = n;
	t->of.last = refusal;
	if (is_about_size(refusal)) {
		t->n_large = MIN(t->n_large + 1, 8u);
		t->n_skip = MIN((1u << t->n_large) - 1, SKIP_MAX);
	} else {
		t->n_large = t->n_skip = 0;
	}
}

static void finish(struct target *t, double seconds, bool is_fresh)
{
	struct scraper *s = t->scraper;
	struct reading *r = &t->reading;
	struct batch *b;

	if (is_fresh) {
		atomic_fetch_add(&s->counters.n_bytes, (int64_t)r->body_bytes);
		atomic_fetch_add(&s->counters.n_bad_lines, (int64_t)r->n_bad);
		if (r->n_bad > 0)
			log_lines(t);
	}
	b = reading_finish(r, seconds);
	if (r->refusal == SCRAPE_TAKEN)
		atomic_fetch_add(&s->counters.n_samples, (int64_t)r->n_samples);
	else if (is_fresh)
		log_refused(t, r->refusal, r->why);
	if (is_fresh) {
		atomic_fetch_add(&s->counters.n_results[r->refusal], 1);
		learn(t, r->refusal, r->n_samples);
	}
	if (b)
		s->push(s->ctx, b);
	else
		log_error("scrape: no memory for a result", STRV("instance", t->vm->instance));
}

static int on_head(void *ctx, int status, const char *content_type)
{
	struct target *t = ctx;

	return reading_head(&t->reading, status, content_type);
}

static int on_data(void *ctx, struct str piece)
{
	struct target *t = ctx;
	size_t before = reading_memory_bytes(&t->reading);
	int r = reading_data(&t->reading, piece);

	atomic_fetch_add(&t->scraper->counters.memory_bytes,
	                 (int64_t)(reading_memory_bytes(&t->reading) - before));
	return r;
}

static void forget_memory(struct target *t)
{
	atomic_fetch_sub(&t->scraper->counters.memory_bytes,
	                 (int64_t)(reading_memory_bytes(&t->reading) - t->begin_bytes));
}

static enum scrape_refusal refusal_of(int r)
{
	switch (r) {
	case -EFBIG:
		return SCRAPE_TOO_LARGE;
	case -EBADMSG:
		return SCRAPE_FORMAT;
	case -ENOMEM:
		return SCRAPE_MEMORY;
	default:
		return SCRAPE_NO_ANSWER;
	}
}

static void on_done(void *ctx, int r, const char *why)
{
	struct target *t = ctx;

	t->fetch = NULL;
	count_under_way(t->scraper, -1);
	forget_memory(t);
	if (r < 0)
		(void)reading_refuse(&t->reading, refusal_of(r), why);
	finish(t, (double)(clock_mono_ns() - t->started_ns) / 1e9, true);
}

static int begin_fetch(struct scraper *s, struct target *t)
{
	static const char *const headers[] = {
		"Accept: application/openmetrics-text;version=1.0.0,"
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.7,"
		"text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"User-Agent: periscope-host/" PERISCOPE_VERSION, NULL
	};
	static const struct fetch_ops ops = { on_head, on_data, on_done };
	const struct fetch_request req = { t->url, headers, s->conf.timeout_ms };
	int r = fetcher_start(s->fetcher, &req, &ops, t, &t->fetch);

	if (r == 0)
		count_under_way(s, 1);
	return r;
}

/* A scrape that is refused before it begins. */
static void refuse_at_once(struct target *t, enum scrape_refusal refusal, const char *why,
                           bool is_fresh)
{
	(void)reading_refuse(&t->reading, refusal, why);
	finish(t, 0, is_fresh);
}

static uint64_t samples_left(const struct scraper *s, const struct target *t)
{
	uint64_t others = t->vm->n_samples - t->n_last_samples;

	return (uint64_t)s->conf.samples_max > others ? (uint64_t)s->conf.samples_max - others : 0;
}

static void scrape(struct scraper *s, struct target *t, int64_t moment_ms)
{
	int r;

	t->of.samples_max = samples_left(s, t);
	t->of.with_metadata = mono_ms() >= t->metadata_due_ms;
	if (t->of.with_metadata)
		t->metadata_due_ms = mono_ms() + METADATA_INTERVAL_MS;
	r = reading_begin(&t->reading, &t->of, &s->conf, &t->series, moment_ms, clock_unix_ms());
	if (r < 0) {
		log_error("scrape: no memory to begin", STRV("instance", t->vm->instance));
		return;
	}
	t->begin_bytes = reading_memory_bytes(&t->reading);
	t->started_ns = clock_mono_ns();
	if (t->is_bad_address) {
		refuse_at_once(t, SCRAPE_ADDRESS, "no address, or one that is not the VM's", true);
	} else if (t->n_skip > 0) {
		t->n_skip--;
		refuse_at_once(t, t->of.last, "left alone for a while", false);
	} else {
		r = begin_fetch(s, t);
		if (r < 0)
			refuse_at_once(t, refusal_of(r), strerror(-r), true);
	}
}

/* ---- memory of all -------------------------------------------------------------------------- */

struct use {
	const char *org;
	struct target *largest;
	size_t bytes, largest_bytes;
};

static int by_org(const void *a, const void *b)
{
	return strcmp(((const struct use *)a)->org, ((const struct use *)b)->org);
}

static size_t list_uses(const struct scraper *s, struct use *uses)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct target *t = s->targets[i];

		if (!t->fetch)
			continue;
		size_t bytes = reading_memory_bytes(&t->reading) - t->begin_bytes;

		uses[n++] = (struct use){ t->vm->org, t, bytes, bytes };
	}
	return n;
}

/* The largest scrape of the organisation that uses most. NULL: none is under way. */
static struct target *victim(const struct scraper *s)
{
	_cleanup_free_ struct use *uses = mem_zalloc(s->n + 1, sizeof(*uses));
	size_t n = uses ? list_uses(s, uses) : 0, most = 0, last = 0;

	if (n == 0)
		return NULL;
	qsort(uses, n, sizeof(uses[0]), by_org);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(uses[i].org, uses[last].org) != 0) {
			last = i;
		} else {
			uses[last].bytes += uses[i].bytes;
			if (uses[i].largest_bytes > uses[last].largest_bytes) {
				uses[last].largest = uses[i].largest;
				uses[last].largest_bytes = uses[i].largest_bytes;
			}
		}
		if (uses[last].bytes > uses[most].bytes)
			most = last;
	}
	return uses[most].largest;
}

static void keep_memory(struct scraper *s)
{
	while (atomic_load(&s->counters.memory_bytes) > (int64_t)s->conf.memory_bytes_max) {
		struct target *t = victim(s);

		if (!t)
			return;
		fetcher_cancel(s->fetcher, t->fetch);
		on_done(t, -ENOMEM, "scrapes under way use more than scrape.memory");
	}
}

/* ---- when ----------------------------------------------------------------------------------- */

static void schedule(struct scraper *s, size_t i)
{
	int64_t now_ms = clock_unix_ms();

	s->moment_ms[i] = target_next_ms(s->targets[i], now_ms, s->conf.interval_ms);
	s->due_ns[i] = clock_mono_ns() + (uint64_t)(s->moment_ms[i] - now_ms) * MS_NS;
}

static void end_series(struct scraper *s, struct target *t)
{
	struct batch *b =
		t->has_series ? reading_of_the_end(&t->of, &t->series, clock_unix_ms()) : NULL;

	t->has_series = false;
	if (b)
		s->push(s->ctx, b);
}

static void on_due(struct scraper *s, size_t i)
{
	struct target *t = s->targets[i];
	int64_t moment_ms = s->moment_ms[i], off_ms = clock_unix_ms() - moment_ms;

	schedule(s, i);
	if (!s->conf.enabled) {
		end_series(s, t);
	} else if (t->fetch || off_ms > LATE_MS || off_ms < -LATE_MS) {
		/*
		 * The one before is not over (the interval was made shorter), or the clock was set.
		 */
		atomic_fetch_add(&s->counters.n_missed, 1);
	} else {
		t->has_series = true;
		scrape(s, t, moment_ms);
	}
}

/* Starts what is due; returns when the next is. */
static uint64_t start_due(struct scraper *s)
{
	uint64_t now_ns = clock_mono_ns(), next_ns = now_ns + IDLE_NS;

	for (size_t i = 0; i < s->n; i++) {
		if (s->due_ns[i] <= now_ns)
			on_due(s, i);
		next_ns = MIN(next_ns, s->due_ns[i]);
	}
	return next_ns;
}

/* ---- VMs ------------------------------------------------------------------------------------ */

static void add_target(struct scraper *s, struct target *t)
{
	if (MEM_GROW(s->targets, s->targets_cap, s->n + 1) < 0 ||
	    MEM_GROW(s->due_ns, s->due_cap, s->n + 1) < 0 ||
	    MEM_GROW(s->moment_ms, s->moments_cap, s->n + 1) < 0) {
		log_error("scrape: no memory for an endpoint", STRV("instance", t->vm->instance));
		target_free(t);
		return;
	}
	t->scraper = s;
	s->targets[s->n++] = t;
	schedule(s, s->n - 1);
	atomic_store(&s->counters.n_targets, (int64_t)s->n);
}

static void drop_target(struct scraper *s, struct target *t)
{
	if (t->fetch) {
		fetcher_cancel(s->fetcher, t->fetch);
		count_under_way(s, -1);
		forget_memory(t);
		reading_done(&t->reading);
	}
	target_free(t);
}

static void drop_vm(struct scraper *s, uint64_t id)
{
	for (size_t i = s->n; i-- > 0;) {
		struct target *t = s->targets[i];

		if (t->vm->id != id)
			continue;
		end_series(s, t);
		s->n--;
		s->targets[i] = s->targets[s->n];
		s->due_ns[i] = s->due_ns[s->n];
		s->moment_ms[i] = s->moment_ms[s->n];
		drop_target(s, t);
	}
	atomic_store(&s->counters.n_targets, (int64_t)s->n);
}

static void obey(struct scraper *s, struct command *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		add_target(s, c->targets[i]);
	if (c->n == 0)
		drop_vm(s, c->gone_id);
	free(c);
}

/* False: the end. */
static bool take_commands(struct scraper *s)
{
	(void)pthread_mutex_lock(&s->lock);
	struct command *c = TAKE_PTR(s->first);
	bool new_interval = s->conf.interval_ms != s->next_conf.interval_ms;
	bool goes_on = !s->is_ending;

	s->end = &s->first;
	s->conf = s->next_conf;
	(void)pthread_mutex_unlock(&s->lock);
	while (c) {
		struct command *next = c->next;

		obey(s, c);
		c = next;
	}
	for (size_t i = 0; new_interval && i < s->n; i++)
		schedule(s, i);
	return goes_on;
}

static void *run(void *arg)
{
	struct scraper *s = arg;

	while (take_commands(s)) {
		uint64_t next_ns = start_due(s);

		fetcher_run(s->fetcher, next_ns);
		keep_memory(s);
	}
	return NULL;
}

static void give(struct scraper *s, struct command *c)
{
	(void)pthread_mutex_lock(&s->lock);
	*s->end = c;
	s->end = &c->next;
	(void)pthread_mutex_unlock(&s->lock);
	fetcher_wake(s->fetcher);
}

static struct target_vm *copy_vm(const struct vm *vm)
{
	struct target_vm *of = mem_zalloc(1, sizeof(*of));

	if (!of)
		return NULL;
	of->id = vm->id;
	memcpy(of->org, vm->org, sizeof(of->org));
	memcpy(of->app, vm->app, sizeof(of->app));
	memcpy(of->region, vm->region, sizeof(of->region));
	memcpy(of->host, vm->host, sizeof(of->host));
	memcpy(of->instance, vm->instance, sizeof(of->instance));
	return of;
}

int scraper_vm_added(struct scraper *s, const struct vm *vm)
{
	struct command *c = vm->n_scrapes > 0 ? mem_zalloc(1, sizeof(*c)) : NULL;
	struct target_vm *of = c ? copy_vm(vm) : NULL;

	if (vm->n_scrapes == 0)
		return 0;
	for (uint32_t i = 0; of && i < vm->n_scrapes; i++) {
		struct target *t = target_new(of, vm, i, s->loopback);

		if (t)
			c->targets[c->n++] = t;
	}
	if (c && c->n > 0) {
		bool all = c->n == vm->n_scrapes;

		give(s, c);
		return all ? 0 : -ENOMEM;
	}
	free(of);
	free(c);
	return -ENOMEM;
}

void scraper_vm_gone(struct scraper *s, const struct vm *vm)
{
	struct command *c = vm->n_scrapes > 0 ? mem_zalloc(1, sizeof(*c)) : NULL;

	if (!c)
		return;
	c->gone_id = vm->id;
	give(s, c);
}

/* ---- life ----------------------------------------------------------------------------------- */

void scraper_set_conf(struct scraper *s, const struct host_conf *conf)
{
	(void)pthread_mutex_lock(&s->lock);
	s->next_conf = conf->scrape;
	(void)pthread_mutex_unlock(&s->lock);
	s->loopback = conf->scrape.loopback;
	if (s->fetcher)
		fetcher_wake(s->fetcher);
}

static void scraper_done(struct scraper *s)
{
	while (s->first) {
		struct command *c = s->first;

		s->first = c->next;
		for (uint32_t i = 0; i < c->n; i++)
			target_free(c->targets[i]);
		free(c);
	}
	for (size_t i = 0; i < s->n; i++)
		drop_target(s, s->targets[i]);
	fetcher_free(s->fetcher);
	free(s->targets);
	free(s->due_ns);
	free(s->moment_ms);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

DEFINE_CLEANUP(struct scraper *, scraper_done);

int scraper_new(struct scraper **ret, const struct host_conf *conf, scraper_push_f push, void *ctx,
                struct err *e)
{
	_cleanup_(scraper_donep) struct scraper *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->end = &s->first;
	s->push = push;
	s->ctx = ctx;
	scraper_set_conf(s, conf);
	s->conf = s->next_conf;
	r = fetcher_new(&s->fetcher);
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, run, s);
	if (r < 0)
		return err_set(e, r, "scrape: %s", strerror(-r));
	(void)pthread_setname_np(s->thread, "scrape");
	*ret = TAKE_PTR(s);
	return 0;
}

void scraper_free(struct scraper *s)
{
	if (!s)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->is_ending = true;
	(void)pthread_mutex_unlock(&s->lock);
	fetcher_wake(s->fetcher);
	(void)pthread_join(s->thread, NULL);
	scraper_done(s);
}

/* ---- own metrics ---------------------------------------------------------------------------- */

void scraper_metrics(struct buf *out, void *scraper)
{
	struct scraper *s = scraper;
	const struct {
		const char *name, *type, *help;
		_Atomic int64_t *value;
	} families[] = {
		{ "periscope_host_scrape_targets", "gauge", "Endpoints that are scraped.",
		  &s->counters.n_targets },
		{ "periscope_host_scrapes_under_way", "gauge",
		  "Scrapes that have begun and not ended.", &s->counters.n_under_way },
		{ "periscope_host_scrape_memory_bytes", "gauge", "Memory of scrapes under way.",
		  &s->counters.memory_bytes },
		{ "periscope_host_scrape_samples_total", "counter", "Samples taken from scrapes.",
		  &s->counters.n_samples },
		{ "periscope_host_scrape_bytes_total", "counter", "Bytes of answers, unpacked.",
		  &s->counters.n_bytes },
		{ "periscope_host_scrape_lines_refused_total", "counter",
		  "Lines that were malformed or broke a limit.", &s->counters.n_bad_lines },
		{ "periscope_host_scrapes_missed_total", "counter",
		  "Scrapes that were due and could not begin.", &s->counters.n_missed },
	};
	char labels[64];

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		metrics_put_family(out, families[i].name, families[i].type, families[i].help);
		metrics_put(out, families[i].name, "", (double)atomic_load(families[i].value));
	}
	metrics_put_family(out, "periscope_host_scrapes_total", "counter",
	                   "Scrapes that were made, by result.");
	for (enum scrape_refusal i = 0; i < SCRAPE_REFUSALS; i++) {
		(void)snprintf(labels, sizeof(labels), "result=\"%s\"",
		               i == SCRAPE_TAKEN ? "taken" : scrape_refusal_name(i));
		metrics_put(out, "periscope_host_scrapes_total", labels,
		            (double)atomic_load(&s->counters.n_results[i]));
	}
}
