/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One line of an import: a series with its samples, as JSON.
 *
 *	{"metric":{"__name__":"up","job":"a"},"values":[1,0.5],"timestamps":[1700000000000,…]}
 *
 * Values    numbers; null and "NaN" are NaN, "Infinity" and "Inf" with or without a sign are what
 *           they say.
 * Times     whole milliseconds, as many as there are values.
 * Others    members of other names are read over, of any kind and in any place.
 *
 * Untrusted text: nesting is bounded, nothing is believed about lengths, and a line has one
 * meaning: no member comes twice. Nothing is allocated for a line once the buffers have grown.
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

#define JSONLINE_LABELS_MAX (LABELS_MAX + 8u) /* more than a series may have: to say so */

struct jsonline {
	struct label labels[JSONLINE_LABELS_MAX]; /* as written */
	struct sample *samples;
	uint32_t n_labels;
	size_t n_samples, samples_cap;
	struct buf texts; /* labels with escapes */
};

void jsonline_done(struct jsonline *l);

/*
 * jsonline_parse() - @line into @l, whose labels are slices of the line or of its buffers, good
 * until the next call. -EBADMSG with @e and the byte; -ENOMEM.
 */
int jsonline_parse(struct jsonline *l, struct str line, struct err *e);
