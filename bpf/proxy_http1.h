/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * HTTP/1 of a connection: requests on one side, answers on the other, in the same order. One record
 * for each request, when its answer's last byte has passed, or when it becomes clear that there
 * will be none.
 */

#include "bpf/proxy_events.h"

#define H1_STEPS_MAX 512 /* messages and pieces of one segment that are looked at */

/* User space learns a name once, then only its hash; most connections ask for one name only. */
static void h1_on_host(void *conn, const struct h1_dir *d)
{
	struct proxy_bytes_rec *rec;
	struct conn *c = conn;
	__u32 at = d->host_at, len = d->host_len;

	if (c->role != PROXY_EDGE || d->host == c->h1.host_sent)
		return;
	rec = bpf_ringbuf_reserve(&proxy_ring, sizeof(*rec) + PROXY_BYTES_SHORT, 0);
	if (!rec) {
		count(&counters.lost[PROXY_HOST]);
		return;
	}
	bytes_head(rec, c, PROXY_HOST, 0, 0, len < H1_KEEP ? len : H1_KEEP);
	rec->key = d->host;
	for (__u32 i = 0; i < H1_KEEP; i += 8, at += 8) {
		h1_opaque(at);
		if (at >= H1_WINDOW)
			break;
		*(__u64 *)(rec->bytes + i) = h1_word(d->window + at);
	}
	rec_submit(rec);
	c->h1.host_sent = d->host;
}

/* ---- records ------------------------------------------------------------------------------- */

static __noinline void h1_send(struct conn *c, const struct conn_asked *asked, __u16 status,
                               __u8 flags, __u64 end_ns)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_REQUEST, end_ns);

	if (!rec)
		return;
	if (asked->flags & H1_IS_CHECK)
		flags |= PROXY_RQ_CHECK;
	if (asked->at_ns == 0)
		flags |= PROXY_RQ_UNASKED;
	rec->flags |= flags;
	rec->request.begun_ns = asked->at_ns;
	rec->request.host = asked->host;
	rec->request.status = status;
	rec_submit(rec);
}

/* ---- requests ------------------------------------------------------------------------------ */

static __always_inline void h1_asked(struct conn *c, struct seg *s)
{
	struct conn_asked *slot = &c->h1.asked[c->h1.n_asked & (CONN_ASKED_MAX - 1)];

	if (c->h1.n_asked - c->h1.n_answered >= CONN_ASKED_MAX)
		count(&counters.overwritten);
	slot->at_ns = seg_now(s);
	slot->host = 0;
	slot->flags = 0;
	c->h1.n_asked++;
}

static __always_inline void h1_asked_whole(struct conn *c)
{
	struct conn_asked *slot = &c->h1.asked[(c->h1.n_asked - 1) & (CONN_ASKED_MAX - 1)];

	slot->host = c->h1.request.host;
	slot->flags = c->h1.request.flags;
}

static __noinline __u32 h1_request_step(struct conn *c, struct seg *s)
{
	__u32 met = h1_step(&c->h1.request, s, 0, c);

	if (met & H1_MET_BEGIN)
		h1_asked(c, s);
	if (met & H1_MET_HEAD)
		h1_asked_whole(c);
	if (met & H1_MET_BAD) {
		/* The proxy will say what it thinks of it; see h1_answer_begins(). */
		c->h1.request.phase = H1_LOST;
		count(&counters.bad);
		met |= H1_MORE;
	}
	return met;
}

/* ---- answers ------------------------------------------------------------------------------- */

static __always_inline void h1_answered(struct conn *c)
{
	struct conn_http1 *h = &c->h1;

	if (h->n_answered != h->n_asked) {
		h->current = h->asked[h->n_answered & (CONN_ASKED_MAX - 1)];
		h->n_answered++;
	} else {
		h->current = (struct conn_asked){}; /* an answer to what we did not see */
	}
	h->status = h->response.status;
	h->is_answering = 1;
	h->is_last = (h->response.flags & H1_CLOSES) != 0;
}

/* The tally begins anew; what it has goes to user space. */
static __noinline void h1_flush(struct conn *c)
{
	struct proxy_tally *t = &c->h1.tally;
	struct proxy_tally_rec *rec;
	__u32 epoch = t->epoch + 1;

	if (t->n > 0) {
		rec = bpf_ringbuf_reserve(&proxy_ring, sizeof(*rec), 0);
		if (rec) {
			rec->what = PROXY_TALLY;
			rec->role = c->role;
			rec->flags = c->flags;
			rec->pad = 0;
			rec->proxy = proxy_index;
			rec->cookie = c->cookie;
			rec->at_ns = 0;
			rec->tally = *t;
			rec_submit(rec);
		} else {
			count(&counters.lost[PROXY_TALLY]);
			__sync_fetch_and_add(&counters.lost_answers, t->n);
		}
	}
	*t = (struct proxy_tally){ .epoch = epoch };
}

/* The index of the bucket; most answers are in one of the first. */
static __always_inline __u32 h1_bucket(__u64 ns)
{
	__u32 i = 0;

#define H1_BOUND(le_ns, text) \
	if (ns <= (le_ns))    \
		return i;     \
	i++;
	LATENCY_BOUNDS(H1_BOUND)
#undef H1_BOUND
	return i;
}

