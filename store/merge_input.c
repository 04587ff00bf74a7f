/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/merge_input.h"

#include <errno.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"

int merge_input_init(struct merge_input *in, struct block *const *blocks, size_t n,
                     const struct tombstones *deleted)
{
	*in = (struct merge_input){ .deleted = deleted,
		                    .v = mem_zalloc(n, sizeof(*in->v)),
		                    .least = mem_zalloc(n, sizeof(*in->least)) };
	if (!in->v || !in->least)
		return -ENOMEM;
	for (; in->n < n; in->n++) {
		struct merge_source *src = &in->v[in->n];

		src->b = blocks[in->n];
		src->page = mem_alloc(sizeof(*src->page));
		if (!src->page || block_cursors_open(&src->cursors, src->b) < 0) {
			free(src->page);
			return -ENOMEM;
		}
	}
	return 0;
}

void merge_input_done(struct merge_input *in)
{
	for (size_t i = 0; i < in->n; i++) {
		struct merge_source *src = &in->v[i];

		block_reader_done(&src->reader);
		block_cursors_close(&src->cursors);
		hidden_done(&src->hidden);
		free(src->ranks);
		free(src->page);
	}
	arena_done(&in->arena);
	free(in->v);
	free(in->least);
	free(in->labels);
}

/* Every page is good by itself, but they do not go together. */
static int contradicts(struct merge_source *src, struct err *e)
{
	atomic_store(&src->b->is_damaged, true);
	return err_set(e, -EBADMSG, "%s/index: its labels contradict each other", src->b->dir);
}

/* ---- labels of an organisation -------------------------------------------- */

/* A source's labels while they are ranked. */
struct front {
	struct merge_source *src;
	struct text_walk walk;
	struct text_entry entry;
	bool is_at_end;
};

static uint32_t org_number(const struct merge_source *src)
{
	return (uint32_t)(src->org - src->b->orgs);
}

static bool is_name_only(const struct text_entry *entry)
{
	return entry->value.len == 0;
}

/* Onto the next label that has a value. */
static int front_next(struct front *f, struct err *e)
{
	int r;

	do {
		r = text_walk_next(&f->walk, &f->entry, e);
	} while (r == 0 && f->entry.org == org_number(f->src) && is_name_only(&f->entry));
	f->is_at_end = r == 1 || (r == 0 && f->entry.org != org_number(f->src));
	return r < 0 ? r : 0;
}

static int front_start(struct front *f, struct merge_source *src, struct err *e)
{
	uint32_t *ranks = mem_realloc(src->ranks, src->org->n_texts, sizeof(*ranks));
	int r;

	*f = (struct front){ .src = src };
	if (!ranks)
		return -ENOMEM;
	src->ranks = ranks;
	memset(ranks, 0xff, src->org->n_texts * sizeof(*ranks));
	r = text_walk_start(&f->walk, src->b, &src->reader, org_number(src), STR_NULL, STR_NULL, e);
	return r == 0 ? front_next(f, e) : r;
}

static int cmp_entry(const struct text_entry *a, const struct text_entry *b)
{
	int c = str_cmp(a->name, b->name);

	return c != 0 ? c : str_cmp(a->value, b->value);
}

/* The next rank; texts of names are shared by neighbours. */
static int add_label(struct merge_input *in, const struct text_entry *entry)
{
	struct label l = { .value = arena_str(&in->arena, entry->value) };

	if (in->n_labels > 0 && str_eq(in->labels[in->n_labels - 1].name, entry->name))
		l.name = in->labels[in->n_labels - 1].name;
	else
		l.name = arena_str(&in->arena, entry->name);
	if (!l.name.p || !l.value.p || MEM_GROW(in->labels, in->labels_cap, in->n_labels + 1ul) < 0)
		return -ENOMEM;
	in->labels[in->n_labels++] = l;
	return 0;
}

/* The least label of all fronts gets a rank; those that have it go on. */
static int rank_one(struct merge_input *in, struct front *fronts, size_t n, struct err *e)
{
	const struct front *least = NULL;
	int r;

	for (size_t i = 0; i < n; i++) {
		if (!fronts[i].is_at_end &&
		    (!least || cmp_entry(&fronts[i].entry, &least->entry) < 0))
			least = &fronts[i];
	}
	if (!least)
		return 1;
	r = add_label(in, &least->entry);

	const struct label *mine = &in->labels[in->n_labels - 1];

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct front *f = &fronts[i];
		uint32_t at = f->entry.number - f->src->org->first_text;

		if (f->is_at_end || !str_eq(f->entry.value, mine->value) ||
		    !str_eq(f->entry.name, mine->name))
			continue;
		if (at >= f->src->org->n_texts)
			return contradicts(f->src, e);
		f->src->ranks[at] = in->n_labels - 1;
		r = front_next(f, e);
	}
	return r;
}

static int rank_labels(struct merge_input *in, struct err *e)
{
	_cleanup_free_ struct front *fronts = mem_zalloc(in->n, sizeof(*fronts));
	size_t n = 0;
	int r = fronts ? 0 : -ENOMEM;

	arena_reset(&in->arena);
	in->n_labels = 0;
	for (size_t i = 0; r == 0 && i < in->n; i++) {
		if (in->v[i].org)
			r = front_start(&fronts[n++], &in->v[i], e);
	}
	while (r == 0)
		r = rank_one(in, fronts, n, e);
	return r < 0 ? r : 0;
}

