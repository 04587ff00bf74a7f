/* SPDX-License-Identifier: BSD-2-Clause */
/* The door of the store: opening, closing, limits of organisations, statistics. */
#include "store/store_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "store/flush.h"
#include "store/merge.h"
#include "store/outfile.h"
#include "store/replay.h"
#include "store/snapshot.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define FORMAT_TEXT    "periscope store "
#define FORMAT_VERSION 1u
#define FORMAT_BYTES   256u

/* ---- the folder ----------------------------------------------------------- */

static void path_of(const struct store *s, const char *name, char *dst)
{
	(void)snprintf(dst, PATH_MAX, "%s/%s", s->dir, name);
}

static int lock_dir(struct store *s, struct err *e)
{
	char path[PATH_MAX];
	int r;

	path_of(s, "LOCK", path);
	r = vfs()->lock(path);
	if (r == -EBUSY)
		return err_set(e, r, "%s is in use by another process", s->dir);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	s->lock_fd = r;
	return 0;
}

static int count_name(void *ctx, const char *name)
{
	size_t *n = ctx;

	*n += name[0] != '.';
	return 0;
}

/* A folder with a log and without FORMAT is not ours to begin anew in. */
static int refuse_other_data(const struct store *s, struct err *e)
{
	char path[PATH_MAX];
	size_t n = 0;

	path_of(s, "wal", path);
	(void)vfs()->list(path, count_name, &n);
	if (n == 0)
		return 0;
	return err_set(e, -EPROTO,
	               "%s has a log but no FORMAT: it was written by a program before the first"
	               " release, whose files are not read any more; move it away",
	               s->dir);
}

static int write_format(const struct store *s)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct outfile f;
	int r;

	path_of(s, "FORMAT", path);
	path_of(s, "FORMAT.new", fresh);
	(void)vfs()->unlink(fresh);
	r = outfile_create(&f, fresh);
	if (r == 0) {
		buf_printf(&f.buf, FORMAT_TEXT "%u\n", FORMAT_VERSION);
		r = outfile_finish(&f);
	}
	outfile_done(&f);
	return r == 0 ? vfs()->rename(fresh, path) : r;
}

/* The manifest first: a folder with FORMAT has one, or is damaged. */
static int begin_folder(struct store *s, struct err *e)
{
	char path[PATH_MAX];
	int r = refuse_other_data(s, e);

	if (r < 0)
		return r;
	path_of(s, "blocks", path);
	r = vfs()->mkdir(path);
	s->manifest = (struct manifest){ .wal_first = 1, .next_block = 1, .next_delete = 1 };
	if (r == 0)
		r = manifest_write(s->dir, &s->manifest);
	if (r == 0)
		r = write_format(s);
	if (r == 0)
		r = vfs()->sync_dir(s->dir);
	return r < 0 ? err_set(e, r, "%s: %s", s->dir, strerror(-r)) : 0;
}

static int check_format(const char *path, struct str text, struct err *e)
{
	uint64_t version;
	struct str line, rest;

	(void)str_cut(text, '\n', &line, &rest);
	if (!str_starts(line, STR(FORMAT_TEXT)) ||
	    num_parse_u64(str_skip(line, sizeof(FORMAT_TEXT) - 1), &version) < 0)
		return err_set(e, -EBADMSG, "%s is damaged: it should say \"" FORMAT_TEXT "%u\"",
		               path, FORMAT_VERSION);
	if (version > FORMAT_VERSION)
		return err_set(e, -EPROTO, "%s: format %llu; this program reads formats up to %u",
		               path, (unsigned long long)version, FORMAT_VERSION);
	return 0;
}

static int open_folder(struct store *s, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	char path[PATH_MAX];
	int r;

	path_of(s, "FORMAT", path);
	r = vfs()->read(path, &text, FORMAT_BYTES);
	if (r == -ENOENT)
		return begin_folder(s, e);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	r = check_format(path, buf_str(&text), e);
	if (r == 0)
		r = manifest_read(s->dir, &s->manifest, e);
	if (r == -ENOENT)
		return err_set(e, -EBADMSG, "%s: MANIFEST is missing", s->dir);
	return r;
}

