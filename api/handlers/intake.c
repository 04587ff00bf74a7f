/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/intake.h"

#include <errno.h>

#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/rwproto.h"

static struct metric samples_accepted = METRIC_COUNTER(
	"periscope_region_ingest_samples_accepted_total", "", "Samples acknowledged to clients.");
METRIC_REGISTER(samples_accepted);
static bool is_org(const struct label *l)
{
	return str_eqc(l->name, LABEL_ORG);
}

/*
 * Strips the __org__ labels and says whose the series is: what they name, all agreeing, or else the
 * organisation of the path.
 */
static int take_org(const struct intake *in, struct label *labels, uint32_t *n, struct str *ret_org,
                    struct err *e)
{
	struct str org = in->org;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < *n; i++) {
		if (!is_org(&labels[i])) {
			labels[kept++] = labels[i];
			continue;
		}
		struct str named = labels[i].value;

		if (named.len == 0)
			continue;
		if ((org.len > 0 && !str_eq(org, named)) || !region_takes_org(in->region, named))
			return err_set(e, -EPERM,
			               "organisation \"%.*s\" is not served on this path",
			               (int)MIN(named.len, (size_t)64), named.p);
		org = named;
	}
	*n = kept;
	*ret_org = region_org(in->region, org);
	return 0;
}

static int resolve(void *ctx, struct str key, struct label *labels, uint32_t *ret_n,
                   struct str *ret_org, struct err *e)
{
	int r = rw_labels(key, labels, STORE_RESOLVE_LABELS, ret_n, e);

	if (r == -ENOSPC)
		return err_set(e, -EINVAL, "a series has more than %u labels", LABELS_MAX);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	return take_org(ctx, labels, ret_n, ret_org, e);
}

int intake_add(struct intake *in, const struct series_keyed *series, size_t n)
{
	const struct store_resolver by = { in->org, resolve, in };
	struct store_append_result result = { .first = ERR_INIT };
	int r = store_append_keyed(in->region->store, &by, series, n, &result);

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
