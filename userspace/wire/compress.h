/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Compression of bodies: what HTTP calls a content coding. Unpacking takes untrusted bytes: it is
 * bounded by the caller, and a few bytes never make it reserve much more than they unpack to.
 *
 *	snappy   the block format (not the framed one), as remote write means it
 *	zstd     one or more frames, with or without their size; windows of at most 16 MiB
 *
 * Threads  Pure functions. Cost: packing by zstd takes about 1 MiB while it runs.
 */

#include "userspace/base/buf.h"

enum coding {
	CODING_SNAPPY,
	CODING_ZSTD,
	CODING_N
};

const char *coding_name(enum coding c); /* as in Content-Encoding */
/* -EINVAL: not one of them; an empty name is not either. */
int coding_parse(struct str name, enum coding *ret);

/* Both replace the content of @out, which must not hold the input. */
int coding_pack(enum coding c, struct str plain, struct buf *out);
/* -EFBIG: unpacks to more than @max_bytes; -EBADMSG: not this coding, or damaged; -ENOMEM. */
int coding_unpack(enum coding c, struct str packed, size_t max_bytes, struct buf *out);
