/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of a disk queue. Blocks go to disk in the order in which they were appended, so number
 * of the file and place in it are their order. After a start, writing begins a new file: what the
 * program before left behind at the end of the last one is read; what of it is torn is cut off.
 *
 * Reading back walks from header to header. Only the newest file can have been cut by a crash, for
 * a file is synced before the next one begins: there every payload is checked at once, so that what
 * was never committed is not mistaken for damage. Payloads of the others are checked when they are
 * sent. Where no header is, the next one is looked for, byte by byte.
 */
#include "userspace/host/delivery/spool_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define SUFFIX            ".seg"
#define NAME_DIGITS       16u
#define SEGMENT_BYTES_MIN ((uint64_t)64 << 10)
#define SEGMENT_BYTES_MAX ((uint64_t)16 << 20)
#define SEGMENTS_WANTED   16u /* files that the limit is divided into */
#define SEARCH_BYTES      ((size_t)64 << 10)
#define CREATE_ATTEMPTS   16

static void path_of(const struct spool *s, uint64_t number, char dst[SPOOL_PATH_CAP])
{
	(void)snprintf(dst, SPOOL_PATH_CAP, "%.480s/%016llx" SUFFIX, s->dir,
	               (unsigned long long)number);
}

static void vfs_closep(const int *fd)
{
	if (*fd >= 0)
		(void)vfs()->close(*fd);
}

/* ---- writing -------------------------------------------------------------------------------- */

bool spool_segment_is_full(const struct spool *s)
{
	uint64_t share = s->limits.bytes_max / SEGMENTS_WANTED;
	uint64_t most = MIN(MAX(share, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);

	return s->fd >= 0 && s->fd_bytes >= most;
}

void spool_close_segment(struct spool *s)
{
	if (s->fd < 0)
		return;
	(void)spool_sync(s);
	(void)vfs()->close(s->fd);
	s->fd = -1;
}

static int create(struct spool *s)
{
	char path[SPOOL_PATH_CAP];
	int fd = -EEXIST;

	for (int i = 0; fd == -EEXIST && i < CREATE_ATTEMPTS; i++) {
		path_of(s, ++s->last_number, path);
		fd = vfs()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0640);
	}
	if (fd < 0)
		return fd;
	s->fd = fd;
	s->fd_bytes = 0;
	s->new_file = true;
	return 0;
}

/* A piece that did not fit is cut off again; if that fails too, the file ends here. */
static int write_piece(struct spool *s, const struct buf *piece)
{
	int r = piece->err < 0 ? piece->err : vfs()->write(s->fd, piece->p, piece->len);

	if (r == 0) {
		s->fd_bytes += piece->len;
		s->dirty = true;
		return 0;
	}
	if (vfs()->truncate(s->fd, s->fd_bytes) < 0 || s->fd_bytes == 0)
		spool_close_segment(s);
	return r;
}

int spool_write(struct spool *s, struct block *b, struct str payload)
{
	_cleanup_(buf_done) struct buf piece = BUF_INIT;
	uint8_t head[SPOOL_RECORD_HEADER_BYTES], first[SPOOL_FILE_HEADER_BYTES];
	size_t skip = 0;
	int r = 0;

	if (s->fd < 0)
		r = create(s);
	if (r < 0)
		return r;
	if (s->fd_bytes == 0) {
		spool_put_file_header(first);
		buf_put(&piece, first, sizeof(first));
		skip = sizeof(first);
	}
	spool_put_record(head, &b->r);
	buf_put(&piece, head, sizeof(head));
	buf_put_str(&piece, payload);
	uint64_t at = s->fd_bytes + skip;

	r = write_piece(s, &piece);
	if (r < 0)
		return r;
	b->segment = s->last_number;
	b->at = at;
	return 0;
}

int spool_sync(struct spool *s)
{
	int r = 0;

	if (!s->limits.sync || s->fd < 0)
		return 0;
	if (s->dirty)
		r = vfs()->sync(s->fd);
	if (r == 0)
		s->dirty = false;
	if (r == 0 && s->new_file)
		r = vfs()->sync_dir(s->dir);
	if (r == 0)
		s->new_file = false;
	return r;
}

/* ---- one block ------------------------------------------------------------------------------ */

int spool_read(const struct spool *s, const struct block *b, struct buf *payload)
{
	char path[SPOOL_PATH_CAP];

	path_of(s, b->segment, path);
	_cleanup_(vfs_closep) int fd = vfs()->open(path, O_RDONLY, 0);

	if (fd < 0)
		return fd;
	buf_clear(payload);
	int r = vfs()->read_at(fd, b->at + SPOOL_RECORD_HEADER_BYTES, b->r.payload_bytes, payload);

	if (r == 0 && (payload->len != b->r.payload_bytes ||
	               spool_payload_crc(buf_str(payload)) != b->r.payload_crc))
		r = -EBADMSG;
	return r;
}

