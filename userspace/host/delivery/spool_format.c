/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/spool_format.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/crc32c.h"

#define FILE_MAGIC   "PSCSPOOL"
#define VERSION      1u
#define RECORD_MAGIC "PSR1"
#define MAGIC_BYTES  4u

/* Little-endian, as this machine: the build refuses others (store/wal_record.c does the same). */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

static uint8_t *put(uint8_t *p, const void *v, size_t bytes)
{
	memcpy(p, v, bytes);
	return p + bytes;
}

static const uint8_t *get(const uint8_t *p, void *v, size_t bytes)
{
	memcpy(v, p, bytes);
	return p + bytes;
}

void spool_put_file_header(uint8_t dst[SPOOL_FILE_HEADER_BYTES])
{
	const uint32_t version = VERSION;
	uint8_t *p = put(dst, FILE_MAGIC, 8);

	p = put(p, &version, 4);
	const uint32_t crc = crc32c(0, dst, 12);

	(void)put(p, &crc, 4);
}

int spool_check_file_header(const uint8_t *src, size_t bytes)
{
	uint32_t version, crc;

	if (bytes < SPOOL_FILE_HEADER_BYTES || memcmp(src, FILE_MAGIC, 8) != 0)
		return -EBADMSG;
	(void)get(get(src + 8, &version, 4), &crc, 4);
	if (crc32c(0, src, 12) != crc)
		return -EBADMSG;
	return version == VERSION ? 0 : -ENOTSUP;
}

static uint32_t header_crc(const uint8_t *header)
{
	return crc32c(0, header + 8, SPOOL_MARK_OFFSET - 8);
}

void spool_put_record(uint8_t dst[SPOOL_RECORD_HEADER_BYTES], const struct spool_record *r)
{
	uint8_t *p = put(dst, RECORD_MAGIC, MAGIC_BYTES) + 4; /* the checksum comes last */

	p = put(p, &r->appended_ms, 8);
	p = put(p, &r->payload_bytes, 4);
	p = put(p, &r->payload_crc, 4);
	p = put(p, &r->n_samples, 4);
	*p++ = r->lane;
	*p++ = r->lanes;
	*p++ = 0; /* reserved */
	*p = r->settled ? SPOOL_MARK_SETTLED : 0;
	const uint32_t crc = header_crc(dst);

	(void)put(dst + MAGIC_BYTES, &crc, 4);
}

int spool_get_record(const uint8_t *src, size_t bytes, struct spool_record *ret)
{
	struct spool_record r;
	uint32_t crc;

	if (bytes < SPOOL_RECORD_HEADER_BYTES || memcmp(src, RECORD_MAGIC, MAGIC_BYTES) != 0)
		return -EBADMSG;
	const uint8_t *p = get(src + MAGIC_BYTES, &crc, 4);

	if (header_crc(src) != crc)
		return -EBADMSG;
	p = get(p, &r.appended_ms, 8);
	p = get(p, &r.payload_bytes, 4);
	p = get(p, &r.payload_crc, 4);
	p = get(p, &r.n_samples, 4);
	r.lane = p[0];
	r.lanes = p[1];
	r.settled = p[3] == SPOOL_MARK_SETTLED;
	if (r.lanes == 0 || r.lanes > SPOOL_LANES_MAX || r.lane >= r.lanes ||
	    r.payload_bytes > SPOOL_PAYLOAD_BYTES_MAX || r.appended_ms < 0)
		return -EBADMSG;
	*ret = r;
	return 0;
}

uint32_t spool_payload_crc(struct str payload)
{
	return crc32c(0, payload.p, payload.len);
}

size_t spool_find_record(struct str bytes, size_t from)
{
	if (from >= bytes.len)
		return bytes.len;
	const char *at = memmem(bytes.p + from, bytes.len - from, RECORD_MAGIC, MAGIC_BYTES);

	return at ? (size_t)(at - bytes.p) : bytes.len;
}