static __always_inline void h1_tally(struct conn *c, __u64 ns)
{
	const struct conn_asked *q = &c->h1.current;
	struct proxy_tally *t = &c->h1.tally;
	__u8 is_check = (q->flags & H1_IS_CHECK) != 0;

	if (t->n > 0 && (t->status != c->h1.status || t->host != q->host ||
	                 t->is_check != is_check || t->n >= PROXY_TALLY_MAX))
		h1_flush(c);
	t->status = c->h1.status;
	t->host = q->host;
	t->is_check = is_check;
	t->sum_ns += ns;
	t->buckets[h1_bucket(ns)]++;
	t->n++;
}

static __always_inline void h1_answer_ends(struct conn *c, __u8 flags, __u64 end_ns)
{
	const struct conn_asked *q = &c->h1.current;

	c->h1.is_answering = 0;
	if (q->at_ns != 0)
		c->h1.n_done++;
	if (flags == 0 && q->at_ns != 0)
		h1_tally(c, end_ns > q->at_ns ? end_ns - q->at_ns : 0);
	else
		h1_send(c, q, c->h1.status, flags, end_ns);
}

static __noinline __u32 h1_response_step(struct conn *c, struct seg *s)
{
	struct conn_http1 *h = &c->h1;
	__u32 as = H1_RESPONSE, met;

	if (h->n_answered != h->n_asked)
		as |= h->asked[h->n_answered & (CONN_ASKED_MAX - 1)].flags;
	met = h1_step(&h->response, s, as, c);
	if (met & H1_MET_HEAD)
		h1_answered(c);
	if (met & H1_MET_TUNNEL)
		h->is_tunnel = 1;
	if (met & H1_MET_END)
		h1_answer_ends(c, 0, seg_now(s));
	if (met & H1_MET_BAD) {
		h->response.phase = H1_LOST;
		count(&counters.bad);
		met |= H1_MORE;
	}
	return met;
}

/* ---- segments ------------------------------------------------------------------------------ */

static __always_inline bool h1_is_due(struct h1_dir *d, struct seg *s, __u32 as)
{
	bool lost = false;

	if (d->phase >= H1_UNTIL_CLOSE && d->phase != H1_LOST)
		return true;
	if (d->phase != H1_LOST && seg_is_due(s, d->next, &lost))
		return true;
	if (d->phase != H1_LOST && !lost)
		return false;
	if (d->phase != H1_LOST)
		count(&counters.gaps);
	d->phase = H1_LOST;
	return h1_resync(d, s, as);
}

struct h1_loop {
	struct conn *c;
	struct seg *s;
};

static long h1_request_again(__u32 i, struct h1_loop *l)
{
	return h1_request_step(l->c, l->s) & H1_MORE ? 1 : 0;
}

static long h1_response_again(__u32 i, struct h1_loop *l)
{
	return h1_response_step(l->c, l->s) & H1_MORE ? 1 : 0;
}

static __always_inline void h1_requests(struct conn *c, struct seg *s)
{
	struct h1_loop l = { c, s };

	if (c->h1.is_tunnel || !h1_is_due(&c->h1.request, s, 0))
		return;
	if (!(h1_request_step(c, s) & H1_MORE))
		bpf_loop(H1_STEPS_MAX, h1_request_again, &l, 0);
}

static __always_inline void h1_responses(struct conn *c, struct seg *s)
{
	struct h1_loop l = { c, s };

	if (!h1_is_due(&c->h1.response, s, H1_RESPONSE))
		return;
	if (!(h1_response_step(c, s) & H1_MORE))
		bpf_loop(H1_STEPS_MAX, h1_response_again, &l, 0);
	if (c->h1.is_answering)
		c->h1.last_ns = seg_now(s);
}

static __always_inline void h1_init(struct conn *c, __u32 request_seq, __u32 response_seq)
{
	c->h1.request.next = request_seq;
	c->h1.response.next = response_seq;
	c->proto = CONN_HTTP1;
}

/*
 * The connection ends. What is being answered ends with it: as it should, when the answer was to
 * end so, or cut off. Of what was asked and not answered the first will not be. Those behind it,
 * and all behind an answer that said it was the last, were never looked at by whom they were for.
 */
static __always_inline void h1_close(struct conn *c, __u64 now_ns)
{
	struct conn_http1 *h = &c->h1;
	__u8 phase = h->response.phase;
	bool was_answering = h->is_answering, no_head;

	if (was_answering) {
		__u8 flags = phase == H1_UNTIL_CLOSE || h->is_tunnel ? 0 : PROXY_RQ_CUT;

		h1_answer_ends(c, flags, h->is_tunnel ? now_ns : h->last_ns);
	}
	if (h->n_answered == h->n_asked)
		return;
	if (!was_answering && !h->is_last) {
		no_head = h->n_asked - h->n_answered == 1 && (h->request.flags & H1_BEGUN) &&
		          h->request.phase <= H1_HEAD;
		h1_send(c, &h->asked[h->n_answered & (CONN_ASKED_MAX - 1)], 0,
		        PROXY_RQ_CUT | (no_head ? PROXY_RQ_NO_HEAD : 0), now_ns);
		h->n_answered++;
	}
	__sync_fetch_and_add(&counters.unread, h->n_asked - h->n_answered);
	h->n_answered = h->n_done = h->n_asked;
}
