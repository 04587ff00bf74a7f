/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "userspace/base/buf.h"

/*
 * Appends a time in UTC in the layout of Go's package time, which shows how the moment "Mon Jan 2
 * 15:04:05 MST 2006" would be written: exports to CSV take such layouts, as VictoriaMetrics' do.
 * Source: pkg.go.dev/time, constants
 */
void go_time_put(struct buf *out, struct str layout, int64_t ts_ms);

#define GO_TIME_RFC3339 "2006-01-02T15:04:05.999Z07:00"
