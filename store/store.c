/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door of the store: opening with replay, appending through the log into the head, and the
 * janitor
 * that forgets what is older than the retention. Reading is in scan.c.
 */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "store/wal_record.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define JANITOR_INTERVAL_S 60

/* ---- replay --------------------------------------------------------------- */

struct replay {
	struct store *s;
	uint64_t segment;
	struct series **by_ref; /* of this segment; open addressing by ref */
	uint64_t *refs;
	size_t n, cap;
	int64_t max_ts_ms, bytes;
	uint64_t n_samples, n_orphans;
};

static void replay_forget(struct replay *r)
{
	free(r->by_ref);
	free(r->refs);
	r->by_ref = NULL;
	r->refs = NULL;
	r->n = r->cap = 0;
}

static size_t ref_slot(const struct replay *r, uint64_t ref)
{
	size_t at = (ref * 0x9e3779b97f4a7c15u) & (r->cap - 1);

	while (r->by_ref[at] && r->refs[at] != ref)
		at = (at + 1) & (r->cap - 1);
	return at;
}

static int replay_reserve(struct replay *r)
{
	struct replay bigger = { .cap = r->cap ? r->cap * 2 : 1024 };

	if ((r->n + 1) * 2 <= r->cap)
		return 0;
	bigger.by_ref = mem_zalloc(bigger.cap, sizeof(struct series *));
	bigger.refs = mem_zalloc(bigger.cap, sizeof(*bigger.refs));
	if (!bigger.by_ref || !bigger.refs) {
		replay_forget(&bigger);
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->cap; i++) {
		size_t at = r->by_ref[i] ? ref_slot(&bigger, r->refs[i]) : 0;

		if (r->by_ref[i]) {
			bigger.by_ref[at] = r->by_ref[i];
			bigger.refs[at] = r->refs[i];
		}
	}
	free(r->by_ref);
	free(r->refs);
	r->by_ref = bigger.by_ref;
	r->refs = bigger.refs;
	r->cap = bigger.cap;
	return 0;
}

static int replay_series(void *ctx, const struct wal_series *ws)
{
	struct replay *r = ctx;
	enum store_refusal why;
	struct series *series;
	struct tenant *t;
	int ret = store_org_is_valid(ws->org) ? replay_reserve(r) : -EBADMSG;

	if (ret < 0)
		return ret;
	t = head_tenant(&r->s->head, ws->org, true);
	if (!t)
		return -ENOMEM;
	ret = head_series(&r->s->head, t, ws->labels, ws->n_labels, &series, &why, NULL);
	if (ret < 0)
		return ret == -EINVAL ? -EBADMSG : ret;
	size_t at = ref_slot(r, ws->ref);

	r->n += r->by_ref[at] == NULL;
	r->by_ref[at] = series;
	r->refs[at] = ws->ref;
	return 0;
}

static int replay_sample(void *ctx, uint64_t ref, const struct sample *x)
{
	struct replay *r = ctx;
	struct series *series = r->cap > 0 ? r->by_ref[ref_slot(r, ref)] : NULL;

	if (!series) {
		r->n_orphans++; /* its registration was in a damaged frame */
		return 0;
	}
	int64_t bytes = 0;
	int ret = series_append(series, x, FIRST_EPOCH, &bytes);

	r->max_ts_ms = MAX(r->max_ts_ms, x->ts_ms);
	r->bytes += bytes;
	r->n_samples += ret == 0;
	return ret;
}

static int replay_frame(void *ctx, uint64_t segment, struct str payload, int64_t *max_ts_ms)
{
	static const struct wal_record_ops ops = { replay_series, replay_sample };
	struct replay *r = ctx;

	if (r->segment != segment)
		replay_forget(r);
	r->segment = segment;
	r->max_ts_ms = *max_ts_ms;
	int ret = wal_parse(payload, &ops, r);

	*max_ts_ms = r->max_ts_ms;
	if (ret == 0 && r->n_orphans > 0)
		ret = -EBADMSG; /* counted as damaged; what could be read is in */
	r->n_orphans = 0;
	return ret;
}

/* ---- life ----------------------------------------------------------------- */

static int lock_dir(struct store *s, struct err *e)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/LOCK", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (s->lock_fd < 0)
		return err_set(e, neg_errno(), "%s: %s", path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -EBUSY, "%s is in use by another process", s->dir);
	return 0;
}