/* ---- series --------------------------------------------------------------- */

/* Labels of the series at hand, as ranks. */
static int load_series(struct merge_source *src, struct err *e)
{
	struct series_page *page = src->page;

	if (src->series == src->end)
		return 0;
	if (src->series < page->first || src->series >= page->first + page->n) {
		int r = series_page_read(src->b, &src->reader, src->series, page, e);

		if (r < 0)
			return r;
	}
	uint32_t row = src->series - page->first, begin = row > 0 ? page->ends[row - 1] : 0;

	src->n_labels = page->ends[row] - begin;
	for (uint32_t i = 0; i < src->n_labels; i++) {
		uint32_t at = page->texts[begin + i] - src->org->first_text;

		if (at >= src->org->n_texts || src->ranks[at] == UINT32_MAX)
			return contradicts(src, e);
		src->labels[i] = src->ranks[at];
	}
	return 0;
}

static int cmp_series(const struct merge_source *a, const struct merge_source *b)
{
	uint32_t n = MIN(a->n_labels, b->n_labels);

	for (uint32_t i = 0; i < n; i++) {
		if (a->labels[i] != b->labels[i])
			return a->labels[i] < b->labels[i] ? -1 : 1;
	}
	return a->n_labels < b->n_labels ? -1 : a->n_labels > b->n_labels;
}

static int step_past_least(struct merge_input *in, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->n_least; i++) {
		struct merge_source *src = &in->v[in->least[i]];

		src->series++;
		r = load_series(src, e);
	}
	in->n_least = 0;
	return r;
}

static void find_least(struct merge_input *in)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct merge_source *src = &in->v[i];

		if (!src->org || src->series == src->end)
			continue;
		int c = in->n_least > 0 ? cmp_series(src, &in->v[in->least[0]]) : 0;

		if (c < 0)
			in->n_least = 0;
		if (c <= 0)
			in->least[in->n_least++] = i;
	}
}

/* What cannot be read marks the block that it is in. */
static int note_damage(const struct merge_input *in, int r)
{
	if (r != -EBADMSG && r != -EIO)
		return r;
	for (size_t i = 0; i < in->n; i++) {
		struct block *b = in->v[i].b;

		if (atomic_load(&b->n_bad_pages) > 0)
			atomic_store(&b->is_damaged, true);
	}
	return r;
}

int merge_input_series(struct merge_input *in, const uint32_t **ret_labels, uint32_t *ret_n,
                       struct err *e)
{
	int r = step_past_least(in, e);

	if (r < 0)
		return note_damage(in, r);
	find_least(in);
	if (in->n_least == 0)
		return 1;
	*ret_labels = in->v[in->least[0]].labels;
	*ret_n = in->v[in->least[0]].n_labels;
	return 0;
}

/* ---- organisations -------------------------------------------------------- */

static const struct block_org *next_org(const struct merge_source *src)
{
	return src->next_org < src->b->meta.n_orgs ? &src->b->orgs[src->next_org] : NULL;
}

static int start_source(const struct merge_input *in, struct merge_source *src, struct err *e)
{
	struct block_select block = { .b = src->b, .reader = &src->reader, .org = src->org };
	int r;

	hidden_done(&src->hidden);
	r = hidden_init(&src->hidden, &block, in->deleted, 0, e);
	src->series = src->org->first_series;
	src->end = src->series + src->org->n_series;
	src->page->n = 0;
	return r == 0 ? load_series(src, e) : r;
}

static int start_org(struct merge_input *in, struct err *e)
{
	int r = rank_labels(in, e);

	in->n_least = 0;
	for (size_t i = 0; r == 0 && i < in->n; i++) {
		if (in->v[i].org)
			r = start_source(in, &in->v[i], e);
	}
	return r;
}

int merge_input_org(struct merge_input *in, struct err *e)
{
	in->org = STR_NULL;
	for (size_t i = 0; i < in->n; i++) {
		const struct block_org *o = next_org(&in->v[i]);

		if (o && (!in->org.p || str_cmp(o->name, in->org) < 0))
			in->org = o->name;
	}
	if (!in->org.p)
		return 1;
	for (size_t i = 0; i < in->n; i++) {
		struct merge_source *src = &in->v[i];
		const struct block_org *o = next_org(src);

		src->org = o && str_eq(o->name, in->org) ? o : NULL;
		src->next_org += src->org != NULL;
	}
	return note_damage(in, start_org(in, e));
}

/* ---- samples -------------------------------------------------------------- */

static int stop(void *ctx, const struct err *why)
{
	struct err *e = ctx;

	if (e)
		*e = *why;
	return why->code < 0 ? why->code : -EBADMSG;
}

int merge_input_samples(struct merge_input *in, int64_t min_ms, struct columns *to, struct err *e)
{
	int r = 0;

	to->n = 0;
	for (size_t i = 0; r == 0 && i < in->n_least; i++) {
		struct merge_source *src = &in->v[in->least[i]];
		size_t before = to->n;

		r = block_cursors_read(&src->cursors, src->series, min_ms, INT64_MAX, to, stop, e);
		hidden_cut(&src->hidden, src->series, to, before);
	}
	return r == 0 ? columns_join(to, 0) : note_damage(in, r);
}
