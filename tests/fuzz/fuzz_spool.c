/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file of a disk queue made of any bytes: opening it takes no more than it has, whatever is taken
 * out of it has the checksum that its header says, and settling all of it empties the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"
#include "userspace/host/delivery/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Two files, the input cut in two; what is written goes nowhere. */
static struct {
	const uint8_t *p;
	size_t bytes;
} files[2];

static int fuzz_open(const char *path, int flags, mode_t mode)
{
	(void)mode;
	if (flags & O_CREAT)
		return -ENOSPC;
	return strstr(path, "1.seg") ? 100 : 101;
}

static int fuzz_close(int fd)
{
	(void)fd;
	return 0;
}

static int fuzz_read_at(int fd, uint64_t at, size_t bytes, struct buf *out)
{
	size_t have = files[fd - 100].bytes;

	if (at < have)
		buf_put(out, files[fd - 100].p + at, MIN(bytes, have - (size_t)at));
	return out->err;
}

static int fuzz_write_at(int fd, uint64_t at, const void *p, size_t bytes)
{
	(void)fd;
	(void)at;
	(void)p;
	(void)bytes;
	return 0;
}

static int fuzz_truncate(int fd, uint64_t bytes)
{
	(void)fd;
	(void)bytes;
	return 0;
}

static int fuzz_path(const char *path)
{
	(void)path;
	return 0;
}

static int fuzz_list(const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	int r = each(ctx, "0000000000000001.seg");

	(void)path;
	return r < 0 ? r : each(ctx, "0000000000000002.seg");
}

static const struct vfs fuzz_vfs = {
	.open = fuzz_open,
	.close = fuzz_close,
	.write_at = fuzz_write_at,
	.read_at = fuzz_read_at,
	.truncate = fuzz_truncate,
	.unlink = fuzz_path,
	.mkdir = fuzz_path,
	.sync_dir = fuzz_path,
	.list = fuzz_list,
};

static void drain(struct spool *s, size_t bytes)
{
	const struct spool_want all = { INT64_MAX, true };
	_cleanup_(buf_done) struct buf payload = BUF_INIT;
	struct spool_stats stats;
	struct spool_item item;
	uint64_t n = 0;

	while (spool_take(s, &all, &item, &payload) == 0) {
		if (payload.len > bytes || ++n > bytes)
			abort();
		spool_settle(s, &item);
	}
	spool_stats(s, &stats);
	if (stats.n_blocks != 0 || stats.n_samples != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct spool_limits limits = { .bytes_max = 1 << 30, .memory_bytes_max = 1 << 20 };
	static struct drops drops;
	struct spool *s = NULL;
	size_t half = bytes > 0 ? data[0] * bytes / 256 : 0;

	log_set_level(LOG_ERROR_LEVEL);
	files[0].p = data;
	files[0].bytes = half;
	files[1].p = data + half;
	files[1].bytes = bytes - half;
	vfs_set(&fuzz_vfs);
	if (spool_open(&s, "/q", &limits, &drops, NULL) == 0)
		drain(s, bytes);
	spool_close(s);
	vfs_set(NULL);
	return 0;
}
