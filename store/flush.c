/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/flush.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "store/block_write.h"
#include "store/store_int.h"
#include "store/windows.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/base/vfs.h"

#define OUTPUTS_MAX 12u /* blocks of one flush */
#define PAGE_BYTES  (32u << 10)
#define ZSTD_LEVEL  1

/* One block being written. */
struct output {
	int64_t begin_ms, end_ms; /* of its window; end exclusive */
	uint32_t level;
	uint64_t number;
	struct block_writer *writer;
	uint32_t *texts;           /* number of a tenant's label there + 1; 0 = not yet */
	size_t texts_cap, n_texts; /* of which may not be 0 */
	bool has_org;              /* of the tenant at hand */
	uint32_t series;           /* that has begun last: its place in the order + 1 */
};

struct flush {
	struct store *s;
	uint32_t epoch;    /* before this one */
	int64_t recent_ms; /* older samples are old */
	struct windows windows;
	struct output out[OUTPUTS_MAX];
	size_t n_out;
	struct columns columns;
	struct tenant *tenant;
	struct series **series; /* of it, in order */
	uint32_t n_series;
	uint64_t n_samples;
	uint64_t
		deleted; /* the last tombstone: deletes wait for flushes, so none comes meanwhile */
};

static void flush_done(struct flush *f)
{
	for (size_t i = 0; i < f->n_out; i++) {
		block_writer_free(f->out[i].writer);
		free(f->out[i].texts);
	}
	columns_done(&f->columns);
	free(f->series);
}

/* ---- outputs -------------------------------------------------------------- */

static int output_open(struct flush *f, struct output *o, uint32_t level, int64_t begin_ms,
                       int64_t end_ms)
{
	struct store *s = f->s;
	char path[PATH_MAX];

	(void)pthread_mutex_lock(&s->blocks_lock);
	uint64_t number = store_block_number(s);

	(void)pthread_mutex_unlock(&s->blocks_lock);
	*o = (struct output){ begin_ms, end_ms, level, number, .writer = NULL };
	block_path(s->dir, number, path);
	const struct block_writer_conf conf = {
		.dir = path,
		.page_bytes = PAGE_BYTES,
		.zstd_level = ZSTD_LEVEL,
		.slice_ms = f->windows.slice_ms[level],
		.min_ms = begin_ms,
		.max_ms = end_ms - 1,
	};

	return block_writer_new(&o->writer, &conf);
}

/* The window of @t: two hours when it is recent. The last output takes all that finds no other. */
static struct output *output_for(struct flush *f, int64_t t, int *ret_error)
{
	uint32_t level = t >= f->recent_ms ? 0 : WINDOW_LEVELS - 1;
	int64_t length_ms = f->windows.length_ms[level];
	int64_t begin_ms = window_begin(t, length_ms), end_ms = begin_ms + length_ms;

	for (size_t i = 0; i < f->n_out; i++) {
		if (t >= f->out[i].begin_ms && t < f->out[i].end_ms)
			return &f->out[i];
	}
	if (f->n_out + 1 == OUTPUTS_MAX) {
		int64_t now_ms = clock_unix_ms();

		level = WINDOW_LEVELS - 1;
		begin_ms = MIN(now_ms - f->s->conf.retention_ms, t) - 1;
		end_ms = MAX(now_ms + 2 * STORE_FUTURE_MS_MAX, t + 1);
	}
	struct output *o = &f->out[f->n_out];

	*ret_error = output_open(f, o, level, begin_ms, end_ms);
	f->n_out += o->writer != NULL;
	return *ret_error == 0 ? o : NULL;
}

static int output_text(struct output *o, const struct tenant *t, uint32_t number, uint32_t *ret)
{
	size_t cap = o->texts_cap;

	if (number >= cap) {
		int r = MEM_GROW(o->texts, o->texts_cap, MAX((size_t)number + 1, t->texts.n));

		if (r < 0)
			return r;
		memset(o->texts + cap, 0, (o->texts_cap - cap) * sizeof(*o->texts));
	}
	o->n_texts = MAX(o->n_texts, (size_t)number + 1);
	if (o->texts[number] == 0) {
		const struct label l = texts_label(&t->texts, number);
		int r = block_writer_text(o->writer, l.name, l.value, &o->texts[number]);

		if (r < 0)
			return r;
		o->texts[number]++;
	}
	*ret = o->texts[number] - 1;
	return 0;
}

/* The series at @place of the order gets a label set in @o, if it has none yet. */
static int output_series(struct flush *f, struct output *o, const struct series *s, uint32_t place)
{
	const struct series_more *more = s->more;
	uint32_t texts[LABELS_MAX];
	int r = 0;

	if (o->series == place + 1)
		return 0;
	o->series = place + 1;
	if (!o->has_org)
		r = block_writer_org(o->writer, tenant_org(f->tenant));
	o->has_org = true;
	(void)pthread_rwlock_rdlock(&f->tenant->lock);
	for (uint32_t i = 0; r == 0 && i < more->n_labels; i++)
		r = output_text(o, f->tenant, more->labels[i], &texts[i]);
	(void)pthread_rwlock_unlock(&f->tenant->lock);
	return r < 0 ? r : block_writer_series(o->writer, texts, more->n_labels);
}

