/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever decodes, encoded, decodes to a message that encodes to the same bytes. */
#include <stdlib.h>

#include "userspace/wire/rwproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int again(struct str body, struct buf *out)
{
	_cleanup_(arena_done) struct arena a = ARENA_INIT((size_t)64 << 20);
	struct rw_request req;
	int r = rw_decode(body, &a, &req, NULL, NULL);

	if (r < 0)
		return r;
	for (size_t i = 0; i < req.n_series; i++)
		rw_encode_series(out, req.series[i].labels, req.series[i].n_labels,
		                 req.series[i].samples, req.series[i].n_samples);
	for (size_t i = 0; i < req.n_metadata; i++)
		rw_encode_metadata(out, &req.metadata[i]);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	_cleanup_(buf_done) struct buf once = BUF_INIT;
	_cleanup_(buf_done) struct buf twice = BUF_INIT;
	struct str body = { (const char *)data, bytes };

	if (rw_decompress(body, 1 << 20, &once) == 0)
		body = buf_str(&once);
	_cleanup_(buf_done) struct buf first = BUF_INIT;

	if (again(body, &first) < 0)
		return 0;
	if (again(buf_str(&first), &twice) < 0 || !str_eq(buf_str(&first), buf_str(&twice)))
		abort();
	return 0;
}
