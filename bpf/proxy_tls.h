/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * TLS handshakes of clients. The ClientHello's bytes go to user space as they come, until the
 * server has spoken: a name that is split over segments and records is put together there.
 */

#include "bpf/proxy_events.h"

#define TLS_HELLO_MAX 16384u

static __always_inline void tls_send_hello_piece(struct conn *c, struct seg *s, __u32 at, __u32 n,
                                                 const __u32 room)
{
	struct proxy_bytes_rec *rec = bpf_ringbuf_reserve(&proxy_ring, sizeof(*rec) + room, 0);

	if (!rec) {
		count(&counters.lost[PROXY_HELLO]);
		return;
	}
	bytes_head(rec, c, PROXY_HELLO, seg_now(s), s->seq + at - c->first_in, n);
	if (n == 0 || n > room || seg_load(s, at, rec->bytes, n, room) != 0)
		rec->len = 0;
	rec_submit(rec);
}

static __always_inline void tls_send_hello(struct conn *c, struct seg *s)
{
	__u32 at = 0;

	if (s->len <= PROXY_BYTES_SHORT) {
		tls_send_hello_piece(c, s, 0, s->len, PROXY_BYTES_SHORT);
	} else {
		for (int i = 0; i < 8 && at < s->len; i++, at += PROXY_BYTES_LONG) {
			__u32 n = s->len - at;

			tls_send_hello_piece(c, s, at, n < PROXY_BYTES_LONG ? n : PROXY_BYTES_LONG,
			                     PROXY_BYTES_LONG);
		}
	}
	c->tls.hello_bytes += s->len;
}

static __noinline void tls_send(struct conn *c, __u8 flags, __u64 end_ns)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_HANDSHAKE, end_ns);

	if (!rec)
		return;
	rec->flags |= flags;
	rec->handshake.begun_ns = c->tls.begun_ns;
	rec->handshake.is_13 = (c->tls.tls.flags & TLS_IS_13) != 0;
	rec->handshake.resumed = c->tls.tls.resumed;
	rec->handshake.by_server = c->tls.tls.by_server;
	rec->handshake.alert = c->tls.tls.alert;
	rec_submit(rec);
}

struct tls_loop {
	struct conn *c;
	struct seg *s;
	__u32 met, by_server;
};

static long tls_again(__u32 i, struct tls_loop *l)
{
	__u32 met = tls_step(&l->c->tls.tls, l->s, l->by_server);

	l->met |= met;
	return met & TLS_MORE ? 0 : 1;
}

static __always_inline bool tls_is_due(struct tls_dir *d, struct seg *s)
{
	bool lost = false;

	if (!d->lost && seg_is_due(s, d->next, &lost))
		return true;
	if (!d->lost && !lost)
		return false;
	if (!d->lost)
		count(&counters.gaps);
	d->lost = d->missed = 1;
	return tls_resync(d, s);
}

/* Returns what was met: with TLS_MET_PLAIN the connection is none of TLS. */
static __always_inline __u32 tls_segment(struct conn *c, struct seg *s, __u32 by_server)
{
	struct tls_loop l = { c, s, 0, by_server };
	struct tls *t = &c->tls.tls;

	if (!by_server && !(t->flags & TLS_SERVER_SPOKE) && c->tls.hello_bytes < TLS_HELLO_MAX)
		tls_send_hello(c, s);
	if (!tls_is_due(by_server ? &t->server : &t->client, s))
		return 0;
	bpf_loop(TLS_RECORDS_MAX, tls_again, &l, 0);
	if (l.met & TLS_MET_DONE)
		tls_send(c, 0, seg_now(s));
	if (l.met & TLS_MET_FAILED)
		tls_send(c, PROXY_HS_FAILED, seg_now(s));
	if (l.met & TLS_MET_LATE)
		tls_send(c, PROXY_HS_LATE, seg_now(s));
	if (t->state == TLS_OVER)
		c->proto = CONN_OTHER;
	return l.met;
}

static __always_inline void tls_init(struct conn *c, struct seg *s)
{
	c->proto = CONN_TLS;
	c->tls.begun_ns = seg_now(s);
	c->tls.tls.client.next = c->first_in;
	c->tls.tls.server.next = c->first_out;
}

static __always_inline void tls_close(struct conn *c, __u64 now_ns)
{
	if (c->tls.tls.state == TLS_SHAKING)
		tls_send(c, PROXY_HS_FAILED | PROXY_HS_ABORTED, now_ns);
}