/* ---- series --------------------------------------------------------------- */

/* How many samples from @from on are before @end_ms. */
static size_t run_before(const struct columns *c, size_t from, int64_t end_ms)
{
	size_t lo = from, hi = c->n;

	if (c->ts_ms[c->n - 1] < end_ms)
		return c->n - from;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->ts_ms[mid] < end_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - from;
}

static int write_samples(struct flush *f, const struct series *s, uint32_t place)
{
	const struct columns *c = &f->columns;
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < c->n; at += n) {
		struct output *o = output_for(f, c->ts_ms[at], &r);

		if (!o)
			return r;
		n = run_before(c, at, o->end_ms);
		r = output_series(f, o, s, place);
		if (r == 0)
			r = block_writer_samples(o->writer, c->ts_ms + at, c->values + at, n);
	}
	f->n_samples += c->n;
	return r;
}

static int write_series(struct flush *f, struct series *s, uint32_t place)
{
	struct series_range range = { .min_ms = INT64_MIN, .max_ms = INT64_MAX };
	bool sorted;

	series_unflushed(s, f->epoch, &range.from, &range.to);
	if (range.from.n == range.to.n && range.from.n_late == range.to.n_late)
		return 0;
	f->columns.n = 0;
	int r = series_read(s, &range, &f->columns, &sorted);

	if (r == 0 && !sorted)
		r = columns_join(&f->columns, 0);
	return r < 0 ? r : write_samples(f, s, place);
}

/* A copy: the tenant's own may move as soon as it is not locked. */
static int list_series(struct flush *f)
{
	struct tenant *t = f->tenant;
	int r = tenant_lock_indexed(t, true);

	if (r < 0)
		return r;
	struct series **v = mem_realloc(f->series, t->n_series, sizeof(struct series *));

	if (v) {
		for (uint32_t i = 0; i < t->n_series; i++)
			v[i] = t->series[t->order[i]];
		f->series = v;
		f->n_series = t->n_series;
	}
	tenant_unlock(t);
	return v ? 0 : -ENOMEM;
}

static int write_tenant(struct flush *f, struct tenant *t)
{
	int r;

	f->tenant = t;
	for (size_t i = 0; i < f->n_out; i++) {
		struct output *o = &f->out[i];

		o->has_org = false;
		o->series = 0;
		if (o->n_texts > 0)
			memset(o->texts, 0, o->n_texts * sizeof(*o->texts));
		o->n_texts = 0;
	}
	r = list_series(f);
	for (uint32_t i = 0; r == 0 && i < f->n_series; i++)
		r = write_series(f, f->series[i], i);
	return r;
}

static int cmp_tenant(const void *a, const void *b)
{
	return strcmp((*(struct tenant *const *)a)->org, (*(struct tenant *const *)b)->org);
}

static int write_all(struct flush *f)
{
	uint32_t n = head_n_tenants(&f->s->head);
	_cleanup_free_ struct tenant **tenants = mem_zalloc(n, sizeof(struct tenant *));
	int r = 0;

	if (!tenants)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		tenants[i] = head_tenant_at(&f->s->head, i);
	if (n > 1)
		qsort(tenants, n, sizeof(struct tenant *), cmp_tenant);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = write_tenant(f, tenants[i]);
	return r;
}

/* ---- publishing ----------------------------------------------------------- */

