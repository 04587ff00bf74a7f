/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2: the frame walker of bpf/http2.h feeds streams and HPACK of user space, as the ring buffer
 * does. The input is segments of both sides: a byte that says whose it is and how long, then its
 * bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/machine.h"

#include "bpf/http2.h"
#include "userspace/host/proxy/http2.h"

#define STEPS_MAX 100000 /* of one segment; more would be a loop without an end */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct counts {
	uint32_t asked, ended;
};

static uint32_t on_asked(void *ctx, const struct http2_asked *asked)
{
	struct counts *c = ctx;

	c->asked += 1 + 0 * (uint32_t)(strlen(asked->path) + strlen(asked->authority) +
	                               strlen(asked->agent));
	return c->asked;
}

static void on_ended(void *ctx, const struct http2_request *q)
{
	struct counts *c = ctx;

	if (q->status > 999 || (q->tag > c->asked))
		abort();
	c->ended++;
}

static void piece(struct http2 *h, const struct h2_dir *d, const struct seg *s, uint8_t by_server,
                  const struct http2_listener *l)
{
	struct proxy_bytes_rec *rec = calloc(1, sizeof(*rec) + d->piece_len);
	const uint8_t *p = d->header;
	uint32_t len = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

	if (d->piece_at + d->piece_len > s->len)
		abort();
	rec->what = PROXY_FIELDS;
	rec->by_server = by_server;
	rec->key = d->stream;
	rec->type = d->type;
	rec->type_flags = d->flags;
	rec->len = d->piece_len;
	rec->frame_len = len;
	rec->at = len - d->left - d->piece_len;
	memcpy(rec->bytes, s->p + d->piece_at, d->piece_len);
	http2_fields(h, rec, l);
	free(rec);
}

static void frame(struct http2 *h, const struct h2_dir *d, uint8_t by_server,
                  const struct http2_listener *l)
{
	const struct proxy_rec rec = { .what = PROXY_FRAME,
		                       .frame = { .stream = d->stream,
		                                  .type = d->type,
		                                  .flags = d->flags,
		                                  .by_server = by_server } };

	http2_frame(h, &rec, l);
}

static void segment(struct http2 *h, struct h2_dir *d, struct seg *s, uint8_t by_server,
                    const struct http2_listener *l)
{
	uint32_t met = 0, steps = 0;

	if (d->lost) {
		if (!h2_resync(d, s))
			return;
		d->type = H2_TYPES;
		frame(h, d, by_server, l);
	}
	while (!(met & H2_MORE)) {
		met = h2_step(d, s);
		if (met & H2_MET_PIECE)
			piece(h, d, s, by_server, l);
		if (met & H2_MET_END)
			frame(h, d, by_server, l);
		if (++steps > STEPS_MAX)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct h2_dir dirs[2] = { 0 };
	struct counts counts = { 0, 0 };
	const struct http2_listener l = { on_asked, on_ended, &counts };
	uint32_t seq[2] = { 0, 0 };
	struct http2 *h;

	if (bytes < 2 || http2_new(&h, true, !(data[0] & 1)) < 0)
		return 0;
	data++;
	bytes--;
	while (bytes > 1) {
		uint8_t by_server = data[0] & 1;
		uint32_t n = 1u + (data[0] >> 1) * 5u;

		data++;
		bytes--;
		n = n < bytes ? n : (uint32_t)bytes;
		unsigned char *copy = malloc(n);
		struct seg s = { copy, seq[by_server], n };

		memcpy(copy, data, n);
		segment(h, &dirs[by_server], &s, by_server, &l);
		free(copy);
		seq[by_server] += n;
		data += n;
		bytes -= n;
	}
	http2_end(h, 1, true, &l);
	if (http2_n_in_flight(h) != 0 || counts.ended < counts.asked)
		abort(); /* each request ends */
	http2_free(h);
	return 0;
}
