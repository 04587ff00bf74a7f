/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/merge.h"

#include <errno.h>
#include <stdlib.h>

#include "store/block_write.h"
#include "store/delete.h"
#include "store/merge_input.h"
#include "store/merge_plan.h"
#include "store/store_int.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define CHECK_SERIES 64u /* series between two looks at whether the store is being closed */

/* How hard the outcome of each level is packed: what lives longer is worth more time. */
static const struct {
	uint32_t page_bytes;
	int zstd_level;
} packing[WINDOW_LEVELS] = {
	{ 32u << 10, 1 },
	{ 32u << 10, 1 },
	{ 64u << 10, 3 },
	{ 128u << 10, 3 },
};

struct merge {
	struct store *s;
	const struct view *view;
	bool is_forced;
	struct merge_job job;
	int64_t now_ms;
	uint64_t number;
	struct block_writer *writer;
	struct merge_input input;
	struct columns columns;
	uint32_t *texts; /* the writer's number of a label, by rank; + 1, 0 = none yet */
	size_t texts_cap;
	bool has_org;
	uint64_t n_samples;
	uint32_t n_series;
};

static void merge_done(struct merge *m)
{
	block_writer_free(m->writer);
	merge_input_done(&m->input);
	columns_done(&m->columns);
	free(m->texts);
}

/* ---- retention ------------------------------------------------------------ */

/* Samples of @org before this are over. */
static int64_t retained_from(struct store *s, struct str org, int64_t now_ms)
{
	struct tenant *t = head_tenant(&s->head, org, false);
	int64_t retention_ms = t ? atomic_load(&t->limits.retention_ms) : 0;

	if (retention_ms <= 0 || retention_ms > s->conf.retention_ms)
		retention_ms = s->conf.retention_ms;
	return now_ms - retention_ms;
}

static bool is_over(struct store *s, const struct block_org *org, int64_t now_ms)
{
	return org->max_ms < retained_from(s, org->name, now_ms);
}

/* So much of it is over, or deleted, that the rest is to be written anew. */
static bool is_stale(void *ctx, struct block *b)
{
	const struct merge *m = ctx;
	uint64_t n = 0;

	if (delete_is_due(b, m->view->deleted, m->now_ms, m->is_forced))
		return true;

	for (uint32_t i = 0; i < b->meta.n_orgs; i++) {
		if (is_over(m->s, &b->orgs[i], m->now_ms))
			n += b->orgs[i].n_samples;
	}
	return n > b->meta.n_samples / 4;
}

static bool is_expired(struct store *s, const struct block *b, int64_t now_ms)
{
	for (uint32_t i = 0; i < b->meta.n_orgs; i++) {
		if (!is_over(s, &b->orgs[i], now_ms))
			return false;
	}
	return true;
}

/* ---- the list of blocks --------------------------------------------------- */

static int replace(struct store *s, struct block *const *gone, size_t n_gone, struct block *fresh)
{
	int r;

	(void)pthread_mutex_lock(&s->blocks_lock);
	r = fresh ? store_sync_blocks(s) : 0;
	if (r == 0)
		r = store_publish(s, gone, n_gone, &fresh, fresh ? 1 : 0);
	(void)pthread_mutex_unlock(&s->blocks_lock);
	return r;
}

static int expire(struct store *s, const struct view *v, int64_t now_ms)
{
	_cleanup_free_ struct block **gone = mem_zalloc(v->n, sizeof(struct block *));
	size_t n = 0;
	int r;

	if (!gone)
		return -ENOMEM;
	for (size_t i = 0; i < v->n; i++) {
		if (is_expired(s, v->blocks[i], now_ms))
			gone[n++] = v->blocks[i];
	}
	if (n == 0)
		return 0;
	r = replace(s, gone, n, NULL);
	if (r == 0)
		atomic_fetch_add(&s->expired_blocks, n);
	return r < 0 ? r : 1;
}

/* ---- writing -------------------------------------------------------------- */

static int open_writer(struct merge *m)
{
	const struct windows w = windows_for(m->s->conf.retention_ms);
	char path[PATH_MAX];

	(void)pthread_mutex_lock(&m->s->blocks_lock);
	m->number = store_block_number(m->s);
	(void)pthread_mutex_unlock(&m->s->blocks_lock);
	block_path(m->s->dir, m->number, path);
	const struct block_writer_conf conf = {
		.dir = path,
		.page_bytes = packing[m->job.level].page_bytes,
		.zstd_level = packing[m->job.level].zstd_level,
		.slice_ms = w.slice_ms[m->job.level],
		.min_ms = m->job.begin_ms,
		.max_ms = m->job.end_ms - 1,
	};

	return block_writer_new(&m->writer, &conf);
}

static int number_labels(struct merge *m, const uint32_t *ranks, uint32_t n, uint32_t *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *number = &m->texts[ranks[i]];

		if (*number == 0) {
			const struct label *l = &m->input.labels[ranks[i]];
			int r = block_writer_text(m->writer, l->name, l->value, number);

			if (r < 0)
				return r;
			*number += 1;
		}
		ret[i] = *number - 1;
	}
	return 0;
}

