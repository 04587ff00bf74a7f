/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/recode.h"

#include <errno.h>
#include <stdio.h>

#include "userspace/base/arena.h"
#include "userspace/base/util.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rw2.h"

#define PLAIN_BYTES_MAX ((size_t)64 << 20)
#define KEYS_BYTES_MAX  ((size_t)512 << 20)

struct opened {
	struct buf plain;
	struct arena keys;
	struct rw_split split;
};

static void opened_done(struct opened *o)
{
	rw_split_done(&o->split);
	arena_done(&o->keys);
	buf_done(&o->plain);
}

static int open_block(struct str block, struct opened *o)
{
	int r = coding_unpack(CODING_ZSTD, block, PLAIN_BYTES_MAX, &o->plain);

	o->keys = ARENA_INIT(KEYS_BYTES_MAX);
	if (r == 0)
		r = rw2_split(buf_str(&o->plain), &o->keys, &o->split, NULL);
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

static int as_version_1(const struct rw_split *s, size_t from, size_t to, struct buf *out)
{
	for (size_t i = from; i < to; i++)
		rw_encode_keyed(out, &s->series[i]);
	for (size_t i = 0; from == 0 && i < s->n_metadata; i++)
		rw_encode_metadata(out, &s->metadata[i]);
	return out->err;
}

/* Without metadata: it comes again soon, and this is for a request that was too large. */
static int as_version_2(const struct rw_split *s, size_t from, size_t to, struct buf *out)
{
	struct rw2_writer w = RW2_WRITER_INIT;
	struct label labels[LABELS_MAX];
	uint32_t n;
	int r = 0;

	for (size_t i = from; r == 0 && i < to; i++) {
		const struct series_keyed *one = &s->series[i];

		r = rw_labels(one->key, labels, LABELS_MAX, &n, NULL);
		if (r == 0)
			rw2_add(&w, labels, n, one->samples, one->n_samples, NULL);
	}
	if (r == 0)
		r = rw2_finish(&w, out);
	rw2_writer_done(&w);
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

static int copy(struct str from, struct buf *out)
{
	buf_clear(out);
	buf_put_str(out, from);
	return out->err;
}

/* The same message, compressed otherwise. */
static int repack(struct str block, enum coding coding, struct buf *out)
{
	_cleanup_(buf_done) struct buf plain = BUF_INIT;
	int r = coding_unpack(CODING_ZSTD, block, PLAIN_BYTES_MAX, &plain);

	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	return coding_pack(coding, buf_str(&plain), out);
}

int recode(struct str block, struct recode_form form, size_t from, size_t to, struct buf *out)
{
	_cleanup_(opened_done) struct opened o = { .plain = BUF_INIT };
	_cleanup_(buf_done) struct buf plain = BUF_INIT;
	bool whole = from == 0 && to == SIZE_MAX;
	int r;

	if (whole && form.v2)
		return form.coding == CODING_ZSTD ? copy(block, out)
		                                  : repack(block, form.coding, out);
	r = open_block(block, &o);
	if (r < 0)
		return r;
	to = MIN(to, o.split.n_series);
	r = form.v2 ? as_version_2(&o.split, from, to, &plain)
	            : as_version_1(&o.split, from, to, &plain);
	return r < 0 ? r : coding_pack(form.coding, buf_str(&plain), out);
}

int64_t recode_n_series(struct str block)
{
	_cleanup_(opened_done) struct opened o = { .plain = BUF_INIT };
	int r = open_block(block, &o);

	return r < 0 ? r : (int64_t)o.split.n_series;
}

void recode_first_sample(struct str block, char *dst, size_t cap)
{
	_cleanup_(opened_done) struct opened o = { .plain = BUF_INIT };
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct label labels[LABELS_MAX];
	uint32_t n = 0;

	(void)snprintf(dst, cap, "?");
	if (open_block(block, &o) < 0 || o.split.n_samples == 0 ||
	    rw_labels(o.split.series[0].key, labels, LABELS_MAX, &n, NULL) < 0 || n == 0)
		return;
	promtext_write_sample(&text, labels, n, o.split.samples[0].value,
	                      &o.split.samples[0].ts_ms);
	if (text.err == 0 && text.len > 1)
		(void)snprintf(dst, cap, "%.*s", (int)MIN(text.len - 1, cap), text.p);
}
