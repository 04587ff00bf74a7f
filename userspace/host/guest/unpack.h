/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Decompression of what kernels and their modules come packed in: gzip, xz, zstd and the legacy
 * LZ4 frame. The format is recognised by its first bytes, and bytes behind the packed stream (a
 * bzImage puts the unpacked size there) are ignored.
 *
 * Used by the profile maker only; the daemon itself never unpacks anything.
 */

#include <stdbool.h>
#include <stddef.h>

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/str.h"

/* True when the bytes begin like one of the formats. */
bool unpack_is_packed(struct str packed);

/*
 * unpack() - appends the unpacked bytes to @out.
 *
 * @packed may be hostile: no more than @bytes_max come out. Returns 0, or -EINVAL (no known
 * format), -EBADMSG (damaged), -EFBIG or -ENOMEM, with @e.
 */
int unpack(struct str packed, size_t bytes_max, struct buf *out, struct err *e);
