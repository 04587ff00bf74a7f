/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Prometheus remote write 1.0: the protobuf message prometheus.WriteRequest (series and, as an
 * extension that everybody speaks, metric metadata). Version 2.0 is in rw2.h, compression in
 * compress.h. Reference: docs/format/remote_write.md.
 *
 * Decoding is zero-copy: labels are slices of the decompressed body. The bytes are untrusted: every
 * length is checked, unknown fields are skipped, nesting is fixed.
 */

#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

struct rw_metadata {
	struct str name, help, unit;
	uint32_t type;  /* of prometheus.MetricMetadata.MetricType */
	struct str org; /* label __org__ of the series that it came with; 2.0 only, else empty */
};

struct rw_request {
	const struct series_in *series;
	const struct rw_metadata *metadata;
	size_t n_series, n_metadata;
	size_t n_samples; /* over all series */
};

/*
 * rw_decode() - @body (decompressed) into @ret, whose arrays live in @arena and whose slices point
 * into @body. Returns 0, -EBADMSG with @e naming field and byte, -ENOSPC or -ENOMEM of the arena.
 * Native histograms (field 4) and exemplars (field 3) of a series are skipped; *@ret_skipped (may
 * be NULL) counts the histograms.
 */
int rw_decode(struct str body, struct arena *arena, struct rw_request *ret, uint64_t *ret_skipped,
              struct err *e);

/*
 * rw_split() - the series of @body with their label fields as one piece of bytes each, for a reader
 * who knows most of them: rw_labels() reads what is new. Histograms are skipped.
 *
 * Samples live in @ret (rw_split_done() frees), keys are slices of @body, or of @arena where the
 * label fields of a series do not stand together. Errors as rw_decode(); labels are not checked.
 */
struct rw_split {
	struct series_keyed *series;
	struct sample *samples;
	struct rw_metadata *metadata; /* its texts are slices like keys */
	size_t n_series, series_cap, n_samples, samples_cap, n_metadata, metadata_cap;
	uint64_t n_histograms;
};
int rw_split(struct str body, struct arena *arena, struct rw_split *ret, struct err *e);
void rw_split_done(struct rw_split *s);

/* The labels of a key of rw_split(), at most @cap. -EBADMSG with @e, -ENOSPC: more than that. */
int rw_labels(struct str key, struct label *ret, uint32_t cap, uint32_t *ret_n, struct err *e);

/*
 * Writer of one request into a buffer that is reused: series are appended one by one.
 * Labels must be sorted by name and free of empty values, as the specification demands.
 */
void rw_encode_series(struct buf *out, const struct label *labels, uint32_t n_labels,
                      const struct sample *samples, uint32_t n_samples);
/* The same by a key: what rw_split() and rw2_split() give, written back. */
void rw_encode_keyed(struct buf *out, const struct series_keyed *s);
/* The label fields of a series alone: a key as rw_split() gives it. */
void rw_encode_labels(struct buf *out, const struct label *labels, uint32_t n_labels);
void rw_encode_metadata(struct buf *out, const struct rw_metadata *m);
