/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the tags of logical volumes say of them:
 *
 *	periscope.volume=vol_r7x2    the volume's id
 *	periscope.org=acme           organisation and app: for a volume that no VM has at the moment
 *	periscope.app=web
 *
 * Tags are in LVM's metadata on the disks and nowhere else, so lvs(8) is asked; that takes up to a
 * second on a busy host, so it is asked when a device is new and every few minutes, and runs beside
 * us. Without lvs there are no tags.
 *
 * Threads  The main thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/volumes/wire.h"

#define LVM_TAGS_MAX 65536 /* logical volumes with tags of ours */

struct lvm_tags_row {
	char uuid[72]; /* of volume group and volume, without dashes: 32 + 32 characters */
	char volume[VOLUMES_NAME_CAP], org[64], app[VOLUMES_NAME_CAP];
};

struct lvm_tags {
	struct lvm_tags_row *rows;
	size_t n, cap;
};

void lvm_tags_done(struct lvm_tags *t);

/*
 * lvm_tags_parse() - the output of lvs, a line "VG-UUID|LV-UUID|tag,tag" for each volume, into @t.
 *
 * Lines of another form, unknown tags and values that are too long are left out. -ENOMEM.
 */
int lvm_tags_parse(struct lvm_tags *t, struct str text);

/* Of a device-mapper device of LVM: @dm_uuid is "LVM-", then 64 characters. NULL = none. */
const struct lvm_tags_row *lvm_tags_find(const struct lvm_tags *t, const char *dm_uuid);

/* One run of lvs. */
struct lvm_query;

/* -ENOENT when there is no lvs. */
int lvm_query_start(struct lvm_query **ret);
int lvm_query_fd(const struct lvm_query *q); /* readable when lvm_query_read() has to be called */
/* 1 when it is complete and *@ret has been replaced; 0 = more to come; a negative errno. */
int lvm_query_read(struct lvm_query *q, struct lvm_tags *ret);
/*
 * Ends it, without waiting for it: whoever hangs on a dead disk would take us along. The caller
 * reaps children now and then. NULL is fine.
 */
void lvm_query_free(struct lvm_query *q);
