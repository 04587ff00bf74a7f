/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Whole-file helpers: short reads and EINTR are handled here and nowhere else. Descriptors are
 * O_CLOEXEC from birth. What must survive a crash goes through base/vfs.h, because tests fail those
 * calls.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "userspace/base/buf.h"

/*
 * Appends the rest of @fd to @b, at most @max_bytes: -EFBIG above. For /proc too (no size
 * there).
 */
int file_read_fd(int fd, struct buf *b, size_t max_bytes);
int file_read_at(int dirfd, const char *path, struct buf *b, size_t max_bytes);
int file_read(const char *path, struct buf *b, size_t max_bytes);

/*
 * The same of a path that somebody else chose: never waits for a FIFO, and is -EINVAL for what is
 * not a regular file.
 */
int file_read_regular_at(int dirfd, const char *path, struct buf *b, size_t max_bytes);

int file_write_fd(int fd, const void *p, size_t bytes);

/*
 * Write-new, fsync, rename, fsync of the folder: a reader sees the old or the new file, never less.
 * What is there and is no file, like a device, is not replaced but written to.
 */
int file_replace(const char *path, const void *p, size_t bytes, mode_t mode);
/* The same without waiting for the disk: for what need not outlive the machine's next boot. */
int file_replace_lazily(const char *path, const void *p, size_t bytes, mode_t mode);

/* mkdir -p with @mode for what is missing; 0 when it is there already. */
int file_mkdirs(const char *path, mode_t mode);
