/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What all imports have in common, whatever their format: series are gathered and stored in
 * batches, extra_label=NAME=VALUE is added to each, a piece of input that cannot be read costs that
 * piece, and the answer says what became of the rest.
 */

#include "api/handlers/intake.h"

struct import {
	struct intake in;
	struct series_keyed *batch;
	struct sample *samples; /* of the batch, one series behind the other */
	struct buf keys;        /* likewise */
	size_t n_series, n_samples, samples_cap;
	const struct label *extra;
	uint32_t n_extra;
	const char *piece; /* what a piece of input is called: "line" */
	uint64_t n_bad;
	struct buf bad; /* the first bad pieces */
};

/* 0, or the status of the error in @resp. import_done() in any case. */
int import_init(struct import *im, struct region *region, struct request *req, const char *piece,
                struct response *resp);
void import_done(struct import *im);

/*
 * import_add() - one series; labels and samples are copied. 0, or an error of the store, which ends
 * the import.
 */
int import_add(struct import *im, const struct label *labels, uint32_t n_labels,
               const struct sample *samples, size_t n_samples);

/* The @n-th piece, from 1, cannot be read. */
void import_bad(struct import *im, uint64_t n, const struct err *e);

/*
 * Stores what is left and answers: 204, or 400 with what could not be read or was refused, or the
 * error @r that ended the import.
 */
int import_reply(struct import *im, struct response *resp, int r);

/* The next line of *@text without its end; false when there is none. */
bool import_next_line(struct str *text, struct str *ret);
