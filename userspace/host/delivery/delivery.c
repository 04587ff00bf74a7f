/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/delivery/destination.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/delivery/encoder.h"
#include "userspace/host/delivery/settings.h"
#include "userspace/host/delivery/tap.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/outbox.h"

#define OUTBOX_BATCHES       3 /* full ones, between collection and a disk that is slow */
#define METADATA_INTERVAL_NS (600ull * 1000000000)
#define GATHER_NS            1000000000ull
#define GATHER_SAMPLES       20000u
#define GATHER_BATCHES       256u
#define MS_NS                1000000ull

struct delivery {
	struct outbox *outbox;
	pthread_t thread;
	int lock_fd;         /* of the folder of queues; -1: no files */
	_Atomic bool is_off; /* no destination: what is pushed is forgotten */

	/* Written by the collector thread; read by the others under the lock. */
	pthread_rwlock_t lock;
	struct destination *destinations[HOST_CONF_DESTINATIONS_MAX];
	size_t n;

	/* Of the thread alone. */
	struct encoder *encoder;
	struct tap *tap; /* NULL: none */
	uint64_t next_metadata_ns;
};

/* ---- batches into queues -------------------------------------------------------------------- */

/* Batches that go into the queues together. */
struct gathered {
	struct batch *v[GATHER_BATCHES];
	size_t n, n_samples;
	uint64_t until_ns; /* with n > 0: then they go */
};

/* Destinations without rules get the same blocks, which are made once. */
struct share {
	struct destination *of[HOST_CONF_DESTINATIONS_MAX];
	size_t n;
};

static void on_block(void *ctx, struct str packed, uint32_t n_samples, uint8_t lane, uint8_t lanes)
{
	const struct share *share = ctx;

	for (size_t i = 0; i < share->n; i++)
		destination_append(share->of[i], packed, n_samples, lane, lanes);
}

static void encode_for(struct delivery *d, const struct gathered *g, const struct share *share,
                       bool with_metadata)
{
	struct settings *s = destination_settings(share->of[0]);
	struct encoder_opts opts = { .rules = s->rules,
		                     .block_samples_max = s->request_samples_max,
		                     .lanes_max = s->shards,
		                     .with_metadata = with_metadata };

	for (size_t i = 1; i < share->n; i++) {
		const struct settings *other = destination_settings(share->of[i]);

		opts.block_samples_max = MIN(opts.block_samples_max, other->request_samples_max);
		opts.lanes_max = MAX(opts.lanes_max, other->shards);
	}
	encoder_batches(d->encoder, g->v, g->n, &opts, on_block, (void *)(uintptr_t)share,
	                share->n == 1 ? destination_drops(share->of[0]) : &drops_common);
}

static bool metadata_is_due(struct delivery *d)
{
	uint64_t now_ns = clock_mono_ns();

	if (now_ns < d->next_metadata_ns)
		return false;
	d->next_metadata_ns = now_ns + METADATA_INTERVAL_NS;
	return true;
}

static void take_in(struct delivery *d, const struct gathered *g)
{
	bool with_metadata = metadata_is_due(d);
	struct share plain = { .n = 0 };

	(void)pthread_rwlock_rdlock(&d->lock);
	for (size_t i = 0; i < d->n; i++) {
		struct destination *to = d->destinations[i];

		if (destination_settings(to)->rules)
			encode_for(d, g, &(struct share){ { to }, 1 }, with_metadata);
		else
			plain.of[plain.n++] = to;
	}
	if (plain.n > 0)
		encode_for(d, g, &plain, with_metadata);
	for (size_t i = 0; i < d->n; i++)
		destination_commit(d->destinations[i]);
	(void)pthread_rwlock_unlock(&d->lock);
}

static void flush(struct delivery *d, struct gathered *g)
{
	if (g->n == 0)
		return;
	tap_begin(d->tap, g->v, g->n);
	take_in(d, g);
	tap_queued(d->tap);
	for (size_t i = 0; i < g->n; i++)
		outbox_release(d->outbox, g->v[i]);
	g->n = g->n_samples = 0;
}

