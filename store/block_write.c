/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block_write.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/column_page.h"
#include "store/index_write.h"
#include "store/outfile.h"
#include "store/valcol.h"
#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define TIMES_KNOWN_MAX (64u << 10) /* different columns of timestamps that are remembered */

/* A column of timestamps that has been written. */
struct times_slot {
	uint64_t lo, hi; /* hash of the column; lo 0 = empty */
	uint32_t number;
};

struct slice {
	struct block_slice meta;
	struct column_page values, times;
	struct times_slot *known; /* open addressing */
	size_t n_known, known_cap;
	struct times_slot last; /* neighbours often have the same */
};

struct block_writer {
	char dir[PATH_MAX - 64];
	struct block_writer_conf conf;
	struct outfile chunks, index_file;
	struct page_packer packer;
	struct index_writer index;
	struct slice *slices;
	uint32_t n_slices;
	int64_t first_ms; /* of the first slice */
	uint64_t n_samples;
	int64_t min_ms, max_ms;
	struct valcol_memory *memory;
	struct valcol_scratch scratch; /* in there */
};

/* ---- slices --------------------------------------------------------------- */

static int64_t floor_to(int64_t t, int64_t step)
{
	int64_t rest = t % step;

	return t - (rest < 0 ? rest + step : rest);
}

/* As many as the block's time needs; longer ones, when it would be too many. */
static int make_slices(struct block_writer *w)
{
	int64_t step = MAX(w->conf.slice_ms, 1), first = floor_to(w->conf.min_ms, step);

	while ((w->conf.max_ms - first) / step >= BLOCK_SLICES_MAX) {
		step *= 2;
		first = floor_to(w->conf.min_ms, step);
	}
	w->conf.slice_ms = step;
	w->first_ms = first;
	w->n_slices = (uint32_t)((w->conf.max_ms - first) / step) + 1;
	w->slices = mem_zalloc(w->n_slices, sizeof(*w->slices));
	if (!w->slices)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_slices; i++) {
		w->slices[i].values.kind = PAGE_VALUES;
		w->slices[i].times.kind = PAGE_TIMES;
		w->slices[i].meta.min_ms = INT64_MAX;
		w->slices[i].meta.max_ms = INT64_MIN;
	}
	return 0;
}

static void slice_done(struct slice *s)
{
	column_page_done(&s->values);
	column_page_done(&s->times);
	free(s->known);
}

/* ---- columns of timestamps, each once ------------------------------------- */

static struct times_slot *known_slot(struct slice *s, uint64_t lo, uint64_t hi)
{
	size_t mask = s->known_cap - 1, at = lo & mask;

	while (s->known[at].lo != 0 && (s->known[at].lo != lo || s->known[at].hi != hi))
		at = (at + 1) & mask;
	return &s->known[at];
}

/* Beyond the limit all are forgotten: some columns are then there twice. */
static int known_reserve(struct slice *s)
{
	struct times_slot *old = s->known;
	size_t old_cap = s->known_cap, cap = old_cap ? old_cap * 2 : 64;

	if ((s->n_known + 1) * 2 <= old_cap)
		return 0;
	bool forget = cap > 2 * TIMES_KNOWN_MAX;

	if (forget)
		cap = 64;
	s->known = mem_zalloc(cap, sizeof(*s->known));
	if (!s->known) {
		s->known = old;
		return -ENOMEM;
	}
	s->known_cap = cap;
	s->n_known = forget ? 0 : s->n_known;
	for (size_t i = 0; !forget && i < old_cap; i++) {
		if (old[i].lo != 0)
			*known_slot(s, old[i].lo, old[i].hi) = old[i];
	}
	free(old);
	return 0;
}

static int put_times(struct block_writer *w, struct slice *s, const int64_t *ts_ms, uint32_t n)
{
	uint8_t *dst = column_page_room(&s->times, INTCOL_BOUND(n));

	if (!dst)
		return -ENOMEM;
	column_page_add(&s->times, s->meta.n_times++, n,
	                intcol_encode(ts_ms, n, dst, &w->scratch.ints));
	return column_page_step(&s->times, w->conf.page_bytes, &w->packer, &w->chunks);
}

