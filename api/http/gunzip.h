/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "userspace/base/buf.h"

/*
 * gunzip() - @packed (gzip, several members allowed) into @out, whose content is replaced.
 * Returns 0, -EBADMSG, -EFBIG when there is more than @max_bytes, or -ENOMEM. Untrusted input.
 */
int gunzip(struct str packed, size_t max_bytes, struct buf *out);
