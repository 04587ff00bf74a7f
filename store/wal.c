/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/wal_frame.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/vfs.h"

/* What one leader writes; everybody in it shares its fate. Freed by the last who leaves. */
struct group {
	struct buf bytes;
	bool done;
	int result;
	unsigned n_members;
};

struct segment {
	uint64_t number, bytes;
	int64_t max_ts_ms;
};

struct wal {
	struct wal_conf conf;
	char dir[PATH_MAX - 32];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct group *gathering; /* frames that wait for a leader */
	bool writing, closing, dirty;
	int fd; /* of the newest segment; -1 = the next frame begins one */
	uint64_t next_number;
	struct segment *segments; /* ascending, the newest last */
	size_t n_segments, segments_cap;
	struct wal_stats stats;
	pthread_t syncer;
	bool has_syncer;
};

static void segment_path(const struct wal *w, uint64_t number, char *dst, size_t cap)
{
	(void)snprintf(dst, cap, "%s/%08llu.wal", w->dir, (unsigned long long)number);
}

static struct segment *newest(struct wal *w)
{
	return &w->segments[w->n_segments - 1];
}

/* ---- segments ------------------------------------------------------------- */

static int segment_add(struct wal *w, uint64_t number, uint64_t bytes)
{
	if (MEM_GROW(w->segments, w->segments_cap, w->n_segments + 1) < 0)
		return -ENOMEM;
	w->segments[w->n_segments++] = (struct segment){ number, bytes, INT64_MIN };
	if (number >= w->next_number)
		w->next_number = number + 1;
	return 0;
}

static int segment_create(struct wal *w)
{
	uint8_t header[WAL_HEADER_BYTES];
	char path[PATH_MAX];
	int fd, r = segment_add(w, w->next_number, sizeof(header));

	if (r < 0)
		return r;
	segment_path(w, newest(w)->number, path, sizeof(path));
	fd = vfs()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0640);
	if (fd < 0) {
		w->n_segments--; /* its number is used up: a file may be there */
		return fd;
	}
	wal_header_put(header);
	r = vfs()->write(fd, header, sizeof(header));
	if (r == 0)
		r = vfs()->sync(fd);
	if (r == 0)
		r = vfs()->sync_dir(w->dir);
	if (r < 0) {
		(void)vfs()->close(fd);
		return r;
	}
	w->fd = fd;
	return 0;
}

static void segment_seal(struct wal *w)
{
	if (w->fd >= 0)
		(void)vfs()->close(w->fd);
	w->fd = -1;
}

/* ---- appending ------------------------------------------------------------ */

static struct group *group_of_now(struct wal *w)
{
	if (!w->gathering)
		w->gathering = mem_zalloc(1, sizeof(*w->gathering));
	return w->gathering;
}

static void group_leave(struct group *g)
{
	if (--g->n_members > 0)
		return;
	buf_done(&g->bytes);
	free(g);
}

/* Without the lock: only the leader touches the file. */
static int write_group(struct wal *w, const struct group *g)
{
	int r = vfs()->write(w->fd, g->bytes.p, g->bytes.len);

	if (r == 0 && w->conf.sync == STORE_SYNC_ALWAYS)
		r = vfs()->sync(w->fd);
	return r;
}

static void lead(struct wal *w)
{
	struct group *g = w->gathering;

	w->gathering = NULL;
	w->writing = true;
	pthread_mutex_unlock(&w->lock);
	int r = write_group(w, g);

	pthread_mutex_lock(&w->lock);
	w->writing = false;
	w->stats.syncs += w->conf.sync == STORE_SYNC_ALWAYS;
	w->dirty = true;
	newest(w)->bytes += g->bytes.len;
	if (r < 0)
		w->stats.errors++;
	if (r < 0 || newest(w)->bytes >= WAL_SEGMENT_BYTES) {
		/* What gathers now was built for this segment: it must go there, or be refused. */
		if (r < 0 && w->gathering)
			w->gathering->result = r;
		if (!w->gathering || r < 0)
			segment_seal(w);
	}
	g->result = r;
	g->done = true;
	pthread_cond_broadcast(&w->changed);
}

/* Frames that gathered behind a failed write refer to a sealed segment: they fail with it. */
static bool doomed(struct wal *w, struct group *g)
{
	if (g->result == 0)
		return false;
	if (w->gathering == g)
		w->gathering = NULL;
	g->done = true;
	pthread_cond_broadcast(&w->changed);
	return true;
}