static void gather(struct delivery *d, struct gathered *g, struct batch *b, bool may_wait)
{
	if (g->n == 0)
		g->until_ns = clock_mono_ns() + GATHER_NS;
	g->v[g->n++] = b;
	g->n_samples += batch_n_samples(b);
	if (!may_wait || g->n == GATHER_BATCHES || g->n_samples >= GATHER_SAMPLES ||
	    clock_mono_ns() >= g->until_ns)
		flush(d, g);
}

static void *run(void *arg)
{
	struct gathered g = { .n = 0 };
	struct delivery *d = arg;
	struct batch *b;
	bool may_wait;
	int r;

	do {
		r = outbox_take(d->outbox, g.n > 0 ? g.until_ns : UINT64_MAX, &b, &may_wait);
		if (r == 0)
			gather(d, &g, b, may_wait);
		else
			flush(d, &g);
	} while (r != -EPIPE);
	return NULL;
}

static void push(struct delivery *d, struct batch *b, bool may_wait)
{
	if (batch_n_samples(b) == 0 || atomic_load(&d->is_off))
		batch_free(b);
	else
		outbox_push(d->outbox, b, may_wait);
}

void delivery_push(struct delivery *d, struct batch *b)
{
	push(d, b, false);
}

void delivery_push_soon(struct delivery *d, struct batch *b)
{
	push(d, b, true);
}

void delivery_metrics(struct buf *out, void *delivery)
{
	struct delivery *d = delivery;

	(void)pthread_rwlock_rdlock(&d->lock);
	destination_put_metrics(out, d->destinations, d->n);
	(void)pthread_rwlock_unlock(&d->lock);
}

bool delivery_is_stuck(struct delivery *d, uint64_t now_ns)
{
	bool stuck = false;

	(void)pthread_rwlock_rdlock(&d->lock);
	for (size_t i = 0; i < d->n; i++)
		stuck |= destination_is_stuck(d->destinations[i], now_ns);
	(void)pthread_rwlock_unlock(&d->lock);
	return stuck;
}

/* ---- settings ------------------------------------------------------------------------------- */

/* What a configuration asks for, all made before any of it is used. */
struct plan {
	const struct destination_conf *conf[HOST_CONF_DESTINATIONS_MAX];
	struct settings *settings[HOST_CONF_DESTINATIONS_MAX];
	struct destination *opened[HOST_CONF_DESTINATIONS_MAX]; /* NULL: it is there already */
	struct destination_place place;
	size_t n;
};

static void close_now(struct destination *d)
{
	if (!d)
		return;
	destination_begin_end(d, clock_mono_ns());
	destination_close(d);
}

static void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		close_now(p->opened[i]);
		settings_unref(p->settings[i]);
	}
}

static struct destination *by_name(const struct delivery *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(destination_name(d->destinations[i]), name) == 0)
			return d->destinations[i];
	}
	return NULL;
}

static int plan_one(const struct delivery *d, struct plan *p, const struct destination_conf *conf,
                    struct err *e)
{
	struct err why = ERR_INIT;
	size_t i = p->n;
	int r = settings_new(&p->settings[i], conf, &why);

	if (r < 0)
		return err_set(e, r, "remote_write.%.64s: %.160s", conf->name,
		               why.msg[0] ? why.msg : strerror(-r));
	p->conf[i] = conf;
	p->opened[i] = NULL;
	p->n++;
	if (by_name(d, conf->name))
		return 0;
	r = destination_open(&p->opened[i], conf, p->settings[i], &p->place, e);
	if (r == 0)
		p->settings[i] = NULL; /* the destination's */
	return r;
}

static bool is_planned(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->conf[i]->name, name) == 0)
			return true;
	}
	return false;
}

