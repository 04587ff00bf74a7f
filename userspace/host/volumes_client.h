/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The other end of userspace/volumes/wire.h: asks periscope-host-volumes, which may be away, slow
 * or hang, and never waits for it longer than it is told to.
 *
 *	ask  -> the helper reads device-mapper while others collect ->  take
 *
 * An answer that comes too late for its own tick serves the next one; one that is older than
 * VOLUMES_AGE_NS_MAX serves nobody.
 *
 * Threads  The collector thread.
 */

#include <stddef.h>

#include "userspace/base/err.h"
#include "userspace/volumes/wire.h"

#define VOLUMES_AGE_NS_MAX (60ull * 1000000000)

struct volumes_client;

int volumes_client_new(struct volumes_client **ret, const char *path);
void volumes_client_free(struct volumes_client *c); /* NULL is fine */

/* Connects when it has to, and asks when no question is open. What goes wrong is told by take. */
void volumes_client_ask(struct volumes_client *c);

/*
 * volumes_client_take() - the newest whole answer, after waiting for it for at most @wait_ms.
 *
 * *@ret_records is good until the next call of any function here. Returns 0, or
 *   -ENOENT, -ECONNREFUSED, -EACCES …  nobody there, with @e
 *   -ETIMEDOUT                         no answer that is young enough, with @e
 *   another errno                      the helper's own, with its words in @e
 */
int volumes_client_take(struct volumes_client *c, int wait_ms,
                        const struct volumes_record **ret_records, size_t *ret_n, struct err *e);
