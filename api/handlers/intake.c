/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/intake.h"

#include <errno.h>

#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/rwproto.h"

static struct metric samples_accepted = METRIC_COUNTER(
	"periscope_region_ingest_samples_accepted_total", "", "Samples acknowledged to clients.");
METRIC_REGISTER(samples_accepted);

/*
 * The same bytes mean the same series for everybody who writes to one organisation; whoever may
 * write less, by app, must not find what others have made known.
 */
int intake_init(struct intake *in, struct region *region, struct request *req)
{
	_cleanup_(buf_done) struct buf scope = BUF_INIT;
	const struct grant *g = &req->grant;

	*in = (struct intake){ .region = region, .req = req, .first = ERR_INIT };
	buf_put_str(&scope, req->org);
	for (size_t i = 0; i < g->n_apps; i++) {
		buf_putc(&scope, '\n');
		buf_put_str(&scope, g->apps[i]);
	}
	if (scope.err < 0)
		return scope.err;
	in->scope = arena_str(&req->arena, buf_str(&scope));
	return arena_error(&req->arena);
}

static int wrong_org(struct str org, struct err *e)
{
	return err_set(e, -EPERM, "organisation \"%.*s\" is not served on this path",
	               (int)MIN(org.len, (size_t)64), org.p);
}

/* Strips the __org__ labels and says whose the series is; all that name one must agree. */
static int take_org(const struct intake *in, struct label *labels, uint32_t *n, struct str *ret_org,
                    struct err *e)
{
	const struct request *req = in->req;
	struct str org = req->org;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < *n; i++) {
		struct str named = labels[i].value;

		if (!str_eqc(labels[i].name, LABEL_ORG)) {
			labels[kept++] = labels[i];
			continue;
		}
		if (named.len == 0)
			continue;
		if (org.len > 0 ? !str_eq(org, named)
		                : !region_serves(in->region, req->access, named))
			return wrong_org(named, e);
		org = named;
	}
	if (org.len == 0 && !req->access)
		org = region_first_org(in->region);
	if (org.len == 0)
		return err_set(e, -EPERM, "a series does not name its organisation (label %s)",
		               LABEL_ORG);
	*n = kept;
	*ret_org = org;
	return 0;
}

static int check_app(const struct grant *g, const struct label *labels, uint32_t n, struct err *e)
{
	struct str app = STR_NULL;

	if (!g->some_apps)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, GRANT_APP_LABEL))
			app = labels[i].value;
	}
	for (size_t i = 0; i < g->n_apps; i++) {
		if (str_eq(app, g->apps[i]))
			return 0;
	}
	return err_set(e, -EPERM, "the token %.*s may not write series of app \"%.*s\"",
	               STR_FMT(g->who), (int)MIN(app.len, (size_t)64), app.p);
}

static int resolve(void *ctx, struct str key, struct label *labels, uint32_t *ret_n,
                   struct str *ret_org, struct err *e)
{
	const struct intake *in = ctx;
	int r = rw_labels(key, labels, STORE_RESOLVE_LABELS, ret_n, e);

	if (r == -ENOSPC)
		return err_set(e, -EINVAL, "a series has more than %u labels", LABELS_MAX);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	r = take_org(in, labels, ret_n, ret_org, e);
	return r < 0 ? r : check_app(&in->req->grant, labels, *ret_n, e);
}

int intake_add(struct intake *in, const struct series_keyed *series, size_t n)
{
	const struct store_resolver by = { in->scope, resolve, in };
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
