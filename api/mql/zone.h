/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Time zones of the system's database (TZif files). Read here because libc knows one zone for the
 * whole process only.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/str.h"

struct zone {
	struct buf file;
	const unsigned char *times, *types, *infos; /* big-endian arrays in the file */
	uint32_t n_times, n_infos;
	struct str rule; /* POSIX TZ text for what comes after the last change; "" = none */
};

/* -ENOENT: no such zone; -EINVAL: not a name, or not a zone's file. "" and "UTC" are UTC. */
int zone_open(struct zone *z, struct str name);
void zone_close(struct zone *z);

/* Seconds east of UTC. */
int32_t zone_offset(const struct zone *z, int64_t unix_s);
