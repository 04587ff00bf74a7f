/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/tombstones.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/cursor.h"
#include "store/outfile.h"
#include "userspace/base/alloc.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define MARK       "PSCPDEL1"
#define VERSION    1u
#define HEAD_BYTES 16u /* mark, version, CRC of all behind */
#define BYTES_MAX  ((size_t)64 << 20)

/* ---- life ----------------------------------------------------------------- */

static struct tombstones *alloc(uint64_t last, size_t n)
{
	struct tombstones *t = mem_zalloc(1, sizeof(*t));

	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	t->last = last;
	t->v = mem_zalloc(n, sizeof(*t->v));
	if (!t->v) {
		free(t);
		return NULL;
	}
	return t;
}

struct tombstones *tombstones_new(uint64_t last)
{
	return alloc(last, 0);
}

struct tombstones *tombstones_ref(struct tombstones *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tombstones_unref(struct tombstones *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	arena_done(&t->arena);
	free(t->v);
	free(t);
}

/* ---- copies --------------------------------------------------------------- */

static struct store_match_set copy_set(struct arena *a, const struct store_match_set *from)
{
	struct store_matcher *v = ARENA_ARRAY(a, struct store_matcher, from->n + 1);

	for (size_t i = 0; v && i < from->n; i++) {
		v[i].op = from->v[i].op;
		v[i].name = arena_str(a, from->v[i].name);
		v[i].value = arena_str(a, from->v[i].value);
	}
	return (struct store_match_set){ v, from->n };
}

static void copy(struct tombstones *to, const struct tombstone *from)
{
	struct arena *a = &to->arena;
	struct tombstone *x = &to->v[to->n++];
	struct store_match_set *sets = ARENA_ARRAY(a, struct store_match_set, from->n_sets + 1);

	*x = *from;
	x->org = arena_str(a, from->org);
	for (size_t i = 0; sets && i < from->n_sets; i++)
		sets[i] = copy_set(a, &from->sets[i]);
	x->sets = sets;
	x->enforced = copy_set(a, &from->enforced);
}

struct tombstones *tombstones_changed(const struct tombstones *t, tombstone_keep_f keep,
                                      const void *ctx, const struct tombstone *more)
{
	struct tombstones *to = alloc(more ? t->last + 1 : t->last, t->n + 1);

	if (!to)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		if (!keep || keep(ctx, &t->v[i]))
			copy(to, &t->v[i]);
	}
	if (more) {
		copy(to, more);
		to->v[to->n - 1].number = to->last;
	}
	if (arena_error(&to->arena) < 0) {
		tombstones_unref(to);
		return NULL;
	}
	return to;
}

/* ---- bytes ---------------------------------------------------------------- */

static void put_text(struct buf *out, struct str text)
{
	buf_put_varint(out, text.len);
	buf_put_str(out, text);
}

static void put_set(struct buf *out, const struct store_match_set *set)
{
	buf_put_varint(out, set->n);
	for (size_t i = 0; i < set->n; i++) {
		buf_put_varint(out, set->v[i].op);
		put_text(out, set->v[i].name);
		put_text(out, set->v[i].value);
	}
}

static void put_all(struct buf *out, const struct tombstones *t)
{
	buf_put_varint(out, t->n);
	for (size_t i = 0; i < t->n; i++) {
		const struct tombstone *x = &t->v[i];

		buf_put_varint(out, x->number);
		put_text(out, x->org);
		buf_put_varint(out, zigzag(x->min_ms));
		buf_put_varint(out, zigzag(x->max_ms));
		buf_put_varint(out, zigzag(x->made_ms));
		buf_put_varint(out, x->n_sets);
		for (size_t k = 0; k < x->n_sets; k++)
			put_set(out, &x->sets[k]);
		put_set(out, &x->enforced);
	}
}

static struct store_match_set take_set(struct cursor *c, struct arena *a)
{
	/* A matcher takes three bytes at least. */
	size_t n = (size_t)cursor_upto(c, cursor_left(c) / 3);
	struct store_matcher *v = ARENA_ARRAY(a, struct store_matcher, n + 1);

	for (size_t i = 0; v && i < n && !c->bad; i++) {
		v[i].op = (enum store_match_op)cursor_upto(c, STORE_NRE);
		v[i].name = arena_str(a, cursor_text(c));
		v[i].value = arena_str(a, cursor_text(c));
	}
	return (struct store_match_set){ v, n };
}

