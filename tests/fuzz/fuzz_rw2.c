/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever a 2.0 message says, a 1.0 message made of its keys says the same; and what a writer
 * makes of its labels is read back with the same keys.
 */
#include <stdlib.h>

#include "userspace/wire/compress.h"
#include "userspace/wire/rw2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void same(const struct rw_split *a, const struct rw_split *b)
{
	if (a->n_series != b->n_series || a->n_samples != b->n_samples)
		abort();
	for (size_t i = 0; i < a->n_series; i++) {
		if (!str_eq(a->series[i].key, b->series[i].key) ||
		    a->series[i].n_samples != b->series[i].n_samples)
			abort();
	}
	if (a->n_samples > 0 &&
	    memcmp(a->samples, b->samples, a->n_samples * sizeof(*a->samples)) != 0)
		abort();
}

static void as_version_1(const struct rw_split *split, struct arena *a)
{
	_cleanup_(rw_split_done) struct rw_split back = { 0 };
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	for (size_t i = 0; i < split->n_series; i++)
		rw_encode_keyed(&out, &split->series[i]);
	if (rw_split(buf_str(&out), a, &back, NULL) < 0)
		abort();
	same(split, &back);
}

static void as_version_2(const struct rw_split *split, struct arena *a)
{
	_cleanup_(rw_split_done) struct rw_split back = { 0 };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct rw2_writer w = RW2_WRITER_INIT;
	struct label labels[LABELS_MAX];
	bool all = true;
	uint32_t n;

	for (size_t i = 0; i < split->n_series; i++) {
		const struct series_keyed *s = &split->series[i];

		all = all && rw_labels(s->key, labels, LABELS_MAX, &n, NULL) == 0;
		if (all)
			rw2_add(&w, labels, n, s->samples, s->n_samples, NULL);
	}
	if (all && (rw2_finish(&w, &out) < 0 || rw2_split(buf_str(&out), a, &back, NULL) < 0))
		abort();
	if (all)
		same(split, &back);
	rw2_writer_done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	_cleanup_(arena_done) struct arena a = ARENA_INIT((size_t)64 << 20);
	_cleanup_(rw_split_done) struct rw_split split = { 0 };
	_cleanup_(buf_done) struct buf plain = BUF_INIT;
	struct str body = { (const char *)data, bytes };

	if (coding_unpack(CODING_ZSTD, body, 1 << 20, &plain) == 0)
		body = buf_str(&plain);
	if (rw2_split(body, &a, &split, NULL) < 0)
		return 0;
	as_version_1(&split, &a);
	as_version_2(&split, &a);
	return 0;
}
