/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/inflate.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <zlib.h>

#include "userspace/base/alloc.h"

#define PIECE_BYTES 16384
#define GZIP_WINDOW (15 + 16) /* zlib's word for "gzip, any window" */

struct inflater {
	z_stream stream;
	bool is_whole;
	uint8_t piece[PIECE_BYTES];
};

int inflater_new(struct inflater **ret)
{
	struct inflater *z = mem_zalloc(1, sizeof(*z));

	if (!z || inflateInit2(&z->stream, GZIP_WINDOW) != Z_OK) {
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

void inflater_free(struct inflater *z)
{
	if (z)
		(void)inflateEnd(&z->stream);
	free(z);
}

/* One step: at most a piece of output. */
static int step(struct inflater *z, inflater_f fn, void *ctx)
{
	if (z->is_whole && inflateReset(&z->stream) != Z_OK)
		return -ENOMEM;
	z->is_whole = false;
	z->stream.next_out = z->piece;
	z->stream.avail_out = sizeof(z->piece);
	int r = inflate(&z->stream, Z_NO_FLUSH);

	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return -EBADMSG;
	z->is_whole = r == Z_STREAM_END;
	size_t bytes = sizeof(z->piece) - z->stream.avail_out;

	return bytes > 0 ? fn(ctx, (struct str){ (const char *)z->piece, bytes }) : 0;
}

int inflater_feed(struct inflater *z, struct str packed, inflater_f fn, void *ctx)
{
	int r = 0;

	z->stream.next_in = (uint8_t *)(uintptr_t)packed.p;
	z->stream.avail_in = (unsigned)packed.len; /* pieces are small */
	/* A full piece of output may have more behind it, even when the input is used up. */
	while (r == 0 && (z->stream.avail_in > 0 || (!z->is_whole && z->stream.avail_out == 0)))
		r = step(z, fn, ctx);
	return r;
}

bool inflater_is_whole(const struct inflater *z)
{
	return z->is_whole;
}
