/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Relabelling: rules that change the labels of a series on its way to one destination, or drop it.
 * Actions, defaults and order are those of Prometheus' relabel_config: replace, keep, drop,
 * keepequal, dropequal, labelmap, labeldrop, labelkeep, lowercase, uppercase. Not hashmod: it means
 * MD5, and sharding is the destination's own affair.
 *
 * The organisation is the label __org__ here, which rules may read, rename and remove.
 *
 * Threads  A set of rules is immutable. Cost: for each rule and series, the join of the source
 *          values and one match, linear in their length.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/conf.h"
#include "userspace/base/err.h"
#include "userspace/base/sample.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE
};

struct relabel_conf {
	int action; /* enum relabel_action */
	struct conf_strings source_labels;
	char *separator, *regex, *target_label, *replacement;
};

extern const struct conf_schema relabel_conf_schema;

struct relabel;

/*
 * relabel_new() - compiles @rules (of struct relabel_conf). *@ret is NULL for no rules.
 * -EINVAL with @e, which names the rule: a bad expression, a label that is missing or not a name.
 */
int relabel_new(struct relabel **ret, const struct conf_structs *rules, struct err *e);
void relabel_free(struct relabel *r); /* NULL is fine */

struct relabel_labels {
	struct label v[LABELS_MAX];
	uint32_t n;
};

enum relabel_result {
	RELABEL_KEPT,
	RELABEL_DROPPED,
	RELABEL_NO_NAME, /* the metric's name is gone, or there are too many labels */
	RELABEL_NO_MEMORY
};

/*
 * Applies the rules to @labels in place; texts that are made live in @arena. The order of what is
 * kept is as before, new labels come last: sort behind it.
 */
enum relabel_result relabel_apply(const struct relabel *r, struct relabel_labels *labels,
                                  struct arena *arena);
