/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The log into the head, at the start: what its frames register, and the samples of what is
 * registered.
 *
 * Threads  one, while nobody else has the store yet.
 */

#include "store/head.h"
#include "store/wal.h"

struct replay_org;

struct replay {
	struct head *head;
	struct append_hint *hint;
	uint64_t chain;
	struct replay_org *orgs; /* by number */
	size_t n_orgs, orgs_cap;
	struct series **series; /* by number; NULL = not registered */
	size_t n_series, series_cap;
	uint64_t n_samples, n_orphans;
};

void replay_done(struct replay *r);
int replay_frame(void *replay, const struct wal_header *segment, struct str payload);
