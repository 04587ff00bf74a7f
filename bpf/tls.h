/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * A TLS handshake, followed by the headers of its records: no key is needed, and no knowledge of
 * the library that makes it.
 *
 * Begins   with the client's first record.
 * Ends     TLS 1.2: when both sides have sent Finished, which is the first record behind their
 *          ChangeCipherSpec. TLS 1.3: with the client's first encrypted record behind the server's
 *          first one; early data is passed over up to its end, which has a size of its own.
 * Fails    by an alert before that; some alerts are encrypted, and known by their size. A server
 *          may still refuse the client's certificate after a TLS 1.3 handshake is over for the
 *          client: an alert that is the first thing it then says is a late failure.
 * Gaps     Positions are those of the stream, so a record's content is skipped in whatever order it
 *          comes. When a header itself was missed, tls_resync() looks for the next one at the
 *          beginning of a segment; a server that finishes has seen what we did not.
 *
 * For the kernel side and for user space. Whoever includes this defines before: struct seg with the
 * members seq and len, seg_load(), and TLS_SUBPROGRAM as H1_SUBPROGRAM (see http1.h).
 */

#include <linux/types.h>

#define TLS_RECORDS_MAX 24u /* looked at in one segment */
#define TLS_HEADER      5u
#define TLS_LOOK        19u /* bytes of the server's first record that are looked at */

enum tls_record_type {
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_ALERT,
	TLS_HANDSHAKE,
	TLS_APPLICATION_DATA,
};

enum tls_flags {
	TLS_CLIENT_CCS = 1 << 0,
	TLS_SERVER_CCS = 1 << 1,
	TLS_CLIENT_FINISHED = 1 << 2,
	TLS_SERVER_FINISHED = 1 << 3,
	TLS_IS_13 = 1 << 4,
	TLS_EARLY = 1 << 5,     /* the client has sent early data */
	TLS_EARLY_END = 1 << 6, /* and has said that it ends */
	TLS_SERVER_SPOKE = 1 << 7,
	TLS_ANSWERED = 1 << 8, /* data of the server behind its Finished */
};

enum tls_state {
	TLS_SHAKING,
	TLS_WATCHING, /* the handshake is over; what does the server say first? */
	TLS_OVER,     /* nothing is looked at any more */
};

enum tls_met {
	TLS_MET_DONE = 1 << 0,
	TLS_MET_FAILED = 1 << 1, /* alert and by_server say how */
	TLS_MET_LATE = 1 << 2,   /* failed behind DONE */
	TLS_MET_PLAIN =
		1 << 3, /* the server answers in plain text: HTTP on a TLS port, or the reverse */
	TLS_MET_LOST = 1 << 4,
	TLS_MORE = 1 << 5, /* the segment may have a further record */
};

#define TLS_ALERT_UNKNOWN 255u /* it was encrypted */

struct tls_dir {
	__u32 next;  /* position of the next record */
	__u8 have;   /* bytes of its header, in header[] */
	__u8 lost;   /* where the next one is not known */
	__u8 missed; /* it was lost once */
	__u8 header[TLS_HEADER];
	__u8 look[TLS_LOOK + 5]; /* what is being looked at */
};

struct tls {
	struct tls_dir client, server;
	__u8 state;  /* enum tls_state */
	__u16 flags; /* enum tls_flags */
	__u8 alert;  /* its description */
	__u8 by_server;
	__u8 resumed; /* TLS 1.2: the server finished first */
};

static __always_inline __u32 tls_fails(struct tls *t, __u8 alert, __u8 by_server)
{
	t->alert = alert;
	t->by_server = by_server;
	t->state = TLS_OVER;
	return TLS_MET_FAILED;
}

static __always_inline __u32 tls_done(struct tls *t)
{
	t->state = TLS_WATCHING;
	return TLS_MET_DONE;
}

/*
 * An alert in clear has two bytes; warnings but "close notify" (0) mean nothing in TLS 1.2, and
 * there is no such thing as a warning in TLS 1.3 that anybody sends in clear.
 */
static __always_inline __u32 tls_alert(struct tls *t, __u32 len, __u8 level, __u8 description,
                                       __u8 by_server)
{
	if (len != 2)
		return tls_fails(t, TLS_ALERT_UNKNOWN, by_server);
	if (level == 1 && description != 0)
		return 0;
	return tls_fails(t, description, by_server);
}

