/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/varint.h"

void buf_done(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT;
}

void *buf_reserve(struct buf *b, size_t more)
{
	size_t want;

	if (b->err < 0)
		return NULL;
	if (__builtin_add_overflow(b->len, more, &want) || (b->max && want > b->max)) {
		b->err = -ENOSPC;
		return NULL;
	}
	/* At least one byte, so that NULL always means failure. */
	if (MEM_GROW(b->p, b->cap, want ? want : 1) < 0) {
		b->err = -ENOMEM;
		return NULL;
	}
	return b->p + b->len;
}

void buf_put(struct buf *b, const void *src, size_t len)
{
	void *dst = buf_reserve(b, len);

	if (!dst || len == 0)
		return;
	memcpy(dst, src, len);
	b->len += len;
}

void buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_reserve(b, VARINT64_BYTES_MAX);

	if (p)
		b->len += (size_t)(varint_put(p, v) - p);
}

void buf_puts(struct buf *b, const char *cstr)
{
	buf_put(b, cstr, strlen(cstr));
}

void buf_put_str(struct buf *b, struct str s)
{
	buf_put(b, s.p, s.len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *dst = n >= 0 ? buf_reserve(b, (size_t)n + 1) : NULL;

	if (dst) {
		(void)vsnprintf(dst, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	char *dst = buf_reserve(b, NUM_U64_BYTES_MAX);

	if (dst)
		b->len += num_format_u64(v, dst);
}

void buf_put_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_putc(b, '-');
	buf_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_put_double(struct buf *b, double v)
{
	char *dst = buf_reserve(b, NUM_DOUBLE_BYTES_MAX);

	if (dst)
		b->len += num_format_double(v, dst);
}

void buf_put_cell(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_putc(b, '\\');
		buf_putc(b, *text);
	}
}

const char *buf_cstr(struct buf *b)
{
	char *end = buf_reserve(b, 1);

	if (!end)
		return "";
	*end = '\0';
	return b->p;
}
