/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Rollups that make several series out of each, told apart by one label. Three kinds:
 *
 * Family   rollup(), rollup_rate(), .. : the samples are made ready (differences, say), then each
 *          variant is an ordinary rollup of them; an argument may choose a single variant.
 * Named    aggr_over_time(): the variants are the rollups that the first argument names.
 * Spread   histogram_over_time(), .. : each window fills any number of labelled values.
 */

#include "api/mql/eval.h"
#include "api/mql/rollup.h"

struct rollup_variant {
	const char *tag; /* value of the label */
	fn_rollup_f f;
};

struct rollup_spread {
	struct eval *ev;
	const struct rollup_many_call *call;
	uint32_t n_points, point; /* the current window's */
	struct keymap keys;
	struct rollup_slot *slots;
	uint32_t cap;
};

struct rollup_many {
	const char *label; /* NULL: the first argument is its name */
	bool label_always; /* even if an argument chooses the variant */
	const struct rollup_variant *variants;
	size_t n_variants;
	rollup_prepare_f prepare;
	int (*spread)(struct rollup_spread *to, const struct rollup_window *w);
};

/* A call's arguments, worked out once for all series. */
struct rollup_many_call {
	const struct rollup_many *many;
	struct str label;
	struct rollup_variant *v; /* the chosen ones; a tag "" adds no label */
	uint32_t n;
	double *numbers;   /* of a spread: the arguments between label and series */
	struct str *texts; /* and how they are written */
	uint32_t n_numbers;
};

/* Reads the arguments; may add to conf->flags what the named rollups need. */
int rollup_many_start(struct eval *ev, const struct ast *call, struct rollup_conf *conf,
                      struct rollup_many_call *ret);

/* The series of one series, which was prepared with many->prepare. Values of each are its own. */
int rollup_many_run(struct eval *ev, const struct rollup_many_call *call,
                    const struct rollup_series *s, const struct mname *mn, struct series_set *ret);

/* Where a spread puts the value for @tag at the current point (NaN before), or NULL: no memory. */
double *rollup_slot_of(struct rollup_spread *to, struct str tag);

extern const struct rollup_many rollup_many_named; /* aggr_over_time */
