/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/column_page.h"

#include <errno.h>

#include "userspace/base/varint.h"

/* ---- directories ---------------------------------------------------------- */

void directory_add(struct directory *d, uint32_t first, struct page_ref page)
{
	buf_put_varint(&d->raw, first - d->last_first);
	buf_put_varint(&d->raw, zigzag((int64_t)(page.at - d->last_end)));
	buf_put_varint(&d->raw, page.bytes);
	d->last_first = first;
	d->last_end = page.at + page.bytes;
	d->n++;
}

void directory_done(struct directory *d)
{
	buf_done(&d->raw);
	*d = (struct directory){ 0 };
}

int directory_put(const struct directory *d, struct page_packer *packer, struct outfile *f,
                  struct page_ref *ret)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT;
	uint64_t at = outfile_at(f);

	buf_put_varint(&raw, d->n);
	buf_put_str(&raw, buf_str(&d->raw));
	if (d->raw.err < 0 || raw.err < 0)
		return -ENOMEM;
	int r = page_put(packer, PAGE_DIRECTORY, buf_str(&raw), &f->buf);

	if (r < 0)
		return r;
	*ret = (struct page_ref){ at, (uint32_t)(outfile_at(f) - at) };
	return outfile_step(f);
}

/* ---- pages ---------------------------------------------------------------- */

uint8_t *column_page_room(struct column_page *p, size_t bytes_max)
{
	return buf_reserve(&p->columns, bytes_max);
}

void column_page_add(struct column_page *p, uint32_t number, uint32_t what, size_t bytes)
{
	if (p->n == 0)
		p->first = p->last = number;
	buf_put_varint(&p->heads, number - p->last);
	if (p->kind == PAGE_VALUES)
		buf_put_varint(&p->heads, zigzag((int64_t)what - (int64_t)p->last_times));
	else
		buf_put_varint(&p->heads, what);
	buf_put_varint(&p->heads, bytes);
	p->columns.len += bytes;
	p->last = number;
	p->last_times = what;
	p->n++;
}

static int write_page(struct column_page *p, struct page_packer *packer, struct outfile *f)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT;
	uint64_t at = outfile_at(f);

	buf_put_varint(&raw, p->n);
	buf_put_varint(&raw, p->first);
	buf_put_str(&raw, buf_str(&p->heads));
	buf_put_str(&raw, buf_str(&p->columns));
	if (p->heads.err < 0 || p->columns.err < 0 || raw.err < 0)
		return -ENOMEM;
	int r = page_put(packer, p->kind, buf_str(&raw), &f->buf);

	if (r < 0)
		return r;
	directory_add(&p->directory, p->first,
	              (struct page_ref){ at, (uint32_t)(outfile_at(f) - at) });
	buf_clear(&p->heads);
	buf_clear(&p->columns);
	p->n = p->last_times = 0;
	return outfile_step(f);
}

int column_page_step(struct column_page *p, size_t bytes_min, struct page_packer *packer,
                     struct outfile *f)
{
	if (p->n == 0 || p->heads.len + p->columns.len < bytes_min)
		return 0;
	return write_page(p, packer, f);
}

void column_page_done(struct column_page *p)
{
	buf_done(&p->heads);
	buf_done(&p->columns);
	directory_done(&p->directory);
}
