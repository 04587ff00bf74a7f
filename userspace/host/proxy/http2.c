/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams are in a table by half their number: clients number them 1, 3, 5, so those that are in
 * flight together lie side by side, and the table is as large as their number's span.
 */
#include "userspace/host/proxy/http2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/http2_frames.h"
#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"
#include "userspace/host/proxy/hpack.h"

#define SLOTS_MIN 16u

struct stream {
	uint32_t id; /* 0: free */
	uint32_t tag;
	uint64_t begun_ns;
	uint16_t status;
	bool is_unread; /* an answer came that we could not read */
};

struct side {
	struct hpack *fields; /* NULL: not looked into */
	uint8_t *block;       /* content of frames until END_HEADERS */
	size_t block_len, block_cap;
	uint32_t frame_have; /* of the frame that is being put together */
	uint32_t frame_at;   /* where its content begins in the block */
	uint32_t stream;
	uint64_t begun_ns; /* the block */
	bool end_stream, is_lost;
};

struct http2 {
	struct side client, server;
	struct stream *slots;
	uint32_t n_slots, n_streams, n_lost, last_id;
};

int http2_new(struct http2 **ret, bool reads_requests, bool is_whole)
{
	struct http2 *h = mem_zalloc(1, sizeof(*h));
	int r = h ? hpack_new(&h->server.fields) : -ENOMEM;

	if (r == 0 && reads_requests)
		r = hpack_new(&h->client.fields);
	if (r == 0) {
		h->slots = mem_zalloc(SLOTS_MIN, sizeof(*h->slots));
		h->n_slots = SLOTS_MIN;
		r = h->slots ? 0 : -ENOMEM;
	}
	if (r < 0) {
		http2_free(h);
		return r;
	}
	if (!is_whole) {
		hpack_lose(h->server.fields);
		if (reads_requests)
			hpack_lose(h->client.fields);
	}
	*ret = h;
	return 0;
}

static void side_done(struct side *s)
{
	hpack_free(s->fields);
	free(s->block);
}

void http2_free(struct http2 *h)
{
	if (!h)
		return;
	side_done(&h->client);
	side_done(&h->server);
	free(h->slots);
	free(h);
}

uint32_t http2_n_in_flight(const struct http2 *h)
{
	return h->n_streams;
}

uint32_t http2_n_lost(const struct http2 *h)
{
	return h->n_lost;
}

/* ---- streams -------------------------------------------------------------------------------- */

static struct stream *slot_of(const struct http2 *h, uint32_t id)
{
	return &h->slots[(id / 2) & (h->n_slots - 1)];
}

static struct stream *find(const struct http2 *h, uint32_t id)
{
	struct stream *s = slot_of(h, id);

	return id != 0 && s->id == id ? s : NULL;
}

/* All of them find different places in a table of twice the size, or of the next. */
static int grow(struct http2 *h)
{
	uint32_t n = h->n_slots * 2;
	struct stream *old = h->slots;
	struct stream *slots = n <= HTTP2_STREAMS_MAX ? mem_zalloc(n, sizeof(*slots)) : NULL;

	if (!slots)
		return -ENOSPC;
	h->slots = slots;
	h->n_slots = n;
	for (uint32_t i = 0; i < n / 2; i++) {
		if (old[i].id != 0)
			*slot_of(h, old[i].id) = old[i];
	}
	free(old);
	return 0;
}

static struct stream *add(struct http2 *h, uint32_t id)
{
	while (slot_of(h, id)->id != 0) {
		if (grow(h) < 0) {
			h->n_lost++;
			return NULL;
		}
	}
	h->n_streams++;
	*slot_of(h, id) = (struct stream){ .id = id };
	return slot_of(h, id);
}

static void end(struct http2 *h, struct stream *s, uint64_t at_ns, bool is_cut, bool by_client,
                const struct http2_listener *l)
{
	const struct http2_request request = {
		.begun_ns = s->begun_ns,
		.end_ns = at_ns,
		.tag = s->tag,
		.status = s->status,
		.is_cut = is_cut,
		.is_unread = s->is_unread,
		.by_client = by_client,
	};

	l->ended(l->ctx, &request);
	s->id = 0;
	h->n_streams--;
}

void http2_end(struct http2 *h, uint64_t at_ns, bool by_client, const struct http2_listener *l)
{
	for (uint32_t i = 0; i < h->n_slots; i++) {
		if (h->slots[i].id != 0)
			end(h, &h->slots[i], at_ns, true, by_client, l);
	}
}

/* ---- header fields -------------------------------------------------------------------------- */

static void copy(char *dst, size_t cap, struct str src)
{
	size_t n = MIN(src.len, cap - 1);

	memcpy(dst, src.p, n);
	dst[n] = '\0';
}

static void on_request_field(void *ctx, struct str name, struct str value)
{
	struct http2_asked *a = ctx;

	if (str_eqc(name, ":authority") || (str_eqc(name, "host") && !a->authority[0]))
		copy(a->authority, sizeof(a->authority), value);
	else if (str_eqc(name, ":path"))
		copy(a->path, sizeof(a->path), value);
	else if (str_eqc(name, "user-agent"))
		copy(a->agent, sizeof(a->agent), value);
}

