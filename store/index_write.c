/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/index_write.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "store/column_page.h"
#include "store/postings.h"
#include "userspace/base/alloc.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"

void index_writer_done(struct index_writer *w)
{
	arena_done(&w->arena);
	free(w->texts);
	free(w->table);
	free(w->orgs);
	free(w->labels);
	free(w->ends);
	*w = (struct index_writer){ 0 };
}

/* ---- collecting ----------------------------------------------------------- */

int index_writer_org(struct index_writer *w, struct str org)
{
	struct str name = arena_str(&w->arena, org);

	if (!name.p || MEM_GROW(w->orgs, w->orgs_cap, w->n_orgs + 1) < 0)
		return -ENOMEM;
	w->orgs[w->n_orgs++] = (struct block_org){
		.name = name,
		.first_series = (uint32_t)w->n_series,
		.min_ms = INT64_MAX,
		.max_ms = INT64_MIN,
	};
	return 0;
}

static uint64_t hash_text(uint32_t org, struct str name, struct str value)
{
	return hash_bytes(value.p, value.len, hash_bytes(name.p, name.len, org));
}

static uint32_t *slot_of(const struct index_writer *w, uint32_t org, struct str name,
                         struct str value)
{
	size_t mask = w->table_cap - 1, at = hash_text(org, name, value) & mask;

	for (; w->table[at] != 0; at = (at + 1) & mask) {
		const struct index_text *t = &w->texts[w->table[at] - 1];

		if (t->org == org && str_eq(t->value, value) && str_eq(t->name, name))
			break;
	}
	return &w->table[at];
}

static int table_reserve(struct index_writer *w)
{
	size_t cap = w->table_cap ? w->table_cap * 2 : 1024;

	if ((w->n_texts + 1) * 2 <= w->table_cap)
		return 0;
	uint32_t *table = mem_zalloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	free(w->table);
	w->table = table;
	w->table_cap = cap;
	for (size_t i = 0; i < w->n_texts; i++) {
		const struct index_text *t = &w->texts[i];

		*slot_of(w, t->org, t->name, t->value) = (uint32_t)i + 1;
	}
	return 0;
}

int index_writer_text(struct index_writer *w, struct str name, struct str value, uint32_t *ret)
{
	uint32_t org = (uint32_t)w->n_orgs - 1;
	int r = table_reserve(w);

	if (r < 0)
		return r;
	uint32_t *slot = slot_of(w, org, name, value);

	if (*slot == 0) {
		struct index_text t = { .org = org };

		t.name = arena_str(&w->arena, name);
		t.value = arena_str(&w->arena, value);
		if (!t.name.p || !t.value.p || MEM_GROW(w->texts, w->texts_cap, w->n_texts + 1) < 0)
			return -ENOMEM;
		w->texts[w->n_texts++] = t;
		*slot = (uint32_t)w->n_texts;
	}
	*ret = *slot - 1;
	return 0;
}

int index_writer_series(struct index_writer *w, const uint32_t *texts, uint32_t n)
{
	if (w->n_series == UINT32_MAX - 1)
		return -EFBIG;
	if (MEM_GROW(w->labels, w->labels_cap, w->n_labels + n) < 0 ||
	    MEM_GROW(w->ends, w->ends_cap, w->n_series + 1) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		w->labels[w->n_labels++] = texts[i];
		w->texts[texts[i]].n_series++;
	}
	w->ends[w->n_series++] = w->n_labels;
	w->orgs[w->n_orgs - 1].n_series++;
	return 0;
}

void index_writer_count(struct index_writer *w, uint64_t n_samples, int64_t min_ms, int64_t max_ms)
{
	struct block_org *o = &w->orgs[w->n_orgs - 1];

	o->n_samples += n_samples;
	o->min_ms = MIN(o->min_ms, min_ms);
	o->max_ms = MAX(o->max_ms, max_ms);
}

/* ---- labels: their order, and the series of each -------------------------- */

/* While the file is written. */
struct build {
	struct index_writer *w;
	struct page_packer *packer;
	struct outfile *f;
	uint32_t *order;    /* of the texts */
	size_t *begins;     /* in @ids, of each text, by the order in which they came */
	uint32_t *ids;      /* series */
	uint32_t *gathered; /* of all values of one name */
	uint64_t *seen;     /* a bit for each series */
	struct postings_scratch *scratch;
	struct buf page, directory_keys, last_key;
	struct directory texts, series;
	uint32_t n_on_page, n_numbered;
};

