/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * How often the sources are sampled for peaks inside the interval: every SAMPLER_WINDOW_NS, unless
 * that would take more CPU time than the settings allow. Then the windows grow, and a peak is the
 * highest use of a longer time; periscope_host_peak_window_seconds says how long.
 *
 * Threads  The collector thread; sampler_metrics() on any.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "userspace/base/buf.h"

#define SAMPLER_WINDOW_NS     (100ull * 1000000)
#define SAMPLER_WINDOW_NS_MAX (5000ull * 1000000)

struct sampler {
	double cost_ns; /* of one sample, smoothed */
	_Atomic uint64_t window_ns, spent_ns;
};

#define SAMPLER_INIT                           \
	{                                      \
		.window_ns = SAMPLER_WINDOW_NS \
	}

/*
 * A sample took @cost_ns of CPU time, and all may take @cpu_max_ratio of one CPU. Returns the
 * window from now on, a multiple of SAMPLER_WINDOW_NS.
 */
uint64_t sampler_note(struct sampler *s, uint64_t cost_ns, double cpu_max_ratio);

void sampler_metrics(struct buf *out, void *sampler);
