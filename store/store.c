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
#include <unistd.h>

#include "store/vfs.h"
#include "store/wal_record.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define JANITOR_INTERVAL_S 60

bool store_org_is_valid(struct str org)
{
	if (org.len == 0 || org.len > 63 || org.p[0] == '-' || org.p[0] == '_')
		return false;
	for (size_t i = 0; i < org.len; i++) {
		char c = org.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

const char *store_refusal_name(enum store_refusal why)
{
	static const char *const names[STORE_REFUSED_N] = {
		[STORE_REFUSED_TOO_OLD] = "too_old", [STORE_REFUSED_TOO_NEW] = "too_new",
		[STORE_REFUSED_NO_NAME] = "no_name", [STORE_REFUSED_LABELS] = "labels",
		[STORE_REFUSED_UTF8] = "utf8",       [STORE_REFUSED_NAN] = "nan",
	};

	return names[why];
}

/* ---- replay --------------------------------------------------------------- */

struct replay {
	struct store *s;
	uint64_t segment;
	struct series **by_ref; /* of this segment; open addressing by ref */
	uint64_t *refs;
	size_t n, cap;
	int64_t max_ts_ms;
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

static int replay_samples(void *ctx, uint64_t ref, const struct sample *v, uint32_t n)
{
	struct replay *r = ctx;
	struct series *series = r->cap > 0 ? r->by_ref[ref_slot(r, ref)] : NULL;

	if (!series)
		return -EBADMSG; /* its registration was in a damaged frame */
	for (uint32_t i = 0; i < n; i++)
		r->max_ts_ms = MAX(r->max_ts_ms, v[i].ts_ms);
	return head_append(&r->s->head, series, v, n);
}

static int replay_frame(void *ctx, uint64_t segment, struct str payload, int64_t *max_ts_ms)
{
	static const struct wal_record_ops ops = { replay_series, replay_samples };
	struct replay *r = ctx;

	if (r->segment != segment)
		replay_forget(r);
	r->segment = segment;
	r->max_ts_ms = *max_ts_ms;
	int ret = wal_parse(payload, &ops, r);

	*max_ts_ms = r->max_ts_ms;
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
		int64_t before_ms = clock_unix_ms() - s->retention_ms;

		pthread_mutex_unlock(&s->janitor_lock);
		head_drop_before(&s->head, before_ms);
		(void)wal_drop_before(s->wal, before_ms);
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
	if (r == 0) {
		r = -pthread_create(&s->janitor, NULL, janitor, s);
		s->has_janitor = r == 0;
	}
	return r < 0 ? err_set(e, r, "%s: %s", s->dir, strerror(-r)) : 0;
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
	pthread_cond_destroy(&s->janitor_wake);
	pthread_mutex_destroy(&s->janitor_lock);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
	free(s);
}

/* ---- appending ------------------------------------------------------------ */

/* One series of a batch, found, with the samples that were not refused. */
struct accepted {
	struct series *series;
	struct sample *samples; /* a part of batch.samples */
	uint32_t n;
};

struct batch {
	struct store *s;
	struct str org;
	struct accepted *v;
	size_t n;
	struct sample *samples;
	size_t n_samples, n_labels;
	size_t text_bytes; /* of all labels: for the frame's bound */
	int64_t min_ms, max_ms, newest_ms;
};

static void batch_done(struct batch *b)
{
	free(b->v);
	free(b->samples);
}

static void refuse(struct store_append_result *ret, enum store_refusal why, uint64_t n,
                   const struct err *e)
{
	ret->refused[why] += n;
	if (ret->first.code == 0)
		ret->first = *e;
}

static bool time_is_refused(const struct batch *b, int64_t ts_ms, struct store_append_result *ret)
{
	struct err e = ERR_INIT;

	if (ts_ms >= b->min_ms && ts_ms <= b->max_ms)
		return false;
	bool old = ts_ms < b->min_ms;

	(void)err_set(&e, -EINVAL,
	              old ? "a sample at %lld ms is older than the retention"
	                  : "a sample at %lld ms is more than two days ahead",
	              (long long)ts_ms);
	refuse(ret, old ? STORE_REFUSED_TOO_OLD : STORE_REFUSED_TOO_NEW, 1, &e);
	return true;
}

static void take_samples(struct batch *b, const struct series_in *in, struct accepted *to,
                         struct store_append_result *ret)
{
	for (uint32_t i = 0; i < in->n_samples; i++) {
		const struct sample *x = &in->samples[i];

		if (time_is_refused(b, x->ts_ms, ret))
			continue;
		if (isnan(x->value) && !is_stale_mark(x->value)) {
			ret->refused[STORE_REFUSED_NAN]++; /* nothing to keep, nobody's fault */
			continue;
		}
		to->samples[to->n++] = *x;
		b->newest_ms = MAX(b->newest_ms, x->ts_ms);
	}
	b->n_samples += to->n;
}

static int take_series(struct batch *b, struct tenant *t, const struct series_in *in,
                       struct store_append_result *ret)
{
	struct accepted *to = &b->v[b->n];
	struct err e = ERR_INIT;
	enum store_refusal why;
	int r = head_series(&b->s->head, t, in->labels, in->n_labels, &to->series, &why, &e);

	if (r == -EINVAL) {
		refuse(ret, why, in->n_samples, &e);
		return 0;
	}
	if (r < 0)
		return r;
	to->samples = b->samples + b->n_samples;
	to->n = 0;
	take_samples(b, in, to, ret);
	for (uint32_t i = 0; i < to->series->n_labels; i++)
		b->text_bytes += to->series->labels[i].name.len + to->series->labels[i].value.len;
	b->n_labels += to->series->n_labels;
	b->n += to->n > 0;
	return 0;
}

/* Under the log's lock. Room for the worst case first: nothing may fail behind a registration. */
static void build_frame(void *ctx, uint64_t segment, struct buf *out)
{
	struct batch *b = ctx;
	size_t bound =
		b->text_bytes + b->n_labels * 20 + b->n_samples * 18 + b->n * (64 + 3 * b->org.len);

	if (!buf_reserve(out, bound))
		return;
	for (size_t i = 0; i < b->n; i++) {
		struct series *s = b->v[i].series;
		const struct wal_series ws = { s->ref, b->org, s->labels, s->n_labels };

		if (s->segment != segment)
			wal_put_series(out, &ws);
		s->segment = segment;
		wal_put_samples(out, s->ref, b->v[i].samples, b->v[i].n);
	}
}

static int batch_init(struct batch *b, const struct series_in *series, size_t n)
{
	size_t n_samples = 0;
	int64_t now_ms = clock_unix_ms();

	for (size_t i = 0; i < n; i++)
		n_samples += series[i].n_samples;
	b->v = mem_zalloc(n, sizeof(*b->v));
	b->samples = mem_zalloc(n_samples, sizeof(*b->samples));
	b->min_ms = now_ms - b->s->retention_ms;
	b->max_ms = now_ms + STORE_FUTURE_MS_MAX;
	b->newest_ms = INT64_MIN;
	return b->v && b->samples ? 0 : -ENOMEM;
}

static int append_batch(struct batch *b, struct tenant *t, const struct series_in *series, size_t n,
                        struct store_append_result *ret)
{
	int r = batch_init(b, series, n);

	for (size_t i = 0; i < n && r == 0; i++)
		r = take_series(b, t, &series[i], ret);
	if (r < 0 || b->n == 0)
		return r;
	r = wal_append(b->s->wal, build_frame, b, b->newest_ms);
	for (size_t i = 0; i < b->n && r == 0; i++)
		r = head_append(&b->s->head, b->v[i].series, b->v[i].samples, b->v[i].n);
	if (r == 0)
		ret->accepted = b->n_samples;
	return r;
}

int store_append(struct store *s, struct str org, const struct series_in *series, size_t n,
                 struct store_append_result *ret)
{
	_cleanup_(batch_done) struct batch b = { .s = s, .org = org };
	struct tenant *t;
	int r;

	*ret = (struct store_append_result){ .first = ERR_INIT };
	if (!store_org_is_valid(org))
		return -EINVAL;
	if (s->memory_max_bytes != 0 && atomic_load(&s->head.bytes) > (int64_t)s->memory_max_bytes)
		return -EAGAIN;
	t = head_tenant(&s->head, org, true);
	if (!t)
		return -ENOMEM;
	r = append_batch(&b, t, series, n, ret);
	atomic_fetch_add(&s->appends, 1);
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		atomic_fetch_add(&s->refused[i], ret->refused[i]);
	atomic_fetch_add(&s->accepted, ret->accepted);
	return r;
}

void store_stats(struct store *s, struct store_stats *ret)
{
	struct wal_stats w;

	wal_stats(s->wal, &w);
	*ret = (struct store_stats){
		.orgs = s->head.n_tenants,
		.series = atomic_load(&s->head.n_series),
		.samples = atomic_load(&s->head.n_samples),
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