/* The number of this column; written when it is new. */
static int times_number(struct block_writer *w, struct slice *s, const int64_t *ts_ms, uint32_t n,
                        uint32_t *ret)
{
	struct hash128 h = hash_bytes128(ts_ms, n * sizeof(*ts_ms), n);
	int r;

	h.lo = h.lo ? h.lo : 1;
	if (s->last.lo == h.lo && s->last.hi == h.hi) {
		*ret = s->last.number;
		return 0;
	}
	r = known_reserve(s);
	if (r < 0)
		return r;
	struct times_slot *slot = known_slot(s, h.lo, h.hi);

	if (slot->lo == 0) {
		uint32_t number = s->meta.n_times;

		r = put_times(w, s, ts_ms, n);
		if (r < 0)
			return r;
		*slot = (struct times_slot){ h.lo, h.hi, number };
		s->n_known++;
	}
	s->last = *slot;
	*ret = slot->number;
	return 0;
}

/* ---- samples -------------------------------------------------------------- */

static int put_column(struct block_writer *w, struct slice *s, const int64_t *ts_ms,
                      const double *values, uint32_t n)
{
	uint32_t times;
	int r = times_number(w, s, ts_ms, n, &times);

	if (r < 0)
		return r;
	uint8_t *dst = column_page_room(&s->values, VALCOL_BOUND(n));

	if (!dst)
		return -ENOMEM;
	column_page_add(&s->values, (uint32_t)w->index.n_series - 1, times,
	                valcol_encode(values, n, dst, &w->scratch));
	s->meta.min_ms = MIN(s->meta.min_ms, ts_ms[0]);
	s->meta.max_ms = MAX(s->meta.max_ms, ts_ms[n - 1]);
	return column_page_step(&s->values, w->conf.page_bytes, &w->packer, &w->chunks);
}

/* How many from the front belong into the slice of the first. */
static size_t run_of_slice(const struct block_writer *w, const int64_t *ts_ms, size_t n,
                           struct slice **ret)
{
	uint64_t number = (uint64_t)(ts_ms[0] - w->first_ms) / (uint64_t)w->conf.slice_ms;
	int64_t end_ms = w->first_ms + (int64_t)(number + 1) * w->conf.slice_ms;
	size_t lo = 1, hi = n;

