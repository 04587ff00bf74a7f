/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * HTTP/2 on one direction of a connection: the nine-byte headers of frames, and where the content
 * of those lies that carry header fields. What is in them (HPACK) is user space's.
 *
 * Shape    h2_step() goes on by one piece: a frame's header, or so much of the content of a
 *          HEADERS, PUSH_PROMISE or CONTINUATION frame as the segment has. All other content is
 *          skipped by position.
 *
 * For the kernel side and for user space. Whoever includes this defines before: struct seg with the
 * members seq and len, and seg_load() (see http1.h).
 */

#include <linux/types.h>

#include "bpf/http2_frames.h"

#define H2_HEADER        9u
#define H2_PREFACE_BYTES 24u
#define H2_PREFACE_WORD  0x5448202a20495250ull /* "PRI * HT", its first eight bytes */
#define H2_FRAME_MAX     (1u << 20)            /* larger ones need a setting that nobody makes */

enum h2_met {
	H2_MET_FRAME = 1 << 0, /* type, flags and stream are those of a new frame */
	H2_MET_PIECE = 1 << 1, /* of content: piece_at, piece_len of the segment */
	H2_MET_END = 1 << 2,   /* the frame's last byte has passed */
	H2_MET_LOST = 1 << 3,
	H2_MORE = 1 << 4, /* nothing of this segment is left for us */
};

struct h2_dir {
	__u32 next;   /* position of the next frame's header, or of the next byte of content */
	__u32 left;   /* bytes of content that are looked at */
	__u32 stream; /* of this frame */
	__u32 piece_at, piece_len;
	__u8 type, flags; /* of this frame */
	__u8 have;        /* bytes of a header, in header[] */
	__u8 lost;
	__u8 in_frame; /* its end has not been told of yet */
	__u8 header[H2_HEADER];
};

static __always_inline int h2_has_fields(__u8 type)
{
	return type == H2_HEADERS || type == H2_PUSH_PROMISE || type == H2_CONTINUATION;
}

/* What a frame header can be: enough to tell it from the middle of one. */
static __always_inline int h2_is_header(const __u8 *p)
{
	__u32 len = (__u32)p[0] << 16 | (__u32)p[1] << 8 | p[2];
	__u32 stream = (__u32)p[5] << 24 | (__u32)p[6] << 16 | (__u32)p[7] << 8 | p[8];
	int of_connection = p[3] == H2_SETTINGS || p[3] == H2_PING || p[3] == H2_GOAWAY;

	if (len > H2_FRAME_MAX || stream >> 31)
		return 0;
	if (p[3] >= H2_TYPES || p[3] == H2_WINDOW_UPDATE)
		return 1;
	return of_connection == (stream == 0);
}

static __always_inline void h2_frame(struct h2_dir *d)
{
	const __u8 *p = d->header;
	__u32 len = (__u32)p[0] << 16 | (__u32)p[1] << 8 | p[2];

	d->type = p[3];
	d->flags = p[4];
	d->stream = (__u32)(p[5] & 0x7f) << 24 | (__u32)p[6] << 16 | (__u32)p[7] << 8 | p[8];
	d->have = 0;
	d->in_frame = 1;
	d->left = h2_has_fields(d->type) ? len : 0;
	if (d->left == 0)
		d->next += len;
}

/*
 * h2_step() - goes on with the segment @s; the caller has seen to it that @d->next is not before
 * it. Returns what was met; H2_MORE when the segment has nothing left.
 */
static __always_inline __u32 h2_step(struct h2_dir *d, struct seg *s)
{
	__u32 at = d->next - s->seq, n;
	__u8 look[H2_HEADER + 7] = { 0 };

	if (d->in_frame && d->left == 0 && (__s32)(s->seq + s->len - d->next) >= 0) {
		d->in_frame = 0;
		return H2_MET_END;
	}
	if (d->lost || at >= s->len)
		return H2_MORE;
	n = s->len - at;
	if (d->left > 0) {
		if (n > d->left)
			n = d->left;
		d->piece_at = at;
		d->piece_len = n;
		d->next += n;
		d->left -= n;
		return H2_MET_PIECE;
	}
	if (n > H2_HEADER - d->have)
		n = H2_HEADER - d->have;
	if (n == 0 || n > H2_HEADER || seg_load(s, at, look, n, H2_HEADER) != 0)
		return H2_MORE;
	for (__u32 i = 0; i < H2_HEADER; i++) {
		if (i >= n || d->have >= H2_HEADER)
			break;
		d->header[d->have] = look[i];
		d->have++;
	}
	d->next += n;
	if (d->have < H2_HEADER)
		return H2_MORE;
	if (!h2_is_header(d->header)) {
		d->lost = 1;
		return H2_MET_LOST;
	}
	h2_frame(d);
	return H2_MET_FRAME;
}

/* Whether a lost direction can go on with the first byte of this segment; if so, it does. */
static __always_inline int h2_resync(struct h2_dir *d, struct seg *s)
{
	__u8 look[H2_HEADER + 7] = { 0 };

	if (s->len < H2_HEADER || seg_load(s, 0, look, H2_HEADER, H2_HEADER) != 0 ||
	    !h2_is_header(look) || look[3] >= H2_TYPES)
		return 0;
	d->next = s->seq;
	d->have = d->lost = d->in_frame = 0;
	d->left = 0;
	return 1;
}