/* ---- blocks --------------------------------------------------------------- */

static bool is_listed(const struct manifest *m, uint64_t number)
{
	for (size_t i = 0; i < m->n_blocks; i++) {
		if (m->blocks[i] == number)
			return true;
	}
	return false;
}

/* What a flush or a merge that did not come to its end has left. */
static int remove_unlisted(void *ctx, const char *name)
{
	struct store *s = ctx;
	uint64_t number;

	if (num_parse_u64(str_from(name), &number) == 0 && !is_listed(&s->manifest, number))
		(void)block_remove(s->dir, number);
	return 0;
}

struct opened {
	struct block **blocks;
	size_t n;
	struct broken_block *broken;
	size_t n_broken;
	struct tombstones *deleted;
};

static void opened_done(struct opened *o)
{
	for (size_t i = 0; i < o->n; i++)
		block_unref(o->blocks[i]);
	tombstones_unref(o->deleted);
	free(o->blocks);
	free(o->broken);
}

/* A block that is damaged beyond use is missing from now on, but not forgotten. */
static int open_one(struct store *s, uint64_t number, struct opened *o, struct err *e)
{
	struct err why = ERR_INIT;
	int r = block_open(&o->blocks[o->n], s->dir, number, &why);

	if (r == 0) {
		o->n++;
		return 0;
	}
	if (r != -EBADMSG && r != -EIO && r != -ENOENT)
		return err_set(e, r, "%s", why.msg);
	o->broken[o->n_broken++] = (struct broken_block){ number, why };
	return 0;
}

static int open_blocks(struct store *s, struct err *e)
{
	_cleanup_(opened_done) struct opened o = {
		.blocks = mem_zalloc(s->manifest.n_blocks, sizeof(struct block *)),
		.broken = mem_zalloc(s->manifest.n_blocks, sizeof(*o.broken)),
	};
	char path[PATH_MAX];
	int r = o.blocks && o.broken ? 0 : -ENOMEM;

	path_of(s, "blocks", path);
	if (r == 0)
		r = vfs()->list(path, remove_unlisted, s);
	for (size_t i = 0; r == 0 && i < s->manifest.n_blocks; i++)
		r = open_one(s, s->manifest.blocks[i], &o, e);
	if (r == 0)
		r = tombstones_read(s->dir, s->manifest.next_delete - 1, &o.deleted, e);
	if (r == 0) {
		s->view = view_new(o.blocks, o.n, o.broken, o.n_broken, o.deleted);
		r = s->view ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

struct view *store_view(struct store *s)
{
	(void)pthread_mutex_lock(&s->view_lock);
	struct view *v = view_ref(s->view);

	(void)pthread_mutex_unlock(&s->view_lock);
	return v;
}

uint64_t store_block_number(struct store *s)
{
	return s->manifest.next_block++;
}

int store_sync_blocks(struct store *s)
{
	char path[PATH_MAX];

	path_of(s, "blocks", path);
	return vfs()->sync_dir(path);
}

void store_set_view(struct store *s, struct view *fresh)
{
	(void)pthread_mutex_lock(&s->view_lock);
	struct view *old = s->view;

	s->view = fresh;
	(void)pthread_mutex_unlock(&s->view_lock);
	view_unref(old);
}

/* The lists of blocks, before and after, in the manifest. */
static int change_manifest(struct manifest *m, struct block *const *gone, size_t n_gone,
                           struct block *const *fresh, size_t n_fresh)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_fresh; i++)
		r = manifest_add(m, fresh[i]->number);
	for (size_t i = 0; i < n_gone; i++)
		manifest_remove(m, gone[i]->number);
	return r;
}

int store_publish(struct store *s, struct block *const *gone, size_t n_gone,
                  struct block *const *fresh, size_t n_fresh)
{
	struct view *view = view_changed(s->view, gone, n_gone, fresh, n_fresh);
	int r = view ? change_manifest(&s->manifest, gone, n_gone, fresh, n_fresh) : -ENOMEM;

