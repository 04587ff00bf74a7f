/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/unpack.h"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/util.h"

#define PIECE_BYTES      ((size_t)1 << 20)
#define XZ_MEMORY_MAX    ((uint64_t)256 << 20)
#define LZ4_BLOCK_BYTES  ((size_t)8 << 20) /* of the legacy frame, fixed */
#define LZ4_MAGIC_BYTES  4
#define LZ4_PACKED_MAX   LZ4_COMPRESSBOUND(LZ4_BLOCK_BYTES)
#define GZIP_WINDOW_BITS (15 + 16) /* the largest window; 16: a gzip header */

/* Room for up to @want more bytes; -EFBIG when @out has @max already. */
static int reserve(struct buf *out, size_t max, size_t want, size_t *ret_room)
{
	if (out->len >= max)
		return -EFBIG;
	*ret_room = MIN(want, max - out->len);
	return buf_reserve(out, *ret_room) ? 0 : -ENOMEM;
}

static int inflate_all(z_stream *z, size_t max, struct buf *out)
{
	int code = Z_OK;

	while (code != Z_STREAM_END) {
		size_t room;
		int r = reserve(out, max, PIECE_BYTES, &room);

		if (r < 0)
			return r;
		z->next_out = (Bytef *)out->p + out->len;
		z->avail_out = (uInt)room;
		code = inflate(z, Z_NO_FLUSH);
		if (code != Z_OK && code != Z_STREAM_END)
			return code == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
		out->len += room - z->avail_out;
	}
	return 0;
}

static int unpack_gzip(struct str in, size_t max, struct buf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.len };
	int r;

	if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	r = inflate_all(&z, max, out);
	(void)inflateEnd(&z);
	return r;
}

static int lzma_all(lzma_stream *x, size_t max, struct buf *out)
{
	lzma_ret code = LZMA_OK;

	while (code != LZMA_STREAM_END) {
		size_t room;
		int r = reserve(out, max, PIECE_BYTES, &room);

		if (r < 0)
			return r;
		x->next_out = (uint8_t *)out->p + out->len;
		x->avail_out = room;
		code = lzma_code(x, LZMA_RUN);
		if (code != LZMA_OK && code != LZMA_STREAM_END)
			return code == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
		out->len += room - x->avail_out;
	}
	return 0;
}

static int unpack_xz(struct str in, size_t max, struct buf *out)
{
	lzma_stream x = LZMA_STREAM_INIT;
	int r;

	if (lzma_stream_decoder(&x, XZ_MEMORY_MAX, 0) != LZMA_OK)
		return -ENOMEM;
	x.next_in = (const uint8_t *)in.p;
	x.avail_in = in.len;
	r = lzma_all(&x, max, out);
	lzma_end(&x);
	return r;
}

static int zstd_all(ZSTD_DStream *z, struct str in, size_t max, struct buf *out)
{
	ZSTD_inBuffer src = { in.p, in.len, 0 };
	size_t left = 1; /* 0: the frame has ended */

	while (left != 0) {
		size_t room, before = src.pos;
		int r = reserve(out, max, PIECE_BYTES, &room);

		if (r < 0)
			return r;
		ZSTD_outBuffer dst = { out->p + out->len, room, 0 };

		left = ZSTD_decompressStream(z, &dst, &src);
		if (ZSTD_isError(left) || (src.pos == before && dst.pos == 0))
			return -EBADMSG;
		out->len += dst.pos;
	}
	return 0;
}

static int unpack_zstd(struct str in, size_t max, struct buf *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	int r = z ? zstd_all(z, in, max, out) : -ENOMEM;

	(void)ZSTD_freeDStream(z);
	return r;
}

static uint32_t le32(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/*
 * One block; all but the last unpack to LZ4_BLOCK_BYTES. Returns how many came out.
 */
static int lz4_block(struct str packed, size_t max, struct buf *out)
{
	size_t room;
	int n = reserve(out, max, LZ4_BLOCK_BYTES, &room);

	if (n < 0)
		return n;
	n = LZ4_decompress_safe(packed.p, out->p + out->len, (int)packed.len, (int)room);
	if (n <= 0)
		return room < LZ4_BLOCK_BYTES ? -EFBIG : -EBADMSG;
	out->len += (size_t)n;
	return n;
}

/* Blocks of a length and so many bytes; the frame has no end mark, so a short block is the end. */
static int unpack_lz4(struct str in, size_t max, struct buf *out)
{
	size_t at = LZ4_MAGIC_BYTES;
	int n = (int)LZ4_BLOCK_BYTES;

	while (n == (int)LZ4_BLOCK_BYTES) {
		if (in.len - at < 4)
			return at == in.len ? 0 : -EBADMSG;
		size_t bytes = le32(in.p + at);

		at += 4;
		if (at == in.len) /* that was the unpacked size, behind the last block */
			return 0;
		if (bytes > in.len - at || bytes > LZ4_PACKED_MAX)
			return -EBADMSG;
		n = lz4_block((struct str){ in.p + at, bytes }, max, out);
		if (n < 0)
			return n;
		at += bytes;
	}
	return 0;
}

static const struct format {
	const char *name;
	struct str magic;
	int (*unpack)(struct str in, size_t max, struct buf *out);
} formats[] = {
	{ "gzip", STR_INIT("\x1f\x8b"), unpack_gzip },
	{ "xz",
	  STR_INIT("\xfd"
	           "7zXZ\0"),
	  unpack_xz },
	{ "zstd", STR_INIT("\x28\xb5\x2f\xfd"), unpack_zstd },
	{ "LZ4", STR_INIT("\x02\x21\x4c\x18"), unpack_lz4 },
};

static const struct format *format_of(struct str packed)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (str_starts(packed, formats[i].magic))
			return &formats[i];
	}
	return NULL;
}

bool unpack_is_packed(struct str packed)
{
	return format_of(packed) != NULL;
}

int unpack(struct str packed, size_t bytes_max, struct buf *out, struct err *e)
{
	const struct format *f = format_of(packed);
	int r;

	if (!f)
		return err_set(e, -EINVAL, "packed in no known way (gzip, xz, zstd and LZ4 are)");
	if (packed.len > UINT32_MAX)
		return err_set(e, -EFBIG, "%s: larger than 4 GiB", f->name);
	r = f->unpack(packed, bytes_max, out);
	if (r == -EFBIG)
		return err_set(e, r, "%s: unpacks to more than %zu bytes", f->name, bytes_max);
	if (r < 0)
		return err_set(e, r, "%s: %s", f->name,
		               r == -ENOMEM ? "out of memory" : "damaged, or not complete");
	return 0;
}
