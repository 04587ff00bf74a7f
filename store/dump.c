/* SPDX-License-Identifier: BSD-2-Clause */
/* What a store has on disk, as a text for people. */
#include <errno.h>

#include "store/block.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/tombstones.h"

static unsigned long long u(uint64_t v)
{
	return v;
}

static void put_range(struct buf *out, int64_t min_ms, int64_t max_ms)
{
	buf_printf(out, " from %lld to %lld ms", (long long)min_ms, (long long)max_ms);
}

static void put_block(const struct block *b, struct buf *out)
{
	const struct block_meta *m = &b->meta;

	buf_printf(out, "block %llu: level %u, epochs %llu to %llu, tombstones to %llu,",
	           u(b->number), m->level, u(m->min_epoch), u(m->max_epoch), u(m->deleted));
	put_range(out, m->min_ms, m->max_ms);
	buf_printf(out, ", %u series, %u labels, %llu samples, %llu + %llu bytes\n", m->n_series,
	           m->n_texts, u(m->n_samples), u(m->chunks_bytes), u(b->index_bytes));
	for (uint32_t i = 0; i < m->n_orgs; i++) {
		const struct block_org *o = &b->orgs[i];

		buf_printf(out, "\torganisation %.*s: %u series, %u labels, %llu samples,",
		           STR_FMT(o->name), o->n_series, o->n_texts, u(o->n_samples));
		put_range(out, o->min_ms, o->max_ms);
		buf_putc(out, '\n');
	}
	for (uint32_t i = 0; i < m->n_slices; i++) {
		const struct block_slice *s = &b->slices[i].meta;

		buf_printf(out, "\tslice %u: %u columns of timestamps,", i, s->n_times);
		put_range(out, s->min_ms, s->max_ms);
		buf_putc(out, '\n');
	}
}

static void put_set(const struct store_match_set *set, struct buf *out)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };

	buf_puts(out, " {");
	for (size_t i = 0; i < set->n; i++)
		buf_printf(out, "%s%.*s%s\"%.*s\"", i ? "," : "", STR_FMT(set->v[i].name),
		           ops[set->v[i].op], STR_FMT(set->v[i].value));
	buf_putc(out, '}');
}

static void put_tombstone(const struct tombstone *x, struct buf *out)
{
	buf_printf(out, "tombstone %llu: organisation %.*s,", u(x->number), STR_FMT(x->org));
	put_range(out, x->min_ms, x->max_ms);
	for (size_t i = 0; i < x->n_sets; i++)
		put_set(&x->sets[i], out);
	if (x->enforced.n > 0)
		put_set(&x->enforced, out);
	buf_putc(out, '\n');
}

static int put_tombstones(const char *dir, const struct manifest *m, struct buf *out, struct err *e)
{
	struct tombstones *t;
	int r = tombstones_read(dir, m->next_delete - 1, &t, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->n; i++)
		put_tombstone(&t->v[i], out);
	tombstones_unref(t);
	return 0;
}

/* One that cannot be opened is a line, too. */
static int put_blocks(const char *dir, const struct manifest *m, struct buf *out)
{
	for (size_t i = 0; i < m->n_blocks; i++) {
		struct err e = ERR_INIT;
		struct block *b;
		int r = block_open(&b, dir, m->blocks[i], &e);

		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			buf_printf(out, "block %llu: %s\n", u(m->blocks[i]), e.msg);
			continue;
		}
		put_block(b, out);
		block_unref(b);
	}
	return out->err;
}

int store_dump(const char *dir, struct buf *out, struct err *e)
{
	struct manifest m;
	int r = manifest_read(dir, &m, e);

	if (r == -ENOENT)
		return err_set(e, r, "%s is no store: it has no MANIFEST", dir);
	if (r < 0)
		return r;
	buf_printf(out, "%s: flushed to epoch %llu, log from segment %llu, %zu blocks\n", dir,
	           u(m.epoch), u(m.wal_first), m.n_blocks);
	r = put_blocks(dir, &m, out);
	if (r == 0)
		r = put_tombstones(dir, &m, out, e);
	manifest_done(&m);
	return r;
}
