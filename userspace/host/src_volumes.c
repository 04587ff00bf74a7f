/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source volumes: size of each persistent volume, and how much of it a thin pool has stored.
 *
 * Names    A volume belongs to a VM when the VM's description lists it, or when it is one of the
 *          VM's disks and has the tag periscope.volume. One that no VM has at the moment is told of
 *          when its tags name organisation, app and volume: it does not go away with its VM.
 * Thin     What is stored is known of thin volumes only, by way of periscope-host-volumes. Of any
 *          other block device the size is read from sysfs.
 * Away     A device that is not active keeps its last size and has no use. It is the same with all
 *          of them when the helper is away.
 * Pools    are the operator's and not any app's: they are among the daemon's own metrics.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/file.h"
#include "userspace/base/hash.h"
#include "userspace/base/metrics.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/label_text.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/volumes_client.h"

#define SECTOR_BYTES  512u
#define FIRST_WAIT_MS 2000 /* once: there is nothing older to go by */
#define WAIT_MS       20
#define POOLS_MAX     64
#define OWNER_BITS    (BATCH_OWNER_ID | 1ull << 62) /* the proxy source has others */

struct vm_slot {
	const struct vm *vm; /* borrowed */
	uint64_t last_size_bytes[VM_VOLUMES_MAX];
};

struct source {
	const struct host_conf *conf;
	struct volumes_client *client;
	struct vm_slot *vms;
	size_t n_vms, vms_cap;
	const struct volumes_record **thin; /* of the answer, by device */
	bool *is_told;                      /* [n_thin] somebody has it */
	size_t n_thin, thin_cap, told_cap;
	pthread_mutex_t lock; /* of the pools, which another thread reads for /metrics */
	struct volumes_record pools[POOLS_MAX];
	size_t n_pools;
};

static void put_pools(struct buf *out, void *source);

static void volumes_free(struct source *src)
{
	if (!src)
		return;
	metrics_collector_del(put_pools, src);
	pthread_mutex_destroy(&src->lock);
	volumes_client_free(src->client);
	free(src->vms);
	free(src->thin);
	free(src->is_told);
	free(src);
}

static int volumes_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	struct source *src = mem_zalloc(1, sizeof(*src));
	int r;

	(void)e;
	if (!src)
		return -ENOMEM;
	pthread_mutex_init(&src->lock, NULL);
	src->conf = conf;
	r = volumes_client_new(&src->client, conf->volumes_socket);
	if (r < 0) {
		volumes_free(src);
		return r;
	}
	metrics_collector_add(put_pools, src);
	*ret_src = src;
	return 0;
}

static int volumes_vm_added(struct source *src, const struct vm *vm)
{
	if (MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1) < 0)
		return -ENOMEM;
	src->vms[src->n_vms++] = (struct vm_slot){ .vm = vm };
	return 0;
}

static void volumes_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i].vm->id == vm->id) {
			src->vms[i] = src->vms[--src->n_vms];
			return;
		}
	}
}

/* ---- the answer ----------------------------------------------------------------------------- */

static int cmp_dev(const void *a, const void *b)
{
	uint64_t x = (*(const struct volumes_record *const *)a)->dev;
	uint64_t y = (*(const struct volumes_record *const *)b)->dev;

	return x < y ? -1 : x > y;
}

static void note_pools(struct source *src, const struct volumes_record *records, size_t n)
{
	pthread_mutex_lock(&src->lock);
	src->n_pools = 0;
	for (size_t i = 0; i < n && src->n_pools < POOLS_MAX; i++) {
		if (records[i].kind == VOLUMES_POOL)
			src->pools[src->n_pools++] = records[i];
	}
	pthread_mutex_unlock(&src->lock);
}

