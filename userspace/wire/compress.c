/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/compress.h"

#include <errno.h>

#include <snappy-c.h>
#include <zstd.h>

#include "userspace/base/util.h"

/* The densest element of snappy is a copy: 3 bytes for up to 64. */
#define SNAPPY_EXPANSION_MAX 22
#define ZSTD_LEVEL           1 /* half the time of 3, and no worse on blocks of samples */
#define ZSTD_WINDOW_LOG_MAX  24
#define ZSTD_STEP_BYTES      ((size_t)256 << 10)

static int snappy_pack(struct str plain, struct buf *out)
{
	size_t len = snappy_max_compressed_length(plain.len);
	char *dst = buf_reserve(out, len);

	if (!dst)
		return out->err;
	if (snappy_compress(plain.p ? plain.p : "", plain.len, dst, &len) != SNAPPY_OK)
		return -EINVAL;
	out->len = len;
	return 0;
}

static int snappy_unpack(struct str packed, size_t max_bytes, struct buf *out)
{
	size_t len;

	if (!packed.p || snappy_uncompressed_length(packed.p, packed.len, &len) != SNAPPY_OK)
		return -EBADMSG;
	if (len > max_bytes)
		return -EFBIG;
	/* A few bytes must not make us reserve @max_bytes: the size they claim is impossible. */
	if (len / SNAPPY_EXPANSION_MAX > packed.len)
		return -EBADMSG;
	char *dst = buf_reserve(out, len);

	if (!dst)
		return out->err;
	if (snappy_uncompress(packed.p, packed.len, dst, &len) != SNAPPY_OK)
		return -EBADMSG;
	out->len = len;
	return 0;
}

static int zstd_pack(struct str plain, struct buf *out)
{
	size_t cap = ZSTD_compressBound(plain.len);
	char *dst = buf_reserve(out, cap);

	if (!dst)
		return out->err;
	size_t len = ZSTD_compress(dst, cap, plain.p ? plain.p : "", plain.len, ZSTD_LEVEL);

	if (ZSTD_isError(len)) /* there is room: only memory can be missing */
		return -ENOMEM;
	out->len = len;
	return 0;
}

static void dctx_done(ZSTD_DCtx **d)
{
	(void)ZSTD_freeDCtx(*d);
}

/*
 * Room for the next piece: doubled as it fills, so that memory follows what really unpacks and not
 * what a frame claims. One byte above @max_bytes tells "full" from "too large".
 */
static int zstd_room(struct buf *out, size_t max_bytes, ZSTD_outBuffer *ret)
{
	size_t left = MIN(max_bytes, SIZE_MAX - 1) + 1 - out->len;
	size_t step = MIN(left, MAX(out->len, ZSTD_STEP_BYTES));
	char *dst = buf_reserve(out, step);

	if (!dst)
		return out->err;
	*ret = (ZSTD_outBuffer){ dst, step, 0 };
	return 0;
}

static int zstd_unpack(struct str packed, size_t max_bytes, struct buf *out)
{
	_cleanup_(dctx_done) ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = { packed.p, packed.len, 0 };
	size_t left = 1; /* 0: a frame is complete */

	if (!d || ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
		return -ENOMEM;
	for (;;) {
		ZSTD_outBuffer to;
		int r = zstd_room(out, max_bytes, &to);

		if (r < 0)
			return r;
		left = ZSTD_decompressStream(d, &to, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		out->len += to.pos;
		if (out->len > max_bytes)
			return -EFBIG;
		if (in.pos == in.size && to.pos < to.size)
			return left == 0 ? 0 : -EBADMSG;
	}
}

static const struct {
	const char *name;
	int (*pack)(struct str plain, struct buf *out);
	int (*unpack)(struct str packed, size_t max_bytes, struct buf *out);
} codings[CODING_N] = {
	[CODING_SNAPPY] = { "snappy", snappy_pack, snappy_unpack },
	[CODING_ZSTD] = { "zstd", zstd_pack, zstd_unpack },
};

const char *coding_name(enum coding c)
{
	return codings[c].name;
}

int coding_parse(struct str name, enum coding *ret)
{
	for (unsigned c = 0; c < CODING_N; c++) {
		if (str_eqc(name, codings[c].name)) {
			*ret = (enum coding)c;
			return 0;
		}
	}
	return -EINVAL;
}

int coding_pack(enum coding c, struct str plain, struct buf *out)
{
	buf_clear(out);
	return codings[c].pack(plain, out);
}

int coding_unpack(enum coding c, struct str packed, size_t max_bytes, struct buf *out)
{
	buf_clear(out);
	int r = codings[c].unpack(packed, max_bytes, out);

	if (r < 0)
		buf_clear(out);
	return r;
}
