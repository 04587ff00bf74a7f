/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/windows.h"

#include "userspace/base/util.h"

#define HOUR_MS (3600 * 1000ll)
#define DAY_MS  (24 * HOUR_MS)

struct windows windows_for(int64_t retention_ms)
{
	int64_t days = MIN(MAX(retention_ms / 10 / DAY_MS, 1ll), 31ll);

	return (struct windows){
		.length_ms = { 2 * HOUR_MS, 2 * HOUR_MS, DAY_MS, days * DAY_MS },
		.slice_ms = { 2 * HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, DAY_MS },
	};
}

int64_t window_begin(int64_t t, int64_t length_ms)
{
	int64_t rest = t % length_ms;

	return t - (rest < 0 ? rest + length_ms : rest);
}
