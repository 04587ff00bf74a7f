/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Compression of answers, as a stream: pieces go in, pieces come out. Levels are the cheapest ones:
 * JSON of samples shrinks tenfold even so.
 *
 * Threads  One owner for each packer; it may change between calls.
 */

#include <stdbool.h>

#include "userspace/base/buf.h"

enum pack {
	PACK_NONE,
	PACK_GZIP,
	PACK_ZSTD
};

struct packer;

/* What an Accept-Encoding allows and we like best; PACK_NONE when it is empty or odd. */
enum pack pack_choose(struct str accept_encoding);
const char *pack_name(enum pack p); /* for Content-Encoding; NULL for none */

int packer_new(struct packer **ret, enum pack p); /* -ENOMEM */
void packer_free(struct packer *p);               /* NULL is fine */

/* Appends what @in becomes to @out, and with @end all that is held back. -ENOMEM, -EIO. */
int packer_add(struct packer *p, struct str in, bool end, struct buf *out);
