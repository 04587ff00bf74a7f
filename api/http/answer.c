/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of an answer: from the handler's body or stream, packed if the client likes that, to the
 * connection. Pieces of a stream are made by workers: a network thread that has sent all there is
 * suspends the connection and asks for more.
 */
#include <errno.h>
#include <string.h>

#include "api/http/answer.h"
#include "userspace/base/util.h"

#define PIECE_BYTES    ((size_t)256 << 10) /* of a stream, before packing */
#define PACK_BYTES_MIN 1024u               /* a smaller answer is not worth it */

/* --- packing ---------------------------------------------------------------------------------- */

/* From here on the body is what goes over the wire. */
static int pack_body(struct exchange *x, bool end)
{
	struct buf packed = BUF_INIT;
	int r = packer_add(x->packer, buf_str(&x->resp.body), end, &packed);

	buf_done(&x->resp.body);
	x->resp.body = packed;
	return r;
}

/* An answer that cannot be packed for want of memory goes plain. */
void answer_pack(struct exchange *x)
{
	struct response *resp = &x->resp;
	enum pack kind = pack_choose(x->req.accept_encoding);
	bool stream = resp->stream.ctx != NULL;

	if (resp->is_packed || (!stream && resp->body.len < PACK_BYTES_MIN))
		return;
	response_header(resp, "Vary", "Accept-Encoding");
	if (kind == PACK_NONE || packer_new(&x->packer, kind) < 0)
		return;
	response_header(resp, "Content-Encoding", "%s", pack_name(kind));
	x->failed = pack_body(x, !stream) < 0;
}

/* --- pieces of a stream ----------------------------------------------------------------------- */

/* 1 when that was the last piece, 0, or an error. */
static int next_piece(struct exchange *x, struct buf *out)
{
	struct http_stream *s = &x->resp.stream;

	return s->next(s->ctx, out, PIECE_BYTES);
}

static int next_packed(struct exchange *x, struct buf *out)
{
	int r = 0;

	/* Until something comes out: a packer holds much of what it is given. */
	while (r == 0 && out->len == 0) {
		buf_clear(&x->plain);
		r = next_piece(x, &x->plain);
		if (r < 0 || packer_add(x->packer, buf_str(&x->plain), r == 1, out) < 0)
			return r < 0 ? r : -ENOMEM;
	}
	return r;
}

void answer_refill(struct exchange *x)
{
	struct buf *out = &x->resp.body;
	int r;

	buf_clear(out);
	x->sent = 0;
	r = x->packer ? next_packed(x, out) : next_piece(x, out);
	x->stream_ended = r != 0;
	x->failed = r < 0;
}

/* A worker makes more; 0 = the library may come back when it has. */
static ssize_t ask_for_more(struct exchange *x)
{
	MHD_suspend_connection(x->conn);
	if (exchange_queue_more(x) == 0)
		return 0;
	/* The server stops, and nobody makes anything any more. */
	x->failed = true;
	exchange_resume(x);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t on_send(void *ctx, uint64_t pos, char *dst, size_t max)
{
	struct exchange *x = ctx;
	size_t n = MIN(max, x->resp.body.len - x->sent);

	(void)pos;
	if (n == 0 && x->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0)
		return x->stream_ended ? MHD_CONTENT_READER_END_OF_STREAM : ask_for_more(x);
	memcpy(dst, x->resp.body.p + x->sent, n);
	x->sent += n;
	atomic_fetch_add_explicit(&x->h->sent_bytes, n, memory_order_relaxed);
	return (ssize_t)n;
}

/* --- to the library --------------------------------------------------------------------------- */

static struct MHD_Response *make_response(struct exchange *x)
{
	struct response *resp = &x->resp;

	if (resp->stream.ctx)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SEND_BLOCK_BYTES,
		                                         on_send, x, NULL);
	atomic_fetch_add_explicit(&x->h->sent_bytes, resp->body.len, memory_order_relaxed);
	/* The buffer is the exchange's, and that outlives the sending. */
	return MHD_create_response_from_buffer(resp->body.len, resp->body.p,
	                                       MHD_RESPMEM_PERSISTENT);
}

static bool add_headers(struct exchange *x, struct MHD_Response *m)
{
	const struct response *resp = &x->resp;
	bool ok = true;

	if (resp->content_type)
		ok = MHD_add_response_header(m, "Content-Type", resp->content_type) == MHD_YES;
	for (unsigned i = 0; ok && i < resp->n_headers; i++)
		ok = MHD_add_response_header(m, resp->headers[i].name, resp->headers[i].value) ==
		     MHD_YES;
	if (ok && atomic_load(&x->h->stopping))
		ok = MHD_add_response_header(m, "Connection", "close") == MHD_YES;
	return ok;
}

enum MHD_Result answer_queue(struct exchange *x)
{
	struct http *h = x->h;
	enum MHD_Result r = MHD_NO;
	struct MHD_Response *m;

	if (h->ops.finish)
		h->ops.finish(h->ops.ctx, &x->req, &x->resp);
	m = make_response(x);
	x->at = AT_ANSWER;
	if (m && !(x->failed && !x->resp.stream.ctx) && add_headers(x, m))
		r = MHD_queue_response(x->conn, (unsigned)x->resp.status, m);
	if (m)
		MHD_destroy_response(m);
	return r;
}
