/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A disk in memory behind base/vfs.h that forgets what was not synced. Between two syncs it keeps
 * the writes apart, and a power cut applies each of them wholly, in part, or not at all, in any
 * combination; names that came, went or changed without a sync of their folder may do so or not,
 * each for itself (but a renaming is one thing). A folder whose own name was not synced takes all
 * that is in it along. It can also fail its n-th operation, or be full.
 *
 * Folders directly under the root are durable at once: what made them is not under test.
 *
 * Single-threaded, like the tests that use it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "userspace/base/buf.h"
#include "userspace/base/vfs.h"

#define SIMFS_FILES_MAX   512
#define SIMFS_FDS_MAX     256
#define SIMFS_CHANGES_MAX 1024
#define SIMFS_PATH_MAX    128

struct simfs_op { /* a write that is not synced */
	uint64_t at;
	struct buf data;
};

struct simfs_file {
	struct buf now, durable;
	struct simfs_op *ops;
	size_t n_ops, ops_cap;
};

struct simfs_name {
	char path[SIMFS_PATH_MAX];
	struct simfs_file *file; /* NULL = a folder */
};

struct simfs_names {
	struct simfs_name v[SIMFS_FILES_MAX];
	size_t n;
};

struct simfs_change { /* of names, not synced: @from goes, @to comes, or both */
	char from[SIMFS_PATH_MAX], to[SIMFS_PATH_MAX];
	struct simfs_file *file;
};

static struct simfs {
	struct simfs_file *files[SIMFS_FILES_MAX];
	struct simfs_file *fds[SIMFS_FDS_MAX];
	struct simfs_names now, durable;
	struct simfs_change changes[SIMFS_CHANGES_MAX];
	size_t n_changes;
	uint64_t bytes_max; /* 0 = any; above it writes fail with -ENOSPC, after what fits */
	/* The n-th operation that changes something, from now on; 0 = none. */
	unsigned long fail_at;
	int fail_code;
	unsigned long off_at; /* when so many operations are done the machine goes off; 0 = never */
	unsigned long n_operations;
	bool is_off; /* a machine that is off: nothing works until simfs_boot() */
} simfs;

/* The code of the failure that is due, or 0. */
static inline int simfs_fails(void)
{
	if (simfs.off_at > 0 && simfs.n_operations >= simfs.off_at)
		simfs.is_off = true;
	if (simfs.is_off)
		return -EIO;
	simfs.n_operations++;
	return simfs.fail_at > 0 && --simfs.fail_at == 0 ? simfs.fail_code : 0;
}

/* ---- names ---------------------------------------------------------------- */

static inline struct simfs_name *simfs_find(struct simfs_names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->v[i].path, path) == 0)
			return &names->v[i];
	}
	return NULL;
}

static inline void simfs_copy_path(char *dst, const char *src)
{
	size_t n = strlen(src) + 1;

	assert_true(n <= SIMFS_PATH_MAX);
	memmove(dst, src, n);
}

static inline bool simfs_is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static inline void simfs_remove_name(struct simfs_names *names, const char *path)
{
	struct simfs_name *name = simfs_find(names, path);

	if (name)
		*name = names->v[--names->n];
}

static inline void simfs_put_name(struct simfs_names *names, const char *path,
                                  struct simfs_file *file)
{
	simfs_remove_name(names, path);
	assert_true(names->n < SIMFS_FILES_MAX);
	names->v[names->n].file = file;
	simfs_copy_path(names->v[names->n++].path, path);
}

static inline void simfs_apply_change(struct simfs_names *names, const struct simfs_change *c)
{
	if (c->from[0])
		simfs_remove_name(names, c->from);
	if (c->to[0])
		simfs_put_name(names, c->to, c->file);
}

static inline void simfs_change(const char *from, const char *to, struct simfs_file *file)
{
	assert_true(simfs.n_changes < SIMFS_CHANGES_MAX);
	struct simfs_change *c = &simfs.changes[simfs.n_changes++];

	c->file = file;
	simfs_copy_path(c->from, from);
	simfs_copy_path(c->to, to);
	simfs_apply_change(&simfs.now, c);
}

/* ---- files ---------------------------------------------------------------- */

static inline uint64_t simfs_used(void)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < simfs.now.n; i++)
		bytes += simfs.now.v[i].file ? simfs.now.v[i].file->now.len : 0;
	return bytes;
}

static inline void simfs_forget_ops(struct simfs_file *f)
{
	for (size_t i = 0; i < f->n_ops; i++)
		buf_done(&f->ops[i].data);
	f->n_ops = 0;
}

