/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Pages: the pieces that a block's files are made of, and the unit of checksum, compression and
 * damage. docs/format/block.md is the normative text.
 *
 *	u32 CRC-32C of all behind it    u32 kind << 24 | raw bytes    u32 stored bytes
 *	stored bytes: the raw ones, or, when they are fewer, a zstd frame of them
 *
 * Why not mmap  A file that shrinks, or a disk that cannot read, would end the process with SIGBUS,
 *               and what is mapped and touched counts as our memory. A pread() of 16 KiB out of the
 *               kernel's cache costs less than its checksum.
 * Threads       A packer or a reader has one owner. Files are only read, from anywhere.
 */

#include <stdint.h>

#include "userspace/base/buf.h"

#define PAGE_HEAD_BYTES 12u
#define PAGE_RAW_MAX    (((size_t)1 << 24) - 1)
#define PAGE_SLACK      16u /* readable bytes behind what a reader returns */

enum page_kind {
	PAGE_VALUES = 1, /* columns of values */
	PAGE_TIMES,      /* columns of timestamps */
	PAGE_SERIES,     /* label sets */
	PAGE_TEXTS,      /* labels */
	PAGE_IDS,        /* the series of one label */
	PAGE_DIRECTORY,  /* where pages are */
	PAGE_ROOT,       /* where everything is */
};

struct page_ref {
	uint64_t at;    /* in its file */
	uint32_t bytes; /* with the head */
};

struct page_packer {
	void *zstd;
	int level; /* of compression; 0 = none */
};

int page_packer_init(struct page_packer *p, int level); /* -ENOMEM */
void page_packer_done(struct page_packer *p);

/*
 * page_put() - appends a page of @raw to @out. 0, -EFBIG above PAGE_RAW_MAX, or the buffer's error.
 * Stored compressed when that saves an eighth: less is not worth the time of every reader.
 */
int page_put(struct page_packer *p, enum page_kind kind, struct str raw, struct buf *out);

struct page_reader {
	void *zstd;
	struct buf stored, raw;
	uint64_t n_pages, n_bytes; /* read so far */
};

void page_reader_done(struct page_reader *r);

/*
 * page_get() - reads the page at @ref of a file and checks it. *@ret is good until the next call,
 * and PAGE_SLACK bytes behind it can be read. -EBADMSG damaged, or not of @kind; -EIO; -ENOMEM.
 */
int page_get(struct page_reader *r, int fd, struct page_ref ref, enum page_kind kind,
             struct str *ret);

/* The first bytes of a file of pages: eight that name it, its version, a checksum. */
#define PAGE_FILE_HEAD 16u
void page_file_head(const char *mark, uint32_t version, uint8_t *dst);
/* -EBADMSG; -EPROTO for a later version than @version. */
int page_file_check(int fd, const char *mark, uint32_t version);
