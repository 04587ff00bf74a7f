/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A guest's memory in a file, trimmed to the pages that a sample touches: for looking at a guest
 * again later, for tests, and as the start of fuzzing. docs/format/guest-image.md is the normative
 * text.
 *
 * Threads  One owner. Size: some 100 pages of 4 KiB.
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/host/guest/guest.h"

#define IMAGE_BYTES_MAX ((size_t)64 << 20)

/*
 * image_save() - appends the image of a guest to @out: what attaching and a sample of all families
 * read of it now. The guest had better be paused.
 *
 * 0, -ENOMEM, or what guest_sample() returns.
 */
int image_save(struct guest *g, struct mem_cache *cache, struct buf *out);

/*
 * image_open() - memory to attach to, out of an image.
 *
 * @bytes may be anything and is borrowed as long as @ret is used. -EBADMSG with @e, -ENOMEM.
 */
int image_open(struct mem *ret, struct str bytes, struct err *e);