/* Sizes of encrypted records in TLS 1.3: content, one byte of type, sixteen of authentication. */
#define TLS_13_ALERT      (2u + 17)
#define TLS_13_EARLY_END  (4u + 17)
#define TLS_13_FINISHED   (4u + 32 + 17)
#define TLS_13_FINISHED48 (4u + 48 + 17)

static __always_inline __u32 tls_client_data(struct tls *t, __u32 len)
{
	if (!(t->flags & TLS_IS_13)) {
		if (!(t->flags & TLS_CLIENT_FINISHED))
			t->flags |= TLS_EARLY; /* else TLS 1.2 with a "false start" */
		return 0;
	}
	if (len == TLS_13_ALERT)
		return tls_fails(t, TLS_ALERT_UNKNOWN, 0);
	if (!(t->flags & TLS_EARLY) || (t->flags & TLS_EARLY_END) || len == TLS_13_FINISHED ||
	    len == TLS_13_FINISHED48)
		return tls_done(t);
	if (len == TLS_13_EARLY_END)
		t->flags |= TLS_EARLY_END;
	return 0;
}

static __always_inline __u32 tls_client_record(struct tls *t, __u8 type, __u32 len, __u8 level,
                                               __u8 description)
{
	switch (type) {
	case TLS_CHANGE_CIPHER_SPEC:
		t->flags |= TLS_CLIENT_CCS;
		return 0;
	case TLS_ALERT:
		return tls_alert(t, len, level, description, 0);
	case TLS_HANDSHAKE:
		/* In TLS 1.3 this is a second ClientHello, behind a CCS that means nothing. */
		if ((t->flags & TLS_IS_13) || !(t->flags & TLS_CLIENT_CCS) ||
		    !(t->flags & TLS_SERVER_SPOKE))
			return 0;
		t->flags |= TLS_CLIENT_FINISHED;
		t->resumed = (t->flags & TLS_SERVER_FINISHED) != 0;
		return t->flags & TLS_SERVER_FINISHED ? tls_done(t) : 0;
	case TLS_APPLICATION_DATA:
		return tls_client_data(t, len);
	default:
		return 0;
	}
}

/*
 * A server that has taken early data may have answered it, and end the connection, before the
 * client has finished: that is no failure.
 */
static __always_inline __u32 tls_server_data(struct tls *t, __u32 len)
{
	if (len == TLS_13_ALERT)
		return t->flags & TLS_EARLY && t->flags & TLS_ANSWERED
		               ? tls_done(t)
		               : tls_fails(t, TLS_ALERT_UNKNOWN, 1);
	t->flags |= TLS_IS_13;
	if (t->flags & TLS_SERVER_FINISHED)
		t->flags |= TLS_ANSWERED;
	if (len == TLS_13_FINISHED || len == TLS_13_FINISHED48)
		t->flags |= TLS_SERVER_FINISHED;
	return 0;
}

static __always_inline __u32 tls_server_record(struct tls *t, __u8 type, __u32 len, __u8 level,
                                               __u8 description)
{
	switch (type) {
	case TLS_CHANGE_CIPHER_SPEC:
		t->flags |= TLS_SERVER_CCS;
		return 0;
	case TLS_ALERT:
		return tls_alert(t, len, level, description, 1);
	case TLS_HANDSHAKE:
		if ((t->flags & TLS_IS_13) || !(t->flags & TLS_SERVER_CCS))
			return 0;
		t->flags |= TLS_SERVER_FINISHED;
		return t->flags & TLS_CLIENT_FINISHED || t->client.missed ? tls_done(t) : 0;
	case TLS_APPLICATION_DATA:
		return tls_server_data(t, len);
	default:
		return 0;
	}
}

/*
 * The first thing that the server says behind the handshake: tickets, or data. An alert and nothing
 * else is a refusal.
 */
static __always_inline __u32 tls_watch(struct tls *t, __u8 type, __u32 len, int by_server)
{
	if (!by_server) {
		/* A client that says "close notify" gets one for an answer. */
		if (len == TLS_13_ALERT || type == TLS_ALERT)
			t->state = TLS_OVER;
		return 0;
	}
	t->state = TLS_OVER;
	if (type == TLS_ALERT || (type == TLS_APPLICATION_DATA && len == TLS_13_ALERT)) {
		t->alert = TLS_ALERT_UNKNOWN;
		t->by_server = 1;
		return TLS_MET_LATE;
	}
	return 0;
}

/* ---- ServerHello --------------------------------------------------------------------------- */