static int finish_outputs(struct flush *f, struct block **ret)
{
	for (size_t i = 0; i < f->n_out; i++) {
		struct output *o = &f->out[i];
		struct block_meta meta = { .level = o->level,
			                   .min_epoch = f->epoch - 1,
			                   .max_epoch = f->epoch - 1,
			                   .deleted = f->deleted };
		int r = block_writer_finish(o->writer, &meta);

		block_writer_free(o->writer);
		o->writer = NULL;
		if (r == 0)
			r = block_open(&ret[i], f->s->dir, o->number, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int publish(struct flush *f, struct block **blocks)
{
	struct store *s = f->s;
	uint64_t bytes = 0;
	int r;

	for (size_t i = 0; i < f->n_out; i++)
		bytes += blocks[i]->index_bytes + blocks[i]->meta.chunks_bytes;
	(void)pthread_mutex_lock(&s->blocks_lock);
	uint64_t epoch = s->manifest.epoch, wal_first = s->manifest.wal_first;

	s->manifest.epoch = f->epoch - 1;
	s->manifest.wal_first = s->turned_wal;
	/* The names of the blocks' folders first: the manifest relies on them. */
	r = f->n_out > 0 ? store_sync_blocks(s) : 0;
	if (r == 0)
		r = store_publish(s, NULL, 0, blocks, f->n_out);
	if (r < 0) {
		s->manifest.epoch = epoch;
		s->manifest.wal_first = wal_first;
	}
	(void)pthread_mutex_unlock(&s->blocks_lock);
	if (r == 0)
		atomic_fetch_add(&s->written_bytes, bytes);
	return r;
}

static void mark_flushed(struct store *s, uint32_t epoch)
{
	for (uint32_t i = 0; i < head_n_tenants(&s->head); i++) {
		struct tenant *t = head_tenant_at(&s->head, i);

		(void)pthread_rwlock_rdlock(&t->lock);
		for (uint32_t id = 0; id < t->n_series; id++) {
			struct position from, to;

			series_unflushed(t->series[id], epoch, &from, &to);
			series_set_flushed(t->series[id], &to);
		}
		(void)pthread_rwlock_unlock(&t->lock);
	}
}

static int write_and_publish(struct flush *f)
{
	struct block *blocks[OUTPUTS_MAX] = { 0 };
	int r = write_all(f);

	if (r == 0)
		r = finish_outputs(f, blocks);
	if (r == 0)
		r = publish(f, blocks);
	for (size_t i = 0; r < 0 && i < f->n_out; i++) {
		/*
		 * Nobody knows whether the manifest is the new one: the files stay, and the next
		 * start removes them if it does not name them.
		 */
		block_unref(blocks[i]);
	}
	return r;
}

/* ---- turning -------------------------------------------------------------- */

static bool has_samples(struct store *s)
{
	return atomic_load(&s->head.n_samples) > 0;
}

/* From here on appends belong to the next epoch. */
static void turn(struct store *s)
{
	(void)pthread_rwlock_wrlock(&s->epoch_lock);
	s->epoch++;
	s->turned_wal = wal_turn(s->wal, s->epoch);
	atomic_store(&s->samples_turned, atomic_load(&s->head.n_samples));
	s->has_turned = true;
	(void)pthread_rwlock_unlock(&s->epoch_lock);
}

static uint64_t last_delete(struct store *s)
{
	(void)pthread_mutex_lock(&s->blocks_lock);
	uint64_t last = s->manifest.next_delete - 1;

	(void)pthread_mutex_unlock(&s->blocks_lock);
	return last;
}

static int run_locked(struct store *s)
{
	_cleanup_(flush_done) struct flush f = { .s = s };
	int r;

	if (!s->has_turned) {
		if (!has_samples(s))
			return 0;
		turn(s);
	}
	f.epoch = s->epoch;
	f.deleted = last_delete(s);
	f.windows = windows_for(s->conf.retention_ms);
	f.recent_ms =
		window_begin(clock_unix_ms(), f.windows.length_ms[0]) - 2 * f.windows.length_ms[0];
	r = write_and_publish(&f);
	if (r < 0) {
		atomic_fetch_add(&s->flush_errors, 1);
		return r;
	}
	mark_flushed(s, s->epoch);
	s->has_turned = false;
	atomic_fetch_sub(&s->head.n_samples, atomic_load(&s->samples_turned));
	atomic_store(&s->samples_turned, 0);
	atomic_fetch_add(&s->flushes, 1);
	atomic_fetch_add(&s->flushed_samples, f.n_samples);
	(void)wal_remove_before(s->wal, s->turned_wal);
	return 0;
}

int flush_run(struct store *s)
{
	(void)pthread_mutex_lock(&s->flush_lock);
	int r = run_locked(s);

	(void)pthread_mutex_unlock(&s->flush_lock);
	return r;
}

/* true when nothing that is flushed is read from memory by scans that begin now. */
static bool raise_floor(struct store *s)
{
	bool raised;

	head_drop(&s->head);
	room_enter(&s->head.room, PARTY_ALONE);
	if (!s->has_turned && s->floor_epoch != s->epoch && head_raise_floor(&s->head))
		s->floor_epoch = s->epoch;
	raised = s->floor_epoch == s->epoch;
	room_leave(&s->head.room);
	head_drop(&s->head);
	return raised;
}

void flush_raise_floor(struct store *s)
{
	(void)pthread_mutex_lock(&s->flush_lock);
	(void)raise_floor(s);
	(void)pthread_mutex_unlock(&s->flush_lock);
}

void flush_drop(struct store *s)
{
	(void)pthread_mutex_lock(&s->flush_lock);
	head_drop(&s->head);
	(void)pthread_mutex_unlock(&s->flush_lock);
}

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

int flush_hold(struct store *s, uint64_t wait_ms)
{
	uint64_t until_ns = clock_mono_ns() + wait_ms * 1000000;

	(void)pthread_mutex_lock(&s->flush_lock);
	int r = run_locked(s);

	while (r == 0 && !raise_floor(s)) {
		if (clock_mono_ns() >= until_ns)
			r = -EAGAIN;
		else
			sleep_ms(10);
	}
	if (r < 0)
		(void)pthread_mutex_unlock(&s->flush_lock);
	return r;
}

void flush_release(struct store *s)
{
	(void)pthread_mutex_unlock(&s->flush_lock);
}
