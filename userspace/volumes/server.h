/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Answers periscope-host. One thread does everything: a device-mapper call that hangs holds up this
 * process and nobody else, which is what it is for.
 */

#include "userspace/base/err.h"

struct server;

/*
 * server_open() - listens at @path, which is made anew, for owner and group of this process.
 *
 * -EADDRINUSE when somebody answers there already, -ENAMETOOLONG, … with @e.
 */
int server_open(struct server **ret, const char *path, struct err *e);

/* Returns when a byte can be read from @end_fd. 0, or a negative errno. */
int server_run(struct server *s, int end_fd);
void server_close(struct server *s); /* NULL is fine */
