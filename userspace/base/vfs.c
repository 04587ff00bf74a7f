/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/vfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "userspace/base/err.h"
#include "userspace/base/file.h"

static int posix_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	return fd < 0 ? neg_errno() : fd;
}

static int posix_close(int fd)
{
	return close(fd) < 0 ? neg_errno() : 0;
}

static int posix_write_at(int fd, uint64_t at, const void *p, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = pwrite(fd, p, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		p = (const char *)p + n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int posix_read_at(int fd, uint64_t at, size_t bytes, struct buf *out)
{
	char *dst = buf_reserve(out, bytes);

	if (!dst)
		return out->err;
	while (bytes > 0) {
		ssize_t n = pread(fd, dst, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			break;
		dst += n;
		out->len += (size_t)n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int posix_sync(int fd)
{
	return fdatasync(fd) < 0 ? neg_errno() : 0;
}

static int posix_truncate(int fd, uint64_t bytes)
{
	return ftruncate(fd, (off_t)bytes) < 0 ? neg_errno() : 0;
}

static int posix_unlink(const char *path)
{
	return unlink(path) < 0 ? neg_errno() : 0;
}

static int posix_size(int fd, uint64_t *ret_bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return neg_errno();
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int posix_rename(const char *from, const char *to)
{
	return rename(from, to) < 0 ? neg_errno() : 0;
}

static int posix_link(const char *from, const char *to)
{
	return link(from, to) < 0 ? neg_errno() : 0;
}

static int posix_room(const char *path, uint64_t *ret_free)
{
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return neg_errno();
	*ret_free = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

static int posix_lock(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	if (fd < 0)
		return neg_errno();
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : neg_errno();
	int locked = fd;

	fd = -1;
	return locked;
}

static int posix_rmdir(const char *path)
{
	return rmdir(path) < 0 ? neg_errno() : 0;
}

static int posix_mkdir(const char *path)
{
	return file_mkdirs(path, 0750);
}

static int posix_sync_dir(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? neg_errno() : 0;
}

static int posix_list(const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return neg_errno();
	while (r == 0 && (entry = readdir(dir)) != NULL)
		r = each(ctx, entry->d_name);
	(void)closedir(dir);
	return r;
}

const struct vfs vfs_posix = {
	.open = posix_open,
	.close = posix_close,
	.write = file_write_fd,
	.write_at = posix_write_at,
	.read_at = posix_read_at,
	.sync = posix_sync,
	.truncate = posix_truncate,
	.size = posix_size,
	.unlink = posix_unlink,
	.rename = posix_rename,
	.link = posix_link,
	.room = posix_room,
	.mkdir = posix_mkdir,
	.lock = posix_lock,
	.rmdir = posix_rmdir,
	.sync_dir = posix_sync_dir,
	.read = file_read,
	.list = posix_list,
};

static const struct vfs *current = &vfs_posix;

const struct vfs *vfs(void)
{
	return current;
}

void vfs_set(const struct vfs *v)
{
	current = v ? v : &vfs_posix;
}
