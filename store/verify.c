/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at everything that a store has on disk, without changing it: every checksum, and whether
 * what passes it goes together. Each fault is one sentence, and looking goes on behind it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/block_cursors.h"
#include "store/block_text.h"
#include "store/manifest.h"
#include "store/select.h"
#include "store/store.h"
#include "store/tombstones.h"
#include "store/wal_frame.h"
#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define WAL_BYTES_MAX ((size_t)1 << 30)

struct verify {
	const char *dir;
	store_fault_f fn;
	void *ctx;
	struct store_check *sum;
	struct manifest manifest;
};

/* ---- faults --------------------------------------------------------------- */

static void fault(struct verify *v, const char *sentence)
{
	v->sum->faults++;
	v->fn(v->ctx, sentence);
}

/* Tells of damage, which is not a failure of looking. */
static int take_fault(struct verify *v, int r, const struct err *e)
{
	if (r != -EBADMSG && r != -EIO && r != -EPROTO && r != -ENOENT)
		return r;
	fault(v, e->msg[0] ? e->msg : strerror(-r));
	return 0;
}

static void block_fault(struct verify *v, const struct block *b, const char *what)
{
	char text[PATH_MAX + 128];

	(void)snprintf(text, sizeof(text), "%s: %s", b->dir, what);
	fault(v, text);
}

/* ---- labels of a block ---------------------------------------------------- */

static int check_postings(struct block *b, struct block_reader *reader,
                          const struct text_entry *entry, struct err *e)
{
	_cleanup_(roaring_bitmap_freep) roaring_bitmap_t *set = roaring_bitmap_create();
	int r = set ? text_or(b, reader, entry, set, e) : -ENOMEM;

	if (r == 0 && roaring_bitmap_is_empty(set))
		r = err_set(e, -EBADMSG, "%s/index: a label that no series carries", b->dir);
	return r;
}

/* Labels are numbered without a gap, and ascend. */
static int check_texts(struct verify *v, struct block *b, struct block_reader *reader)
{
	_cleanup_(buf_done) struct buf before = BUF_INIT;
	struct text_entry entry;
	struct text_walk w;
	struct err e = ERR_INIT;
	uint32_t n = 0;
	int r = text_walk_start(&w, b, reader, 0, STR_NULL, STR_NULL, &e);

	while (r == 0 && (r = text_walk_next(&w, &entry, &e)) == 0) {
		struct str key = buf_str(&reader->key);

		if (entry.number != n || (n > 0 && str_cmp(buf_str(&before), key) >= 0) ||
		    entry.org >= b->meta.n_orgs)
			r = err_set(&e, -EBADMSG, "%s/index: label %u is out of order", b->dir, n);
		if (r == 0)
			r = check_postings(b, reader, &entry, &e);
		buf_clear(&before);
		buf_put_str(&before, key);
		n++;
	}
	if (r == 1 && n != b->meta.n_texts)
		block_fault(v, b, "labels are missing");
	v->sum->labels += n;
	return r < 0 ? take_fault(v, r, &e) : 0;
}

/* ---- series of a block ---------------------------------------------------- */

static int cmp_numbers(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
	for (uint32_t i = 0; i < n_a && i < n_b; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return n_a < n_b ? -1 : n_a > n_b;
}

static bool are_of_org(const uint32_t *texts, uint32_t n, const struct block_org *org)
{
	for (uint32_t i = 0; i < n; i++) {
		if (texts[i] - org->first_text >= org->n_texts)
			return false;
	}
	return true;
}

/* Label sets ascend by their numbers, and are of the organisation's labels. */
static int check_series(struct verify *v, struct block *b, const struct block_org *org,
                        struct block_reader *reader, struct series_page *page)
{
	uint32_t before[LABELS_MAX], n_before = 0, end = org->first_series + org->n_series;
	struct err e = ERR_INIT;

	page->n = 0;
	for (uint32_t s = org->first_series; s < end; s++) {
		if (page->n == 0 || s >= page->first + page->n) {
			int r = series_page_read(b, reader, s, page, &e);

			if (r < 0)
				return take_fault(v, r, &e);
		}
		uint32_t row = s - page->first, begin = row > 0 ? page->ends[row - 1] : 0;
		uint32_t n = page->ends[row] - begin;
		const uint32_t *texts = page->texts + begin;

		if (!are_of_org(texts, n, org) ||
		    (n_before > 0 && cmp_numbers(before, n_before, texts, n) >= 0)) {
			block_fault(v, b, "series are out of order");
			return 0;
		}
		memcpy(before, texts, n * sizeof(*texts));
		n_before = n;
	}
	v->sum->series += org->n_series;
	return 0;
}

/* ---- samples of a block --------------------------------------------------- */

struct samples_ctx {
	struct verify *v;
	bool has_fault;
};

static int note_damage(void *ctx, const struct err *why)
{
	struct samples_ctx *c = ctx;

	/* A page that was told of has no sentence when it is met again. */
	if (why->msg[0])
		fault(c->v, why->msg);
	c->has_fault = true;
	return 0;
}

/* All of them can be decoded, and add up to what the root says. */
static int check_samples(struct verify *v, struct block *b, const struct block_org *org)
{
	_cleanup_(columns_done) struct columns columns = { 0 };
	struct samples_ctx ctx = { .v = v };
	struct block_cursors cursors;
	uint64_t n = 0;
	int r = block_cursors_open(&cursors, b);

	if (r < 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < org->n_series; i++) {
		columns.n = 0;
		r = block_cursors_read(&cursors, org->first_series + i, org->min_ms, org->max_ms,
		                       &columns, note_damage, &ctx);
		n += columns.n;
	}
	block_cursors_close(&cursors);
	v->sum->samples += n;
	if (r == 0 && !ctx.has_fault && n != org->n_samples)
		block_fault(v, b, "samples are missing, or too many");
	return r;
}

static int check_block(struct verify *v, struct block *b)
{
	_cleanup_(block_reader_done) struct block_reader reader = { 0 };
	_cleanup_free_ struct series_page *page = mem_alloc(sizeof(*page));
	int r = page ? check_texts(v, b, &reader) : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < b->meta.n_orgs; i++) {
		r = check_series(v, b, &b->orgs[i], &reader, page);
		if (r == 0)
			r = check_samples(v, b, &b->orgs[i]);
	}
	v->sum->blocks++;
	v->sum->bytes += b->index_bytes + b->meta.chunks_bytes;
	return r;
}

