/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/block.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/cursor.h"
#include "userspace/base/alloc.h"
#include "userspace/base/crc32c.h"
#include "userspace/base/vfs.h"

static const char *const file_names[] = { "chunks", "index", "meta.json" };

void block_path(const char *store_dir, uint64_t number, char *dst)
{
	(void)snprintf(dst, PATH_MAX, "%s/blocks/%08llu", store_dir, (unsigned long long)number);
}

static int remove_files(const char *dir)
{
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < sizeof(file_names) / sizeof(file_names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, file_names[i]);
		int one = vfs()->unlink(path);

		if (one < 0 && one != -ENOENT)
			r = one;
	}
	int last = vfs()->rmdir(dir);

	return r == 0 && last < 0 && last != -ENOENT ? last : r;
}

int block_remove(const char *store_dir, uint64_t number)
{
	char dir[PATH_MAX];

	block_path(store_dir, number, dir);
	return remove_files(dir);
}

/* ---- directories ---------------------------------------------------------- */

static void page_list_free(struct page_list *l)
{
	if (!l)
		return;
	free(l->first);
	free(l->pages);
	free(l->keys);
	free(l->text);
	free(l);
}

static struct page_list *page_list_new(uint32_t n, bool has_keys)
{
	struct page_list *l = mem_zalloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->n = n;
	l->first = mem_zalloc(n, sizeof(*l->first));
	l->pages = mem_zalloc(n, sizeof(*l->pages));
	l->keys = has_keys ? mem_zalloc(n, sizeof(*l->keys)) : NULL;
	if (!l->first || !l->pages || (has_keys && !l->keys)) {
		page_list_free(l);
		return NULL;
	}
	return l;
}

/* Numbers never descend, and stay below @limit. */
static void parse_pages(struct cursor *c, struct page_list *l, uint32_t limit)
{
	uint64_t first = 0, end = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		first += cursor_u32(c);
		l->first[i] = (uint32_t)first;
		l->pages[i].at = end + (uint64_t)cursor_signed(c);
		l->pages[i].bytes = cursor_u32(c);
		end = l->pages[i].at + l->pages[i].bytes;
		if (first >= limit)
			cursor_spoil(c);
	}
}

static int parse_keys(struct cursor *c, struct page_list *l)
{
	struct str all = { (const char *)c->p, cursor_left(c) };

	l->text = mem_strndup(all.p, all.len);
	if (!l->text)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		struct str key = cursor_text(c);

		if (!c->bad)
			l->keys[i] = (struct str){ l->text + (key.p - all.p), key.len };
	}
	return 0;
}

