/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How well a name answers what somebody typed, from 0 (not at all) to 1 (that is it). A name that
 * holds the term is always an answer, and better than one that only resembles it.
 *
 *	FUZZY_NOT           only names that hold the term
 *	FUZZY_SUBSEQUENCE   its characters in order, better the closer together: "ficp" for
 *	                    fly_instance_cpu
 *	FUZZY_JARO_WINKLER  few characters differ or are swapped, better with an equal beginning
 *
 * Bytewise; case folding is ASCII's. Names are looked at up to FUZZY_BYTES_MAX bytes.
 * Source: W. Winkler, String Comparator Metrics, 1990
 */

#include <stdbool.h>

#include "userspace/base/str.h"

#define FUZZY_BYTES_MAX 256u

enum fuzzy_kind {
	FUZZY_NOT,
	FUZZY_SUBSEQUENCE,
	FUZZY_JARO_WINKLER
};

struct fuzzy {
	enum fuzzy_kind kind;
	bool fold_case;
	double threshold; /* what only resembles the term is worth nothing below it; 0 to 1 */
};

/* Pure, no allocation. An empty term is in every name. */
double fuzzy_score(const struct fuzzy *f, struct str term, struct str name);
