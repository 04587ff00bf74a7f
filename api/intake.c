/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/intake.h"

#include <errno.h>

#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

static struct metric samples_accepted = METRIC_COUNTER(
	"periscope_region_ingest_samples_accepted_total", "", "Samples acknowledged to clients.");
METRIC_REGISTER(samples_accepted);
static struct metric samples_of_strangers =
	METRIC_COUNTER("periscope_region_ingest_samples_refused_total", "reason=\"organisation\"",
                       "Samples refused, besides those the store refuses.");
METRIC_REGISTER(samples_of_strangers);

#define ORG_REFUSED (-1)

static bool is_org(const struct label *l)
{
	return str_eqc(l->name, LABEL_ORG);
}

static bool any_names_org(const struct series_in *series, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < series[i].n_labels; k++) {
			if (is_org(&series[i].labels[k]))
				return true;
		}
	}
	return false;
}

static int append(struct intake *in, struct str org, const struct series_in *series, size_t n)
{
	struct store_append_result result = { .first = ERR_INIT };
	int r = store_append(in->region->store, org, series, n, &result);

	if (r < 0)
		return r;
	in->accepted += result.accepted;
	metric_add(&samples_accepted, (int64_t)result.accepted);
	for (unsigned i = 0; i < STORE_REFUSED_N; i++) {
		if (i != STORE_REFUSED_NAN)
			in->refused += result.refused[i];
	}
	if (result.first.code != 0 && in->first.code == 0)
		in->first = result.first;
	return 0;
}

static int refuse(struct intake *in, const struct series_in *s, struct str org)
{
	in->refused += s->n_samples;
	metric_add(&samples_of_strangers, s->n_samples);
	(void)err_set(&in->first, -EINVAL, "organisation \"%.*s\" is not served on this path",
	              (int)MIN(org.len, (size_t)64), org.p);
	return ORG_REFUSED;
}

/* Index of the organisation that @s names, all its __org__ labels agreeing, or ORG_REFUSED. */
static int org_of(struct intake *in, const struct series_in *s)
{
	struct str org = in->org;

	for (uint32_t k = 0; k < s->n_labels; k++) {
		const struct label *l = &s->labels[k];

		if (!is_org(l) || l->value.len == 0)
			continue;
		if (org.len > 0 && !str_eq(org, l->value))
			return refuse(in, s, l->value);
		org = l->value;
	}
	if (org.len == 0)
		return 0;
	int i = region_org_index(in->region, org);

	return i < 0 ? refuse(in, s, org) : i;
}

/* A copy without its __org__ labels. */
static int strip(struct arena *arena, const struct series_in *s, struct series_in *ret)
{
	struct label *labels = ARENA_ARRAY(arena, struct label, s->n_labels + 1);
	uint32_t n = 0;

	if (!labels)
		return arena_error(arena);
	for (uint32_t k = 0; k < s->n_labels; k++) {
		if (!is_org(&s->labels[k]))
			labels[n++] = s->labels[k];
	}
	*ret = (struct series_in){ labels, s->samples, n, s->n_samples };
	return 0;
}

/* Appends those of @series whose organisation has index @org. */
static int append_org(struct intake *in, int org, const int *orgs, const struct series_in *series,
                      size_t n, struct series_in *scratch)
{
	const struct conf_strings *names = &in->region->conf.organisations;
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		if (orgs[i] != org)
			continue;
		int r = strip(in->arena, &series[i], &scratch[m++]);

		if (r < 0)
			return r;
	}
	return m > 0 ? append(in, str_from(names->v[org]), scratch, m) : 0;
}

int intake_add(struct intake *in, const struct series_in *series, size_t n)
{
	size_t n_orgs = in->region->conf.organisations.n;

	if (!any_names_org(series, n))
		return append(in, region_org(in->region, in->org), series, n);
	int *orgs = ARENA_ARRAY(in->arena, int, n);
	bool *named = ARENA_ARRAY(in->arena, bool, n_orgs);
	struct series_in *scratch = ARENA_ARRAY(in->arena, struct series_in, n);

	if (!orgs || !named || !scratch)
		return arena_error(in->arena);
	for (size_t i = 0; i < n; i++) {
		orgs[i] = org_of(in, &series[i]);
		if (orgs[i] >= 0)
			named[orgs[i]] = true;
	}
	for (size_t k = 0; k < n_orgs; k++) {
		int r = named[k] ? append_org(in, (int)k, orgs, series, n, scratch) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}
