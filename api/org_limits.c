/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/org_limits.h"

#include <stdio.h>

#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

static void set(struct region *region, struct str org, const struct store_limits *limits)
{
	int r = store_set_limits(region->store, org, limits);

	if (r < 0)
		log_error("limits of an organisation are not in force", STRS("org", org),
		          STRV("why", strerror(-r)));
}

void org_limits_apply(struct region *region, const struct access *before, const struct access *now)
{
	static const struct store_limits none = { 0 };
	size_t n = 0;
	const struct access_org *orgs = before ? access_orgs(before, &n) : NULL;

	for (size_t i = 0; i < n; i++) {
		if (!access_org(now, orgs[i].name))
			set(region, orgs[i].name, &none);
	}
	orgs = access_orgs(now, &n);
	for (size_t i = 0; i < n; i++)
		set(region, orgs[i].name, &orgs[i].limits);
}

/* --- for /metrics ----------------------------------------------------------------------------- */

/* One family at a time: a walk over the organisations for each. */
struct family {
	const char *name, *type, *help;
	double (*value)(const struct store_org_stats *s);
	struct buf *out;
};

static double series(const struct store_org_stats *s)
{
	return (double)s->series;
}

static double series_max(const struct store_org_stats *s)
{
	return (double)s->limits.series_max;
}

static double accepted(const struct store_org_stats *s)
{
	return (double)s->accepted;
}

static double refused(const struct store_org_stats *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < STORE_REFUSED_N; i++)
		n += s->refused[i];
	return (double)n;
}

static int put(void *ctx, struct str org, const struct store_org_stats *stats)
{
	const struct family *f = ctx;
	char label[96];

	/* A slug: nothing in it needs an escape. */
	(void)snprintf(label, sizeof(label), "organisation=\"%.*s\"", STR_FMT(org));
	metrics_put(f->out, f->name, label, f->value(stats));
	return 0;
}

#define PREFIX "periscope_region_organisation_"

void org_limits_collect(struct buf *out, void *ctx)
{
	const struct region *region = ctx;
	struct family families[] = {
		{ PREFIX "series", "gauge", "Series with recent samples, by organisation.", series,
		  out },
		{ PREFIX "series_max", "gauge", "How many there may be; 0 = no limit.", series_max,
		  out },
		{ PREFIX "samples_accepted_total", "counter", "Samples stored, by organisation.",
		  accepted, out },
		{ PREFIX "samples_refused_total", "counter", "Samples refused, by organisation.",
		  refused, out },
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		metrics_put_family(out, families[i].name, families[i].type, families[i].help);
		(void)store_orgs_each(region->store, put, &families[i]);
	}
}
