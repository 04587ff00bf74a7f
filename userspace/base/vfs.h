/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Every file operation of what must survive a crash (the store, the host's disk queue) goes through
 * this table, so that a test can fail, tear or forget any one of them. Calls return 0 (or a
 * descriptor, or a count) and never leave errno to the caller: a failure is a negative errno.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/buf.h"

struct vfs {
	int (*open)(const char *path, int flags, mode_t mode); /* O_CLOEXEC is added */
	int (*close)(int fd);
	int (*write)(int fd, const void *p, size_t bytes); /* all of it, at the end of the file */
	int (*write_at)(int fd, uint64_t at, const void *p, size_t bytes); /* all of it */
	/* Appends at most @bytes of the file from @at on to @out; fewer at the file's end. */
	int (*read_at)(int fd, uint64_t at, size_t bytes, struct buf *out);
	int (*sync)(int fd); /* fdatasync */
	int (*truncate)(int fd, uint64_t bytes);
	int (*size)(int fd, uint64_t *ret_bytes);
	int (*unlink)(const char *path);
	int (*rename)(const char *from, const char *to);   /* over @to, if that is there */
	int (*link)(const char *from, const char *to);     /* a second name of one file */
	int (*room)(const char *path, uint64_t *ret_free); /* bytes that may still be written */
	int (*mkdir)(const char *path);                    /* 0 when it is there already */
	int (*lock)(const char *path);     /* a descriptor of the file, made when missing; -EBUSY */
	int (*rmdir)(const char *path);    /* an empty folder */
	int (*sync_dir)(const char *path); /* makes creations and removals in it durable */
	int (*read)(const char *path, struct buf *out, size_t max_bytes); /* the whole file */
	int (*list)(const char *path, int (*each)(void *ctx, const char *name), void *ctx);
};

extern const struct vfs vfs_posix;

/* The table in use. Tests replace it; NULL restores the real one. Not while a file is open. */
const struct vfs *vfs(void);
void vfs_set(const struct vfs *v);