static int write_series(struct merge *m, const uint32_t *ranks, uint32_t n)
{
	const struct columns *c = &m->columns;
	uint32_t texts[LABELS_MAX];
	int r = m->has_org ? 0 : block_writer_org(m->writer, m->input.org);

	m->has_org = true;
	if (r == 0)
		r = number_labels(m, ranks, n, texts);
	if (r == 0)
		r = block_writer_series(m->writer, texts, n);
	m->n_samples += c->n;
	return r < 0 ? r : block_writer_samples(m->writer, c->ts_ms, c->values, c->n);
}

static int check_closing(struct merge *m)
{
	return ++m->n_series % CHECK_SERIES == 0 && atomic_load(&m->s->is_closing) ? -ECANCELED : 0;
}

static int merge_org(struct merge *m, struct err *e)
{
	int64_t min_ms = retained_from(m->s, m->input.org, m->now_ms);
	const uint32_t *ranks;
	uint32_t n;
	int r;

	if (MEM_GROW(m->texts, m->texts_cap, m->input.n_labels + 1ul) < 0)
		return -ENOMEM;
	memset(m->texts, 0, m->input.n_labels * sizeof(*m->texts));
	m->has_org = false;
	while ((r = merge_input_series(&m->input, &ranks, &n, e)) == 0) {
		r = merge_input_samples(&m->input, min_ms, &m->columns, e);
		if (r == 0 && m->columns.n > 0)
			r = write_series(m, ranks, n);
		if (r == 0)
			r = check_closing(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int write_all(struct merge *m, struct err *e)
{
	int r = merge_input_init(&m->input, m->job.blocks, m->job.n, m->view->deleted);

	if (r == 0)
		r = open_writer(m);
	while (r == 0) {
		r = merge_input_org(&m->input, e);
		if (r == 0)
			r = merge_org(m, e);
	}
	return r < 0 ? r : 0;
}

/* NULL when nothing has been left. */
static int finish(struct merge *m, struct block **ret)
{
	struct block_meta meta = { .level = m->job.level, .min_epoch = UINT64_MAX };
	int r;

	*ret = NULL;
	if (m->n_samples == 0)
		return 0;
	meta.deleted = m->view->deleted->last;
	for (size_t i = 0; i < m->job.n; i++) {
		const struct block_meta *from = &m->job.blocks[i]->meta;

		meta.min_epoch = MIN(meta.min_epoch, from->min_epoch);
		meta.max_epoch = MAX(meta.max_epoch, from->max_epoch);
	}
	r = block_writer_finish(m->writer, &meta);
	return r < 0 ? r : block_open(ret, m->s->dir, m->number, NULL);
}

static int run(struct merge *m, struct err *e)
{
	struct block *fresh = NULL;
	int r = write_all(m, e);

	if (r == 0)
		r = finish(m, &fresh);
	block_writer_free(m->writer);
	m->writer = NULL;
	if (r < 0 || !fresh)
		(void)block_remove(m->s->dir, m->number);
	if (r < 0)
		return r;
	uint64_t bytes = fresh ? block_bytes(fresh) : 0;

	r = replace(m->s, m->job.blocks, m->job.n, fresh);
	if (r < 0) {
		/* Does the manifest name it? Nobody knows: its files stay until the next start. */
		block_unref(fresh);
		return r;
	}
	atomic_fetch_add(&m->s->merges, 1);
	atomic_fetch_add(&m->s->merged_samples, m->n_samples);
	atomic_fetch_add(&m->s->written_bytes, bytes);
	return 1;
}

/* ---- one step ------------------------------------------------------------- */

static bool has_room(struct store *s, const struct merge_job *job)
{
	uint64_t free_bytes;

	if (vfs()->room(s->dir, &free_bytes) < 0)
		return true; /* the disk will say */
	return free_bytes >= job->bytes + s->conf.disk_reserve_bytes;
}

static int step(struct store *s, struct view *v, bool is_forced)
{
	_cleanup_(merge_done) struct merge m = {
		.s = s, .view = v, .is_forced = is_forced, .now_ms = clock_unix_ms()
	};
	const struct merge_rules rules = {
		.windows = windows_for(s->conf.retention_ms),
		.now_ms = m.now_ms,
		.floor_epoch = s->floor_epoch,
		.is_forced = is_forced,
		.is_stale = is_stale,
		.ctx = &m,
	};
	struct err e = ERR_INIT;
	int r = expire(s, v, m.now_ms);

	if (r != 0)
		return r;
	if (!merge_plan(v, &rules, &m.job))
		return v->deleted->n > 0 ? delete_forget(s) : 0;
	if (!has_room(s, &m.job)) {
		atomic_fetch_add(&s->merges_put_off, 1);
		return 0;
	}
	r = run(&m, &e);
	if (r < 0 && r != -ECANCELED)
		atomic_fetch_add(&s->merge_errors, 1);
	return r;
}

int merge_step(struct store *s, bool is_forced)
{
	(void)pthread_mutex_lock(&s->merge_lock);
	struct view *v = store_view(s);
	int r = step(s, v, is_forced);

	view_unref(v);
	(void)pthread_mutex_unlock(&s->merge_lock);
	return r;
}
