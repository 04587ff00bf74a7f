/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/http/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <zlib.h>
#include <zstd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define GZIP_WINDOW (15 + 16) /* the largest window; 16 = gzip framing */
#define GZIP_MEMORY 8
#define GZIP_LEVEL  1
#define ZSTD_LEVEL  1
#define PIECE_BYTES ((size_t)64 << 10)

struct packer {
	enum pack kind;
	z_stream gzip;
	ZSTD_CStream *zstd;
};

/* --- what the client takes -------------------------------------------------------------------- */

static bool is_word(struct str s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* "gzip;q=0" means: not that. */
static bool is_refused(struct str params)
{
	struct str one, key, value;
	double q;

	while (params.len > 0) {
		(void)str_cut(params, ';', &one, &params);
		if (str_cut(str_trim(one), '=', &key, &value) && is_word(str_trim(key), "q") &&
		    num_parse_double(str_trim(value), &q) == 0)
			return q <= 0;
	}
	return false;
}

enum pack pack_choose(struct str accept)
{
	enum pack best = PACK_NONE;
	struct str one, name, params;

	while (accept.len > 0) {
		(void)str_cut(accept, ',', &one, &accept);
		(void)str_cut(one, ';', &name, &params);
		name = str_trim(name);
		for (enum pack p = PACK_GZIP; p <= PACK_ZSTD; p++) {
			if (is_word(name, pack_name(p)) && p > best && !is_refused(params))
				best = p;
		}
	}
	return best;
}

const char *pack_name(enum pack p)
{
	static const char *const names[] = { [PACK_GZIP] = "gzip", [PACK_ZSTD] = "zstd" };

	return names[p];
}

/* --- packing ---------------------------------------------------------------------------------- */

int packer_new(struct packer **ret, enum pack kind)
{
	struct packer *p = mem_zalloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->kind = kind;
	if (kind == PACK_ZSTD)
		p->zstd = ZSTD_createCStream();
	if (kind == PACK_ZSTD ? !p->zstd || ZSTD_isError(ZSTD_initCStream(p->zstd, ZSTD_LEVEL))
	                      : deflateInit2(&p->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW,
	                                     GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
		packer_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	if (p->kind == PACK_ZSTD)
		(void)ZSTD_freeCStream(p->zstd);
	else
		(void)deflateEnd(&p->gzip);
	free(p);
}

static int add_gzip(z_stream *z, struct str in, bool end, struct buf *out)
{
	z->next_in = (z_const Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.len;
	for (;;) {
		Bytef *dst = buf_reserve(out, PIECE_BYTES);
		int r;

		if (!dst)
			return out->err;
		z->next_out = dst;
		z->avail_out = (uInt)PIECE_BYTES;
		r = deflate(z, end ? Z_FINISH : Z_NO_FLUSH);
		out->len += PIECE_BYTES - z->avail_out;
		if (r == Z_STREAM_ERROR)
			return -EIO;
		if (r == Z_STREAM_END || (!end && z->avail_in == 0 && z->avail_out > 0))
			return 0;
	}
}

static int add_zstd(ZSTD_CStream *zstd, struct str in, bool end, struct buf *out)
{
	ZSTD_inBuffer src = { in.p, in.len, 0 };

	for (;;) {
		char *room = buf_reserve(out, PIECE_BYTES);
		ZSTD_outBuffer dst = { room, PIECE_BYTES, 0 };
		size_t left;

		if (!room)
			return out->err;
		left = ZSTD_compressStream2(zstd, &dst, &src, end ? ZSTD_e_end : ZSTD_e_continue);
		out->len += dst.pos;
		if (ZSTD_isError(left))
			return -EIO;
		if (end ? left == 0 : src.pos == src.size)
			return 0;
	}
}

int packer_add(struct packer *p, struct str in, bool end, struct buf *out)
{
	return p->kind == PACK_ZSTD ? add_zstd(p->zstd, in, end, out)
	                            : add_gzip(&p->gzip, in, end, out);
}