static int parse_list(struct str raw, uint32_t limit, bool has_keys, struct page_list **ret)
{
	struct cursor c = cursor_of(raw);
	/* A page takes three bytes at least. */
	uint32_t n = (uint32_t)cursor_upto(&c, raw.len / 3);
	struct page_list *l = c.bad ? NULL : page_list_new(n, has_keys);
	int r = 0;

	if (!l)
		return c.bad ? -EBADMSG : -ENOMEM;
	parse_pages(&c, l, limit);
	if (has_keys)
		r = parse_keys(&c, l);
	if (r == 0 && (!cursor_at_end(&c) || (n == 0) != (limit == 0)))
		r = -EBADMSG;
	if (r < 0) {
		page_list_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* Below @limit are the numbers that the pages have. */
static int load_list(struct block *b, struct page_ref where, uint32_t limit, bool has_keys,
                     _Atomic(struct page_list *) *slot, const struct page_list **ret)
{
	_cleanup_(page_reader_done) struct page_reader reader = { 0 };
	struct page_list *l = atomic_load_explicit(slot, memory_order_acquire);
	struct str raw;
	int r = 0;

	if (!l) {
		(void)pthread_mutex_lock(&b->lock);
		l = atomic_load_explicit(slot, memory_order_acquire);
		if (!l) {
			r = page_get(&reader, b->index_fd, where, PAGE_DIRECTORY, &raw);
			if (r == 0)
				r = parse_list(raw, limit, has_keys, &l);
			if (r == 0) {
				atomic_store_explicit(slot, l, memory_order_release);
				atomic_fetch_add(&b->memory_bytes, l->n * 32ull);
			}
		}
		(void)pthread_mutex_unlock(&b->lock);
	}
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}

int block_series_pages(struct block *b, const struct page_list **ret)
{
	return load_list(b, b->meta.series, b->meta.n_series, false, &b->series, ret);
}

int block_text_pages(struct block *b, const struct page_list **ret)
{
	return load_list(b, b->meta.texts, b->meta.n_texts, true, &b->texts, ret);
}

int block_value_pages(struct block *b, uint32_t slice, const struct page_list **ret)
{
	struct block_slice_view *s = &b->slices[slice];

	return load_list(b, s->meta.values, b->meta.n_series, false, &s->values, ret);
}

int block_times_pages(struct block *b, uint32_t slice, const struct page_list **ret)
{
	struct block_slice_view *s = &b->slices[slice];

	return load_list(b, s->meta.times, s->meta.n_times, false, &s->times, ret);
}

uint32_t page_list_find(const struct page_list *l, uint32_t number)
{
	uint32_t lo = 0, hi = l->n - 1;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo + 1) / 2;

		if (l->first[mid] <= number)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* ---- the root ------------------------------------------------------------- */

static struct page_ref take_ref(struct cursor *c)
{
	struct page_ref ref = { .at = cursor_varint(c) };

	ref.bytes = cursor_u32(c);
	return ref;
}

static void parse_meta(struct cursor *c, struct block_meta *m)
{
	m->level = cursor_u32(c);
	m->min_epoch = cursor_varint(c);
	m->max_epoch = cursor_varint(c);
	m->deleted = cursor_varint(c);
	m->n_samples = cursor_varint(c);
	m->n_series = (uint32_t)cursor_upto(c, UINT32_MAX - 1);
	m->n_texts = cursor_u32(c);
	m->chunks_bytes = cursor_varint(c);
	m->series = take_ref(c);
	m->texts = take_ref(c);
	m->min_ms = INT64_MAX;
	m->max_ms = INT64_MIN;
}

/* Organisations ascend, and their series and labels add up to those of the block. */
static int parse_orgs(struct cursor *c, struct block *b)
{
	struct block_meta *m = &b->meta;
	uint64_t n_series = 0, n_texts = 0;

	m->n_orgs = (uint32_t)cursor_upto(c, cursor_left(c));
	b->orgs = mem_zalloc(m->n_orgs, sizeof(*b->orgs));
	if (!b->orgs)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_orgs && !c->bad; i++) {
		struct block_org *o = &b->orgs[i];

		*o = (struct block_org){ .name = cursor_text(c),
			                 .first_series = (uint32_t)n_series,
			                 .first_text = (uint32_t)n_texts };
		o->n_series = (uint32_t)cursor_upto(c, m->n_series - n_series);
		o->n_texts = (uint32_t)cursor_upto(c, m->n_texts - n_texts);
		o->n_samples = cursor_varint(c);
		o->min_ms = cursor_signed(c);
		o->max_ms = cursor_signed(c);
		n_series += o->n_series;
		n_texts += o->n_texts;
		if (i > 0 && str_cmp(o[-1].name, o->name) >= 0)
			cursor_spoil(c);
		m->min_ms = o->min_ms < m->min_ms ? o->min_ms : m->min_ms;
		m->max_ms = o->max_ms > m->max_ms ? o->max_ms : m->max_ms;
	}
	return c->bad || n_series != m->n_series || n_texts != m->n_texts ? -EBADMSG : 0;
}

static int parse_slices(struct cursor *c, struct block *b)
{
	b->meta.n_slices = (uint32_t)cursor_upto(c, BLOCK_SLICES_MAX);
	b->slices = mem_zalloc(b->meta.n_slices, sizeof(*b->slices));
	if (!b->slices)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->meta.n_slices; i++) {
		struct block_slice *s = &b->slices[i].meta;

		s->min_ms = cursor_signed(c);
		s->max_ms = cursor_signed(c);
		s->n_times = cursor_u32(c);
		s->values = take_ref(c);
		s->times = take_ref(c);
		if (s->n_times == 0 || s->min_ms > s->max_ms ||
		    (i > 0 && s->min_ms <= b->slices[i - 1].meta.max_ms))
			cursor_spoil(c);
	}
	return cursor_at_end(c) ? 0 : -EBADMSG;
}

static int read_tail(const struct block *b, struct page_ref *ret)
{
	_cleanup_(buf_done) struct buf tail = BUF_INIT;
	uint32_t crc;
	int r = b->index_bytes >= BLOCK_TAIL_BYTES
	                ? vfs()->read_at(b->index_fd, b->index_bytes - BLOCK_TAIL_BYTES,
	                                 BLOCK_TAIL_BYTES, &tail)
	                : -EBADMSG;

	if (r < 0)
		return r;
	if (tail.len != BLOCK_TAIL_BYTES || memcmp(tail.p + 16, BLOCK_TAIL_MARK, 8) != 0)
		return -EBADMSG;
	memcpy(&ret->at, tail.p, 8);
	memcpy(&ret->bytes, tail.p + 8, 4);
	memcpy(&crc, tail.p + 12, 4);
	return crc == crc32c(0, tail.p, 12) ? 0 : -EBADMSG;
}

