/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/encoder.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/arena.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/delivery/relabel.h"
#include "userspace/host/delivery/spool_format.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/rw2.h"

#define BLOCK_BYTES_MAX   ((size_t)8 << 20) /* before compression: receivers take more */
#define RELABEL_BYTES_MAX ((size_t)64 << 20)

struct encoder {
	struct rw2_writer lanes[SPOOL_LANES_MAX];
	struct arena texts; /* what the rules make; of one batch */
	struct buf raw, packed;
};

struct job {
	struct encoder *e;
	const struct batch *batch;
	const struct encoder_opts *opts;
	encoder_block_f fn;
	void *ctx;
	struct drops *drops;
	size_t i; /* of the sample that is being encoded */
	uint8_t lanes;
};

int encoder_new(struct encoder **ret)
{
	struct encoder *e = mem_zalloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->texts = ARENA_INIT(RELABEL_BYTES_MAX);
	*ret = e;
	return 0;
}

void encoder_free(struct encoder *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < SPOOL_LANES_MAX; i++)
		rw2_writer_done(&e->lanes[i]);
	arena_done(&e->texts);
	buf_done(&e->raw);
	buf_done(&e->packed);
	free(e);
}

static void lost(const struct job *j, uint32_t n_samples, const char *why)
{
	drops_add(j->drops, DROP_NO_MEMORY, n_samples);
	log_warn("delivery: samples could not be encoded", U64("samples", n_samples),
	         STRV("why", why));
}

static void finish(const struct job *j, uint8_t lane)
{
	struct rw2_writer *w = &j->e->lanes[lane];
	int r;

	if (w->n_samples == 0)
		return;
	buf_clear(&j->e->raw);
	r = rw2_finish(w, &j->e->raw);
	if (r == 0)
		r = coding_pack(CODING_ZSTD, buf_str(&j->e->raw), &j->e->packed);
	if (r == 0)
		j->fn(j->ctx, buf_str(&j->e->packed), w->n_samples, lane, j->lanes);
	else
		lost(j, w->n_samples, "no memory");
	rw2_writer_clear(w);
}

/* Insertion sort: what came is nearly in order. */
static void sort_labels(struct relabel_labels *l)
{
	for (uint32_t i = 1; i < l->n; i++) {
		struct label one = l->v[i];
		uint32_t at = i;

		for (; at > 0 && str_cmp(l->v[at - 1].name, one.name) > 0; at--)
			l->v[at] = l->v[at - 1];
		l->v[at] = one;
	}
}

static void add(const struct job *j, const struct label *labels, uint32_t n_labels,
                const struct sample *sample, const struct rw2_meta *meta)
{
	uint8_t lane = (uint8_t)(batch_owner_hash(j->batch, j->i) % j->lanes);
	struct rw2_writer *w = &j->e->lanes[lane];

	rw2_add(w, labels, n_labels, sample, 1, meta);
	if (w->err < 0) { /* all of the block is worthless: its table of texts has a hole */
		lost(j, w->n_samples + 1, "no memory");
		rw2_writer_clear(w);
	} else if (w->n_samples >= j->opts->block_samples_max || rw2_bytes(w) >= BLOCK_BYTES_MAX) {
		finish(j, lane);
	}
}

/* Names with capitals sort before __name__, which comes first from a batch. */
static bool is_sorted(const struct label *labels, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		if (str_cmp(labels[i - 1].name, labels[i].name) >= 0)
			return false;
	}
	return true;
}

static void add_changed(const struct job *j, const struct label *labels, uint32_t n_labels,
                        const struct sample *sample, const struct rw2_meta *meta)
{
	struct relabel_labels l = { .n = n_labels };

	memcpy(l.v, labels, n_labels * sizeof(labels[0]));
	switch (!j->opts->rules ? RELABEL_KEPT : relabel_apply(j->opts->rules, &l, &j->e->texts)) {
	case RELABEL_KEPT:
		sort_labels(&l);
		add(j, l.v, l.n, sample, meta);
		break;
	case RELABEL_DROPPED:
		break;
	case RELABEL_NO_NAME:
		drops_add(j->drops, DROP_REFUSED, 1);
		log_warn("delivery: the relabelling rules leave a series without a name, or with"
		         " too many labels");
		break;
	case RELABEL_NO_MEMORY:
		lost(j, 1, "no memory for what the relabelling rules make");
		break;
	}
}

static int on_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n_labels,
                     const struct sample *sample)
{
	struct job *j = ctx;
	struct rw2_meta meta;
	const struct rw2_meta *with = NULL;

	if (j->opts->with_metadata || id == SERIES_N) {
		batch_sample_meta(j->batch, j->i, &meta);
		with = &meta;
	}
	if (j->opts->rules || (id == SERIES_N && !is_sorted(labels, n_labels)))
		add_changed(j, labels, n_labels, sample, with);
	else
		add(j, labels, n_labels, sample, with);
	j->i++;
	return 0;
}

/* Twice as many as long as blocks stay full. */
static uint8_t lanes_for(size_t n_samples, const struct encoder_opts *opts)
{
	uint32_t lanes = 1;

	while (lanes * 2 <= opts->lanes_max &&
	       n_samples / (lanes * 2) >= opts->block_samples_max / 2)
		lanes *= 2;
	return (uint8_t)lanes;
}

void encoder_batches(struct encoder *e, struct batch *const *batches, size_t n,
                     const struct encoder_opts *opts, encoder_block_f fn, void *ctx,
                     struct drops *drops)
{
	struct job j = { .e = e, .opts = opts, .fn = fn, .ctx = ctx, .drops = drops };
	size_t n_samples = 0;

	for (size_t i = 0; i < n; i++)
		n_samples += batch_n_samples(batches[i]);
	j.lanes = lanes_for(n_samples, opts);
	for (size_t i = 0; i < n; i++) {
		j.batch = batches[i];
		j.i = 0;
		(void)batch_each(j.batch, true, on_sample, &j);
	}
	for (uint8_t lane = 0; lane < j.lanes; lane++)
		finish(&j, lane);
	arena_reset(&e->texts);
}
