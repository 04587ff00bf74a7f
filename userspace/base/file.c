/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/base/err.h"
#include "userspace/base/util.h"

#define READ_BYTES ((size_t)64 << 10)

int file_read_fd(int fd, struct buf *b, size_t max_bytes)
{
	size_t start = b->len;

	for (;;) {
		size_t left = max_bytes - (b->len - start);
		/* One byte more than allowed, to tell "full" from "too large". */
		void *dst = buf_reserve(b, MIN(left + 1, READ_BYTES));

		if (!dst)
			return b->err;
		ssize_t n = read(fd, dst, MIN(left + 1, READ_BYTES));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			return 0;
		if ((size_t)n > left)
			return -EFBIG;
		b->len += (size_t)n;
	}
}

int file_read_at(int dirfd, const char *path, struct buf *b, size_t max_bytes)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? neg_errno() : file_read_fd(fd, b, max_bytes);
}

int file_read(const char *path, struct buf *b, size_t max_bytes)
{
	return file_read_at(AT_FDCWD, path, b, max_bytes);
}

int file_read_regular_at(int dirfd, const char *path, struct buf *b, size_t max_bytes)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return neg_errno();
	return S_ISREG(st.st_mode) ? file_read_fd(fd, b, max_bytes) : -EINVAL;
}

int file_write_fd(int fd, const void *p, size_t bytes)
{
	const char *at = p;

	while (bytes > 0) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int fsync_folder_of(const char *path)
{
	char copy[PATH_MAX];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	_cleanup_close_ int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? neg_errno() : 0;
}

static int write_new(const char *path, const void *p, size_t bytes, mode_t mode, bool sync)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	int r = fd < 0 ? neg_errno() : file_write_fd(fd, p, bytes);

	if (r == 0 && sync && fsync(fd) < 0)
		r = neg_errno();
	return r;
}

/* Into what is no file: a terminal, /dev/null, a pipe, but only if somebody reads it. */
static int write_in_place(const char *path, const void *p, size_t bytes)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
		return neg_errno();
	return file_write_fd(fd, p, bytes);
}

static int replace(const char *path, const void *p, size_t bytes, mode_t mode, bool sync)
{
	char tmp[PATH_MAX];
	struct stat st;
	int r;

	/* As root the rename would go well, and take /dev/null away from everybody. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return write_in_place(path, p, bytes);
	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	r = write_new(tmp, p, bytes, mode, sync);
	if (r == 0 && rename(tmp, path) < 0)
		r = neg_errno();
	if (r < 0) {
		(void)unlink(tmp);
		return r;
	}
	return sync ? fsync_folder_of(path) : 0;
}

int file_replace(const char *path, const void *p, size_t bytes, mode_t mode)
{
	return replace(path, p, bytes, mode, true);
}

int file_replace_lazily(const char *path, const void *p, size_t bytes, mode_t mode)
{
	return replace(path, p, bytes, mode, false);
}

static int mkdir_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return neg_errno();
	if (stat(path, &st) < 0)
		return neg_errno();
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path, mode_t mode)
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = mkdir_one(copy, mode);

		*slash = '/';
		if (r < 0)
			return r;
	}
	return mkdir_one(copy, mode);
}