/* Those that go are taken out of the list under the lock, and ended behind it. */
static void use_plan(struct delivery *d, struct plan *p)
{
	struct destination *gone[HOST_CONF_DESTINATIONS_MAX];
	size_t n_gone = 0, n = 0;

	(void)pthread_rwlock_wrlock(&d->lock);
	for (size_t i = 0; i < d->n; i++) {
		if (is_planned(p, destination_name(d->destinations[i])))
			d->destinations[n++] = d->destinations[i];
		else
			gone[n_gone++] = d->destinations[i];
	}
	d->n = n;
	for (size_t i = 0; i < p->n; i++) {
		if (p->opened[i])
			d->destinations[d->n++] = TAKE_PTR(p->opened[i]);
		else
			destination_set(by_name(d, p->conf[i]->name), p->conf[i],
			                TAKE_PTR(p->settings[i]), &p->place);
	}
	(void)pthread_rwlock_unlock(&d->lock);
	atomic_store(&d->is_off, d->n == 0);
	for (size_t i = 0; i < n_gone; i++) {
		log_info("delivery: a destination is no longer there; its queue stays on disk",
		         STRV("destination", destination_name(gone[i])));
		close_now(gone[i]);
	}
}

int delivery_set_conf(struct delivery *d, const struct host_conf *conf, struct err *e)
{
	const struct destination_conf *all = conf->destinations.v;
	_cleanup_(plan_done) struct plan p = {
		.place = { .queue_dir = conf->queue_dir,
		           .memory_bytes_max = conf->queue_memory_bytes_max,
		           .sync = conf->queue_sync },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->destinations.n; i++)
		r = plan_one(d, &p, &all[i], e);
	if (r < 0)
		return r;
	outbox_set_max(d->outbox, (size_t)conf->tick_samples_max * OUTBOX_BATCHES);
	use_plan(d, &p);
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void delivery_free(struct delivery *d)
{
	outbox_free(d->outbox);
	encoder_free(d->encoder);
	tap_close(d->tap);
	for (size_t i = 0; i < d->n; i++)
		close_now(d->destinations[i]);
	closep(&d->lock_fd);
	(void)pthread_rwlock_destroy(&d->lock);
	free(d);
}

DEFINE_CLEANUP(struct delivery *, delivery_free);

/* Two daemons in one folder would send each other's samples, and lose them. */
static int lock_folder(struct delivery *d, const char *dir, struct err *e)
{
	char path[512];

	if (dir[0] == '\0')
		return 0;
	if (snprintf(path, sizeof(path), "%s/LOCK", dir) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "queue.dir: too long");
	int r = file_mkdirs(dir, 0750);

	if (r == 0)
		d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (r < 0 || d->lock_fd < 0) { /* the queues say more, and work in memory */
		log_error("delivery: the folder of the queues does not work", STRV("folder", dir),
		          STRV("why", strerror(r < 0 ? -r : errno)));
		return 0;
	}
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return err_set(e, -EBUSY, "queue.dir: %.160s: another periscope-host uses it", dir);
}

int delivery_new(struct delivery **ret, const struct host_conf *conf, const char *tap,
                 struct err *e)
{
	_cleanup_(delivery_freep) struct delivery *d = mem_zalloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->lock_fd = -1;
	(void)pthread_rwlock_init(&d->lock, NULL);
	r = outbox_new(&d->outbox, (size_t)conf->tick_samples_max * OUTBOX_BATCHES);
	if (r == 0)
		r = encoder_new(&d->encoder);
	if (r == 0 && tap)
		r = tap_open(&d->tap, tap, e);
	if (r == 0)
		r = lock_folder(d, conf->queue_dir, e);
	if (r == 0)
		r = delivery_set_conf(d, conf, e);
	if (r == 0)
		r = -pthread_create(&d->thread, NULL, run, d);
	if (r < 0)
		return r;
	(void)pthread_setname_np(d->thread, "delivery");
	*ret = TAKE_PTR(d);
	return 0;
}

void delivery_stop(struct delivery *d, int64_t flush_ms)
{
	if (!d)
		return;
	uint64_t giveup_ns = clock_mono_ns() + (uint64_t)flush_ms * MS_NS;

	outbox_close(d->outbox);
	(void)pthread_join(d->thread, NULL); /* all that was collected is in the queues */
	for (size_t i = 0; i < d->n; i++)
		destination_begin_end(d->destinations[i], giveup_ns);
	for (size_t i = 0; i < d->n; i++)
		destination_close(d->destinations[i]);
	d->n = 0;
	delivery_free(d);
}
