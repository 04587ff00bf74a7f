/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/stamp.h"

#include <stdbool.h>

#include "userspace/base/util.h"

#define ALIGN_FRACTION 1000 /* this part of the interval late still counts as in time */

static bool was_given(const struct stamper *s, int64_t ts_ms)
{
	for (size_t i = 0; i < MIN(s->n, STAMPS_REMEMBERED); i++) {
		if (s->given[i] == ts_ms)
			return true;
	}
	return false;
}

int64_t stamp_next(struct stamper *s, int64_t now_ms, int64_t interval_ms)
{
	int64_t late_ms = now_ms % interval_ms;
	int64_t ts_ms = late_ms <= interval_ms / ALIGN_FRACTION ? now_ms - late_ms : now_ms;

	while (was_given(s, ts_ms))
		ts_ms++;
	s->given[s->n++ % STAMPS_REMEMBERED] = ts_ms;
	return ts_ms;
}
