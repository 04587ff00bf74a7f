/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/volumes/dm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <libdevmapper.h>

#include "userspace/base/cleanup.h"
#include "userspace/volumes/thin_status.h"

#define SECTOR_BYTES 512u
#define POOL_SUFFIX  "-tpool" /* of the device that LVM puts the target into */

DEFINE_CLEANUP(struct dm_task *, dm_task_destroy);

/* The library would write to stderr; what went wrong is told by errno as well. */
__attribute__((format(printf, 5, 6))) static void be_silent(int level, const char *file, int line,
                                                            int dm_errno, const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)dm_errno;
	(void)fmt;
}

static int run_task(struct dm_task *task, int *ret_errno)
{
	if (!task)
		return -ENOMEM;
	(void)dm_task_no_open_count(task);
	if (dm_task_run(task))
		return 0;
	*ret_errno = dm_task_get_errno(task);
	return *ret_errno > 0 ? -*ret_errno : -EIO;
}

int dm_open(struct err *e)
{
	_cleanup_(dm_task_destroyp) struct dm_task *task = NULL;
	int code = 0, r;

	dm_log_with_errno_init(be_silent);
	dm_hold_control_dev(1);
	task = dm_task_create(DM_DEVICE_VERSION);
	r = run_task(task, &code);
	return r < 0 ? err_set(e, r, "device-mapper: %s", strerror(-r)) : 0;
}

/* ---- one device ----------------------------------------------------------------------------- */

struct target {
	uint64_t sectors;
	char type[32], params[512]; /* of the first target; a thin device has one */
};

static int read_target(const char *name, int kind, struct target *ret, char *uuid)
{
	_cleanup_(dm_task_destroyp) struct dm_task *task = dm_task_create(kind);
	uint64_t start = 0, sectors = 0;
	char *type = NULL, *params = NULL;
	const char *found;
	int code = 0, r;

	if (!task || !dm_task_set_name(task, name) || !dm_task_no_flush(task))
		return -ENOMEM;
	r = run_task(task, &code);
	if (r < 0)
		return r;
	(void)dm_get_next_target(task, NULL, &start, &sectors, &type, &params);
	if (!type || !params)
		return -ENOENT; /* a device without a table */
	ret->sectors = sectors;
	(void)snprintf(ret->type, sizeof(ret->type), "%s", type);
	(void)snprintf(ret->params, sizeof(ret->params), "%s", params);
	found = dm_task_get_uuid(task);
	if (uuid)
		(void)snprintf(uuid, DM_UUID_CAP, "%s", found ? found : "");
	return 0;
}

static int fill_thin(struct volumes_record *rec, const struct target *t)
{
	struct thin_status s;
	int r = thin_status_parse(str_from(t->params), &s);

	if (r < 0)
		return r;
	rec->kind = VOLUMES_THIN;
	rec->failed = s.failed;
	rec->size_bytes = t->sectors * SECTOR_BYTES;
	rec->used_bytes = s.mapped_sectors * SECTOR_BYTES;
	return 0;
}

static void cut_suffix(char *name)
{
	size_t len = strlen(name), cut = strlen(POOL_SUFFIX);

	if (len > cut && strcmp(name + len - cut, POOL_SUFFIX) == 0)
		name[len - cut] = '\0';
}

static int fill_pool(struct volumes_record *rec, const struct target *t)
{
	struct thin_pool_status s;
	struct target table;
	uint64_t block_sectors = 0;
	int r = thin_pool_status_parse(str_from(t->params), &s);

	if (r == 0)
		r = read_target(rec->name, DM_DEVICE_TABLE, &table, NULL);
	if (r == 0)
		r = thin_pool_table_parse(str_from(table.params), &block_sectors);
	if (r < 0)
		return r;
	rec->kind = VOLUMES_POOL;
	rec->failed = s.failed;
	rec->size_bytes = s.data_total * block_sectors * SECTOR_BYTES;
	rec->used_bytes = s.data_used * block_sectors * SECTOR_BYTES;
	rec->meta_bytes = s.meta_total * THIN_META_BLOCK_BYTES;
	rec->meta_used_bytes = s.meta_used * THIN_META_BLOCK_BYTES;
	cut_suffix(rec->name);
	return 0;
}

static int visit(const struct dm_names *device, dm_record_f fn, void *ctx)
{
	struct volumes_record rec = { .dev = device->dev };
	char uuid[DM_UUID_CAP];
	struct target t;
	int r;

	if (snprintf(rec.name, sizeof(rec.name), "%s", device->name) >= (int)sizeof(rec.name) ||
	    read_target(device->name, DM_DEVICE_STATUS, &t, uuid) < 0)
		return 0;
	if (strcmp(t.type, "thin") == 0)
		r = fill_thin(&rec, &t);
	else if (strcmp(t.type, "thin-pool") == 0)
		r = fill_pool(&rec, &t);
	else
		return 0;
	return r < 0 ? 0 : fn(ctx, &rec, uuid);
}

/* ---- all of them ---------------------------------------------------------------------------- */

int dm_each(dm_record_f fn, void *ctx, struct err *e)
{
	_cleanup_(dm_task_destroyp) struct dm_task *task = dm_task_create(DM_DEVICE_LIST);
	const struct dm_names *at;
	int code = 0, r = run_task(task, &code);

	if (r < 0)
		return err_set(e, r, "device-mapper: cannot list devices: %s", strerror(-r));
	at = dm_task_get_names(task);
	while (at && at->dev != 0 && r == 0) {
		r = visit(at, fn, ctx);
		at = at->next ? (const void *)((const char *)at + at->next) : NULL;
	}
	return r;
}