static void build_done(struct build *b)
{
	free(b->order);
	free(b->begins);
	free(b->ids);
	free(b->gathered);
	free(b->seen);
	free(b->scratch);
	buf_done(&b->page);
	buf_done(&b->directory_keys);
	buf_done(&b->last_key);
	directory_done(&b->texts);
	directory_done(&b->series);
}

static int cmp_text(const void *a, const void *b, void *ctx)
{
	const struct index_text *texts = ctx;
	const struct index_text *x = &texts[*(const uint32_t *)a],
				*y = &texts[*(const uint32_t *)b];
	int c = x->org < y->org ? -1 : x->org > y->org;

	if (c == 0)
		c = str_cmp(x->name, y->name);
	return c != 0 ? c : str_cmp(x->value, y->value);
}

static int sort_texts(struct build *b)
{
	struct index_writer *w = b->w;

	b->order = mem_zalloc(w->n_texts, sizeof(*b->order));
	if (!b->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_texts; i++)
		b->order[i] = i;
	qsort_r(b->order, w->n_texts, sizeof(*b->order), cmp_text, w->texts);
	return 0;
}

/* The series of each text, ascending, in one array: counted before, so that each has its place. */
static int turn_round(struct build *b)
{
	struct index_writer *w = b->w;
	size_t at = 0, k = 0;

	b->begins = mem_zalloc(w->n_texts + 1, sizeof(*b->begins));
	b->ids = mem_zalloc(w->n_labels, sizeof(*b->ids));
	b->gathered = mem_zalloc(w->n_series, sizeof(*b->gathered));
	b->seen = mem_zalloc(w->n_series / 64 + 1, sizeof(*b->seen));
	b->scratch = mem_alloc(sizeof(*b->scratch));
	if (!b->begins || !b->ids || !b->gathered || !b->seen || !b->scratch)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_texts; i++) {
		b->begins[i] = at;
		at += w->texts[i].n_series;
	}
	for (uint32_t s = 0; s < w->n_series; s++) {
		for (; k < w->ends[s]; k++)
			b->ids[b->begins[w->labels[k]]++] = s;
	}
	for (size_t i = 0; i < w->n_texts; i++)
		b->begins[i] -= w->texts[i].n_series;
	return 0;
}

/* ---- pages of labels ------------------------------------------------------ */

/* organisation's number, name, value: sorted bytewise like their texts. */
static void put_key(struct buf *out, const struct index_text *t, struct str value)
{
	uint8_t org[4] = { (uint8_t)(t->org >> 24), (uint8_t)(t->org >> 16), (uint8_t)(t->org >> 8),
		           (uint8_t)t->org };

	buf_clear(out);
	buf_put(out, org, sizeof(org));
	buf_put_str(out, t->name);
	buf_putc(out, '\0');
	buf_put_str(out, value);
}

static int end_text_page(struct build *b)
{
	uint64_t at = outfile_at(b->f);

	if (b->n_on_page == 0)
		return 0;
	int r = b->page.err < 0 ? -ENOMEM
	                        : page_put(b->packer, PAGE_TEXTS, buf_str(&b->page), &b->f->buf);

	if (r < 0)
		return r;
	directory_add(&b->texts, b->n_numbered - b->n_on_page,
	              (struct page_ref){ at, (uint32_t)(outfile_at(b->f) - at) });
	buf_clear(&b->page);
	buf_clear(&b->last_key);
	b->n_on_page = 0;
	return outfile_step(b->f);
}

/* One entry: the key, less what it shares with the one before, and the series. */
static int put_text(struct build *b, const struct index_text *t, struct str value,
                    const uint32_t *ids, uint32_t n)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT;
	size_t shared = 0;

	put_key(&key, t, value);
	if (key.err < 0)
		return -ENOMEM;
	while (shared < key.len && shared < b->last_key.len &&
	       key.p[shared] == b->last_key.p[shared])
		shared++;
	if (b->n_on_page == 0) {
		buf_put_varint(&b->directory_keys, key.len);
		buf_put_str(&b->directory_keys, buf_str(&key));
	}
	buf_put_varint(&b->page, shared);
	buf_put_varint(&b->page, key.len - shared);
	buf_put(&b->page, key.p + shared, key.len - shared);
	int r = postings_put(b->packer, b->scratch, ids, n, &b->page, &b->f->buf, b->f->bytes);

	buf_clear(&b->last_key);
	buf_put_str(&b->last_key, buf_str(&key));
	if (r == 0)
		r = b->last_key.err;
	b->n_numbered++;
	if (r == 0 && ++b->n_on_page == BLOCK_TEXTS_OF_PAGE)
		r = end_text_page(b);
	return r;
}