static int check_blocks(struct verify *v)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->manifest.n_blocks; i++) {
		struct err e = ERR_INIT;
		struct block *b;

		r = block_open(&b, v->dir, v->manifest.blocks[i], &e);
		if (r < 0) {
			r = take_fault(v, r, &e);
			continue;
		}
		r = check_block(v, b);
		block_unref(b);
	}
	return r;
}

/* ---- the log -------------------------------------------------------------- */

static void check_frames(struct verify *v, const char *path, struct str file)
{
	char text[PATH_MAX + 128];
	size_t pos = WAL_HEADER_BYTES, at = pos;
	struct str payload;
	int r;

	for (; (r = wal_frame_next(file, &pos, &payload)) != 1 && r != -ENODATA; at = pos) {
		v->sum->wal_frames += r == 0;
		if (r == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s: the frame at byte %zu is damaged", path,
		               at);
		fault(v, text);
	}
}

static int check_segment(void *ctx, const char *name)
{
	_cleanup_(buf_done) struct buf file = BUF_INIT;
	struct verify *v = ctx;
	struct wal_header head;
	struct err e = ERR_INIT;
	char path[PATH_MAX];
	uint64_t number;
	struct str digits, rest;
	int r;

	if (!str_cut(str_from(name), '.', &digits, &rest) || !str_eqc(rest, "wal") ||
	    num_parse_u64(digits, &number) < 0 || number < v->manifest.wal_first)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/wal/%s", v->dir, name);
	r = vfs()->read(path, &file, WAL_BYTES_MAX);
	v->sum->wal_segments++;
	v->sum->bytes += file.len;
	if (r == 0 && file.len > 0) {
		r = wal_header_get(buf_str(&file), &head);
		if (r == 0)
			check_frames(v, path, buf_str(&file));
	}
	if (r < 0)
		(void)err_set(&e, r, "%s: its head is damaged", path);
	return take_fault(v, r, &e);
}

static int check_log(struct verify *v)
{
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/wal", v->dir);
	r = vfs()->list(path, check_segment, v);
	return r == -ENOENT ? 0 : r;
}

/* ---- all of it ------------------------------------------------------------ */

static int check_tombstones(struct verify *v)
{
	struct tombstones *t = NULL;
	struct err e = ERR_INIT;
	int r = tombstones_read(v->dir, v->manifest.next_delete - 1, &t, &e);

	tombstones_unref(t);
	return take_fault(v, r, &e);
}

static int lock(const char *dir, int *ret_fd, struct err *e)
{
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/LOCK", dir);
	r = vfs()->lock(path);
	if (r == -EBUSY)
		return err_set(e, r, "%s is in use by another process; look at a snapshot of it",
		               dir);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	*ret_fd = r;
	return 0;
}

int store_verify(const char *dir, store_fault_f fn, void *ctx, struct store_check *ret,
                 struct err *e)
{
	struct verify v = { .dir = dir, .fn = fn, .ctx = ctx, .sum = ret };
	int fd, r;

	*ret = (struct store_check){ 0 };
	r = manifest_read(dir, &v.manifest, e);
	if (r == -ENOENT)
		return err_set(e, r, "%s is no store: it has no MANIFEST", dir);
	if (r == 0)
		r = lock(dir, &fd, e);
	if (r == 0) {
		r = check_tombstones(&v);
		if (r == 0)
			r = check_blocks(&v);
		if (r == 0)
			r = check_log(&v);
		(void)vfs()->close(fd);
		if (r < 0)
			(void)err_set(e, r, "%s: %s", dir, strerror(-r));
	}
	manifest_done(&v.manifest);
	return r;
}