static void on_response_field(void *ctx, struct str name, struct str value)
{
	uint16_t *status = ctx;
	uint64_t n;

	if (str_eqc(name, ":status") && num_parse_u64(value, &n) == 0 && n >= 100 && n <= 999)
		*status = (uint16_t)n;
}

static void request_block(struct http2 *h, const struct side *s, const struct http2_listener *l)
{
	struct http2_asked asked = { .authority = "" };
	struct stream *stream;

	if (s->fields && !s->is_lost)
		(void)hpack_block(s->fields, s->block, s->block_len, on_request_field, &asked);
	if (s->stream % 2 == 0 || s->stream <= h->last_id)
		return; /* trailers */
	h->last_id = s->stream;
	stream = add(h, s->stream);
	if (!stream)
		return;
	stream->begun_ns = s->begun_ns;
	stream->tag = l->asked(l->ctx, &asked);
}

static void response_block(struct http2 *h, const struct side *s, const struct http2_listener *l,
                           uint64_t at_ns)
{
	struct stream *stream = find(h, s->stream);
	uint16_t status = 0;

	/* Each block is read, whosever it is: the table must go on. */
	if (!s->is_lost)
		(void)hpack_block(s->fields, s->block, s->block_len, on_response_field, &status);
	if (!stream && s->stream > h->last_id) {
		h->last_id = s->stream; /* asked before we looked, or the question was lost */
		stream = add(h, s->stream);
	}
	if (!stream)
		return;
	if (status >= 200)
		stream->status = status;
	else if (status == 0 && stream->status == 0)
		stream->is_unread = true;
	if (s->end_stream)
		end(h, stream, at_ns, false, false, l);
}

/* ---- frames --------------------------------------------------------------------------------- */

static void lose(struct side *s)
{
	s->is_lost = true;
	if (s->fields)
		hpack_lose(s->fields);
}

/* Takes padding and what stands before the fields off the frame at the end of the block. */
static int trim(struct side *s, uint8_t type, uint8_t flags)
{
	uint8_t *p = s->block + s->frame_at;
	size_t len = s->block_len - s->frame_at, front = 0, pad = 0;

	if (type == H2_CONTINUATION)
		return 0;
	if (flags & H2_PADDED) {
		if (len < 1)
			return -EBADMSG;
		pad = p[0];
		front = 1;
	}
	if (type == H2_PUSH_PROMISE)
		front += 4;
	else if (flags & H2_HAS_PRIORITY)
		front += 5;
	if (front + pad > len)
		return -EBADMSG;
	memmove(p, p + front, len - front - pad);
	s->block_len -= front + pad;
	return 0;
}

static void begin_frame(struct side *s, const struct proxy_bytes_rec *rec)
{
	if (rec->type != H2_CONTINUATION) {
		s->block_len = 0;
		s->begun_ns = rec->at_ns;
		s->stream = rec->key;
		s->end_stream = rec->type == H2_HEADERS && (rec->type_flags & H2_END_STREAM);
		s->is_lost = false;
	}
	s->frame_at = (uint32_t)s->block_len;
	s->frame_have = 0;
}

static void take_piece(struct side *s, const struct proxy_bytes_rec *rec)
{
	size_t want = s->block_len + rec->len;

	if (rec->len == 0 || rec->at != s->frame_have || want > HTTP2_BLOCK_MAX ||
	    MEM_GROW(s->block, s->block_cap, want) < 0) {
		lose(s);
	} else {
		memcpy(s->block + s->block_len, rec->bytes, rec->len);
		s->block_len = want;
	}
	s->frame_have = rec->at + rec->len;
}

void http2_fields(struct http2 *h, const struct proxy_bytes_rec *rec,
                  const struct http2_listener *l)
{
	struct side *s = rec->by_server ? &h->server : &h->client;

	if (rec->at == 0)
		begin_frame(s, rec);
	take_piece(s, rec);
	if (rec->at + rec->len < rec->frame_len)
		return;
	if (!s->is_lost && trim(s, rec->type, rec->type_flags) < 0)
		lose(s);
	if (!(rec->type_flags & H2_END_HEADERS))
		return;
	if (rec->type == H2_PUSH_PROMISE && s->fields && !s->is_lost) {
		struct http2_asked ignored;

		(void)hpack_block(s->fields, s->block, s->block_len, on_request_field, &ignored);
	} else if (rec->by_server) {
		response_block(h, s, l, rec->at_ns);
	} else {
		request_block(h, s, l);
	}
}

void http2_frame(struct http2 *h, const struct proxy_rec *rec, const struct http2_listener *l)
{
	struct side *s = rec->frame.by_server ? &h->server : &h->client;
	struct stream *stream = find(h, rec->frame.stream);

	if (rec->frame.type == H2_TYPES) /* a gap */
		lose(s);
	if (!stream)
		return;
	if (rec->frame.type == H2_RST_STREAM)
		end(h, stream, rec->at_ns, true, !rec->frame.by_server, l);
	else if (rec->frame.type == H2_DATA && rec->frame.by_server)
		end(h, stream, rec->at_ns, false, false, l);
}
