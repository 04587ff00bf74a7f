/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* What senders said about the metrics of one organisation, to be looked up by name. */

#include "api/metadata.h"
#include "userspace/base/arena.h"

struct family {
	struct str name, help, unit;
	enum rw_type type;
};

struct families {
	struct family *v; /* by name, one for each: what was said last */
	size_t n;
	struct arena *arena;
};

/* Everything lives in @arena. -ENOSPC, -ENOMEM. Cost: O(all of the organisation). */
int families_load(struct families *f, struct metadata *m, struct str org, struct arena *arena);

const struct family *families_find(const struct families *f, struct str name); /* or NULL */

/* Of a series: by its own name, or by what is before the suffix of a histogram's part; or NULL. */
const struct family *families_find_of(const struct families *f, struct str name);