	if (r == 0)
		r = manifest_write(s->dir, &s->manifest);
	if (r < 0) {
		(void)change_manifest(&s->manifest, fresh, n_fresh, gone, n_gone);
		view_unref(view);
		return r;
	}
	store_set_view(s, view);
	for (size_t i = 0; i < n_gone; i++) {
		atomic_fetch_add(&s->bad_pages, atomic_load(&gone[i]->n_bad_pages));
		atomic_store(&gone[i]->is_replaced, true);
	}
	for (size_t i = 0; i < n_fresh; i++)
		block_unref(fresh[i]);
	return 0;
}

/* ---- opening -------------------------------------------------------------- */

static int open_log(struct store *s, struct err *e)
{
	struct append_hint hint = { .table = &s->head.times, .epoch = s->epoch };
	struct replay replay = { .head = &s->head, .hint = &hint };
	const struct wal_conf conf = {
		.dir = s->dir,
		.sync = s->conf.wal_sync,
		.interval_ms = s->conf.is_manual                  ? 0
		               : s->conf.wal_sync_interval_ms > 0 ? s->conf.wal_sync_interval_ms
		                                                  : 1000,
		.first = s->manifest.wal_first,
		.epoch = s->epoch,
		.progress = s->conf.progress,
		.progress_ctx = s->conf.progress_ctx,
	};
	int r = wal_open(&s->wal, &conf, replay_frame, &replay, e);

	replay_done(&replay);
	append_hint_done(&hint);
	atomic_store(&s->head.n_samples, replay.n_samples);
	atomic_fetch_add(&s->head.bytes, hint.bytes);
	return r;
}

