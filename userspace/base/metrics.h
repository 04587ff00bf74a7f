/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The programs' metrics about themselves, served at /metrics of their own.
 *
 *	static struct metric refused = METRIC_COUNTER("periscope_region_samples_refused_total",
 *	                                             "reason=\"too_old\"", "Samples refused.");
 *	METRIC_REGISTER(refused)
 *	...
 *	metric_add(&refused, 1);
 *
 * A program registers statically, before main(); values are atomic, updates are wait-free.
 * What is not a plain counter or gauge (per-source, per-VM, store statistics) is appended by a
 * collector callback when /metrics is asked for.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "userspace/base/buf.h"

struct metric {
	const char *name, *labels /* "a=\"b\"" or "" */, *help;
	enum {
		METRIC_IS_COUNTER,
		METRIC_IS_GAUGE
	} type;
	_Atomic int64_t value;
	struct metric *next;
};

#define METRIC_COUNTER(n, l, h)                                                    \
	{                                                                          \
		.name = (n), .labels = (l), .help = (h), .type = METRIC_IS_COUNTER \
	}
#define METRIC_GAUGE(n, l, h)                                                    \
	{                                                                        \
		.name = (n), .labels = (l), .help = (h), .type = METRIC_IS_GAUGE \
	}
#define METRIC_REGISTER(m)                                          \
	__attribute__((constructor)) static void m##_register(void) \
	{                                                           \
		metric_register(&(m));                              \
	}                                                           \
	_Static_assert(1, "swallow the semicolon")

void metric_register(struct metric *m);

static inline void metric_add(struct metric *m, int64_t n)
{
	atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

static inline void metric_set(struct metric *m, int64_t v)
{
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

/*
 * Called by metrics_write(), in registration order, on the caller's thread. At most 16
 * collectors.
 */
typedef void (*metrics_collect_f)(struct buf *out, void *ctx);
void metrics_collector_add(metrics_collect_f fn, void *ctx);
void metrics_collector_del(metrics_collect_f fn, void *ctx);

/* Helpers for collectors: a family's head, then its lines. @labels as in struct metric. */
void metrics_put_family(struct buf *out, const char *name, const char *type, const char *help);
void metrics_put(struct buf *out, const char *name, const char *labels, double value);

/* Appends name="value" to @labels, with a comma when it is not the first; any text is good. */
void metrics_put_label(struct buf *labels, const char *name, const char *value);

/* Everything, as exposition text 0.0.4: families together, TYPE and HELP once each. */
void metrics_write(struct buf *out);