/* A request for another ClientHello looks like a ServerHello with this in place of a random. */
#define TLS_RETRY 0x11619ae574ad21cfull /* CF 21 AD 74 E5 9A 61 11 */

static __always_inline void tls_first_answer(struct tls *t, const __u8 *p)
{
	__u64 random = 0;

	for (int i = 7; i >= 0; i--)
		random = random << 8 | p[TLS_HEADER + 6u + (__u32)i];
	if (p[0] == TLS_HANDSHAKE && p[TLS_HEADER] == 2 && random == TLS_RETRY)
		t->flags |= TLS_IS_13;
}

/* ---- records ------------------------------------------------------------------------------- */

static __always_inline int tls_is_header(const __u8 *p)
{
	return p[0] >= TLS_CHANGE_CIPHER_SPEC && p[0] <= TLS_APPLICATION_DATA && p[1] == 3 &&
	       p[2] <= 4 && p[3] <= 72; /* 2^14 + 2048 bytes */
}

/* Takes a header that comes in pieces together; whether it is whole by now. */
static __always_inline int tls_join(struct tls_dir *d, __u32 n)
{
	for (__u32 i = 0; i < TLS_HEADER; i++) {
		__u32 have = d->have;

		if (have >= TLS_HEADER || i >= n)
			break;
		d->header[have] = d->look[i];
		d->have = (__u8)(have + 1);
		d->next++;
	}
	if (d->have < TLS_HEADER)
		return 0;
	for (__u32 i = 0; i < TLS_HEADER; i++)
		d->look[i] = d->header[i];
	d->have = 0;
	return 1;
}

/* The record whose first @n bytes are in look[]. */
TLS_SUBPROGRAM int tls_record(struct tls *t, __u32 by_server, __u32 n)
{
	struct tls_dir *d;
	__u8 *look;
	__u32 len;

	if (!t)
		return 0;
	d = by_server ? &t->server : &t->client;
	look = d->look;
	if (n < TLS_HEADER || d->have > 0) {
		if (!tls_join(d, n))
			return 0;
		n = TLS_HEADER;
	} else {
		d->next += TLS_HEADER;
	}
	len = (__u32)look[3] << 8 | look[4];
	if (!tls_is_header(look)) {
		d->lost = d->missed = 1;
		return by_server && !(t->flags & TLS_SERVER_SPOKE) ? TLS_MET_PLAIN : TLS_MET_LOST;
	}
	d->next += len;
	if (t->state == TLS_WATCHING)
		return TLS_MORE | (int)tls_watch(t, look[0], len, (int)by_server);
	if (n < TLS_HEADER + 2) {
		look[TLS_HEADER] = 2;
		look[TLS_HEADER + 1] = TLS_ALERT_UNKNOWN;
	}
	if (!by_server)
		return TLS_MORE | (int)tls_client_record(t, look[0], len, look[TLS_HEADER],
		                                         look[TLS_HEADER + 1]);
	if (!(t->flags & TLS_SERVER_SPOKE)) {
		t->flags |= TLS_SERVER_SPOKE;
		tls_first_answer(t, look);
	}
	return TLS_MORE |
	       (int)tls_server_record(t, look[0], len, look[TLS_HEADER], look[TLS_HEADER + 1]);
}

/*
 * tls_step() - goes on with the segment @s of one side, by one record.
 *
 * Returns what was met, with TLS_MORE unless the segment has nothing left. A segment that begins
 * behind the next header is not for this function.
 */
static __always_inline __u32 tls_step(struct tls *t, struct seg *s, __u32 by_server)
{
	struct tls_dir *d = by_server ? &t->server : &t->client;
	__u32 at = d->next - s->seq, n;

	if (at >= s->len || t->state == TLS_OVER)
		return 0;
	n = s->len - at;
	if (n > TLS_LOOK)
		n = TLS_LOOK;
	if (seg_load(s, at, d->look, n, TLS_LOOK) != 0)
		return 0;
	return (__u32)tls_record(t, by_server, n);
}

/* Whether a lost side can go on with the first byte of this segment; if so, it does. */
static __always_inline int tls_resync(struct tls_dir *d, struct seg *s)
{
	if (s->len < TLS_HEADER || seg_load(s, 0, d->look, TLS_HEADER, TLS_HEADER) != 0 ||
	    !tls_is_header(d->look))
		return 0;
	d->next = s->seq;
	d->have = 0;
	d->lost = 0;
	return 1;
}
