/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Labels of a series that is not in the catalogue: an app's own metric, the daemon's. Its labels
 * come from whoever runs the VM, and what belongs to us is ours:
 *
 *	standard labels     app, host, instance, region of the owner replace the series' own
 *	__org__, any __x    are never the series' to say; they are left out, but for __name__
 *	empty values        are left out: an absent label is the same
 *
 * Threads  Pure function.
 */

#include <stdint.h>

#include "userspace/base/arena.h"
#include "userspace/base/sample.h"
#include "userspace/host/catalog.h"

struct rw2_meta;

struct foreign {
	const struct label
		*labels; /* __name__, __org__ if there is one, the others sorted by name */
	uint32_t n_labels;
	bool has_org, has_ts;
	int64_t ts_ms;               /* has_ts: instead of the owner's */
	const struct rw2_meta *meta; /* NULL = nothing is known */
};

/*
 * foreign_own() - what of @own (the metric's name first) is the series' own: into @ret, which has
 * room for @n_own, sorted by name behind the metric's. Two series are the same when these are.
 * Returns how many, or -EINVAL as below. Texts are borrowed.
 */
int foreign_own(const struct label *own, uint32_t n_own,
                const struct str standard[SERIES_STANDARD_N], struct label *ret);

/*
 * foreign_make() - @own (the metric's name first) with what is the owner's, copied into @a.
 *
 * Returns 0, -EINVAL (a name stands twice, or there is no metric name), -ENOSPC (more labels than a
 * series may have, or the arena's budget) or -ENOMEM.
 */
int foreign_make(struct arena *a, const struct label *own, uint32_t n_own, struct str org,
                 const struct str standard[SERIES_STANDARD_N], struct foreign *ret);
