/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/vfs.h"

#define SPARE_BYTES_MAX ((size_t)4 << 20) /* a larger buffer is given back */

void wal_segment_path(const struct wal *w, uint64_t number, char *dst, size_t cap)
{
	(void)snprintf(dst, cap, "%s/%08llu.wal", w->dir, (unsigned long long)number);
}

static struct segment *newest(struct wal *w)
{
	return &w->segments[w->n_segments - 1];
}

/* ---- segments ------------------------------------------------------------- */

int wal_segment_add(struct wal *w, uint64_t number, uint64_t bytes)
{
	if (MEM_GROW(w->segments, w->segments_cap, w->n_segments + 1) < 0)
		return -ENOMEM;
	w->segments[w->n_segments++] = (struct segment){ number, bytes };
	if (number >= w->next_number)
		w->next_number = number + 1;
	return 0;
}

static int write_header(struct wal *w, int fd)
{
	const struct wal_header h = { w->chain, w->epoch };
	uint8_t header[WAL_HEADER_BYTES];
	int r;

	wal_header_put(&h, header);
	r = vfs()->write(fd, header, sizeof(header));
	if (r == 0)
		r = vfs()->sync(fd);
	return r == 0 ? vfs()->sync_dir(w->dir) : r;
}

static int segment_create(struct wal *w)
{
	char path[PATH_MAX];
	int fd, r = wal_segment_add(w, w->next_number, WAL_HEADER_BYTES);

	if (r < 0)
		return r;
	wal_segment_path(w, newest(w)->number, path, sizeof(path));
	fd = vfs()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0640);
	if (fd < 0) {
		w->n_segments--; /* its number is used up: a file may be there */
		return fd;
	}
	r = write_header(w, fd);
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
	if (!w->gathering) {
		w->gathering = mem_zalloc(1, sizeof(*w->gathering));
		if (w->gathering) {
			w->gathering->bytes = w->spare;
			w->spare = BUF_INIT;
		}
	}
	return w->gathering;
}

static void group_leave(struct wal *w, struct group *g)
{
	if (--g->n_members > 0)
		return;
	if (!w->spare.p && g->bytes.cap <= SPARE_BYTES_MAX) {
		w->spare = g->bytes;
		buf_clear(&w->spare);
	} else {
		buf_done(&g->bytes);
	}
	free(g);
}

/* Nobody knows what is in it: whatever was registered there is registered again. */
static void segment_break(struct wal *w)
{
	segment_seal(w);
	w->chain++;
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
	w->stats.written_bytes += g->bytes.len;
	w->stats.errors += r < 0;
	if (r < 0 || newest(w)->bytes >= WAL_SEGMENT_BYTES) {
		/* What gathers now was built for this segment: it must go there, or be refused. */
		if (r < 0 && w->gathering)
			w->gathering->result = r;
		if (r < 0)
			segment_break(w);
		else if (!w->gathering)
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
	group_leave(w, g);
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

static int append_locked(struct wal *w, wal_build_f build, void *ctx)
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
	build(ctx, w->chain, &g->bytes);
	r = wal_frame_end(&g->bytes, before);
	if (r < 0) {
		g->bytes.len = before;
		g->bytes.err = 0;
		if (g->n_members == 0) {
			w->gathering = NULL;
			g->n_members = 1;
			group_leave(w, g);
		}
		return r;
	}
	return wait_for(w, g);
}

int wal_append(struct wal *w, wal_build_f build, void *ctx)
{
	pthread_mutex_lock(&w->lock);
	int r = append_locked(w, build, ctx);

	pthread_mutex_unlock(&w->lock);
	return r;
}

/* ---- turning over --------------------------------------------------------- */

uint64_t wal_turn(struct wal *w, uint64_t epoch)
{
	pthread_mutex_lock(&w->lock);
	while (w->writing)
		pthread_cond_wait(&w->changed, &w->lock);
	segment_break(w);
	w->epoch = epoch;
	uint64_t number = w->next_number;

	pthread_mutex_unlock(&w->lock);
	return number;
}

int wal_remove_before(struct wal *w, uint64_t number)
{
	char path[PATH_MAX];
	size_t n = 0, kept = 0;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	for (; n < w->n_segments; n++) {
		int one = 0;

		if (w->segments[n].number < number) {
			wal_segment_path(w, w->segments[n].number, path, sizeof(path));
			one = vfs()->unlink(path);
			r = one < 0 ? one : r;
		}
		if (w->segments[n].number >= number || one < 0)
			w->segments[kept++] = w->segments[n];
	}
	w->n_segments = kept;
	pthread_mutex_unlock(&w->lock);
	return r;
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
		segment_break(w);
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
	w->next_number = conf->first > 0 ? conf->first : 1;
	w->epoch = conf->epoch;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/wal", conf->dir);
	r = vfs()->mkdir(w->dir);
	if (r == 0) /* its name must be there for good before anything in it is relied upon */
		r = vfs()->sync_dir(conf->dir);
	if (r < 0)
		(void)err_set(e, r, "%s: %s", w->dir, strerror(-r));
	else
		r = wal_replay(w, fn, ctx, e);
	w->chain++; /* what is registered in what was replayed is not known to be there for good */
	if (r == 0 && conf->sync == STORE_SYNC_INTERVAL && conf->interval_ms > 0) {
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
	buf_done(&w->spare);
	free(w->segments);
	free(w);
}

uint64_t wal_bytes(struct wal *w)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n_segments; i++)
		bytes += w->segments[i].bytes;
	pthread_mutex_unlock(&w->lock);
	return bytes;
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