static int wait_for(struct wal *w, struct group *g)
{
	int r;

	g->n_members++;
	while (!g->done) {
		if (w->writing)
			pthread_cond_wait(&w->changed, &w->lock);
		else if (!doomed(w, g))
			lead(w);
	}
	r = g->result;
	group_leave(g);
	return r;
}

/* Full segments are left as soon as nothing waits for them. */
static int ensure_segment(struct wal *w)
{
	if (w->fd >= 0 && newest(w)->bytes >= WAL_SEGMENT_BYTES && !w->gathering && !w->writing)
		segment_seal(w);
	while (w->fd < 0 && w->writing)
		pthread_cond_wait(&w->changed, &w->lock);
	return w->fd >= 0 ? 0 : segment_create(w);
}

static int append_locked(struct wal *w, wal_build_f build, void *ctx, int64_t max_ts_ms)
{
	struct group *g;
	int r = ensure_segment(w);

	if (r < 0) {
		w->stats.errors++;
		return r;
	}
	g = group_of_now(w);
	if (!g)
		return -ENOMEM;
	size_t before = g->bytes.len;

	wal_frame_begin(&g->bytes);
	build(ctx, newest(w)->number, &g->bytes);
	r = wal_frame_end(&g->bytes, before);
	if (r < 0) {
		g->bytes.len = before;
		g->bytes.err = 0;
		if (g->n_members == 0) {
			w->gathering = NULL;
			g->n_members = 1;
			group_leave(g);
		}
		return r;
	}
	if (max_ts_ms > newest(w)->max_ts_ms)
		newest(w)->max_ts_ms = max_ts_ms;
	return wait_for(w, g);
}

int wal_append(struct wal *w, wal_build_f build, void *ctx, int64_t max_ts_ms)
{
	pthread_mutex_lock(&w->lock);
	int r = append_locked(w, build, ctx, max_ts_ms);

	pthread_mutex_unlock(&w->lock);
	return r;
}

/* ---- replay --------------------------------------------------------------- */

static int cmp_segment(const void *a, const void *b)
{
	uint64_t x = ((const struct segment *)a)->number, y = ((const struct segment *)b)->number;

	return x < y ? -1 : x > y;
}

static int found_file(void *ctx, const char *name)
{
	unsigned long long number;
	int end = 0;

	if (strlen(name) < 12 || sscanf(name, "%llu.wal%n", &number, &end) != 1 ||
	    (size_t)end != strlen(name))
		return 0;
	return segment_add(ctx, number, 0);
}

/* A torn tail is what a crash leaves in the newest segment: nothing in it was acknowledged. */
static int cut_tail(struct wal *w, const char *path, size_t at, size_t len)
{
	int fd = vfs()->open(path, O_WRONLY, 0), r;

	if (fd < 0)
		return fd;
	r = vfs()->truncate(fd, at);
	if (r == 0)
		r = vfs()->sync(fd);
	(void)vfs()->close(fd);
	w->stats.cut_bytes += len - at;
	return r;
}

