/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A growable run of bytes, with a sticky error: an append that cannot get memory (or passes @max)
 * changes nothing and is remembered, so a writer of many pieces checks once, at the end.
 *
 *	_cleanup_(buf_done) struct buf b = BUF_INIT;
 *	buf_puts(&b, "a=");
 *	buf_printf(&b, "%d", 1);
 *	if (b.err < 0) ...
 */

#include <stdint.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/str.h"

struct buf {
	char *p; /* not NUL-terminated; buf_cstr() makes it so */
	size_t len, cap;
	size_t max; /* 0 = no limit */
	int err;    /* 0, -ENOMEM or -ENOSPC (above @max) */
};

#define BUF_INIT ((struct buf){ 0 })

void buf_done(struct buf *b);
static inline void buf_clear(struct buf *b) /* keeps the memory */
{
	b->len = 0;
	b->err = 0;
}

/* Room for @more further bytes, or NULL; the caller then writes there and adds to b->len. */
void *buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *src, size_t len);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *cstr);
void buf_put_str(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_put_u64(struct buf *b, uint64_t v);        /* decimal */
void buf_put_i64(struct buf *b, int64_t v);         /* decimal */
void buf_put_varint(struct buf *b, uint64_t v);     /* LEB128: base/varint.h */
void buf_put_double(struct buf *b, double v);       /* see num_format_double() */
void buf_put_cell(struct buf *b, const char *text); /* of a Markdown table: bars are escaped */

/* The content as a C string, valid until the next append; "" after an error. */
const char *buf_cstr(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){ b->p, b->len };
}
