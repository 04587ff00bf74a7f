/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Makes blocks of a batch: messages of remote write 2.0, compressed by zstd, ready to be sent. That
 * is what a queue holds and what most receivers take; for the others a block is made over on its
 * way out (recode.h).
 *
 * Lanes    All series of one owner (a VM) go to one lane, so that a lane's blocks can follow one
 *          another while those of other lanes are under way. A small batch has one lane: few big
 *          blocks compress better than many small ones.
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/drops.h"

struct batch;
struct encoder;
struct relabel;

struct encoder_opts {
	const struct relabel *rules; /* NULL: none */
	uint32_t block_samples_max;
	uint32_t lanes_max; /* 1 to SPOOL_LANES_MAX */
	bool with_metadata; /* TYPE and HELP of series of the catalogue; others bring theirs */
};

/* A finished block; @packed is valid until the call returns. */
typedef void (*encoder_block_f)(void *ctx, struct str packed, uint32_t n_samples, uint8_t lane,
                                uint8_t lanes);

int encoder_new(struct encoder **ret);
void encoder_free(struct encoder *e); /* NULL is fine */

/*
 * encoder_batches() - all of @n batches. What there was no memory for is counted in @drops; what
 * the rules drop is not: it was not meant to arrive.
 */
void encoder_batches(struct encoder *e, struct batch *const *batches, size_t n,
                     const struct encoder_opts *opts, encoder_block_f fn, void *ctx,
                     struct drops *drops);