/* Failing is harmless: after a restart the block goes out once more. */
void spool_mark(const struct spool *s, const struct block *b)
{
	const uint8_t mark = SPOOL_MARK_SETTLED;
	char path[SPOOL_PATH_CAP];

	path_of(s, b->segment, path);
	_cleanup_(vfs_closep) int fd = vfs()->open(path, O_WRONLY, 0);

	if (fd >= 0)
		(void)vfs()->write_at(fd, b->at + SPOOL_MARK_OFFSET, &mark, 1);
}

void spool_unlink(const struct spool *s, uint64_t number)
{
	char path[SPOOL_PATH_CAP];

	path_of(s, number, path);
	(void)vfs()->unlink(path);
}

/* ---- what is there -------------------------------------------------------------------------- */

struct names {
	uint64_t *v;
	size_t n, cap;
};

static void names_done(const struct names *names)
{
	free(names->v);
}

static bool parse_name(const char *name, uint64_t *ret)
{
	uint64_t v = 0;

	if (strlen(name) != NAME_DIGITS + strlen(SUFFIX) || strcmp(name + NAME_DIGITS, SUFFIX) != 0)
		return false;
	for (size_t i = 0; i < NAME_DIGITS; i++) {
		const char *at = strchr("0123456789abcdef", name[i]);

		if (!at)
			return false;
		v = v << 4 | (uint64_t)(at - "0123456789abcdef");
	}
	*ret = v;
	return v != 0;
}