/* All series that carry the name of the texts order[from..to), ascending. */
static uint32_t gather(struct build *b, size_t from, size_t to)
{
	const struct index_writer *w = b->w;
	uint32_t n = 0;

	memset(b->seen, 0, (w->n_series / 64 + 1) * sizeof(*b->seen));
	for (size_t i = from; i < to; i++) {
		uint32_t t = b->order[i];
		const uint32_t *ids = b->ids + b->begins[t];

		for (uint32_t k = 0; k < w->texts[t].n_series; k++)
			b->seen[ids[k] / 64] |= 1ull << (ids[k] % 64);
	}
	for (uint32_t word = 0; word <= w->n_series / 64; word++) {
		for (uint64_t bits = b->seen[word]; bits != 0; bits &= bits - 1)
			b->gathered[n++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return n;
}

static bool same_name(const struct index_text *a, const struct index_text *b)
{
	return a->org == b->org && str_eq(a->name, b->name);
}

/* One name: first without value, for all that carry it, then each value. */
static int put_name(struct build *b, size_t from, size_t to)
{
	struct index_text *texts = b->w->texts;
	uint32_t n = gather(b, from, to);
	int r = n > 0 ? put_text(b, &texts[b->order[from]], STR_NULL, b->gathered, n) : 0;

	for (size_t i = from; r == 0 && i < to; i++) {
		struct index_text *t = &texts[b->order[i]];

		t->number = b->n_numbered;
		if (t->n_series > 0)
			r = put_text(b, t, t->value, b->ids + b->begins[b->order[i]], t->n_series);
	}
	return r;
}

static int put_texts(struct build *b)
{
	struct index_writer *w = b->w;
	int r = 0;

	for (size_t from = 0, to; r == 0 && from < w->n_texts; from = to) {
		struct block_org *org = &w->orgs[w->texts[b->order[from]].org];
		uint32_t before = b->n_numbered;

		for (to = from + 1; to < w->n_texts; to++) {
			if (!same_name(&w->texts[b->order[from]], &w->texts[b->order[to]]))
				break;
		}
		r = put_name(b, from, to);
		if (org->n_texts == 0)
			org->first_text = before;
		org->n_texts += b->n_numbered - before;
	}
	return r == 0 ? end_text_page(b) : r;
}

/* ---- pages of series ------------------------------------------------------ */

/* How many labels two series have in common, from the front. */
static uint32_t shared_labels(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
	uint32_t n = 0;

	while (n < n_a && n < n_b && a[n] == b[n])
		n++;
	return n;
}

/*
 * A series: varint shared << 7 | labels, then each label that is not shared, as the zigzag distance
 * from the one in the same place of the series before, or from 0.
 */
static void put_series(struct build *b, const uint32_t *mine, uint32_t n, const uint32_t *before,
                       uint32_t n_before)
{
	const struct index_text *texts = b->w->texts;
	uint32_t shared = shared_labels(mine, n, before, n_before);

	buf_put_varint(&b->page, (uint64_t)shared << 7 | n);
	for (uint32_t i = shared; i < n; i++) {
		int64_t from = i < n_before ? (int64_t)texts[before[i]].number : 0;

		buf_put_varint(&b->page, zigzag((int64_t)texts[mine[i]].number - from));
	}
}

static int end_series_page(struct build *b, uint32_t first)
{
	uint64_t at = outfile_at(b->f);
	int r = b->page.err < 0 ? -ENOMEM
	                        : page_put(b->packer, PAGE_SERIES, buf_str(&b->page), &b->f->buf);

	if (r < 0)
		return r;
	directory_add(&b->series, first,
	              (struct page_ref){ at, (uint32_t)(outfile_at(b->f) - at) });
	buf_clear(&b->page);
	return outfile_step(b->f);
}

static int put_all_series(struct build *b)
{
	const struct index_writer *w = b->w;
	const uint32_t *before = NULL, *mine = w->labels;
	uint32_t n_before = 0, first = 0;
	int r = 0;

	for (uint32_t s = 0; r == 0 && s < w->n_series; s++) {
		uint32_t n = (uint32_t)(w->labels + w->ends[s] - mine);

		put_series(b, mine, n, before, n_before);
		before = mine;
		n_before = n;
		mine += n;
		if (s + 1 - first == BLOCK_SERIES_OF_PAGE || s + 1 == w->n_series) {
			r = end_series_page(b, first);
			first = s + 1;
			n_before = 0;
		}
	}
	return r;
}

/* ---- the root ------------------------------------------------------------- */

static void put_ref(struct buf *out, struct page_ref ref)
{
	buf_put_varint(out, ref.at);
	buf_put_varint(out, ref.bytes);
}

static void put_signed(struct buf *out, int64_t v)
{
	buf_put_varint(out, zigzag(v));
}

static void put_root(const struct index_writer *w, const struct block_slice *slices,
                     const struct block_meta *m, struct buf *out)
{
	buf_put_varint(out, m->level);
	buf_put_varint(out, m->min_epoch);
	buf_put_varint(out, m->max_epoch);
	buf_put_varint(out, m->deleted);
	buf_put_varint(out, m->n_samples);
	buf_put_varint(out, m->n_series);
	buf_put_varint(out, m->n_texts);
	buf_put_varint(out, m->chunks_bytes);
	put_ref(out, m->series);
	put_ref(out, m->texts);
	buf_put_varint(out, m->n_orgs);
	for (const struct block_org *o = w->orgs; o < w->orgs + w->n_orgs; o++) {
		buf_put_varint(out, o->name.len);
		buf_put_str(out, o->name);
		buf_put_varint(out, o->n_series);
		buf_put_varint(out, o->n_texts);
		buf_put_varint(out, o->n_samples);
		put_signed(out, o->min_ms);
		put_signed(out, o->max_ms);
	}
	buf_put_varint(out, m->n_slices);
	for (const struct block_slice *s = slices; s < slices + m->n_slices; s++) {
		put_signed(out, s->min_ms);
		put_signed(out, s->max_ms);
		buf_put_varint(out, s->n_times);
		put_ref(out, s->values);
		put_ref(out, s->times);
	}
}

static int put_tail(struct outfile *f, struct page_ref root)
{
	uint8_t tail[BLOCK_TAIL_BYTES];
	uint32_t crc;

	memcpy(tail, &root.at, 8);
	memcpy(tail + 8, &root.bytes, 4);
	crc = crc32c(0, tail, 12);
	memcpy(tail + 12, &crc, 4);
	memcpy(tail + 16, BLOCK_TAIL_MARK, 8);
	buf_put(&f->buf, tail, sizeof(tail));
	return f->buf.err;
}

/* The directory of labels has their pages' first keys, too. */
static int put_text_directory(struct build *b, struct page_ref *ret)
{
	buf_put_str(&b->texts.raw, buf_str(&b->directory_keys));
	return b->directory_keys.err < 0 ? -ENOMEM : directory_put(&b->texts, b->packer, b->f, ret);
}

static int put_all(struct build *b, const struct block_slice *slices, struct block_meta *m)
{
	_cleanup_(buf_done) struct buf root = BUF_INIT;
	struct page_ref at_root;
	int r = sort_texts(b);

	if (r == 0)
		r = turn_round(b);
	if (r == 0)
		r = put_texts(b);
	if (r == 0)
		r = put_all_series(b);
	if (r == 0)
		r = directory_put(&b->series, b->packer, b->f, &m->series);
	if (r == 0)
		r = put_text_directory(b, &m->texts);
	if (r < 0)
		return r;
	m->n_series = (uint32_t)b->w->n_series;
	m->n_texts = b->n_numbered;
	m->n_orgs = (uint32_t)b->w->n_orgs;
	put_root(b->w, slices, m, &root);
	at_root.at = outfile_at(b->f);
	r = root.err < 0 ? -ENOMEM : page_put(b->packer, PAGE_ROOT, buf_str(&root), &b->f->buf);
	if (r < 0)
		return r;
	at_root.bytes = (uint32_t)(outfile_at(b->f) - at_root.at);
	return put_tail(b->f, at_root);
}

int index_writer_finish(struct index_writer *w, const struct block_slice *slices,
                        struct block_meta *meta, struct page_packer *packer, struct outfile *f)
{
	_cleanup_(build_done) struct build b = { .w = w, .packer = packer, .f = f };

	return put_all(&b, slices, meta);
}
