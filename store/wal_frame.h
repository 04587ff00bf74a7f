/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Framing of a WAL segment (docs/format/wal.md):
 *
 *	header  "PSCPWAL1", u32 version, u32 CRC-32C of the 12 bytes before it
 *	frame   u32 "PWLF", u32 payload bytes, u32 CRC-32C of (payload bytes, payload), payload
 *
 * The mark at the head of each frame is what a reader looks for behind damage.
 */

#include <stdint.h>

#include "userspace/base/buf.h"

#define WAL_HEADER_BYTES 16u
#define WAL_FRAME_HEAD   12u
#define WAL_VERSION      1u

void wal_header_put(uint8_t *dst);
int wal_header_check(struct str file); /* -EBADMSG, or -EPROTO for another version */

void wal_frame_begin(struct buf *out);
/* Completes the frame that begins at byte @at. The sticky error of @out, or -ENOSPC: too large. */
int wal_frame_end(struct buf *out, size_t at);

/*
 * wal_frame_next() - the frame at *@pos of @file, and *@pos behind it.
 * 0 a frame; 1 the end; -ENODATA the file ends inside a frame; -EBADMSG damage: *@pos is then at
 * the next mark that may begin a frame, or at the end.
 */
int wal_frame_next(struct str file, size_t *pos, struct str *ret_payload);
