/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source disk_latency, an opt-in: how long reads and writes of each VM disk's block device took.
 *
 * Shape    one histogram for reads and one for writes of each device, in the kernel's table; VMs
 *          that share a device (read-only roots) have the same numbers.
 * Bios     A device of device-mapper makes no requests of its own. The two programs that see bios
 *          run at every bio of the host, so they are attached only while a VM has such a disk.
 * Parking  A device that lost its last VM keeps its numbers until the next collection is over: a VM
 *          whose description changes goes away and comes back at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/disk_latency.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/histogram.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_exit.h"

#include "disk_latency.skel.h"

#define FLUSH_SEQ_ENUMERATOR "__RQF_FLUSH_SEQ"
#define FLUSH_SEQ_BIT_BEFORE 4u /* while it was a macro, which BTF does not have: up to 6.9 */

struct device {
	dev_t dev;
	uint32_t n_users;
	uint32_t n_parked; /* collections since it lost the last one */
	bool by_bio;
};

struct source {
	struct disk_latency_bpf *skel;
	struct device *devices;
	size_t n_devices, devices_cap;
	size_t n_by_bio;       /* of them */
	const struct vm **vms; /* borrowed; those with such disks */
	size_t n_vms, vms_cap;
};

static void disk_latency_free(struct source *src)
{
	if (!src)
		return;
	disk_latency_bpf__destroy(src->skel);
	free(src->devices);
	free(src->vms);
	free(src);
}

DEFINE_CLEANUP(struct source *, disk_latency_free);

/* ---- the programs --------------------------------------------------------------------------- */

static int enumerator(const struct btf *btf, const struct btf_type *t, const char *name)
{
	const struct btf_enum *v = btf_enum(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *have = btf__name_by_offset(btf, v[i].name_off);

		if (have && strcmp(have, name) == 0)
			return v[i].val;
	}
	return -1;
}

/* The enum is anonymous in some kernels: CO-RE would not find it. */
static uint32_t flush_seq_flag(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t bit = FLUSH_SEQ_BIT_BEFORE;

	for (uint32_t id = 1; btf && id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		int found = btf_is_enum(t) ? enumerator(btf, t, FLUSH_SEQ_ENUMERATOR) : -1;

		if (found >= 0 && found < 32) {
			bit = (uint32_t)found;
			break;
		}
	}
	btf__free(btf);
	return 1u << bit;
}

static int load(struct source *src, struct err *e)
{
	int r;

	src->skel = disk_latency_bpf__open();
	if (!src->skel)
		return err_set(e, neg_errno(), "disk_latency: cannot be opened: %s",
		               strerror(errno));
	src->skel->rodata->flush_seq_flag = flush_seq_flag();
	r = disk_latency_bpf__load(src->skel);
	if (r < 0)
		return err_set(e, r, "disk_latency: the kernel refused it: %s", strerror(-r));
	src->skel->links.disk_rq_complete = bpf_program__attach(src->skel->progs.disk_rq_complete);
	if (!src->skel->links.disk_rq_complete)
		return err_set(e, neg_errno(), "disk_latency: cannot attach to requests: %s",
		               strerror(errno));
	return 0;
}

static void detach(struct bpf_link **link)
{
	(void)bpf_link__destroy(*link);
	*link = NULL;
}

static void detach_bios(struct source *src)
{
	detach(&src->skel->links.disk_bio_queue);
	detach(&src->skel->links.disk_bio_complete);
}

/* The end first: a bio whose begin is seen must not be forgotten. */
static int attach_bios(struct source *src)
{
	struct bpf_link *complete = bpf_program__attach(src->skel->progs.disk_bio_complete);
	struct bpf_link *queue =
		complete ? bpf_program__attach(src->skel->progs.disk_bio_queue) : NULL;
	int r = queue ? 0 : neg_errno();

	src->skel->links.disk_bio_complete = complete;
	src->skel->links.disk_bio_queue = queue;
	if (r < 0)
		detach_bios(src);
	return r;
}

static bool disk_latency_is_chosen(const struct host_conf *conf)
{
	return conf->hist_disk_latency;
}

static int disk_latency_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	_cleanup_(disk_latency_freep) struct source *src = mem_zalloc(1, sizeof(*src));
	int r = src ? load(src, e) : -ENOMEM;

	(void)conf;
	if (r < 0)
		return r;
	*ret_src = TAKE_PTR(src);
	return 0;
}

/* ---- devices -------------------------------------------------------------------------------- */

static __u32 key_of(dev_t dev)
{
	return DISK_LATENCY_DEV(major(dev), minor(dev));
}

/* Whoever makes requests has queues for them; of a partition, the whole disk has. */
static bool makes_requests(dev_t dev)
{
	static const char *const places[] = { "mq", "../mq" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev),
		               minor(dev), places[i]);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static struct device *find_device(const struct source *src, dev_t dev)
{
	for (size_t i = 0; i < src->n_devices; i++) {
		if (src->devices[i].dev == dev)
			return &src->devices[i];
	}
	return NULL;
}