static void *janitor(void *ctx)
{
	struct store *s = ctx;
	struct timespec until;

	pthread_mutex_lock(&s->janitor_lock);
	while (!s->closing) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += JANITOR_INTERVAL_S;
		(void)pthread_cond_timedwait(&s->janitor_wake, &s->janitor_lock, &until);
		if (s->closing)
			break;
		pthread_mutex_unlock(&s->janitor_lock);
		(void)wal_drop_before(s->wal, clock_unix_ms() - s->retention_ms);
		pthread_mutex_lock(&s->janitor_lock);
	}
	pthread_mutex_unlock(&s->janitor_lock);
	return NULL;
}

static int open_all(struct store *s, const struct store_conf *conf, struct err *e)
{
	struct replay replay = { .s = s };
	const struct wal_conf wal = {
		.dir = s->dir,
		.sync = conf->wal_sync,
		.interval_ms = conf->wal_sync_interval_ms > 0 ? conf->wal_sync_interval_ms : 1000,
		.progress = conf->progress,
		.progress_ctx = conf->progress_ctx,
	};
	int r = vfs()->mkdir(s->dir);

	if (r < 0)
		return err_set(e, r, "%s: %s", s->dir, strerror(-r));
	r = lock_dir(s, e);
	if (r == 0)
		r = wal_open(&s->wal, &wal, replay_frame, &replay, e);
	replay_forget(&replay);
	atomic_store(&s->n_samples, replay.n_samples);
	atomic_fetch_add(&s->head.bytes, replay.bytes);
	if (r == 0) {
		r = -pthread_create(&s->janitor, NULL, janitor, s);
		s->has_janitor = r == 0;
	}
	return r < 0 ? err_set(e, r, "%s: %s", s->dir, strerror(-r)) : 0;
}

/* Not to be guessed from outside: see keys.h. */
static uint64_t seed(void)
{
	uint64_t seed;

	return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed)
	               ? seed
	               : clock_mono_ns() * 0x9e3779b97f4a7c15u;
}

static void epoch_init(struct store *s)
{
	pthread_rwlockattr_t attr;

	(void)pthread_rwlockattr_init(&attr);
	/* There is always some append at work: a new epoch would wait for ever. */
	(void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&s->epoch_lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	s->epoch = FIRST_EPOCH;
}

int store_open(struct store **ret, const struct store_conf *conf, struct err *e)
{
	struct store *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	s->retention_ms = conf->retention_ms;
	s->memory_max_bytes = conf->memory_max_bytes;
	(void)snprintf(s->dir, sizeof(s->dir), "%s", conf->dir);
	head_init(&s->head);
	keys_init(&s->keys, seed());
	epoch_init(s);
	pthread_mutex_init(&s->janitor_lock, NULL);
	pthread_cond_init(&s->janitor_wake, NULL);
	r = open_all(s, conf, e);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->janitor_lock);
	s->closing = true;
	pthread_cond_signal(&s->janitor_wake);
	pthread_mutex_unlock(&s->janitor_lock);
	if (s->has_janitor)
		pthread_join(s->janitor, NULL);
	wal_close(s->wal);
	head_done(&s->head);
	keys_done(&s->keys);
	(void)pthread_rwlock_destroy(&s->epoch_lock);
	pthread_cond_destroy(&s->janitor_wake);
	pthread_mutex_destroy(&s->janitor_lock);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	free(s);
}

void store_stats(struct store *s, struct store_stats *ret)
{
	struct wal_stats w;

	wal_stats(s->wal, &w);
	*ret = (struct store_stats){
		.orgs = s->head.n_tenants,
		.series = atomic_load(&s->head.n_series),
		.samples = atomic_load(&s->n_samples),
		.memory_bytes = (uint64_t)atomic_load(&s->head.bytes),
		.wal_bytes = w.bytes,
		.wal_segments = w.segments,
		.wal_syncs = w.syncs,
		.wal_errors = w.errors,
		.appends = atomic_load(&s->appends),
		.accepted = atomic_load(&s->accepted),
		.replayed_records = w.replayed_frames,
		.replay_bad_records = w.bad_frames,
		.replay_cut_bytes = w.cut_bytes,
		.replay_ms = w.replay_ms,
	};
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		ret->refused[i] = atomic_load(&s->refused[i]);
}