static int index_thin(struct source *src, const struct volumes_record *records, size_t n)
{
	src->n_thin = 0;
	if (MEM_GROW(src->thin, src->thin_cap, n) < 0 ||
	    MEM_GROW(src->is_told, src->told_cap, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (records[i].kind == VOLUMES_THIN)
			src->thin[src->n_thin++] = &records[i];
	}
	if (src->n_thin > 0) {
		qsort(src->thin, src->n_thin, sizeof(*src->thin), cmp_dev);
		memset(src->is_told, 0, src->n_thin * sizeof(*src->is_told));
	}
	return 0;
}

/* NULL when the device is not thin, or nothing is known. */
static const struct volumes_record *find_thin(struct source *src, dev_t dev)
{
	const struct volumes_record key = { .dev = dev }, *wanted = &key, **found;

	if (dev == 0 || src->n_thin == 0)
		return NULL;
	found = bsearch(&wanted, src->thin, src->n_thin, sizeof(*src->thin), cmp_dev);
	if (!found)
		return NULL;
	src->is_told[found - src->thin] = true;
	return *found;
}

/* Of any block device; 0 when it is not there. */
static uint64_t size_by_sysfs(dev_t dev)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	uint64_t sectors;
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", major(dev), minor(dev));
	if (dev == 0 || file_read(path, &text, 64) < 0 ||
	    num_parse_u64(str_trim(buf_str(&text)), &sectors) < 0)
		return 0;
	return sectors * SECTOR_BYTES;
}

/* ---- samples -------------------------------------------------------------------------------- */

struct place {
	const char *org, *app, *region, *host;
};

static int begin_owner(const struct place *p, int64_t now_ms, struct batch *out)
{
	uint64_t hash = hash_str(str_from(p->org));

	hash = hash_bytes(p->app, strlen(p->app), hash);
	hash = hash_bytes(p->region, strlen(p->region), hash);
	const struct batch_owner owner = { .id = OWNER_BITS | hash,
		                           .org = p->org,
		                           .app = p->app,
		                           .host = p->host,
		                           .instance = "",
		                           .region = p->region };

	return batch_begin(out, &owner, now_ms);
}

/* @thin is NULL when nothing is known but the size. */
static int emit(const struct place *p, const char *id, uint64_t size_bytes,
                const struct volumes_record *thin, int64_t now_ms, struct batch *out)
{
	const char *extra[] = { id };
	int r = size_bytes > 0 ? begin_owner(p, now_ms, out) : 0;

	if (size_bytes == 0 || r < 0)
		return r;
	r = batch_add(out, FLY_VOLUME_SIZE_BYTES, extra, (double)size_bytes);
	if (r == 0 && thin && !thin->failed && thin->size_bytes > 0)
		r = batch_add(out, FLY_VOLUME_USED_PCT, extra,
		              (double)thin->used_bytes / (double)thin->size_bytes * 100);
	return r;
}

static int emit_described(struct source *src, struct vm_slot *slot, const struct place *p,
                          int64_t now_ms, struct batch *out)
{
	int r = 0;

	for (uint32_t i = 0; i < slot->vm->n_volumes && r == 0; i++) {
		const struct vm_volume *v = &slot->vm->volumes[i];
		const struct volumes_record *thin = find_thin(src, v->dev);
		uint64_t size = thin ? thin->size_bytes : size_by_sysfs(v->dev);

		if (size > 0)
			slot->last_size_bytes[i] = size;
		r = emit(p, v->id, slot->last_size_bytes[i], thin, now_ms, out);
	}
	return r;
}

static bool is_described(const struct vm *vm, dev_t dev)
{
	for (uint32_t i = 0; i < vm->n_volumes; i++) {
		if (vm->volumes[i].dev == dev)
			return true;
	}
	return false;
}

/* Disks of the VM that are volumes by their tag. */
static int emit_tagged_disks(struct source *src, const struct vm *vm, const struct place *p,
                             int64_t now_ms, struct batch *out)
{
	int r = 0;

	for (uint32_t i = 0; i < vm->n_disks && r == 0; i++) {
		const struct volumes_record *thin = is_described(vm, vm->disks[i].dev)
		                                            ? NULL
		                                            : find_thin(src, vm->disks[i].dev);

		if (thin && thin->volume[0])
			r = emit(p, thin->volume, thin->size_bytes, thin, now_ms, out);
	}
	return r;
}