static inline void simfs_delete(struct simfs_file **f)
{
	simfs_forget_ops(*f);
	free((*f)->ops);
	buf_done(&(*f)->now);
	buf_done(&(*f)->durable);
	free(*f);
	*f = NULL;
}

static inline bool simfs_has_file(const struct simfs_names *names, const struct simfs_file *f)
{
	for (size_t i = 0; i < names->n; i++) {
		if (names->v[i].file == f)
			return true;
	}
	return false;
}

static inline bool simfs_is_open(const struct simfs_file *f)
{
	for (size_t i = 0; i < SIMFS_FDS_MAX; i++) {
		if (simfs.fds[i] == f)
			return true;
	}
	return false;
}

static inline bool simfs_is_pending(const struct simfs_file *f)
{
	for (size_t i = 0; i < simfs.n_changes; i++) {
		if (simfs.changes[i].file == f)
			return true;
	}
	return false;
}

/* Files that nothing leads to any more. */
static inline void simfs_sweep(void)
{
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		struct simfs_file *f = simfs.files[i];

		if (f && !simfs_has_file(&simfs.now, f) && !simfs_has_file(&simfs.durable, f) &&
		    !simfs_is_open(f) && !simfs_is_pending(f))
			simfs_delete(&simfs.files[i]);
	}
}

static inline struct simfs_file *simfs_create(void)
{
	for (int tries = 0; tries < 2; tries++, simfs_sweep()) {
		for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
			if (simfs.files[i])
				continue;
			simfs.files[i] = calloc(1, sizeof(struct simfs_file));
			assert_non_null(simfs.files[i]);
			return simfs.files[i];
		}
	}
	fail_msg("simfs: too many files");
	return NULL;
}

static inline int simfs_descriptor(struct simfs_file *f)
{
	for (int fd = 0; fd < SIMFS_FDS_MAX; fd++) {
		if (!simfs.fds[fd]) {
			simfs.fds[fd] = f;
			return fd + 1000;
		}
	}
	fail_msg("simfs: too many descriptors");
	return -EMFILE;
}

static inline int simfs_open(const char *path, int flags, mode_t mode)
{
	struct simfs_name *name = simfs_find(&simfs.now, path);

	(void)mode;
	if (flags & O_CREAT) {
		int r = simfs_fails();

		if (r < 0)
			return r;
		if (name)
			return -EEXIST;
		simfs_change("", path, simfs_create());
		name = simfs_find(&simfs.now, path);
	}
	if (!name || !name->file || simfs.is_off)
		return -ENOENT;
	return simfs_descriptor(name->file);
}

static inline int simfs_close(int fd)
{
	assert_true(simfs.is_off || simfs.fds[fd - 1000]);
	simfs.fds[fd - 1000] = NULL;
	return 0;
}

static inline int simfs_lock(const char *path)
{
	if (simfs.is_off)
		return -EIO;
	if (!simfs_find(&simfs.now, path))
		simfs_change("", path, simfs_create());
	return simfs_descriptor(simfs_find(&simfs.now, path)->file);
}

/* The disk itself is never out of memory, when a test makes allocations fail. */
static inline void simfs_apply(struct buf *to, uint64_t at, const void *p, size_t bytes)
{
	if (to->cap < at + bytes) {
		to->cap = (at + bytes) * 2;
		to->p = realloc(to->p, to->cap);
		assert_non_null(to->p);
	}
	if (to->len < at + bytes) {
		memset(to->p + to->len, 0, at + bytes - to->len);
		to->len = at + bytes;
	}
	if (bytes > 0)
		memcpy(to->p + at, p, bytes);
}

static inline void simfs_copy(struct buf *to, const struct buf *from)
{
	to->len = 0;
	simfs_apply(to, 0, from->p, from->len);
}

static inline void simfs_note_op(struct simfs_file *f, uint64_t at, const void *p, size_t bytes)
{
	if (f->n_ops == f->ops_cap) {
		f->ops_cap = f->ops_cap ? f->ops_cap * 2 : 8;
		f->ops = realloc(f->ops, f->ops_cap * sizeof(*f->ops));
		assert_non_null(f->ops);
	}
	f->ops[f->n_ops] = (struct simfs_op){ .at = at };
	simfs_apply(&f->ops[f->n_ops++].data, 0, p, bytes);
}

