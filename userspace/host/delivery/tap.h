/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A record of what was collected, beside the queues: one text file, for tests and for whoever wants
 * to see with his own eyes what a destination should have.
 *
 *	begin 17                                      some batches
 *	fly_instance_up{__org__="dev",…} 1 1700000000000
 *	…
 *	queued 17                                     it is in every queue, as safe as they are
 *
 * What is without its last line may be in the queues or not: the daemon was killed in between.
 *
 * Threads  One owner.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/err.h"

struct batch;
struct tap;

/* Appends to @path, which is created when it is missing. */
int tap_open(struct tap **ret, const char *path, struct err *e);
void tap_close(struct tap *t); /* NULL is fine, here and below */
void tap_begin(struct tap *t, struct batch *const *batches, size_t n);
void tap_queued(struct tap *t);
