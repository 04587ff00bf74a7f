/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/destination_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/delivery/exchange.h"
#include "userspace/host/delivery/settings.h"

#define RETRY_AFTER_MAX_S 300
#define MS_NS             1000000ull
#define SECOND_NS         1000000000ull
#define IDLE_NS           (3600 * SECOND_NS)
#define SAMPLE_TEXT_CAP   400
#define STUCK_NS          (600 * SECOND_NS) /* twice the longest timeout */

static void lock(struct destination *d)
{
	(void)pthread_mutex_lock(&d->lock);
}

static void unlock(struct destination *d)
{
	(void)pthread_mutex_unlock(&d->lock);
}

/* ---- what may go ---------------------------------------------------------------------------- */

/* Under the lock. A second's worth at most is saved up; a block may overdraw it. */
static void refill(struct destination *d, uint64_t now_ns)
{
	double rate = (double)d->settings->catch_up_samples;

	d->credit += rate * (double)(now_ns - d->credit_ns) / 1e9;
	d->credit = MIN(d->credit, rate);
	d->credit_ns = now_ns;
}

struct turn {
	bool may_go, ends;
	uint64_t until_ns; /* else: look again then */
	struct spool_want want;
	struct settings *settings; /* a reference, with may_go */
};

/* Of a destination that is away nothing is expected at the end, unless memory is all there is. */
static bool is_over(const struct destination *d, uint64_t now_ns)
{
	struct spool_stats stats;

	if (d->giveup_ns == 0)
		return false;
	spool_stats(d->spool, &stats);
	return now_ns >= d->giveup_ns || (d->wait_ms > 0 && stats.disk_works);
}

static struct turn next_turn(struct worker *w)
{
	struct destination *d = w->d;
	uint64_t now_ns = clock_mono_ns();
	struct turn t = { .until_ns = now_ns + IDLE_NS };

	lock(d);
	refill(d, now_ns);
	t.ends = is_over(d, now_ns);
	if (t.ends || w->number >= d->settings->shards) {
		t.ends |= d->giveup_ns != 0;
	} else if (now_ns < d->not_before_ns) {
		t.until_ns = MIN(d->not_before_ns, d->giveup_ns ? d->giveup_ns : UINT64_MAX);
	} else if (d->wait_ms == 0 || !d->is_probing) {
		d->is_probing = d->wait_ms > 0;
		t.may_go = true;
		t.want = (struct spool_want){ d->settings->live_ms, d->credit > 0 };
		t.settings = settings_ref(d->settings);
		if (d->credit <= 0)
			t.until_ns = now_ns + MS_NS +
			             (uint64_t)(-d->credit * 1e9 /
			                        (double)d->settings->catch_up_samples);
	}
	unlock(d);
	return t;
}

/* Nothing was there to send. */
static void give_turn_back(struct destination *d)
{
	lock(d);
	d->is_probing = false;
	unlock(d);
}

/* ---- one block ------------------------------------------------------------------------------ */

/* The next wait in the row. Under the lock. */
static int64_t next_wait_ms(struct destination *d, int64_t retry_after_s)
{
	int64_t asked_ms = MIN(retry_after_s, RETRY_AFTER_MAX_S) * 1000;

	d->wait_ms = d->wait_ms == 0 ? d->settings->backoff_min_ms
	                             : MIN(d->wait_ms * 2, d->settings->backoff_max_ms);
	int64_t ms = d->wait_ms - (int64_t)rng_below(&d->rng, (uint32_t)(d->wait_ms / 4 + 1));

	return MAX(ms, asked_ms);
}

static void note_failure(struct destination *d, const struct settings *used, const struct answer *a)
{
	lock(d);
	uint64_t now_ns = clock_mono_ns();
	bool first = d->failed_ns == 0;

	/*
	 * Others of the same moment fail for the same reason: that is one failure. And what an
	 * address answers that is no longer in the settings says nothing about the new one.
	 */
	if (now_ns >= d->not_before_ns && d->settings == used)
		d->not_before_ns = now_ns + (uint64_t)next_wait_ms(d, a->retry_after_s) * MS_NS;
	if (first)
		d->failed_ns = now_ns;
	d->is_probing = false;
	unlock(d);
	atomic_fetch_add(&d->counters.n_again, 1);
	atomic_store(&d->counters.is_up, false);
	if (first)
		log_warn("delivery: a destination takes no samples; they wait and are sent again",
		         STRV("destination", d->name), STRV("why", a->why));
}

