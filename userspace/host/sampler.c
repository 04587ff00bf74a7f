/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/sampler.h"

#include <math.h>

#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

#define SMOOTHING 0.1 /* weight of the newest */

uint64_t sampler_note(struct sampler *s, uint64_t cost_ns, double cpu_max_ratio)
{
	s->cost_ns = s->cost_ns == 0 ? (double)cost_ns
	                             : s->cost_ns + SMOOTHING * ((double)cost_ns - s->cost_ns);
	double windows = ceil(s->cost_ns / cpu_max_ratio / (double)SAMPLER_WINDOW_NS);
	double max = (double)(SAMPLER_WINDOW_NS_MAX / SAMPLER_WINDOW_NS);
	uint64_t window_ns = (uint64_t)MIN(MAX(windows, 1.0), max) * SAMPLER_WINDOW_NS;

	atomic_store(&s->window_ns, window_ns);
	atomic_fetch_add(&s->spent_ns, cost_ns);
	return window_ns;
}

void sampler_metrics(struct buf *out, void *sampler)
{
	struct sampler *s = sampler;

	metrics_put_family(out, "periscope_host_peak_window_seconds", "gauge",
	                   "Time over which peaks are taken; more than 0.1 when sampling is dear.");
	metrics_put(out, "periscope_host_peak_window_seconds", "",
	            (double)atomic_load(&s->window_ns) / 1e9);
	metrics_put_family(out, "periscope_host_peak_cpu_seconds_total", "counter",
	                   "CPU time spent on sampling for peaks.");
	metrics_put(out, "periscope_host_peak_cpu_seconds_total", "",
	            (double)atomic_load(&s->spent_ns) / 1e9);
}
