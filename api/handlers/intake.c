/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/intake.h"

#include <errno.h>

#include "api/metadata.h"
#include "api/reply.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/rw2.h"

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
	if (org.len == 0 && req->grant.hosts)
		org = region_hosts_org(in->region, req->access);
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
	struct intake *in = ctx;
	int r = rw_labels(key, labels, STORE_RESOLVE_LABELS, ret_n, e);

	in->asked++;
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
	for (unsigned i = 0; i < STORE_REFUSED_N; i++)
		*(i == STORE_REFUSED_NAN ? &in->empty : &in->refused) += result.refused[i];
	in->too_fast += result.refused[STORE_REFUSED_RATE];
	if (result.first.code != 0 && in->first.code == 0)
		in->first = result.first;
	return 0;
}

/* --- metadata --------------------------------------------------------------------------------- */

/* A histogram's series have names of their own; what is said is about the family. */
static struct str family_of(struct str name, uint32_t type)
{
	static const char *const suffixes[] = { "_bucket", "_sum", "_count", "_gcount", "_gsum" };
	bool many = type == RW_TYPE_HISTOGRAM || type == RW_TYPE_SUMMARY ||
	            type == RW_TYPE_GAUGEHISTOGRAM;

	for (size_t i = 0; many && i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (name.len > n && memcmp(name.p + name.len - n, suffixes[i], n) == 0)
			return (struct str){ name.p, name.len - n };
	}
	return name;
}

void intake_metadata(struct intake *in, const struct rw_metadata *v, size_t n)
{
	const struct request *req = in->req;

	for (size_t i = 0; i < n; i++) {
		struct str org = req->org.len > 0 ? req->org : v[i].org;
		const struct metadata_def def = { family_of(v[i].name, v[i].type), v[i].help,
			                          v[i].unit, (enum rw_type)v[i].type };

		if (org.len == 0 && req->grant.hosts)
			org = region_hosts_org(in->region, req->access);
		if (org.len > 0 &&
		    (req->org.len == 0 || v[i].org.len == 0 || str_eq(req->org, v[i].org)) &&
		    region_serves(in->region, req->access, org))
			(void)metadata_put(in->region->metadata, org, &def);
	}
}

/* --- answers ---------------------------------------------------------------------------------- */

int intake_reply(struct response *resp, const struct intake *in)
{
	uint64_t all = in->accepted + in->empty + in->refused;

	if (in->refused == 0)
		return reply_empty(resp, 204);
	if (in->too_fast > 0) /* not 429: see intake_reply_error() */
		return reply_error(resp, REPLY_UNAVAILABLE,
		                   "%llu of %llu samples are above the organisation's samples per"
		                   " second, the others are stored; send them again later",
		                   (unsigned long long)in->too_fast, (unsigned long long)all);
	return reply_error(
		resp, REPLY_BAD_DATA,
		"%llu of %llu samples were refused, the others are stored; the first: %s",
		(unsigned long long)in->refused, (unsigned long long)all,
		in->first.msg[0] ? in->first.msg : "no reason given");
}

int intake_reply_error(struct response *resp, int r)
{
	if (r == -EAGAIN) /* not 429: many a sender drops what is answered so */
		return reply_error(resp, REPLY_UNAVAILABLE,
		                   "the memory for recent samples is full; try again later");
	log_error("ingest: a write failed", STRV("why", strerror(-r)));
	return reply_error(resp, REPLY_UNAVAILABLE, "the samples could not be stored: %s",
	                   strerror(-r));
}
