/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One scrape of one endpoint, from its first byte to a batch: the text is parsed while it arrives,
 * and every limit is looked at while it may still be kept.
 *
 * A line that is malformed, or breaks a limit of its own (labels, timestamp), costs itself. What is
 * wrong with the whole (too large, too many samples, an error of HTTP or of the network) costs the
 * scrape: then nothing of it is kept, and the series of the one before end. Either way the batch
 * has the samples that tell about the scrape ("up" and its like).
 *
 * Series   The labels that the owner adds replace the endpoint's own (foreign.h).
 * Stale    A series that was in the scrape before and is not in this one gets a stale mark; one
 *          with timestamps of its own does not, for nobody knows when it would be due.
 * Threads  One owner.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/batch.h"
#include "userspace/host/family.h"
#include "userspace/host/scrape/scrape_conf.h"
#include "userspace/host/scrape/series_set.h"
#include "userspace/wire/promtext.h"

enum scrape_refusal {
	SCRAPE_TAKEN,
	SCRAPE_NO_ANSWER, /* connection, time limit */
	SCRAPE_STATUS,    /* not 200 */
	SCRAPE_FORMAT,    /* neither text nor OpenMetrics; OpenMetrics that is cut off; no HTTP */
	SCRAPE_TOO_LARGE,
	SCRAPE_TOO_MANY_SAMPLES,
	SCRAPE_MEMORY, /* of all scrapes together */
	SCRAPE_ADDRESS,
	SCRAPE_REFUSALS
};

const char *scrape_refusal_name(enum scrape_refusal r); /* value of the label reason */

/* What is the same in every scrape of an endpoint. */
struct reading_of {
	struct batch_owner owner;
	const char *port, *path; /* labels of the samples about the scrape */
	uint64_t samples_max;
	bool with_metadata;
	enum scrape_refusal last; /* what became of the scrape before */
};

struct reading {
	const struct scrape_conf *conf;
	const struct reading_of *of;
	struct series_set *series; /* of the endpoint */
	struct batch *batch;
	struct promtext_reader text;
	int64_t ts_ms, now_ms;
	uint64_t body_bytes, n_samples, n_new, n_bad, n_native;
	uint64_t first_bad_line;
	char first_bad[160];
	enum scrape_refusal refusal;
	char why[160];        /* it was refused */
	struct family family; /* the one whose lines are being read */
};

/* @of, @conf and @series are borrowed until the end. 0 or -ENOMEM. */
int reading_begin(struct reading *r, const struct reading_of *of, const struct scrape_conf *conf,
                  struct series_set *series, int64_t ts_ms, int64_t now_ms);
/* As of struct fetch_ops: negative ends the fetch, and r->refusal says why. */
int reading_head(struct reading *r, int status, const char *content_type);
int reading_data(struct reading *r, struct str piece);
/* For what the caller finds wrong. The first reason stays. */
int reading_refuse(struct reading *r, enum scrape_refusal why, const char *text);

/*
 * reading_finish() - the batch, with the samples about the scrape; NULL when there is no memory.
 *
 * @r needs nothing more.
 */
struct batch *reading_finish(struct reading *r, double seconds);
void reading_done(struct reading *r); /* given up half-way */
size_t reading_memory_bytes(const struct reading *r);

/* A batch that ends all that the endpoint showed, and the samples about it. NULL: no memory. */
struct batch *reading_of_the_end(const struct reading_of *of, struct series_set *series,
                                 int64_t ts_ms);
