/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Framing of a log segment; docs/format/wal.md is the normative text.
 *
 *	header  "PSCPWAL1", u32 version, u32 CRC-32C of version, chain and epoch, u64 chain,
 *	        u64 epoch
 *	frame   u32 "PWLF", u32 payload bytes, u32 CRC-32C of (payload bytes, payload), payload
 *
 * The mark at the head of each frame is what a reader looks for behind damage.
 */

#include <stdint.h>

#include "userspace/base/buf.h"

#define WAL_HEADER_BYTES 32u
#define WAL_FRAME_HEAD   12u
#define WAL_VERSION      2u

struct wal_header {
	uint64_t chain; /* registrations hold for all segments of one chain */
	uint64_t epoch; /* of the head, that its samples belong to */
};

void wal_header_put(const struct wal_header *h, uint8_t *dst);
int wal_header_get(struct str file, struct wal_header *ret); /* -EBADMSG; -EPROTO: other version */

void wal_frame_begin(struct buf *out);
/* Completes the frame that begins at byte @at. The sticky error of @out, or -ENOSPC: too large. */
int wal_frame_end(struct buf *out, size_t at);

/*
 * wal_frame_next() - the frame at *@pos of @file, and *@pos behind it.
 * 0 a frame; 1 the end; -ENODATA the file ends inside a frame; -EBADMSG damage: *@pos is then at
 * the next mark that may begin a frame, or at the end.
 */
int wal_frame_next(struct str file, size_t *pos, struct str *ret_payload);
