/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Prometheus remote write 2.0: the protobuf message io.prometheus.write.v2.Request. Texts stand
 * once, in a table of symbols; a series is a list of their numbers. Reference:
 * docs/format/remote_write.md.
 *
 * Writing  into a struct rw2_writer that is reused: series are appended one by one, and the message
 *          is put together at the end. Texts are copied, so they may go away at once.
 * Reading  gives what version 1.0 gives (struct rw_split), with the keys that a 1.0 writer would
 *          have sent: whoever knows a series by its key knows it from both versions.
 *
 * Threads  One owner for each writer; reading is a pure function.
 */

#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/buf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"
#include "userspace/wire/rwproto.h"

/* Of Metadata, and of rw_metadata.type in 1.0. */
enum rw_type {
	RW_TYPE_UNKNOWN,
	RW_TYPE_COUNTER,
	RW_TYPE_GAUGE,
	RW_TYPE_HISTOGRAM,
	RW_TYPE_GAUGEHISTOGRAM,
	RW_TYPE_SUMMARY,
	RW_TYPE_INFO,
	RW_TYPE_STATESET,
	RW_TYPES
};

struct rw2_meta {
	uint32_t type; /* enum rw_type */
	struct str help, unit;
};

struct rw2_symbol {
	uint32_t hash, at, len; /* @at: of the text in the buffer of symbols */
	uint32_t number;        /* + 1; 0 = empty slot */
};

struct rw2_writer {
	struct buf symbols, series; /* field 4 and field 5 of the message, each ready to send */
	struct rw2_symbol *slots;   /* open-addressed, by text */
	size_t n_slots;
	uint32_t n_symbols;
	uint32_t n_samples;
	int err; /* sticky: -ENOMEM */
};

#define RW2_WRITER_INIT ((struct rw2_writer){ 0 })

void rw2_writer_done(struct rw2_writer *w);
void rw2_writer_clear(struct rw2_writer *w); /* keeps the memory */

/*
 * Appends a series; labels must be sorted by name and free of empty values. @meta may be NULL.
 * A failure is remembered in w->err.
 */
void rw2_add(struct rw2_writer *w, const struct label *labels, uint32_t n_labels,
             const struct sample *samples, uint32_t n_samples, const struct rw2_meta *meta);
size_t rw2_bytes(const struct rw2_writer *w); /* of the message so far */
/* Appends the message to @out. 0 or the error that was met on the way. */
int rw2_finish(const struct rw2_writer *w, struct buf *out);

/*
 * rw2_split() - the series of @body, and the metadata of those that carry some.
 *
 * As rw_split(); every key is made in @arena, which bounds what many references to one long symbol
 * can blow up to (-ENOSPC). Metadata of neighbours of one name and organisation is given once. Also
 * -EBADMSG: a reference to a symbol that is not there, or half a pair of them.
 */
int rw2_split(struct str body, struct arena *arena, struct rw_split *ret, struct err *e);
