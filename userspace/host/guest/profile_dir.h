/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The folder of profiles: every NAME.profile in it, read again when one changes.
 *
 * A file that cannot be read counts as bad, with the reason, and the profile that was read from it
 * before stays. Guests hold references, so a profile that is replaced or deleted lives on for
 * those who use it.
 *
 * Threads  One owner.
 */

#include <stddef.h>

#include "userspace/base/err.h"
#include "userspace/host/guest/profile.h"

#define PROFILE_DIR_MAX 256 /* profiles; the rest is left alone and counted as bad */

struct profile_dir;

/* @path need not exist yet. -ENOMEM. */
int profile_dir_new(struct profile_dir **ret, const char *path);
void profile_dir_free(struct profile_dir *d);

/*
 * profile_dir_refresh() - looks at names, times and sizes, and reads what is new.
 *
 * @bad is called for each file that is newly bad. Returns true when profiles came or changed.
 */
typedef void (*profile_dir_bad_f)(void *ctx, const char *why);
bool profile_dir_refresh(struct profile_dir *d, profile_dir_bad_f bad, void *ctx);

size_t profile_dir_n(const struct profile_dir *d);

/*
 * profile_dir_find() - those that @name means: a file's name without its suffix, a build-id or a
 * kernel release; all when @name is empty. At most @cap; returns how many.
 */
size_t profile_dir_find(const struct profile_dir *d, const char *name, const struct profile **out,
                        size_t cap);

/* References of those who use a profile that profile_dir_find() gave. */
const struct profile *profile_ref(const struct profile *p);
void profile_unref(const struct profile *p); /* NULL is fine */
