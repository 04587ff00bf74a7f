/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The metric names that a token for certain apps may know of. */

#include "api/region.h"

struct names {
	const struct str *v; /* ascending; NULL = every name */
	size_t n;
};

/* Those of the series that the grant of @req reaches, at any time; in its arena. */
int names_of_request(struct region *region, struct request *req, struct names *ret, struct err *e);

/* Is @name one of them, or the family of one: x of x_bucket, x_sum, x_count? */
bool names_has_family(const struct names *names, struct str name);
