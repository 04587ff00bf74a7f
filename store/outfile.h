/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A new file that is written from its start to its end. Pieces are put into the buffer by whoever
 * has them; outfile_at() is where the next one will be.
 *
 * Threads  one owner.
 */

#include <stdint.h>

#include "userspace/base/buf.h"

#define OUTFILE_BUFFER_BYTES ((size_t)256 << 10)

struct outfile {
	int fd;         /* -1 = not open */
	uint64_t bytes; /* written so far */
	struct buf buf; /* what comes next */
};

#define OUTFILE_INIT ((struct outfile){ .fd = -1 })

int outfile_create(struct outfile *f, const char *path); /* -EEXIST and what the disk says */
void outfile_done(struct outfile *f);                    /* closes what is still open */

static inline uint64_t outfile_at(const struct outfile *f)
{
	return f->bytes + f->buf.len;
}

int outfile_flush(struct outfile *f);
/* Writes when enough has come together. The buffer's error, or the disk's. */
int outfile_step(struct outfile *f);
int outfile_finish(struct outfile *f); /* writes the rest, syncs, closes */
