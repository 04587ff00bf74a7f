/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/http/gunzip.h"

#include <errno.h>
#include <limits.h>

#include <zlib.h>

#include "userspace/base/util.h"

#define PIECE_BYTES ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16) /* the largest window; 16 = gzip framing only */

static void end_stream(z_stream *z)
{
	(void)inflateEnd(z);
}

/* One call of the library, into new room of @out. */
static int inflate_piece(z_stream *z, struct buf *out, size_t max_bytes)
{
	size_t room = MIN(PIECE_BYTES, max_bytes + 1 - out->len);
	Bytef *dst = buf_reserve(out, room);
	int r;

	if (!dst)
		return Z_MEM_ERROR;
	z->next_out = dst;
	z->avail_out = (uInt)room;
	r = inflate(z, Z_NO_FLUSH);
	out->len += room - z->avail_out;
	return r;
}

int gunzip(struct str packed, size_t max_bytes, struct buf *out)
{
	_cleanup_(end_stream) z_stream z = { 0 };
	int r = inflateInit2(&z, GZIP_WINDOW);

	buf_clear(out);
	if (r != Z_OK)
		return -ENOMEM;
	if (packed.len > UINT_MAX)
		return -EFBIG;
	z.next_in = (z_const Bytef *)(uintptr_t)packed.p; /* the library only reads it */
	z.avail_in = (uInt)packed.len;
	while (out->len <= max_bytes) {
		r = inflate_piece(&z, out, max_bytes);
		if (r == Z_STREAM_END && z.avail_in == 0)
			break;
		if (r == Z_STREAM_END)
			r = inflateReset(&z);
		if (r != Z_OK)
			return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
	return out->len > max_bytes ? -EFBIG : 0;
}