static inline int simfs_write_at(int fd, uint64_t at, const void *p, size_t bytes)
{
	struct simfs_file *f = simfs.fds[fd - 1000];
	uint64_t used = simfs.bytes_max > 0 ? simfs_used() : 0, room = UINT64_MAX;
	int r = simfs_fails();

	if (simfs.is_off)
		return r;
	if (r < 0)
		bytes /= 2; /* some of it is there all the same */
	if (simfs.bytes_max > 0 && at + bytes > f->now.len)
		room = simfs.bytes_max > used ? simfs.bytes_max - used : 0;
	if (at + bytes > f->now.len && at + bytes - f->now.len > room) {
		bytes = (size_t)room;
		r = -ENOSPC;
	}
	simfs_apply(&f->now, at, p, bytes);
	simfs_note_op(f, at, p, bytes);
	return r;
}

static inline int simfs_write(int fd, const void *p, size_t bytes)
{
	const struct simfs_file *f = simfs.fds[fd - 1000];

	return simfs_write_at(fd, f ? f->now.len : 0, p, bytes);
}

static inline int simfs_read_at(int fd, uint64_t at, size_t bytes, struct buf *out)
{
	const struct simfs_file *f = simfs.fds[fd - 1000];

	if (simfs.is_off)
		return -EIO;
	if (at < f->now.len)
		buf_put(out, f->now.p + at, MIN(bytes, f->now.len - (size_t)at));
	return out->err;
}

static inline int simfs_read(const char *path, struct buf *out, size_t max_bytes)
{
	struct simfs_name *name = simfs_find(&simfs.now, path);

	if (simfs.is_off || !name || !name->file)
		return simfs.is_off ? -EIO : -ENOENT;
	if (name->file->now.len > max_bytes)
		return -EFBIG;
	buf_put_str(out, buf_str(&name->file->now));
	return out->err;
}

static inline int simfs_sync(int fd)
{
	struct simfs_file *f = simfs.fds[fd - 1000];
	int r = simfs_fails();

	if (r < 0)
		return r;
	simfs_copy(&f->durable, &f->now);
	simfs_forget_ops(f);
	return 0;
}

static inline int simfs_truncate(int fd, uint64_t bytes)
{
	struct simfs_file *f = simfs.fds[fd - 1000];
	int r = simfs_fails();

	if (r < 0)
		return r;
	f->now.len = MIN(f->now.len, (size_t)bytes);
	f->durable.len = MIN(f->durable.len, (size_t)bytes);
	for (size_t i = 0; i < f->n_ops; i++) {
		size_t keep = f->ops[i].at < bytes ? (size_t)(bytes - f->ops[i].at) : 0;

		f->ops[i].data.len = MIN(f->ops[i].data.len, keep);
	}
	return 0;
}

static inline int simfs_size(int fd, uint64_t *ret_bytes)
{
	if (simfs.is_off)
		return -EIO;
	*ret_bytes = simfs.fds[fd - 1000]->now.len;
	return 0;
}

/* ---- folders -------------------------------------------------------------- */

static inline int simfs_unlink(const char *path)
{
	struct simfs_name *name = simfs_find(&simfs.now, path);
	int r = simfs_fails();

	if (r < 0)
		return r;
	if (!name || !name->file)
		return name ? -EISDIR : -ENOENT;
	simfs_change(path, "", NULL);
	return 0;
}

/* Of files only. */
static inline int simfs_rename(const char *from, const char *to)
{
	struct simfs_name *name = simfs_find(&simfs.now, from);
	int r = simfs_fails();

	if (r < 0)
		return r;
	if (!name)
		return -ENOENT;
	assert_non_null(name->file);
	simfs_change(from, to, name->file);
	return 0;
}

static inline int simfs_mkdir(const char *path)
{
	int r;

	if (simfs_find(&simfs.now, path))
		return simfs.is_off ? -EIO : 0;
	r = simfs_fails();
	if (r < 0)
		return r;
	simfs_change("", path, NULL);
	if (!strchr(path + 1, '/')) {
		simfs.n_changes--;
		simfs_put_name(&simfs.durable, path, NULL);
	}
	return 0;
}

static inline int simfs_rmdir(const char *path)
{
	int r = simfs_fails();

	if (r < 0)
		return r;
	if (!simfs_find(&simfs.now, path))
		return -ENOENT;
	for (size_t i = 0; i < simfs.now.n; i++) {
		if (simfs_is_in(simfs.now.v[i].path, path))
			return -ENOTEMPTY;
	}
	simfs_change(path, "", NULL);
	return 0;
}