static int on_name(void *ctx, const char *name)
{
	struct names *names = ctx;
	uint64_t number;

	if (!parse_name(name, &number))
		return 0;
	int r = MEM_GROW(names->v, names->cap, names->n + 1);

	if (r == 0)
		names->v[names->n++] = number;
	return r;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct walk {
	struct spool *s;
	struct segment *segment;
	int fd;
	bool is_newest;
	struct buf window;
	uint64_t at, skipped_bytes;
	uint64_t torn_at; /* where the bytes begin that no whole block follows; 0 = nowhere */
};

static void walk_done(struct walk *w)
{
	if (w->fd >= 0)
		(void)vfs()->close(w->fd);
	buf_done(&w->window);
}

/* 0 with at most @bytes from w->at on in w->window, or an error. */
static int look(struct walk *w, size_t bytes)
{
	buf_clear(&w->window);
	return vfs()->read_at(w->fd, w->at, bytes, &w->window);
}

/* Is the payload all there, and, in the newest file, what it should be? 1: yes. */
static int payload_is_good(struct walk *w, const struct spool_record *r)
{
	struct block b = { .r = *r, .segment = w->segment->number, .at = w->at };
	int res;

	if (w->is_newest) {
		res = spool_read(w->s, &b, &w->window);
		return res == -EBADMSG ? 0 : res < 0 ? res : 1;
	}
	if (r->payload_bytes == 0)
		return 1;
	buf_clear(&w->window);
	res = vfs()->read_at(w->fd, w->at + SPOOL_RECORD_HEADER_BYTES + r->payload_bytes - 1, 1,
	                     &w->window);
	return res < 0 ? res : (int)w->window.len;
}

static int found_block(const struct walk *w, const struct spool_record *r)
{
	int64_t age_ms = MAX(clock_unix_ms() - r->appended_ms, (int64_t)0);
	struct block b = { .r = *r,
		           .born_ms = (int64_t)(clock_mono_ns() / 1000000) - age_ms,
		           .segment = w->segment->number,
		           .at = w->at,
		           .found = true };

	if (r->settled)
		return 0;
	b.seq = ++w->s->last_seq;
	w->segment->n_waiting++;
	return spool_add_block(w->s, &b);
}

/* To the next place where a header is whole, or to the end. */
static int search(struct walk *w)
{
	uint64_t from = w->at++;
	struct spool_record r;

	for (;;) {
		int res = look(w, SEARCH_BYTES);

		if (res < 0)
			return res;
		struct str bytes = buf_str(&w->window);
		size_t found = spool_find_record(bytes, 0);

		if (bytes.len < SPOOL_RECORD_HEADER_BYTES) {
			w->at += bytes.len;
			w->torn_at = from;
			break;
		}
		if (found + SPOOL_RECORD_HEADER_BYTES > bytes.len) { /* look again from there */
			w->at += found < bytes.len ? found : bytes.len - 3;
			continue;
		}
		w->at += found;
		if (spool_get_record((const uint8_t *)bytes.p + found, bytes.len - found, &r) == 0)
			break;
		w->at++;
	}
	w->skipped_bytes += w->at - from;
	return 0;
}

/* One step; 1 at the end of the file. */
static int step(struct walk *w)
{
	struct spool_record r;
	int res = look(w, SPOOL_RECORD_HEADER_BYTES);

	if (res < 0)
		return res;
	if (w->window.len == 0)
		return 1;
	if (spool_get_record((const uint8_t *)w->window.p, w->window.len, &r) < 0)
		return search(w);
	res = payload_is_good(w, &r);
	if (res < 0)
		return res;
	if (res == 0)
		return search(w);
	res = found_block(w, &r);
	w->at += SPOOL_RECORD_HEADER_BYTES + (uint64_t)r.payload_bytes;
	return res;
}

static int check_head(struct walk *w, struct err *e)
{
	int r = look(w, SPOOL_FILE_HEADER_BYTES);

	if (r < 0)
		return r;
	r = spool_check_file_header((const uint8_t *)w->window.p, w->window.len);
	if (r == -ENOTSUP)
		return err_set(e, r,
		               "queue: %.160s/%016llx" SUFFIX
		               ": written by a later version of this program",
		               w->s->dir, (unsigned long long)w->segment->number);
	if (r == 0) /* else every record still speaks for itself */
		w->at = SPOOL_FILE_HEADER_BYTES;
	return 0;
}

/*
 * So that it is not taken for damage after the next start, when it is no longer in the newest file.
 */
static void cut_torn(struct walk *w, const char *path)
{
	_cleanup_(vfs_closep) int fd = vfs()->open(path, O_WRONLY, 0);

	if (fd >= 0 && vfs()->truncate(fd, w->torn_at) == 0)
		w->at = w->torn_at;
}

static void report(struct walk *w, const char *path)
{
	if (w->skipped_bytes == 0)
		return;
	if (!w->is_newest) {
		log_error("queue: a damaged part of a file is left out", STRV("file", path),
		          U64("bytes", w->skipped_bytes));
		return;
	}
	log_info("queue: what was not yet committed is left out", STRV("file", path),
	         U64("bytes", w->skipped_bytes));
	if (w->torn_at > 0)
		cut_torn(w, path);
}

static int walk_segment(struct spool *s, uint64_t number, bool is_newest, struct err *e)
{
	_cleanup_(walk_done) struct walk w = { .s = s, .fd = -1, .is_newest = is_newest };
	char path[SPOOL_PATH_CAP];
	int r;

	w.segment = spool_add_segment(s, number, 0);
	if (!w.segment)
		return -ENOMEM;
	path_of(s, number, path);
	w.fd = vfs()->open(path, O_RDONLY, 0);
	r = w.fd < 0 ? w.fd : check_head(&w, e);
	while (r == 0)
		r = step(&w);
	report(&w, path);
	w.segment->bytes = w.at;
	s->file_bytes += w.at;
	return r > 0 ? 0 : r;
}

static int list(struct spool *s, struct names *names)
{
	int r = vfs()->mkdir(s->dir);

	if (r == 0)
		r = vfs()->list(s->dir, on_name, names);
	if (names->n > 0)
		qsort(names->v, names->n, sizeof(names->v[0]), compare_numbers);
	return r;
}

static void drop_settled_files(struct spool *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_segments; i++) {
		if (s->segments[i].n_waiting > 0) {
			s->segments[kept++] = s->segments[i];
			continue;
		}
		s->file_bytes -= s->segments[i].bytes;
		spool_unlink(s, s->segments[i].number);
	}
	s->n_segments = kept;
}

int spool_recover(struct spool *s, struct err *e)
{
	_cleanup_(names_done) struct names names = { 0 };
	int r = list(s, &names);

	if (r < 0 && r != -ENOMEM) {
		s->disk_works = false;
		log_error("queue: the folder does not work, samples wait in memory",
		          STRV("folder", s->dir), STRV("why", strerror(-r)));
		return 0;
	}
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		s->last_number = names.v[i];
		r = walk_segment(s, names.v[i], i + 1 == names.n, e);
		if (r == -ENOTSUP || r == -ENOMEM)
			return r;
		if (r < 0)
			log_error("queue: a file cannot be read", STRV("folder", s->dir),
			          U64("number", names.v[i]), STRV("why", strerror(-r)));
		r = 0;
	}
	drop_settled_files(s);
	return r;
}
