/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * gzip that comes in pieces, unpacked in pieces: untrusted bytes, bounded by whoever takes the
 * output.
 *
 * Threads  One owner.
 */

#include <stdbool.h>

#include "userspace/base/str.h"

struct inflater;

int inflater_new(struct inflater **ret);
void inflater_free(struct inflater *z); /* NULL is fine */

/* Its negative result ends the unpacking and is returned. */
typedef int (*inflater_f)(void *ctx, struct str piece);

/* 0, what @fn returned, -EBADMSG (no gzip, or damaged), -ENOMEM. One or more members. */
int inflater_feed(struct inflater *z, struct str packed, inflater_f fn, void *ctx);
/* Whether what was fed is whole: at the end of a member. */
bool inflater_is_whole(const struct inflater *z);
