/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever decodes, encoded, decodes to a message that encodes to the same bytes; and split by keys
 * it says the same.
 */
#include <stdlib.h>

#include "userspace/wire/compress.h"
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

static bool same_series(const struct series_in *a, const struct series_keyed *b)
{
	static struct label labels[65536];
	uint32_t n;

	if (rw_labels(b->key, labels, 65536, &n, NULL) < 0 || n != a->n_labels ||
	    b->n_samples != a->n_samples)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!str_eq(labels[i].name, a->labels[i].name) ||
		    !str_eq(labels[i].value, a->labels[i].value))
			return false;
	}
	return a->n_samples == 0 ||
	       memcmp(a->samples, b->samples, a->n_samples * sizeof(*a->samples)) == 0;
}

/* Labels are not looked into by a split: it may take what decoding refuses, not the other way. */
static void compare_split(struct str body)
{
	_cleanup_(arena_done) struct arena a = ARENA_INIT((size_t)64 << 20);
	_cleanup_(rw_split_done) struct rw_split split = { 0 };
	struct rw_request req;
	uint64_t skipped;
	int r = rw_split(body, &a, &split, NULL);

	if (rw_decode(body, &a, &req, &skipped, NULL) < 0)
		return;
	if (r < 0 || split.n_series != req.n_series || split.n_metadata != req.n_metadata ||
	    split.n_histograms != skipped)
		abort();
	for (size_t i = 0; i < req.n_series; i++) {
		if (!same_series(&req.series[i], &split.series[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	_cleanup_(buf_done) struct buf once = BUF_INIT;
	_cleanup_(buf_done) struct buf twice = BUF_INIT;
	struct str body = { (const char *)data, bytes };

	if (coding_unpack(CODING_SNAPPY, body, 1 << 20, &once) == 0)
		body = buf_str(&once);
	compare_split(body);
	_cleanup_(buf_done) struct buf first = BUF_INIT;

	if (again(body, &first) < 0)
		return 0;
	if (again(buf_str(&first), &twice) < 0 || !str_eq(buf_str(&first), buf_str(&twice)))
		abort();
	return 0;
}
