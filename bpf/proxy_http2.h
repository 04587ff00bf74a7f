/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * HTTP/2 of a connection: what user space needs of its frames. Which request an answer belongs to,
 * and what is in the header fields, it finds out itself.
 */

#include "bpf/proxy_events.h"

#define H2_STEPS_MAX 1024 /* frames and pieces of one segment that are looked at */

static __always_inline void h2_send_frame(struct conn *c, struct seg *s, const struct h2_dir *d,
                                          int by_server, int is_end)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_FRAME, seg_now(s));

	if (!rec)
		return;
	rec->frame.stream = d->stream;
	rec->frame.type = d->type;
	rec->frame.flags = d->flags;
	rec->frame.by_server = (__u8)by_server;
	rec->frame.is_end = (__u8)is_end;
	rec_submit(rec);
}

static __always_inline void h2_send_piece(struct conn *c, struct seg *s, const struct h2_dir *d,
                                          int by_server, __u32 at, __u32 n, __u32 in_frame,
                                          const __u32 room)
{
	struct proxy_bytes_rec *rec = bpf_ringbuf_reserve(&proxy_ring, sizeof(*rec) + room, 0);

	if (!rec) {
		count(&counters.lost[PROXY_FIELDS]);
		return;
	}
	bytes_head(rec, c, PROXY_FIELDS, seg_now(s), in_frame, n);
	rec->by_server = (__u8)by_server;
	rec->key = d->stream;
	rec->type = d->type;
	rec->type_flags = d->flags;
	rec->frame_len = in_frame + n + d->left;
	if (n == 0 || n > room || seg_load(s, at, rec->bytes, n, room) != 0)
		rec->len = 0;
	rec_submit(rec);
}

/* A step gives as much of a frame as the segment has; longer ones are cut to the record's size. */
static __always_inline void h2_send_pieces(struct conn *c, struct seg *s, struct h2_dir *d,
                                           int by_server)
{
	const __u8 *p = d->header;
	__u32 len = (__u32)p[0] << 16 | (__u32)p[1] << 8 | p[2];
	__u32 n = d->piece_len, in_frame = len - d->left - n;

	if (n > PROXY_BYTES_LONG) {
		d->next -= n - PROXY_BYTES_LONG; /* the rest comes with the next step */
		d->left += n - PROXY_BYTES_LONG;
		n = PROXY_BYTES_LONG;
	}
	if (n <= PROXY_BYTES_SHORT)
		h2_send_piece(c, s, d, by_server, d->piece_at, n, in_frame, PROXY_BYTES_SHORT);
	else
		h2_send_piece(c, s, d, by_server, d->piece_at, n, in_frame, PROXY_BYTES_LONG);
}

/* Of the frames that say something about requests; header fields say it with their bytes. */
static __always_inline bool h2_is_told(const struct h2_dir *d)
{
	return d->type == H2_RST_STREAM || d->type == H2_GOAWAY ||
	       (d->type == H2_DATA && (d->flags & H2_END_STREAM));
}

struct h2_loop {
	struct conn *c;
	struct seg *s;
	int by_server;
};

static long h2_again(__u32 i, struct h2_loop *l)
{
	struct h2_dir *d = l->by_server ? &l->c->h2.server : &l->c->h2.client;
	__u32 met = h2_step(d, l->s);

	if (met & H2_MET_PIECE)
		h2_send_pieces(l->c, l->s, d, l->by_server);
	if ((met & H2_MET_END) && h2_is_told(d))
		h2_send_frame(l->c, l->s, d, l->by_server, 1);
	if (met & H2_MET_LOST)
		count(&counters.bad);
	return met & H2_MORE ? 1 : 0;
}

static __always_inline bool h2_is_due(struct conn *c, struct h2_dir *d, struct seg *s,
                                      int by_server)
{
	bool lost = false;

	if (!d->lost && seg_is_due(s, d->next, &lost))
		return true;
	if (!d->lost && !lost)
		return false;
	if (!d->lost)
		count(&counters.gaps);
	d->lost = 1;
	if (!h2_resync(d, s))
		return false;
	/* Header fields may be missing, and with them the meaning of later ones. */
	d->type = H2_TYPES;
	h2_send_frame(c, s, d, by_server, 0);
	return true;
}

static __always_inline void h2_segment(struct conn *c, struct seg *s, int by_server)
{
	struct h2_loop l = { c, s, by_server };

	if (h2_is_due(c, by_server ? &c->h2.server : &c->h2.client, s, by_server))
		bpf_loop(H2_STEPS_MAX, h2_again, &l, 0);
}

static __always_inline void h2_init(struct conn *c, __u32 client_seq, __u32 server_seq)
{
	c->h2.client.next = client_seq + H2_PREFACE_BYTES;
	c->h2.server.next = server_seq;
	c->proto = CONN_HTTP2;
}
