/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal_frame.h"

#include <errno.h>
#include <string.h>

#include "store/wal.h"
#include "userspace/base/crc32c.h"

static const char file_mark[8] = { 'P', 'S', 'C', 'P', 'W', 'A', 'L', '1' };
static const char frame_mark[4] = { 'P', 'W', 'L', 'F' };

static uint32_t get_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v)); /* little-endian, as this machine */
	return v;
}

static uint32_t header_crc(const void *head)
{
	const char *p = head;

	return crc32c(crc32c(0, p + 8, 4), p + 16, 16);
}

void wal_header_put(const struct wal_header *h, uint8_t *dst)
{
	uint32_t version = WAL_VERSION, crc;

	memcpy(dst, file_mark, 8);
	memcpy(dst + 8, &version, 4);
	memcpy(dst + 16, &h->chain, 8);
	memcpy(dst + 24, &h->epoch, 8);
	crc = header_crc(dst);
	memcpy(dst + 12, &crc, 4);
}

int wal_header_get(struct str file, struct wal_header *ret)
{
	if (file.len < 16 || memcmp(file.p, file_mark, 8) != 0)
		return -EBADMSG;
	if (get_u32(file.p + 8) != WAL_VERSION) /* its checksum is for that version to know */
		return -EPROTO;
	if (file.len < WAL_HEADER_BYTES || get_u32(file.p + 12) != header_crc(file.p))
		return -EBADMSG;
	memcpy(&ret->chain, file.p + 16, 8);
	memcpy(&ret->epoch, file.p + 24, 8);
	return 0;
}

void wal_frame_begin(struct buf *out)
{
	char head[WAL_FRAME_HEAD] = { 0 };

	memcpy(head, frame_mark, sizeof(frame_mark));
	buf_put(out, head, sizeof(head));
}

int wal_frame_end(struct buf *out, size_t at)
{
	uint32_t len, crc;

	if (out->err < 0)
		return out->err;
	if (out->len - at - WAL_FRAME_HEAD > WAL_FRAME_BYTES_MAX)
		return -ENOSPC;
	len = (uint32_t)(out->len - at - WAL_FRAME_HEAD);
	memcpy(out->p + at + 4, &len, 4);
	crc = crc32c(crc32c(0, &len, 4), out->p + at + WAL_FRAME_HEAD, len);
	memcpy(out->p + at + 8, &crc, 4);
	return 0;
}

/* The next mark behind *@pos; the file's end when there is none. */
static int resync(struct str file, size_t *pos)
{
	const char *found = NULL;

	if (*pos + 1 < file.len)
		found = memmem(file.p + *pos + 1, file.len - *pos - 1, frame_mark, 4);
	*pos = found ? (size_t)(found - file.p) : file.len;
	return -EBADMSG;
}

int wal_frame_next(struct str file, size_t *pos, struct str *ret_payload)
{
	const char *head = file.p + *pos;
	size_t left = file.len - *pos;

	if (left == 0)
		return 1;
	if (memcmp(head, frame_mark, left < 4 ? left : 4) != 0)
		return resync(file, pos);
	if (left < WAL_FRAME_HEAD)
		return -ENODATA;
	uint32_t len = get_u32(head + 4);

	if (len > left - WAL_FRAME_HEAD) {
		/* Cut off, or a damaged length: damaged if another frame follows. */
		size_t next = *pos;

		(void)resync(file, &next);
		if (next == file.len)
			return -ENODATA;
		*pos = next;
		return -EBADMSG;
	}
	if (crc32c(crc32c(0, &len, 4), head + WAL_FRAME_HEAD, len) != get_u32(head + 8))
		return resync(file, pos);
	*ret_payload = (struct str){ head + WAL_FRAME_HEAD, len };
	*pos += WAL_FRAME_HEAD + len;
	return 0;
}