static int open_all(struct store *s, struct err *e)
{
	int r = vfs()->mkdir(s->dir);

	if (r < 0)
		return err_set(e, r, "%s: %s", s->dir, strerror(-r));
	r = lock_dir(s, e);
	if (r == 0)
		r = open_folder(s, e);
	if (r == 0)
		r = open_blocks(s, e);
	if (r < 0)
		return r;
	snapshots_clean(s);
	s->epoch = (uint32_t)s->manifest.epoch + 1;
	atomic_store(&s->floor_epoch, s->epoch);
	r = open_log(s, e);
	if (r == 0)
		r = maintain_start(s);
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

static int locks_init(struct store *s)
{
	pthread_rwlockattr_t attr;

	(void)pthread_rwlockattr_init(&attr);
	/* There is always some append at work: a new epoch would wait for ever. */
	(void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&s->epoch_lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	(void)pthread_mutex_init(&s->blocks_lock, NULL);
	(void)pthread_mutex_init(&s->view_lock, NULL);
	(void)pthread_mutex_init(&s->flush_lock, NULL);
	(void)pthread_mutex_init(&s->merge_lock, NULL);
	maintain_init(s);
	keys_init(&s->keys, seed());
	return head_init(&s->head);
}

static void store_free(struct store *s)
{
	wal_close(s->wal);
	view_unref(s->view);
	manifest_done(&s->manifest);
	head_done(&s->head);
	keys_done(&s->keys);
	(void)pthread_rwlock_destroy(&s->epoch_lock);
	(void)pthread_mutex_destroy(&s->blocks_lock);
	(void)pthread_mutex_destroy(&s->view_lock);
	(void)pthread_mutex_destroy(&s->flush_lock);
	(void)pthread_mutex_destroy(&s->merge_lock);
	maintain_done(s);
	if (s->lock_fd >= 0)
		(void)vfs()->close(s->lock_fd);
	free(s);
}

int store_open(struct store **ret, const struct store_conf *conf, struct err *e)
{
	struct store *s = mem_zalloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	s->conf = *conf;
	(void)snprintf(s->dir, sizeof(s->dir), "%s", conf->dir);
	s->conf.dir = s->dir;
	r = locks_init(s);
	if (r == 0)
		r = open_all(s, e);
	if (r < 0) {
		maintain_stop(s);
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* What is only in the log would be found there; a flush spares the next start the replay. */
void store_close(struct store *s)
{
	if (!s)
		return;
	maintain_stop(s);
	(void)flush_run(s);
	store_free(s);
}

int store_flush(struct store *s)
{
	return flush_run(s);
}

void store_maintain(struct store *s)
{
	maintain_round(s);
}

int store_merge(struct store *s)
{
	int r = flush_run(s);

	if (r < 0)
		return r;
	flush_raise_floor(s);
	while ((r = merge_step(s, true)) > 0)
		continue;
	return r;
}

/* ---- organisations -------------------------------------------------------- */

int store_set_limits(struct store *s, struct str org, const struct store_limits *limits)
{
	struct tenant *t;

	if (!store_org_is_valid(org))
		return -EINVAL;
	t = head_tenant(&s->head, org, true);
	if (!t)
		return -ENOMEM;
	limits_set(&t->limits, limits);
	atomic_store(&s->has_limits, true);
	return 0;
}

static void org_stats(struct tenant *t, struct store_org_stats *ret)
{
	uint64_t now_ns = clock_mono_ns();
	struct limits *l = &t->limits;

	*ret = (struct store_org_stats){
		.accepted = atomic_load(&l->accepted),
		.limits = limits_get(l),
		.samples_left = bucket_left(&l->samples, now_ns),
		.new_series_left = bucket_left(&l->new_series, now_ns),
	};
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		ret->refused[i] = atomic_load(&l->refused[i]);
	(void)pthread_rwlock_rdlock(&t->lock);
	ret->series = t->n_series;
	ret->labels = t->texts.n;
	(void)pthread_rwlock_unlock(&t->lock);
}

int store_orgs_each(struct store *s, store_org_f fn, void *ctx)
{
	uint32_t n = head_n_tenants(&s->head);
	int r = 0;

	for (uint32_t i = 0; i < n && r >= 0; i++) {
		struct tenant *t = head_tenant_at(&s->head, i);
		struct store_org_stats stats;

		org_stats(t, &stats);
		r = fn(ctx, tenant_org(t), &stats);
	}
	return r < 0 ? r : 0;
}

/* ---- statistics ----------------------------------------------------------- */

static void block_stats(struct store *s, struct store_stats *ret)
{
	struct view *v = store_view(s);

	ret->blocks = v->n + v->n_broken;
	ret->bad_pages = atomic_load(&s->bad_pages);
	for (size_t i = 0; i < v->n; i++) {
		struct block *b = v->blocks[i];

		ret->block_bytes += b->index_bytes + b->meta.chunks_bytes;
		ret->block_samples += b->meta.n_samples;
		ret->bad_pages += atomic_load(&b->n_bad_pages);
		ret->memory_bytes += atomic_load(&b->memory_bytes);
	}
	view_unref(v);
}

void store_stats(struct store *s, struct store_stats *ret)
{
	struct wal_stats w;

	wal_stats(s->wal, &w);
	*ret = (struct store_stats){
		.orgs = head_n_tenants(&s->head),
		.series = atomic_load(&s->head.n_series),
		.samples = atomic_load(&s->head.n_samples),
		.memory_bytes =
			(uint64_t)(atomic_load(&s->head.bytes) + atomic_load(&s->head.times.bytes)),
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
		.flushes = atomic_load(&s->flushes),
		.flush_errors = atomic_load(&s->flush_errors),
		.flushed_samples = atomic_load(&s->flushed_samples),
		.merges = atomic_load(&s->merges),
		.merge_errors = atomic_load(&s->merge_errors),
		.merges_put_off = atomic_load(&s->merges_put_off),
		.merged_samples = atomic_load(&s->merged_samples),
		.expired_blocks = atomic_load(&s->expired_blocks),
		.written_bytes = atomic_load(&s->written_bytes) + w.written_bytes,
	};
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		ret->refused[i] = atomic_load(&s->refused[i]);
	block_stats(s, ret);
}
