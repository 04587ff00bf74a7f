/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* By what a health check is known: user space writes these, http1.h compares. */

#include <linux/types.h>

#define H1_RULES_MAX 4
#define H1_RULE_CAP  32

/* Prefixes by which a health check is known, as words to compare; bytes that do not count are 0. */
struct h1_rule {
	__u64 text[H1_RULE_CAP / 8], mask[H1_RULE_CAP / 8];
	__u32 len; /* of a path: behind it there must be a space or a question mark */
	__u32 pad;
};

struct h1_rules {
	__u32 n_paths, n_agents;
	struct h1_rule paths[H1_RULES_MAX], agents[H1_RULES_MAX];
};