static int read_root(struct block *b)
{
	_cleanup_(page_reader_done) struct page_reader reader = { 0 };
	struct page_ref where;
	struct str raw;
	int r = read_tail(b, &where);

	if (r == 0)
		r = page_get(&reader, b->index_fd, where, PAGE_ROOT, &raw);
	if (r < 0)
		return r;
	b->root = mem_strndup(raw.p, raw.len);
	if (!b->root)
		return -ENOMEM;
	struct cursor c = cursor_of((struct str){ b->root, raw.len });

	parse_meta(&c, &b->meta);
	r = c.bad ? -EBADMSG : parse_orgs(&c, b);
	return r == 0 ? parse_slices(&c, b) : r;
}

/* ---- life ----------------------------------------------------------------- */

static int open_file(const struct block *b, const char *name, const char *mark, int *ret_fd,
                     uint64_t *ret_bytes, struct err *e)
{
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	*ret_fd = r = vfs()->open(path, O_RDONLY, 0);
	if (r >= 0)
		r = page_file_check(*ret_fd, mark, BLOCK_VERSION);
	if (r >= 0)
		r = vfs()->size(*ret_fd, ret_bytes);
	if (r == -EPROTO)
		return err_set(e, r, "%s: written by a newer version; this one reads version %u",
		               path, BLOCK_VERSION);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int open_all(struct block *b, struct err *e)
{
	uint64_t chunks_bytes;
	int r = open_file(b, "index", BLOCK_INDEX_MARK, &b->index_fd, &b->index_bytes, e);

	if (r == 0)
		r = open_file(b, "chunks", BLOCK_CHUNKS_MARK, &b->chunks_fd, &chunks_bytes, e);
	if (r < 0)
		return r;
	r = read_root(b);
	if (r < 0)
		return err_set(e, r, "%s/index: the root cannot be read: %s", b->dir, strerror(-r));
	if (chunks_bytes < b->meta.chunks_bytes)
		return err_set(e, -EBADMSG, "%s/chunks: %llu of %llu bytes are missing", b->dir,
		               (unsigned long long)(b->meta.chunks_bytes - chunks_bytes),
		               (unsigned long long)b->meta.chunks_bytes);
	return 0;
}

int block_open(struct block **ret, const char *store_dir, uint64_t number, struct err *e)
{
	struct block *b = mem_zalloc(1, sizeof(*b));
	char dir[PATH_MAX];
	int r;

	if (!b)
		return -ENOMEM;
	block_path(store_dir, number, dir);
	b->index_fd = b->chunks_fd = -1;
	b->number = number;
	atomic_init(&b->refs, 1);
	(void)pthread_mutex_init(&b->lock, NULL);
	b->dir = mem_strndup(dir, strlen(dir));
	r = b->dir ? open_all(b, e) : -ENOMEM;
	if (r < 0) {
		block_unref(b);
		return r;
	}
	*ret = b;
	return 0;
}

struct block *block_ref(struct block *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void block_unref(struct block *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	if (b->index_fd >= 0)
		(void)vfs()->close(b->index_fd);
	if (b->chunks_fd >= 0)
		(void)vfs()->close(b->chunks_fd);
	if (atomic_load(&b->is_replaced))
		(void)remove_files(b->dir);
	page_list_free(atomic_load(&b->series));
	page_list_free(atomic_load(&b->texts));
	for (uint32_t i = 0; b->slices && i < b->meta.n_slices; i++) {
		page_list_free(atomic_load(&b->slices[i].values));
		page_list_free(atomic_load(&b->slices[i].times));
	}
	(void)pthread_mutex_destroy(&b->lock);
	free(b->slices);
	free(b->orgs);
	free(b->root);
	free(b->dir);
	free(b);
}

const struct block_org *block_find_org(const struct block *b, struct str org)
{
	uint32_t lo = 0, hi = b->meta.n_orgs;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(b->orgs[mid].name, org);

		if (c == 0)
			return &b->orgs[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

int block_bad_page(struct block *b, bool in_index, struct page_ref page, int code, struct err *e)
{
	if (code != -EBADMSG && code != -EIO)
		return code;
	atomic_fetch_add(&b->n_bad_pages, 1);
	return err_set(e, code, "%s/%s: the page at byte %llu %s", b->dir,
	               in_index ? "index" : "chunks", (unsigned long long)page.at,
	               code == -EIO ? "cannot be read" : "is damaged");
}
