/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What exposition text says about a family of series: its "# TYPE", "# HELP" and "# UNIT" lines
 * stand before its samples, and those of another family begin it. One is remembered at a time.
 *
 * Threads  One owner.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/sample.h"
#include "userspace/wire/rw2.h"

struct batch;

struct family {
	char name[LABEL_NAME_MAX];
	size_t name_len; /* 0 = none so far */
	struct buf help;
	struct str unit;
	uint32_t type;               /* enum rw_type */
	const struct rw2_meta *kept; /* in the batch; NULL = not yet */
	char unit_text[LABEL_NAME_MAX];
};

#define FAMILY_INIT ((struct family){ .help = BUF_INIT })

void family_done(struct family *f);

/* As of the callbacks of struct promtext_ops; what is no UTF-8, or too long, is left out. */
void family_say(struct family *f, struct str name, struct str type, struct str help);
void family_say_unit(struct family *f, struct str name, struct str unit);

/*
 * family_meta() - what is known of the series @name: of the family, or of it with one of the
 * endings that a type has. It is copied into @b, once for the family; NULL when nothing is known.
 */
const struct rw2_meta *family_meta(struct family *f, struct batch *b, struct str name);