static int replay_frames(struct wal *w, struct segment *s, struct str file, const char *path,
                         wal_frame_f fn, void *ctx)
{
	size_t pos = WAL_HEADER_BYTES;
	bool last = s == newest(w);
	struct str payload;
	int r;

	while ((r = wal_frame_next(file, &pos, &payload)) != 1) {
		if (r == 0) {
			w->stats.replayed_frames++;
			r = fn(ctx, s->number, payload, &s->max_ts_ms);
		} else if (r == -ENODATA) {
			s->bytes = pos;
			if (last)
				return cut_tail(w, path, pos, file.len);
			w->stats.bad_frames++;
			return 0;
		}
		w->stats.bad_frames += r == -EBADMSG;
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return 0;
}

static int replay_segment(struct wal *w, struct segment *s, wal_frame_f fn, void *ctx,
                          struct err *e)
{
	_cleanup_(buf_done) struct buf file = BUF_INIT;
	char path[PATH_MAX];
	int r;

	segment_path(w, s->number, path, sizeof(path));
	r = vfs()->read(path, &file, SIZE_MAX / 4);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	s->bytes = file.len;
	r = wal_header_check(buf_str(&file));
	if (r == -EPROTO)
		return err_set(e, r, "%s: written by a newer version; this one reads version %u",
		               path, WAL_VERSION);
	if (r < 0) {
		/*
		 * A crash between creation and first sync leaves a short header and nothing else.
		 */
		w->stats.bad_frames += file.len > WAL_HEADER_BYTES;
		return 0;
	}
	r = replay_frames(w, s, buf_str(&file), path, fn, ctx);
	return r < 0 ? err_set(e, r, "%s: replay: %s", path, strerror(-r)) : 0;
}

static int replay(struct wal *w, wal_frame_f fn, void *ctx, struct err *e)
{
	uint64_t start_ns = clock_mono_ns(), done = 0;
	int r = vfs()->list(w->dir, found_file, w);

	if (r < 0)
		return err_set(e, r, "%s: %s", w->dir, strerror(-r));
	if (w->n_segments > 0)
		qsort(w->segments, w->n_segments, sizeof(w->segments[0]), cmp_segment);
	for (size_t i = 0; i < w->n_segments; i++) {
		r = replay_segment(w, &w->segments[i], fn, ctx, e);
		if (r < 0)
			return r;
		done += w->segments[i].bytes;
		if (w->conf.progress)
			w->conf.progress(w->conf.progress_ctx, i + 1, w->n_segments);
	}
	w->stats.bytes = done;
	w->stats.replay_ms = (clock_mono_ns() - start_ns) / 1000000;
	return 0;
}

/* ---- life ----------------------------------------------------------------- */

static void sync_now(struct wal *w)
{
	int fd = w->fd;

	if (!w->dirty || fd < 0 || w->writing)
		return;
	w->dirty = false;
	w->writing = true; /* keeps leaders away from the descriptor */
	pthread_mutex_unlock(&w->lock);
	int r = vfs()->sync(fd);

	pthread_mutex_lock(&w->lock);
	w->writing = false;
	w->stats.syncs++;
	if (r < 0) {
		w->stats.errors++;
		segment_seal(w);
		if (w->gathering)
			w->gathering->result = r;
	}
	pthread_cond_broadcast(&w->changed);
}

static void *syncer(void *ctx)
{
	struct wal *w = ctx;
	struct timespec until;

	pthread_mutex_lock(&w->lock);
	while (!w->closing) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += w->conf.interval_ms / 1000;
		until.tv_nsec += w->conf.interval_ms % 1000 * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		(void)pthread_cond_timedwait(&w->changed, &w->lock, &until);
		sync_now(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int wal_open(struct wal **ret, const struct wal_conf *conf, wal_frame_f fn, void *ctx,
             struct err *e)
{
	struct wal *w = mem_zalloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->conf = *conf;
	w->fd = -1;
	w->next_number = 1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/wal", conf->dir);
	r = vfs()->mkdir(w->dir);
	if (r < 0)
		(void)err_set(e, r, "%s: %s", w->dir, strerror(-r));
	else
		r = replay(w, fn, ctx, e);
	if (r == 0 && conf->sync == STORE_SYNC_INTERVAL) {
		r = -pthread_create(&w->syncer, NULL, syncer, w);
		w->has_syncer = r == 0;
	}
	if (r < 0) {
		wal_close(w);
		return r;
	}
	*ret = w;
	return 0;
}

void wal_close(struct wal *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (w->has_syncer)
		pthread_join(w->syncer, NULL);
	pthread_mutex_lock(&w->lock);
	sync_now(w);
	segment_seal(w);
	pthread_mutex_unlock(&w->lock);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w->segments);
	free(w);
}

/* Never the newest: it is being written. */
int wal_drop_before(struct wal *w, int64_t before_ms)
{
	char path[PATH_MAX];
	int r = 0;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i + 1 < w->n_segments && r == 0;) {
		if (w->segments[i].max_ts_ms >= before_ms) {
			i++;
			continue;
		}
		segment_path(w, w->segments[i].number, path, sizeof(path));
		r = vfs()->unlink(path);
		if (r < 0)
			break;
		memmove(&w->segments[i], &w->segments[i + 1],
		        (w->n_segments - i - 1) * sizeof(w->segments[0]));
		w->n_segments--;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

void wal_stats(struct wal *w, struct wal_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->stats;
	ret->segments = w->n_segments;
	ret->bytes = 0;
	for (size_t i = 0; i < w->n_segments; i++)
		ret->bytes += w->segments[i].bytes;
	pthread_mutex_unlock(&w->lock);
}
