/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Names by the hash that the kernel side makes of them: it tells a name once and then its hash
 * only.
 *
 * Bounded  A fixed table; a name that has no room pushes another one out, whose requests then
 *          belong to whoever owns their connection.
 * Threads  None of its own; under the source's lock.
 */

#include <stdint.h>

#include "userspace/base/str.h"

#define HOSTS_SETS     4096u
#define HOSTS_WAYS     4u
#define HOSTS_NAME_CAP 128u

struct hosts;

int hosts_new(struct hosts **ret); /* some 2 MiB */
void hosts_free(struct hosts *h);

void hosts_put(struct hosts *h, uint32_t hash, struct str name); /* cut at HOSTS_NAME_CAP */
struct str hosts_get(struct hosts *h, uint32_t hash);            /* empty: unknown */