static int emit_vm(struct source *src, struct vm_slot *slot, int64_t now_ms, struct batch *out)
{
	const struct vm *vm = slot->vm;
	const struct place p = { vm->org, vm->app, vm->region, vm->host };
	int r = emit_described(src, slot, &p, now_ms, out);

	return r < 0 ? r : emit_tagged_disks(src, vm, &p, now_ms, out);
}

/* Volumes that no VM has. */
static int emit_others(struct source *src, int64_t now_ms, struct batch *out)
{
	int r = 0;

	for (size_t i = 0; i < src->n_thin && r == 0; i++) {
		const struct volumes_record *thin = src->thin[i];
		const struct place p = { thin->org, thin->app, src->conf->region,
			                 src->conf->host_id };

		if (!src->is_told[i] && thin->volume[0] && thin->app[0] &&
		    label_text_is_slug(str_from(thin->org)))
			r = emit(&p, thin->volume, thin->size_bytes, thin, now_ms, out);
	}
	return r;
}

static bool is_wanted(const struct source *src)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i].vm->n_volumes > 0)
			return true;
	}
	return false;
}

static void volumes_set_conf(struct source *src, const struct host_conf *conf)
{
	src->conf = conf; /* the socket's path does not change: it is not reloadable */
}

static void volumes_begin(struct source *src)
{
	volumes_client_ask(src->client);
}

static int volumes_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	const struct volumes_record *records = NULL;
	struct err why = ERR_INIT;
	size_t n = 0;
	static bool has_waited; /* a source that is opened again must not hold up the others */
	int failure = volumes_client_take(src->client, has_waited ? WAIT_MS : FIRST_WAIT_MS,
	                                  &records, &n, &why);
	int r;

	has_waited = true;
	note_pools(src, records, n);
	r = index_thin(src, records, n);
	for (size_t i = 0; i < src->n_vms && r == 0; i++)
		r = emit_vm(src, &src->vms[i], now_ms, out);
	if (r == 0)
		r = emit_others(src, now_ms, out);
	if (r < 0)
		return r;
	/* A host without volumes need not have the helper, nor device-mapper. */
	return failure < 0 && is_wanted(src) ? err_set(e, failure, "%s", why.msg) : 0;
}

/* ---- pools ---------------------------------------------------------------------------------- */

static double data_used(const struct volumes_record *p)
{
	return p->size_bytes ? (double)p->used_bytes / (double)p->size_bytes : 0;
}

static double meta_used(const struct volumes_record *p)
{
	return p->meta_bytes ? (double)p->meta_used_bytes / (double)p->meta_bytes : 0;
}

static double failed(const struct volumes_record *p)
{
	return p->failed;
}

static void put_pools(struct buf *out, void *source)
{
	static const struct {
		const char *name, *help;
		double (*read)(const struct volumes_record *pool);
	} families[] = {
		{ "periscope_host_thin_pool_data_used_ratio",
		  "Part of the thin pool's data space that is used.", data_used },
		{ "periscope_host_thin_pool_metadata_used_ratio",
		  "Part of the thin pool's metadata space that is used.", meta_used },
		{ "periscope_host_thin_pool_failed", "1 when the kernel gave up on the thin pool.",
		  failed },
	};
	struct source *src = source;

	pthread_mutex_lock(&src->lock);
	for (size_t f = 0; f < ARRAY_SIZE(families) && src->n_pools > 0; f++) {
		metrics_put_family(out, families[f].name, "gauge", families[f].help);
		for (size_t i = 0; i < src->n_pools; i++) {
			_cleanup_(buf_done) struct buf labels = BUF_INIT;

			metrics_put_label(&labels, "pool", src->pools[i].name);
			metrics_put(out, families[f].name, buf_cstr(&labels),
			            families[f].read(&src->pools[i]));
		}
	}
	pthread_mutex_unlock(&src->lock);
}

const struct source_ops volumes_source = {
	.name = "volumes",
	.open = volumes_open,
	.set_conf = volumes_set_conf,
	.vm_added = volumes_vm_added,
	.vm_gone = volumes_vm_gone,
	.begin = volumes_begin,
	.collect = volumes_collect,
	.free = volumes_free,
};
