/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source diskstats: the eleven counters of each VM disk's backing block device, from one read of
 * /proc/diskstats a tick. A disk that is a plain image file has no device of its own and no
 * series here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/host/batch.h"
#include "userspace/host/diskstats.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"

#define FILE_BYTES_MAX ((size_t)16 << 20)

static const enum series_id ids[DISKSTATS_FIELDS] = {
	FLY_INSTANCE_DISK_READS_COMPLETED,  FLY_INSTANCE_DISK_READS_MERGED,
	FLY_INSTANCE_DISK_SECTORS_READ,     FLY_INSTANCE_DISK_TIME_READING,
	FLY_INSTANCE_DISK_WRITES_COMPLETED, FLY_INSTANCE_DISK_WRITES_MERGED,
	FLY_INSTANCE_DISK_SECTORS_WRITTEN,  FLY_INSTANCE_DISK_TIME_WRITING,
	FLY_INSTANCE_DISK_IO_IN_PROGRESS,   FLY_INSTANCE_DISK_TIME_IO,
	FLY_INSTANCE_DISK_TIME_IO_WEIGHTED,
};

/* A disk of a VM; the array is kept in order of the device, for the look-up of each line. */
struct disk_slot {
	const struct vm *vm; /* borrowed */
	uint32_t disk;
	bool seen;
	struct diskstats stats;
};

struct source {
	int fd; /* kept open: a read at 0 gives fresh numbers */
	struct buf text;
	struct disk_slot **disks;
	size_t n_disks, disks_cap;
};

static void diskstats_free(struct source *src)
{
	if (!src)
		return;
	for (size_t i = 0; i < src->n_disks; i++)
		free(src->disks[i]);
	free(src->disks);
	buf_done(&src->text);
	if (src->fd >= 0)
		(void)close(src->fd);
	free(src);
}

static int diskstats_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));

	(void)conf;
	if (!src)
		return -ENOMEM;
	src->fd = open("/proc/diskstats", O_RDONLY | O_CLOEXEC);
	if (src->fd < 0) {
		int r = err_set(e, neg_errno(), "diskstats: /proc/diskstats: %s", strerror(errno));

		diskstats_free(src);
		return r;
	}
	*ret_src = src;
	return 0;
}

static dev_t dev_of(const struct disk_slot *d)
{
	return d->vm->disks[d->disk].dev;
}

static int cmp_disk(const void *a, const void *b)
{
	dev_t x = dev_of(*(struct disk_slot *const *)a), y = dev_of(*(struct disk_slot *const *)b);

	return x < y ? -1 : x > y;
}

static int add_disk(struct source *src, const struct vm *vm, uint32_t disk)
{
	struct disk_slot *d = mem_zalloc(1, sizeof(*d));

	if (!d || MEM_GROW(src->disks, src->disks_cap, src->n_disks + 1) < 0) {
		free(d);
		return -ENOMEM;
	}
	d->vm = vm;
	d->disk = disk;
	src->disks[src->n_disks++] = d;
	return 0;
}

static int diskstats_vm_added(struct source *src, const struct vm *vm)
{
	int r = 0;

	for (uint32_t i = 0; i < vm->n_disks && r == 0; i++) {
		if (vm->disks[i].dev != 0)
			r = add_disk(src, vm, i);
	}
	qsort(src->disks, src->n_disks, sizeof(struct disk_slot *), cmp_disk);
	return r;
}

static void diskstats_vm_gone(struct source *src, const struct vm *vm)
{
	size_t kept = 0;

	for (size_t i = 0; i < src->n_disks; i++) {
		if (src->disks[i]->vm->id == vm->id)
			free(src->disks[i]);
		else
			src->disks[kept++] = src->disks[i];
	}
	src->n_disks = kept;
}

/* Two VMs may share a device (read-only roots): every slot of it takes the line. */
static int on_line(void *ctx, const struct diskstats *stats)
{
	struct source *src = ctx;
	size_t lo = 0, hi = src->n_disks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (dev_of(src->disks[mid]) < stats->dev)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < src->n_disks && dev_of(src->disks[lo]) == stats->dev; lo++) {
		src->disks[lo]->stats = *stats;
		src->disks[lo]->seen = true;
	}
	return 0;
}

static int emit(const struct disk_slot *d, int64_t now_ms, struct batch *out)
{
	const char *extra[] = { d->vm->disks[d->disk].guest_name };
	int r = batch_begin_vm(out, d->vm, now_ms);

	for (int i = 0; i < DISKSTATS_FIELDS && r == 0; i++)
		r = batch_add(out, ids[i], extra, (double)d->stats.v[i]);
	return r;
}

static int diskstats_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	int r = 0;

	if (src->n_disks == 0)
		return 0;
	for (size_t i = 0; i < src->n_disks; i++)
		src->disks[i]->seen = false;
	buf_clear(&src->text);
	if (lseek(src->fd, 0, SEEK_SET) < 0)
		r = neg_errno();
	if (r == 0)
		r = file_read_fd(src->fd, &src->text, FILE_BYTES_MAX);
	if (r < 0)
		return err_set(e, r, "/proc/diskstats: %s", strerror(-r));
	r = diskstats_parse(buf_str(&src->text), on_line, src, NULL);
	for (size_t i = 0; i < src->n_disks && r == 0; i++) {
		if (src->disks[i]->seen)
			r = emit(src->disks[i], now_ms, out);
	}
	return r;
}

const struct source_ops diskstats_source = {
	.name = "diskstats",
	.open = diskstats_open,
	.vm_added = diskstats_vm_added,
	.vm_gone = diskstats_vm_gone,
	.collect = diskstats_collect,
	.free = diskstats_free,
};