static inline int simfs_sync_dir(const char *path)
{
	size_t kept = 0;
	int r = simfs_fails();

	if (r < 0)
		return r;
	for (size_t i = 0; i < simfs.n_changes; i++) {
		const struct simfs_change *c = &simfs.changes[i];

		if (simfs_is_in(c->from[0] ? c->from : c->to, path))
			simfs_apply_change(&simfs.durable, c);
		else
			simfs.changes[kept++] = *c;
	}
	simfs.n_changes = kept;
	return 0;
}

static inline int simfs_list(const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	static struct simfs_names seen; /* @each may remove what it is told of */
	int r = 0;

	if (simfs.is_off)
		return -EIO;
	if (!simfs_find(&simfs.now, path))
		return -ENOENT;
	seen = simfs.now;
	for (size_t i = 0; r == 0 && i < seen.n; i++) {
		if (simfs_is_in(seen.v[i].path, path))
			r = each(ctx, seen.v[i].path + strlen(path) + 1);
	}
	return r;
}

static inline int simfs_room(const char *path, uint64_t *ret_free)
{
	uint64_t used = simfs_used();

	(void)path;
	*ret_free = simfs.bytes_max == 0     ? UINT64_MAX / 2
	            : simfs.bytes_max > used ? simfs.bytes_max - used
	                                     : 0;
	return 0;
}

static const struct vfs simfs_vfs = {
	.open = simfs_open,
	.close = simfs_close,
	.lock = simfs_lock,
	.write = simfs_write,
	.write_at = simfs_write_at,
	.read_at = simfs_read_at,
	.read = simfs_read,
	.sync = simfs_sync,
	.truncate = simfs_truncate,
	.size = simfs_size,
	.unlink = simfs_unlink,
	.rename = simfs_rename,
	.mkdir = simfs_mkdir,
	.rmdir = simfs_rmdir,
	.sync_dir = simfs_sync_dir,
	.list = simfs_list,
	.room = simfs_room,
};

static inline void simfs_clear(void)
{
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		if (simfs.files[i])
			simfs_delete(&simfs.files[i]);
	}
	memset(&simfs, 0, sizeof(simfs));
}

/* ---- the power goes ------------------------------------------------------- */

/* Whole, in part, or not at all; what is between the pieces reads as zeros. */
static inline void simfs_crash_file(struct simfs_file *f, struct rng *rng)
{
	for (size_t i = 0; i < f->n_ops; i++) {
		const struct buf *data = &f->ops[i].data;
		size_t bytes = data->len;

		if (rng_below(rng, 3) == 0)
			continue;
		if (rng_below(rng, 3) == 0)
			bytes = rng_below(rng, (uint32_t)bytes + 1);
		simfs_apply(&f->durable, f->ops[i].at, data->p, bytes);
	}
	simfs_forget_ops(f);
	simfs_copy(&f->now, &f->durable);
}

static inline bool simfs_has_folder(const char *path)
{
	char dir[SIMFS_PATH_MAX];

	simfs_copy_path(dir, path);
	char *slash = strrchr(dir, '/');

	*slash = '\0';
	return slash == dir || (simfs_find(&simfs.durable, dir) && simfs_has_folder(dir));
}

static inline void simfs_remove_lost_names(void)
{
	for (size_t i = 0; i < simfs.durable.n;) {
		if (simfs_has_folder(simfs.durable.v[i].path))
			i++;
		else
			simfs.durable.v[i] = simfs.durable.v[--simfs.durable.n];
	}
}

/*
 * Every descriptor is gone, and so is whatever the disk had not been told to keep. What still runs
 * sees failures until simfs_boot().
 */
static inline void simfs_power_cut(struct rng *rng)
{
	memset(simfs.fds, 0, sizeof(simfs.fds));
	simfs.is_off = true;
	for (size_t i = 0; i < simfs.n_changes; i++) {
		if (rng_below(rng, 2))
			simfs_apply_change(&simfs.durable, &simfs.changes[i]);
	}
	simfs.n_changes = 0;
	simfs_remove_lost_names();
	simfs.now = simfs.durable;
	simfs_sweep();
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		if (simfs.files[i])
			simfs_crash_file(simfs.files[i], rng);
	}
}

/* kill -9: descriptors are gone, every write is there. */
static inline void simfs_kill(void)
{
	memset(simfs.fds, 0, sizeof(simfs.fds));
	simfs.is_off = true;
}

static inline void simfs_boot(void)
{
	simfs.off_at = 0;
	simfs.is_off = false;
}
