/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A disk in memory behind base/vfs.h that forgets what was not synced. Between two syncs it keeps
 * the writes apart, and a power cut applies each of them wholly, in part, or not at all, in any
 * combination; names that came or went without a sync of their folder may do so or not. It can also
 * fail its n-th operation, or be full.
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

#define SIMFS_FILES_MAX 256
#define SIMFS_FDS_MAX   64
#define SIMFS_OPS_MAX   1024

struct simfs_op { /* a write that is not synced */
	uint64_t at;
	struct buf data;
};

struct simfs_file {
	char path[256];
	struct buf now, durable;
	struct simfs_op ops[SIMFS_OPS_MAX];
	size_t n_ops;
	bool is_there, was_there; /* now; as of the folder's last sync */
};

static struct simfs {
	struct simfs_file *files[SIMFS_FILES_MAX];
	struct simfs_file *fds[SIMFS_FDS_MAX];
	uint64_t bytes_max; /* 0 = any; above it writes fail with -ENOSPC, after what fits */
	unsigned long
		fail_at; /* the n-th operation that changes something, from now on; 0 = none */
	int fail_code;
	unsigned long n_operations;
	bool is_off; /* a machine that is off: nothing works until simfs_boot() */
} simfs;

/* The code of the failure that is due, or 0. */
static inline int simfs_fails(void)
{
	if (simfs.is_off)
		return -EIO;
	simfs.n_operations++;
	return simfs.fail_at > 0 && --simfs.fail_at == 0 ? simfs.fail_code : 0;
}

static inline struct simfs_file *simfs_find(const char *path)
{
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		if (simfs.files[i] && strcmp(simfs.files[i]->path, path) == 0)
			return simfs.files[i];
	}
	return NULL;
}

static inline uint64_t simfs_used(void)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < SIMFS_FILES_MAX; i++)
		bytes += simfs.files[i] && simfs.files[i]->is_there ? simfs.files[i]->now.len : 0;
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
	buf_done(&(*f)->now);
	buf_done(&(*f)->durable);
	free(*f);
	*f = NULL;
}

static inline struct simfs_file *simfs_create(const char *path)
{
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		if (!simfs.files[i]) {
			simfs.files[i] = calloc(1, sizeof(struct simfs_file));
			assert_non_null(simfs.files[i]);
			(void)snprintf(simfs.files[i]->path, 256, "%s", path);
			return simfs.files[i];
		}
	}
	fail_msg("simfs: too many files");
	return NULL;
}

static inline int simfs_open(const char *path, int flags, mode_t mode)
{
	struct simfs_file *f = simfs_find(path);

	(void)mode;
	if (flags & O_CREAT) {
		int r = simfs_fails();

		if (r < 0)
			return r;
		if (f && f->is_there)
			return -EEXIST;
		if (!f)
			f = simfs_create(path);
		buf_clear(&f->now);
		simfs_forget_ops(f);
		f->is_there = true;
	}
	if (!f || !f->is_there || simfs.is_off)
		return -ENOENT;
	for (int fd = 0; fd < SIMFS_FDS_MAX; fd++) {
		if (!simfs.fds[fd]) {
			simfs.fds[fd] = f;
			return fd + 1000;
		}
	}
	return -EMFILE;
}

static inline int simfs_close(int fd)
{
	assert_true(simfs.is_off || simfs.fds[fd - 1000]);
	simfs.fds[fd - 1000] = NULL;
	return 0;
}

static inline void simfs_apply(struct buf *to, uint64_t at, const void *p, size_t bytes)
{
	if (to->len < at + bytes) {
		void *more = buf_reserve(to, at + bytes - to->len);

		assert_non_null(more);
		memset(more, 0, at + bytes - to->len);
		to->len = at + bytes;
	}
	if (bytes > 0)
		memcpy(to->p + at, p, bytes);
}

static inline int simfs_write_at(int fd, uint64_t at, const void *p, size_t bytes)
{
	struct simfs_file *f = simfs.fds[fd - 1000];
	uint64_t used = simfs_used(), room = UINT64_MAX;
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
	assert_true(f->n_ops < SIMFS_OPS_MAX);
	simfs_apply(&f->now, at, p, bytes);
	f->ops[f->n_ops] = (struct simfs_op){ .at = at };
	buf_put(&f->ops[f->n_ops++].data, p, bytes);
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

	if (at < f->now.len)
		buf_put(out, f->now.p + at, MIN(bytes, f->now.len - (size_t)at));
	return out->err;
}

static inline int simfs_sync(int fd)
{
	struct simfs_file *f = simfs.fds[fd - 1000];
	int r = simfs_fails();

	if (r < 0)
		return r;
	buf_clear(&f->durable);
	buf_put_str(&f->durable, buf_str(&f->now));
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

static inline int simfs_unlink(const char *path)
{
	struct simfs_file *f = simfs_find(path);
	int r = simfs_fails();

	if (r < 0)
		return r;
	if (!f || !f->is_there)
		return -ENOENT;
	f->is_there = false;
	return 0;
}

static inline int simfs_mkdir(const char *path)
{
	(void)path;
	return 0;
}

static inline int simfs_sync_dir(const char *path)
{
	int r = simfs_fails();

	if (r < 0)
		return r;
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		struct simfs_file *f = simfs.files[i];

		if (f && strncmp(f->path, path, strlen(path)) == 0)
			f->was_there = f->is_there;
	}
	return 0;
}

static inline int simfs_list(const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	size_t skip = strlen(path) + 1;
	int r = 0;

	for (size_t i = 0; r == 0 && i < SIMFS_FILES_MAX; i++) {
		if (simfs.files[i] && simfs.files[i]->is_there)
			r = each(ctx, simfs.files[i]->path + skip);
	}
	return r;
}

static const struct vfs simfs_vfs = {
	.open = simfs_open,
	.close = simfs_close,
	.write = simfs_write,
	.write_at = simfs_write_at,
	.read_at = simfs_read_at,
	.sync = simfs_sync,
	.truncate = simfs_truncate,
	.unlink = simfs_unlink,
	.mkdir = simfs_mkdir,
	.sync_dir = simfs_sync_dir,
	.list = simfs_list,
};

static inline void simfs_clear(void)
{
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		if (simfs.files[i])
			simfs_delete(&simfs.files[i]);
	}
	memset(&simfs, 0, sizeof(simfs));
}

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
	buf_clear(&f->now);
	buf_put_str(&f->now, buf_str(&f->durable));
}

/*
 * The power goes: every descriptor is gone, and so is whatever the disk had not been told to keep.
 * What still runs sees failures until simfs_boot().
 */
static inline void simfs_power_cut(struct rng *rng)
{
	memset(simfs.fds, 0, sizeof(simfs.fds));
	simfs.is_off = true;
	for (size_t i = 0; i < SIMFS_FILES_MAX; i++) {
		struct simfs_file *f = simfs.files[i];

		if (!f)
			continue;
		if (f->is_there != f->was_there && rng_below(rng, 2))
			f->is_there = f->was_there;
		f->was_there = f->is_there;
		if (!f->is_there)
			simfs_delete(&simfs.files[i]);
		else
			simfs_crash_file(f, rng);
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
	simfs.is_off = false;
}
