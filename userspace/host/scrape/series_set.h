/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The series that an endpoint showed when it was scraped last, to tell which are new, which came
 * twice, and which have ended. Rounds follow one another:
 *
 *	series_set_begin()  series_set_add()*  [ series_set_abandon() ]  series_set_end()
 *
 * A series is known by its labels as the endpoint wrote them (the name first); the labels that the
 * owner adds are the same for all. Labels are kept as text, 60 bytes a series or so, because a
 * stale mark needs them: hashes alone would do for the rest.
 *
 * Limit    series_max series in a round; the bytes of one are bounded by whoever reads them.
 * Threads  One owner.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/base/sample.h"

struct series_entry {
	uint64_t hash;        /* 0 = empty slot */
	uint32_t at;          /* of its labels in the text */
	uint32_t born, round; /* first and last round in which it was */
};

struct series_set {
	struct series_entry *slots; /* open-addressed */
	size_t n_slots, n;          /* n: entries, ended ones of this round included */
	struct buf text;            /* label fields as of remote write, each set with its length */
	uint32_t round, abandoned;  /* abandoned: a round that does not count; 0 = none */
};

#define SERIES_SET_INIT ((struct series_set){ 0 })

void series_set_done(struct series_set *s);
size_t series_set_n(const struct series_set *s);

void series_set_begin(struct series_set *s);

enum series_set_result {
	SERIES_KNOWN,
	SERIES_NEW,
	SERIES_TWICE, /* in this round */
};

/* The result, or -ENOMEM: the series is not in the set, and no stale mark will be made of it. */
int series_set_add(struct series_set *s, const struct label *labels, uint32_t n);

/* The round was for nothing: what was new in it is forgotten without a word, all else has ended. */
void series_set_abandon(struct series_set *s);

/*
 * series_set_end() - calls @fn for each series that was in the round before and not in this one,
 * and forgets it. Its negative result is remembered and returned; all are forgotten all the same.
 */
typedef int (*series_set_f)(void *ctx, const struct label *labels, uint32_t n);
int series_set_end(struct series_set *s, series_set_f fn, void *ctx);
size_t series_set_memory_bytes(const struct series_set *s);
