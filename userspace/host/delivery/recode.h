/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A block of the queue in the form that a receiver takes: as it is, compressed otherwise, as a
 * message of version 1.0, or in two halves. The bytes come from a disk: they are checked again.
 *
 * Threads  Pure functions. Cost: nothing for the block as it is; else unpacking and encoding it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/str.h"
#include "userspace/wire/compress.h"

struct recode_form {
	bool v2; /* remote write 2.0; else 1.0 */
	enum coding coding;
};

#define RECODE_BLOCK_FORM ((struct recode_form){ true, CODING_ZSTD }) /* of the queue */

/*
 * recode() - series @from to @to (exclusive) of @block as a body of the form @form in @out.
 *
 * Returns 0, -EBADMSG (the block is damaged) or -ENOMEM. @out may alias nothing.
 */
int recode(struct str block, struct recode_form form, size_t from, size_t to, struct buf *out);

/* Number of series in @block, or an error as above. */
int64_t recode_n_series(struct str block);
/* The first sample, as exposition text in one line, for a log; "?" when it cannot be read. */
void recode_first_sample(struct str block, char *dst, size_t cap);
