/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* From matchers to series of a block: its labels as a source for store/select.h. */

#include "store/block_text.h"
#include "store/select.h"

struct block_select {
	struct block *b;
	struct block_reader *reader;
	const struct block_org *org;
	/* Looked at now and then: a negative code ends it. NULL = never. */
	int (*check)(const void *ctx, struct err *e);
	const void *ctx;
};

/*
 * The selected series of the organisation, by their numbers in the block. -EBADMSG and -EIO when a
 * page that matters is damaged, -ENOMEM, or what @check says.
 */
int block_select(struct block_select *s, const struct selection *sel, roaring_bitmap_t **ret,
                 struct err *e);