static void take(struct cursor *c, struct arena *a, struct tombstone *ret)
{
	ret->number = cursor_varint(c);
	ret->org = arena_str(a, cursor_text(c));
	ret->min_ms = cursor_signed(c);
	ret->max_ms = cursor_signed(c);
	ret->made_ms = cursor_signed(c);
	ret->n_sets = (size_t)cursor_upto(c, cursor_left(c));
	struct store_match_set *sets = ARENA_ARRAY(a, struct store_match_set, ret->n_sets + 1);

	for (size_t i = 0; sets && i < ret->n_sets && !c->bad; i++)
		sets[i] = take_set(c, a);
	ret->sets = sets;
	ret->enforced = take_set(c, a);
}

/* Numbers ascend; what a delete that was never acknowledged left is above @last. */
static int take_all(struct cursor *c, uint64_t last, struct tombstones **ret)
{
	size_t n = (size_t)cursor_upto(c, cursor_left(c) / 8);
	struct tombstones *t = alloc(last, n);
	uint64_t before = 0;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < n && !c->bad; i++) {
		struct tombstone *x = &t->v[t->n];

		take(c, &t->arena, x);
		if (x->number <= before || !store_org_is_valid(x->org))
			cursor_spoil(c);
		before = x->number;
		t->n += x->number <= last;
	}
	int r = arena_error(&t->arena);

	if (r == 0 && !cursor_at_end(c))
		r = -EBADMSG;
	if (r < 0) {
		tombstones_unref(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tombstones_parse(struct str bytes, uint64_t last, struct tombstones **ret, struct err *e)
{
	uint32_t version, crc;
	int r;

	if (bytes.len < HEAD_BYTES || memcmp(bytes.p, MARK, 8) != 0)
		return err_set(e, -EBADMSG, "tombstones: the file is damaged");
	memcpy(&version, bytes.p + 8, 4);
	memcpy(&crc, bytes.p + 12, 4);
	if (version > VERSION)
		return err_set(e, -EPROTO, "tombstones: version %u; this program reads version %u",
		               version, VERSION);
	if (crc != crc32c(crc32c(0, bytes.p, 12), bytes.p + HEAD_BYTES, bytes.len - HEAD_BYTES))
		return err_set(e, -EBADMSG, "tombstones: the checksum is wrong");
	struct cursor c = cursor_of(str_skip(bytes, HEAD_BYTES));

	r = take_all(&c, last, ret);
	return r < 0 ? err_set(e, r, "tombstones: %s",
	                       r == -EBADMSG ? "the file is damaged" : strerror(-r))
	             : 0;
}

/* ---- file ----------------------------------------------------------------- */

int tombstones_read(const char *dir, uint64_t last, struct tombstones **ret, struct err *e)
{
	_cleanup_(buf_done) struct buf bytes = BUF_INIT;
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/tombstones", dir);
	r = vfs()->read(path, &bytes, BYTES_MAX);
	if (r == -ENOENT) {
		*ret = tombstones_new(last);
		return *ret ? 0 : -ENOMEM;
	}
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r))
	             : tombstones_parse(buf_str(&bytes), last, ret, e);
}

static int write_new(const char *path, const struct tombstones *t)
{
	uint8_t head[HEAD_BYTES] = MARK;
	uint32_t version = VERSION, crc;
	struct outfile f;
	int r;

	(void)vfs()->unlink(path); /* what an interrupted try left */
	r = outfile_create(&f, path);
	if (r == 0) {
		buf_put(&f.buf, head, sizeof(head));
		put_all(&f.buf, t);
		r = f.buf.err;
	}
	if (r == 0 && f.buf.len > BYTES_MAX)
		r = -ENOSPC;
	if (r == 0) {
		memcpy(f.buf.p + 8, &version, 4);
		crc = crc32c(crc32c(0, f.buf.p, 12), f.buf.p + HEAD_BYTES, f.buf.len - HEAD_BYTES);
		memcpy(f.buf.p + 12, &crc, 4);
		r = outfile_finish(&f);
	}
	outfile_done(&f);
	return r;
}

int tombstones_write(const char *dir, const struct tombstones *t)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/tombstones", dir);
	(void)snprintf(fresh, sizeof(fresh), "%s/tombstones.new", dir);
	r = write_new(fresh, t);
	if (r == 0)
		r = vfs()->rename(fresh, path);
	return r == 0 ? vfs()->sync_dir(dir) : r;
}
