/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/page.h"

#include <errno.h>
#include <zstd.h>

#include "userspace/base/crc32c.h"
#include "userspace/base/vfs.h"

#define GAIN_SHARE 8u /* of the raw bytes: what compression must save */

static uint32_t get_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v)); /* little-endian, as this machine */
	return v;
}

static void set_u32(char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* ---- writing -------------------------------------------------------------- */

int page_packer_init(struct page_packer *p, int level)
{
	*p = (struct page_packer){ ZSTD_createCCtx(), level };
	return p->zstd ? 0 : -ENOMEM;
}

void page_packer_done(struct page_packer *p)
{
	(void)ZSTD_freeCCtx(p->zstd);
	p->zstd = NULL;
}

/* Compresses to @dst; the bytes that took, or @raw.len when it is not worth it. */
static size_t compress(struct page_packer *p, struct str raw, char *dst)
{
	size_t room = raw.len - raw.len / GAIN_SHARE, n;

	if (p->level == 0 || raw.len < 2 * GAIN_SHARE)
		return raw.len;
	n = ZSTD_compressCCtx(p->zstd, dst, room, raw.p, raw.len, p->level);
	return ZSTD_isError(n) ? raw.len : n;
}

int page_put(struct page_packer *p, enum page_kind kind, struct str raw, struct buf *out)
{
	if (raw.len > PAGE_RAW_MAX)
		return -EFBIG;
	char *head = buf_reserve(out, PAGE_HEAD_BYTES + raw.len);

	if (!head)
		return out->err;
	char *stored = head + PAGE_HEAD_BYTES;
	size_t n = compress(p, raw, stored);

	if (n == raw.len && n > 0)
		memcpy(stored, raw.p, n);
	set_u32(head + 4, (uint32_t)kind << 24 | (uint32_t)raw.len);
	set_u32(head + 8, (uint32_t)n);
	set_u32(head, crc32c(0, head + 4, PAGE_HEAD_BYTES - 4 + n));
	out->len += PAGE_HEAD_BYTES + n;
	return 0;
}

/* ---- reading -------------------------------------------------------------- */

void page_reader_done(struct page_reader *r)
{
	(void)ZSTD_freeDCtx(r->zstd);
	buf_done(&r->stored);
	buf_done(&r->raw);
	*r = (struct page_reader){ 0 };
}

static int read_stored(struct page_reader *r, int fd, struct page_ref ref)
{
	int ret;

	buf_clear(&r->stored);
	if (!buf_reserve(&r->stored, ref.bytes + PAGE_SLACK))
		return r->stored.err;
	ret = vfs()->read_at(fd, ref.at, ref.bytes, &r->stored);
	if (ret < 0)
		return ret;
	r->n_pages++;
	r->n_bytes += r->stored.len;
	return r->stored.len == ref.bytes ? 0 : -EBADMSG;
}

static int decompress(struct page_reader *r, struct str stored, size_t raw_bytes)
{
	if (!r->zstd)
		r->zstd = ZSTD_createDCtx();
	buf_clear(&r->raw);
	if (!r->zstd || !buf_reserve(&r->raw, raw_bytes + PAGE_SLACK))
		return -ENOMEM;
	size_t n = ZSTD_decompressDCtx(r->zstd, r->raw.p, raw_bytes, stored.p, stored.len);

	r->raw.len = raw_bytes;
	return !ZSTD_isError(n) && n == raw_bytes ? 0 : -EBADMSG;
}

int page_get(struct page_reader *r, int fd, struct page_ref ref, enum page_kind kind,
             struct str *ret)
{
	int code = ref.bytes >= PAGE_HEAD_BYTES ? read_stored(r, fd, ref) : -EBADMSG;

	if (code < 0)
		return code;
	const char *head = r->stored.p;
	struct str stored = str_skip(buf_str(&r->stored), PAGE_HEAD_BYTES);
	uint32_t what = get_u32(head + 4), raw_bytes = what & PAGE_RAW_MAX;

	if (get_u32(head) != crc32c(0, head + 4, ref.bytes - 4) || what >> 24 != (uint32_t)kind ||
	    get_u32(head + 8) != stored.len || stored.len > raw_bytes)
		return -EBADMSG;
	if (stored.len == raw_bytes) {
		*ret = stored;
		return 0;
	}
	code = decompress(r, stored, raw_bytes);
	if (code == 0)
		*ret = buf_str(&r->raw);
	return code;
}

/* ---- the head of a file --------------------------------------------------- */

void page_file_head(const char *mark, uint32_t version, uint8_t *dst)
{
	uint32_t crc;

	memcpy(dst, mark, 8);
	memcpy(dst + 8, &version, 4);
	crc = crc32c(0, dst, 12);
	memcpy(dst + 12, &crc, 4);
}

int page_file_check(int fd, const char *mark, uint32_t version)
{
	_cleanup_(buf_done) struct buf head = BUF_INIT;
	int r = vfs()->read_at(fd, 0, PAGE_FILE_HEAD, &head);

	if (r < 0)
		return r;
	if (head.len != PAGE_FILE_HEAD || memcmp(head.p, mark, 8) != 0 ||
	    get_u32(head.p + 12) != crc32c(0, head.p, 12))
		return -EBADMSG;
	return get_u32(head.p + 8) <= version ? 0 : -EPROTO;
}
