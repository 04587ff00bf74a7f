/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the three endpoints that list series and labels have in common: which series, which time,
 * how many, and an answer {"status":"success","data":[…]} that grows item by item.
 */

#include "api/region.h"
#include "api/reply.h"

struct lookup {
	struct store_select sel;
	uint64_t limit;           /* items; UINT64_MAX = all */
	uint64_t n;               /* items so far */
	bool cut;                 /* there were more */
	const _Atomic bool *gone; /* the client has hung up */
	struct buf *out;
	struct err e;
};

#define LOOKUP_FULL (-EXFULL) /* what an item callback returns to stop at the limit */

/* Reads match[], start, end, limit and extra_*. 0, or the status of the error in @resp. */
int lookup_begin(struct lookup *l, struct region *region, struct request *req,
                 struct response *resp, bool match_required);

/* Before each item: 0, and a comma where one is due, or LOOKUP_FULL. */
int lookup_item(struct lookup *l);

/* Ends the answer; @r is what the store returned. Returns the HTTP status. */
int lookup_end(struct lookup *l, struct response *resp, int r);
