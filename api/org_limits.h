/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What each organisation may store, from the access files into the store, and what it stores, for
 * /metrics.
 */

#include "api/region.h"

/*
 * The limits of @now hold from here on; an organisation that only @before had (NULL = there was
 * nothing) is back to the store's own. A limit that cannot be set is logged.
 */
void org_limits_apply(struct region *region, const struct access *before, const struct access *now);

/* Use and limits by organisation, as a collector of base/metrics.h; @ctx is a struct region. */
void org_limits_collect(struct buf *out, void *ctx);