static void note_success(struct destination *d)
{
	lock(d);
	uint64_t failed_ns = d->failed_ns;
	bool was_waiting = d->wait_ms > 0;

	d->wait_ms = 0;
	d->not_before_ns = d->failed_ns = 0;
	d->is_probing = false;
	unlock(d);
	atomic_store(&d->counters.is_up, true);
	atomic_store(&d->counters.last_success_s, clock_unix_ms() / 1000);
	if (was_waiting)
		spool_wake(d->spool); /* the others may go again */
	if (failed_ns != 0)
		log_info("delivery: a destination takes samples again",
		         STRV("destination", d->name),
		         U64("after_ms", (clock_mono_ns() - failed_ns) / MS_NS));
}

static void note_refused(struct worker *w, const struct answer *a, uint64_t n_lost)
{
	char first[SAMPLE_TEXT_CAP];

	drops_add(&w->d->drops, DROP_REFUSED, n_lost);
	if (n_lost == 0)
		return;
	recode_first_sample(buf_str(&w->block), first, sizeof(first));
	log_error("delivery: a destination refused samples, they are dropped",
	          STRV("destination", w->d->name), STRV("why", a->why), U64("samples", n_lost),
	          STRV("first_of_request", first));
}

/* The form of the next attempt; false when there is none, and the samples are at fault. */
static bool other_form(struct destination *d, struct recode_form form, const struct answer *a)
{
	lock(d);
	bool more = negotiation_not_understood(&d->negotiation, form, clock_mono_ns());
	struct recode_form next = negotiation_form(&d->negotiation, clock_mono_ns());

	unlock(d);
	if (more)
		log_info("delivery: a form of remote write is not taken, another is tried",
		         STRV("destination", d->name), STRV("why", a->why),
		         STRV("version", next.v2 ? "2.0" : "1.0"),
		         STRV("compression", coding_name(next.coding)));
	return more;
}

static struct recode_form current_form(struct destination *d, bool *ret_is_proven)
{
	lock(d);
	struct recode_form form = negotiation_form(&d->negotiation, clock_mono_ns());

	*ret_is_proven = d->negotiation.is_proven;
	unlock(d);
	return form;
}

/* One request, in whatever form is understood. */
static void send(struct worker *w, struct settings *settings, size_t from, size_t to,
                 struct answer *ret)
{
	struct destination *d = w->d;

	for (;;) {
		bool is_proven;
		struct recode_form form = current_form(d, &is_proven);

		beat_begin(&w->beat);
		exchange_send(w->x, settings, buf_str(&w->block), form, is_proven, from, to,
		              &d->abort, ret);
		beat_end(&w->beat);
		if (ret->outcome == OUTCOME_NOT_UNDERSTOOD) {
			if (other_form(d, form, ret))
				continue;
			/* Who says "taken" without a proof is not the receiver that was meant. */
			ret->outcome = ret->says_taken ? OUTCOME_AGAIN : OUTCOME_REFUSED;
		} else if (ret->outcome == OUTCOME_TAKEN || ret->n_written >= 0) {
			lock(d);
			negotiation_taken(&d->negotiation, form);
			unlock(d);
			atomic_store(&d->counters.form, negotiation_labels(form));
		}
		return;
	}
}

/* What becomes of a block, or of a part of it. */
struct fate {
	bool is_settled;
	uint64_t n_written, n_lost;
};

static void add_fate(struct fate *f, const struct answer *a, uint64_t n_samples)
{
	uint64_t taken = a->outcome == OUTCOME_TAKEN ? n_samples
	                 : a->n_written >= 0         ? MIN((uint64_t)a->n_written, n_samples)
	                                             : 0;

	f->n_written += taken;
	f->n_lost += n_samples - taken;
}

static bool send_parts(struct worker *w, struct settings *settings, size_t from, size_t to,
                       struct fate *f, struct answer *ret);

static bool send_halves(struct worker *w, struct settings *settings, size_t from, size_t to,
                        struct fate *f, struct answer *ret)
{
	size_t half = from + (to - from) / 2;

	return send_parts(w, settings, from, half, f, ret) &&
	       send_parts(w, settings, half, to, f, ret);
}

/* In halves, until they are small enough; false when a part has to be sent again. */
static bool send_parts(struct worker *w, struct settings *settings, size_t from, size_t to,
                       struct fate *f, struct answer *ret)
{
	send(w, settings, from, to, ret);
	if (ret->outcome == OUTCOME_AGAIN)
		return false;
	if (ret->outcome == OUTCOME_TOO_LARGE && to - from > 1)
		return send_halves(w, settings, from, to, f, ret);
	add_fate(f, ret, to - from); /* a series of a block has one sample */
	return true;
}

