/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the log at the start.
 *
 * What a crash leaves is a torn end: nothing in it was acknowledged. It is cut off in the newest
 * segment; in an older one it is what a failed write left, and is passed over. A damaged frame in
 * the middle is skipped to the next one that is intact, and counted.
 */
#include "store/wal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/clock.h"
#include "userspace/base/vfs.h"

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
	return wal_segment_add(ctx, number, 0);
}

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
                         const struct wal_header *head, wal_frame_f fn, void *ctx)
{
	size_t pos = WAL_HEADER_BYTES;
	struct str payload;
	int r;

	while ((r = wal_frame_next(file, &pos, &payload)) != 1) {
		if (r == 0) {
			w->stats.replayed_frames++;
			r = fn(ctx, head, payload);
		} else if (r == -ENODATA) {
			s->bytes = pos;
			if (s == &w->segments[w->n_segments - 1])
				return cut_tail(w, path, pos, file.len);
			w->stats.cut_bytes += file.len - pos;
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
	struct wal_header head;
	char path[PATH_MAX];
	int r;

	wal_segment_path(w, s->number, path, sizeof(path));
	r = vfs()->read(path, &file, SIZE_MAX / 4);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	s->bytes = file.len;
	r = wal_header_get(buf_str(&file), &head);
	if (r == -EPROTO)
		return err_set(e, r,
		               "%s: this program reads version %u of the log, and it is of"
		               " another one",
		               path, WAL_VERSION);
	if (r < 0) {
		/* A crash at its creation leaves a short header and nothing else. */
		w->stats.bad_frames += file.len > WAL_HEADER_BYTES;
		return 0;
	}
	if (head.chain >= UINT32_MAX) {
		w->stats.bad_frames++;
		return 0;
	}
	w->chain = head.chain > w->chain ? (uint32_t)head.chain : w->chain;
	w->epoch = head.epoch > w->epoch ? head.epoch : w->epoch;
	r = replay_frames(w, s, buf_str(&file), path, &head, fn, ctx);
	w->stats.replayed_bytes += file.len;
	return r < 0 ? err_set(e, r, "%s: replay: %s", path, strerror(-r)) : 0;
}

/* Those before the first that is needed: something kept them from being removed. */
static void remove_old(struct wal *w)
{
	char path[PATH_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < w->n_segments; i++) {
		wal_segment_path(w, w->segments[i].number, path, sizeof(path));
		if (w->segments[i].number >= w->conf.first)
			w->segments[kept++] = w->segments[i];
		else
			(void)vfs()->unlink(path); /* or at the next start */
	}
	w->n_segments = kept;
}

static uint64_t size_of(const struct wal *w, const struct segment *s)
{
	char path[PATH_MAX];
	uint64_t bytes = 0;
	int fd;

	wal_segment_path(w, s->number, path, sizeof(path));
	fd = vfs()->open(path, O_RDONLY, 0);
	if (fd < 0)
		return 0;
	(void)vfs()->size(fd, &bytes);
	(void)vfs()->close(fd);
	return bytes;
}

static void report(const struct wal *w, uint64_t all_bytes)
{
	if (w->conf.progress)
		w->conf.progress(w->conf.progress_ctx, w->stats.replayed_bytes, all_bytes);
}

int wal_replay(struct wal *w, wal_frame_f fn, void *ctx, struct err *e)
{
	uint64_t start_ns = clock_mono_ns(), all_bytes = 0;
	int r = vfs()->list(w->dir, found_file, w);

	if (r < 0)
		return err_set(e, r, "%s: %s", w->dir, strerror(-r));
	remove_old(w);
	if (w->n_segments > 0)
		qsort(w->segments, w->n_segments, sizeof(w->segments[0]), cmp_segment);
	for (size_t i = 0; i < w->n_segments; i++)
		all_bytes += size_of(w, &w->segments[i]);
	report(w, all_bytes);
	for (size_t i = 0; i < w->n_segments && r == 0; i++) {
		r = replay_segment(w, &w->segments[i], fn, ctx, e);
		report(w, all_bytes);
	}
	w->stats.replay_ms = (clock_mono_ns() - start_ns) / 1000000;
	return r;
}