static int add_device(struct source *src, dev_t dev)
{
	const struct device d = { .dev = dev, .n_users = 1, .by_bio = !makes_requests(dev) };
	const struct disk_latency none = { .by_bio = d.by_bio };
	const __u32 key = key_of(dev);
	int r = MEM_GROW(src->devices, src->devices_cap, src->n_devices + 1);

	if (r == 0 && d.by_bio && src->n_by_bio == 0)
		r = attach_bios(src);
	if (r == 0)
		r = bpf_map_update_elem(bpf_map__fd(src->skel->maps.dl_disks), &key, &none,
		                        BPF_ANY);
	if (r == 0) {
		src->devices[src->n_devices++] = d;
		src->n_by_bio += d.by_bio;
	}
	if (src->n_by_bio == 0)
		detach_bios(src);
	return r;
}

static void drop_device(struct source *src, size_t i)
{
	const __u32 key = key_of(src->devices[i].dev);

	(void)bpf_map_delete_elem(bpf_map__fd(src->skel->maps.dl_disks), &key);
	src->n_by_bio -= src->devices[i].by_bio;
	src->devices[i] = src->devices[--src->n_devices];
	if (src->n_by_bio == 0)
		detach_bios(src);
}

static int use_device(struct source *src, dev_t dev)
{
	struct device *d = find_device(src, dev);

	if (!d)
		return add_device(src, dev);
	d->n_users++;
	d->n_parked = 0;
	return 0;
}

static void leave_device(const struct source *src, dev_t dev)
{
	struct device *d = find_device(src, dev);

	if (d && d->n_users > 0)
		d->n_users--;
}

static void drop_parked(struct source *src)
{
	for (size_t i = src->n_devices; i-- > 0;) {
		struct device *d = &src->devices[i];

		if (d->n_users == 0 && d->n_parked++ > 0)
			drop_device(src, i);
	}
}

/* ---- VMs ------------------------------------------------------------------------------------ */

static int disk_latency_vm_added(struct source *src, const struct vm *vm)
{
	int r = MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1);
	uint32_t n = 0;

	for (; n < vm->n_disks && r == 0; n++) {
		if (vm->disks[n].dev != 0)
			r = use_device(src, vm->disks[n].dev);
	}
	if (r == 0) {
		src->vms[src->n_vms++] = vm;
		return 0;
	}
	for (uint32_t i = 0; i + 1 < n; i++)
		leave_device(src, vm->disks[i].dev);
	return r;
}

static void disk_latency_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->id != vm->id)
			continue;
		src->vms[i] = src->vms[--src->n_vms];
		for (uint32_t d = 0; d < vm->n_disks; d++)
			leave_device(src, vm->disks[d].dev);
		return;
	}
}

/* ---- samples -------------------------------------------------------------------------------- */

static int emit_disk(const struct source *src, const struct vm_disk *disk, struct batch *out)
{
	static const char *const ops[DISK_LATENCY_OPS] = { "read", "write" };
	const __u32 key = key_of(disk->dev);
	struct disk_latency found;
	int r = bpf_map_lookup_elem(bpf_map__fd(src->skel->maps.dl_disks), &key, &found);

	for (int op = 0; op < DISK_LATENCY_OPS && r == 0; op++) {
		const char *extra[] = { disk->guest_name, ops[op] };
		struct histogram h = { 0 };

		histogram_from_waits(&h, &found.ops[op]);
		r = batch_add_histogram(out, FLY_INSTANCE_DISK_LATENCY_SECONDS_BUCKET, extra, &h,
		                        &wait_bounds);
	}
	return r;
}

static int emit_vm(const struct source *src, const struct vm *vm, int64_t now_ms, struct batch *out)
{
	int r = batch_begin_vm(out, vm, now_ms);

	for (uint32_t i = 0; i < vm->n_disks && r == 0; i++) {
		if (vm->disks[i].dev != 0)
			r = emit_disk(src, &vm->disks[i], out);
	}
	return r;
}

static int disk_latency_collect(struct source *src, int64_t now_ms, struct batch *out,
                                struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < src->n_vms && r == 0; i++)
		r = emit_vm(src, src->vms[i], now_ms, out);
	drop_parked(src);
	return r < 0 ? err_set(e, r, "disk_latency: %s", strerror(-r)) : 0;
}

static void disk_latency_vm_exited(struct source *src, const struct vm *vm, struct vm_exit *how,
                                   int64_t now_ms, struct batch *out)
{
	(void)how;
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->id == vm->id)
			(void)emit_vm(src, vm, now_ms, out);
	}
}

const struct source_ops disk_latency_source = {
	.name = "disk_latency",
	.is_chosen = disk_latency_is_chosen,
	.open = disk_latency_open,
	.vm_added = disk_latency_vm_added,
	.vm_exited = disk_latency_vm_exited,
	.vm_gone = disk_latency_vm_gone,
	.collect = disk_latency_collect,
	.free = disk_latency_free,
};
