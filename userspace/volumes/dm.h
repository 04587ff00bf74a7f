/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Thin volumes and their pools, asked of the kernel's device-mapper through libdevmapper; no file
 * but dm.c knows that library.
 *
 * Nothing is changed by asking. Statuses are asked for without the flush that is the default:
 * with it, a pool would commit its metadata for us first.
 *
 * Cost     two ioctls for each device-mapper device of the host.
 */

#include "userspace/base/err.h"
#include "userspace/volumes/wire.h"

#define DM_UUID_CAP 132

/* Opens the control device, so that the privilege to do so can be given up. */
int dm_open(struct err *e);

/* @uuid is "LVM-…" for a logical volume. A negative result of @fn stops. */
typedef int (*dm_record_f)(void *ctx, const struct volumes_record *rec, const char *uuid);

/*
 * dm_each() - calls @fn for every thin device and pool that there is now.
 *
 * -EPERM, -ENODEV, … with @e. A device that goes away meanwhile, or whose status makes no sense, is
 * left out.
 */
int dm_each(dm_record_f fn, void *ctx, struct err *e);