	assert(number < w->n_slices);
	*ret = &w->slices[number];
	if (ts_ms[n - 1] < end_ms)
		return n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ts_ms[mid] < end_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int block_writer_samples(struct block_writer *w, const int64_t *ts_ms, const double *values,
                         size_t n)
{
	assert(n > 0);
	w->n_samples += n;
	w->min_ms = MIN(w->min_ms, ts_ms[0]);
	w->max_ms = MAX(w->max_ms, ts_ms[n - 1]);
	index_writer_count(&w->index, n, ts_ms[0], ts_ms[n - 1]);
	while (n > 0) {
		struct slice *s;
		size_t k = MIN(run_of_slice(w, ts_ms, n, &s), (size_t)COLUMN_ROWS_MAX);
		int r = put_column(w, s, ts_ms, values, (uint32_t)k);

		if (r < 0)
			return r;
		ts_ms += k;
		values += k;
		n -= k;
	}
	return 0;
}

int block_writer_org(struct block_writer *w, struct str org)
{
	return index_writer_org(&w->index, org);
}

int block_writer_text(struct block_writer *w, struct str name, struct str value, uint32_t *ret)
{
	return index_writer_text(&w->index, name, value, ret);
}

int block_writer_series(struct block_writer *w, const uint32_t *texts, uint32_t n)
{
	return index_writer_series(&w->index, texts, n);
}

uint32_t block_writer_n_series(const struct block_writer *w)
{
	return (uint32_t)w->index.n_series;
}

/* ---- life ----------------------------------------------------------------- */

static int create(struct block_writer *w, const char *name, const char *mark, struct outfile *f)
{
	uint8_t head[PAGE_FILE_HEAD];
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	r = outfile_create(f, path);
	page_file_head(mark, BLOCK_VERSION, head);
	buf_put(&f->buf, head, sizeof(head));
	return r < 0 ? r : f->buf.err;
}

int block_writer_new(struct block_writer **ret, const struct block_writer_conf *conf)
{
	struct block_writer *w = mem_zalloc(1, sizeof(*w));
	int r = w ? page_packer_init(&w->packer, conf->zstd_level) : -ENOMEM;

	if (!w)
		return r;
	w->conf = *conf;
	w->chunks = w->index_file = OUTFILE_INIT;
	w->min_ms = INT64_MAX;
	w->max_ms = INT64_MIN;
	(void)snprintf(w->dir, sizeof(w->dir), "%s", conf->dir);
	w->memory = mem_alloc(sizeof(*w->memory));
	if (!w->memory)
		r = -ENOMEM;
	else
		w->scratch = valcol_scratch_in(w->memory);
	if (r == 0)
		r = make_slices(w);
	if (r == 0)
		r = vfs()->mkdir(w->dir);
	if (r == 0)
		r = create(w, "chunks", BLOCK_CHUNKS_MARK, &w->chunks);
	if (r < 0) {
		block_writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void block_writer_free(struct block_writer *w)
{
	if (!w)
		return;
	outfile_done(&w->chunks);
	outfile_done(&w->index_file);
	page_packer_done(&w->packer);
	index_writer_done(&w->index);
	for (uint32_t i = 0; w->slices && i < w->n_slices; i++)
		slice_done(&w->slices[i]);
	free(w->slices);
	free(w->memory);
	free(w);
}

/* Slices without a sample are left out: @ret has the others. */
static int finish_chunks(struct block_writer *w, struct block_slice *ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_slices; i++) {
		struct slice *s = &w->slices[i];
		int r = column_page_step(&s->values, 0, &w->packer, &w->chunks);

		if (r == 0)
			r = column_page_step(&s->times, 0, &w->packer, &w->chunks);
		if (r < 0)
			return r;
		if (s->meta.n_times > 0)
			ret[n++] = s->meta;
	}
	*ret_n = n;
	return outfile_finish(&w->chunks);
}

/* The directories of columns are in the index: chunks are read only where it says. */
static int put_directories(struct block_writer *w, struct block_slice *slices)
{
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < w->n_slices; i++) {
		struct slice *s = &w->slices[i];

		if (s->meta.n_times == 0)
			continue;
		r = directory_put(&s->values.directory, &w->packer, &w->index_file,
		                  &slices[n].values);
		if (r == 0)
			r = directory_put(&s->times.directory, &w->packer, &w->index_file,
			                  &slices[n].times);
		n++;
	}
	return r;
}

static int put_meta(const struct block_writer *w, const struct block_meta *m)
{
	struct outfile f = OUTFILE_INIT;
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/meta.json", w->dir);
	r = outfile_create(&f, path);
	buf_printf(&f.buf, "{\n\t\"version\": %u,\n\t\"level\": %u,\n", BLOCK_VERSION, m->level);
	buf_printf(&f.buf, "\t\"min_ms\": %lld,\n\t\"max_ms\": %lld,\n", (long long)m->min_ms,
	           (long long)m->max_ms);
	buf_printf(&f.buf, "\t\"series\": %u,\n\t\"samples\": %llu,\n\t\"organisations\": %u,\n",
	           m->n_series, (unsigned long long)m->n_samples, m->n_orgs);
	buf_printf(&f.buf, "\t\"min_epoch\": %llu,\n\t\"max_epoch\": %llu,\n",
	           (unsigned long long)m->min_epoch, (unsigned long long)m->max_epoch);
	buf_printf(&f.buf, "\t\"chunks_bytes\": %llu\n}\n", (unsigned long long)m->chunks_bytes);
	if (r == 0)
		r = outfile_finish(&f);
	outfile_done(&f);
	return r;
}

int block_writer_finish(struct block_writer *w, struct block_meta *meta)
{
	struct block_slice slices[BLOCK_SLICES_MAX];
	int r = finish_chunks(w, slices, &meta->n_slices);

	meta->min_ms = w->min_ms;
	meta->max_ms = w->max_ms;
	meta->n_samples = w->n_samples;
	meta->chunks_bytes = w->chunks.bytes;
	if (r == 0)
		r = create(w, "index", BLOCK_INDEX_MARK, &w->index_file);
	if (r == 0)
		r = put_directories(w, slices);
	if (r == 0)
		r = index_writer_finish(&w->index, slices, meta, &w->packer, &w->index_file);
	if (r == 0)
		r = outfile_finish(&w->index_file);
	if (r == 0)
		r = put_meta(w, meta);
	return r < 0 ? r : vfs()->sync_dir(w->dir);
}
