/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/file_watch.h"

#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB)

/* The folder that @path is, or is in. */
static void put_folder(const char *path, struct buf *out)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		buf_puts(out, path);
	else if (slash)
		buf_put(out, path, (size_t)(slash - path + 1));
	else
		buf_puts(out, ".");
}

int file_watch_open(const char *path)
{
	_cleanup_(buf_done) struct buf folder = BUF_INIT;
	_cleanup_close_ int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int r;

	if (fd < 0)
		return neg_errno();
	put_folder(path, &folder);
	if (inotify_add_watch(fd, buf_cstr(&folder), EVENTS) < 0)
		return neg_errno();
	r = fd;
	fd = -1;
	return r;
}

bool file_watch_drain(int fd)
{
	char events[4096];
	bool any = false;

	while (read(fd, events, sizeof(events)) > 0)
		any = true;
	return any;
}