static void deliver(struct worker *w, struct settings *settings, const struct spool_item *item,
                    struct fate *f, struct answer *a)
{
	int64_t n;

	*f = (struct fate){ 0 };
	send(w, settings, 0, SIZE_MAX, a);
	f->is_settled = a->outcome != OUTCOME_AGAIN;
	if (!f->is_settled)
		return;
	n = a->outcome == OUTCOME_TOO_LARGE ? recode_n_series(buf_str(&w->block)) : 0;
	if (n > 1)
		f->is_settled = send_halves(w, settings, 0, (size_t)n, f, a);
	else
		add_fate(f, a, item->n_samples);
}

static void spend(struct destination *d, const struct spool_item *item)
{
	if (!item->is_backlog)
		return;
	lock(d);
	d->credit -= item->n_samples;
	unlock(d);
}

static void send_block(struct worker *w, struct settings *settings, const struct spool_item *item)
{
	struct destination *d = w->d;
	struct answer a;
	struct fate f;

	spend(d, item);
	deliver(w, settings, item, &f, &a);
	if (!f.is_settled) {
		note_failure(d, settings, &a);
		spool_return(d->spool, item);
		return;
	}
	spool_settle(d->spool, item);
	note_success(d);
	atomic_fetch_add(&d->counters.n_samples, (int64_t)f.n_written);
	if (f.n_lost == 0) {
		atomic_fetch_add(&d->counters.n_taken, 1);
		atomic_fetch_add(&d->counters.n_bytes, (int64_t)a.n_bytes);
		return;
	}
	atomic_fetch_add(&d->counters.n_refused, 1);
	note_refused(w, &a, f.n_lost);
}

/* False: the worker ends. */
static bool work(struct worker *w, uint64_t *ret_until_ns)
{
	struct turn t = next_turn(w);
	struct spool_item item;
	int r;

	*ret_until_ns = t.until_ns;
	if (!t.may_go)
		return !t.ends;
	r = spool_take(w->d->spool, &t.want, &item, &w->block);
	if (r == 0) {
		*ret_until_ns = 0; /* there may be more */
		send_block(w, t.settings, &item);
	} else {
		give_turn_back(w->d);
	}
	if (r == -ENOMEM)
		*ret_until_ns = clock_mono_ns() + SECOND_NS;
	settings_unref(t.settings);
	lock(w->d);
	bool ends = r == -EAGAIN && w->d->giveup_ns != 0;

	unlock(w->d);
	return !ends;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	uint64_t seen = 0, until_ns;

	while (work(w, &until_ns))
		seen = spool_wait(w->d->spool, seen, until_ns);
	lock(w->d);
	w->d->n_running--;
	(void)pthread_cond_broadcast(&w->d->ended);
	unlock(w->d);
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

const char *destination_name(const struct destination *d)
{
	return d->name;
}

struct drops *destination_drops(struct destination *d)
{
	return &d->drops;
}

struct settings *destination_settings(struct destination *d)
{
	return d->settings;
}

bool destination_is_stuck(const struct destination *d, uint64_t now_ns)
{
	bool stuck = false;

	for (uint32_t i = 0; i < d->n_workers; i++)
		stuck |= beat_is_stuck(&d->workers[i].beat, now_ns, STUCK_NS);
	return stuck;
}

void destination_append(struct destination *d, struct str block, uint32_t n_samples, uint8_t lane,
                        uint8_t lanes)
{
	spool_append(d->spool, block, n_samples, lane, lanes);
}

void destination_commit(struct destination *d)
{
	spool_commit(d->spool);
}

static int start_worker(struct destination *d)
{
	struct worker *w = &d->workers[d->n_workers];
	char name[16];
	int r;

	w->d = d;
	w->number = d->n_workers;
	r = exchange_new(&w->x);
	if (r < 0)
		return r;
	lock(d);
	d->n_running++;
	unlock(d);
	r = -pthread_create(&w->thread, NULL, run, w);
	if (r < 0) {
		lock(d);
		d->n_running--;
		unlock(d);
		exchange_free(w->x);
		return r;
	}
	(void)snprintf(name, sizeof(name), "send/%.10s", d->name);
	(void)pthread_setname_np(w->thread, name);
	d->n_workers++;
	return 0;
}

/* One does; the others are for speed. */
static int start_workers(struct destination *d, uint32_t n)
{
	while (d->n_workers < MIN(n, DESTINATION_WORKERS_MAX)) {
		int r = start_worker(d);

		if (r < 0 && d->n_workers > 0)
			log_warn("delivery: a sending thread could not be started",
			         STRV("destination", d->name), STRV("why", strerror(-r)));
		if (r < 0)
			return d->n_workers > 0 ? 0 : r;
	}
	return 0;
}

static void destination_free(struct destination *d)
{
	spool_close(d->spool);
	settings_unref(d->settings);
	(void)pthread_cond_destroy(&d->ended);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

DEFINE_CLEANUP(struct destination *, destination_free);

static struct spool_limits limits_of(const struct destination_conf *conf,
                                     const struct destination_place *place)
{
	return (struct spool_limits){ .bytes_max = conf->queue_bytes_max,
		                      .age_ms_max = conf->queue_age_ms_max,
		                      .memory_bytes_max = place->memory_bytes_max,
		                      .sync = place->sync };
}

static int open_spool(struct destination *d, const struct destination_conf *conf,
                      const struct destination_place *place, struct err *e)
{
	const struct spool_limits limits = limits_of(conf, place);
	char dir[512];

	if (snprintf(dir, sizeof(dir), "%s/%s", place->queue_dir, conf->name) >= (int)sizeof(dir))
		return err_set(e, -ENAMETOOLONG, "queue.dir: too long");
	return spool_open(&d->spool, place->queue_dir[0] ? dir : NULL, &limits, &d->drops, e);
}

static void init_lock(struct destination *d)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&d->ended, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&d->lock, NULL);
}

int destination_open(struct destination **ret, const struct destination_conf *conf,
                     struct settings *settings, const struct destination_place *place,
                     struct err *e)
{
	_cleanup_(destination_freep) struct destination *d = mem_zalloc(1, sizeof(*d));
	uint64_t now_ns = clock_mono_ns();

	if (!d)
		return -ENOMEM;
	init_lock(d);
	(void)snprintf(d->name, sizeof(d->name), "%s", conf->name);
	d->rng.s = now_ns;
	d->credit_ns = now_ns;
	d->credit = (double)settings->catch_up_samples;
	negotiation_start(&d->negotiation, settings->protocol, settings->compression, now_ns);
	int r = open_spool(d, conf, place, e);

	if (r < 0)
		return r;
	d->settings = settings;
	r = start_workers(d, settings->shards);
	if (r < 0) {
		d->settings = NULL; /* the caller's again */
		return r;
	}
	*ret = TAKE_PTR(d);
	return 0;
}

void destination_set(struct destination *d, const struct destination_conf *conf,
                     struct settings *settings, const struct destination_place *place)
{
	const struct spool_limits limits = limits_of(conf, place);

	lock(d);
	struct settings *before = d->settings;

	d->settings = settings;
	d->wait_ms = 0; /* the new address may work */
	d->not_before_ns = 0;
	negotiation_start(&d->negotiation, settings->protocol, settings->compression,
	                  clock_mono_ns());
	unlock(d);
	settings_unref(before);
	spool_set_limits(d->spool, &limits);
	(void)start_workers(d, settings->shards);
	spool_wake(d->spool);
}

void destination_begin_end(struct destination *d, uint64_t giveup_mono_ns)
{
	lock(d);
	d->giveup_ns = MAX(giveup_mono_ns, 1u);
	unlock(d);
	spool_wake(d->spool);
}

/* Until the time that destination_begin_end() gave them. */
static void wait_for_workers(struct destination *d)
{
	const struct timespec giveup = { .tv_sec = (time_t)(d->giveup_ns / SECOND_NS),
		                         .tv_nsec = (long)(d->giveup_ns % SECOND_NS) };
	int r = 0;

	lock(d);
	while (d->n_running > 0 && r == 0)
		r = pthread_cond_timedwait(&d->ended, &d->lock, &giveup);
	unlock(d);
}

void destination_close(struct destination *d)
{
	if (!d)
		return;
	wait_for_workers(d);
	atomic_store(&d->abort, 1);
	for (uint32_t i = 0; i < d->n_workers; i++) {
		struct worker *w = &d->workers[i];

		(void)pthread_join(w->thread, NULL);
		exchange_free(w->x);
		buf_done(&w->block);
	}
	destination_free(d);
}
