/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/route.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/auth/auth.h"
#include "api/handlers/handlers.h"
#include "api/region.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

#define FORM_BYTES_MAX ((size_t)1 << 20) /* body of everything but ingestion */

#define ROUTE(methods, path, lane, need, takes, handler, summary)                                 \
	{                                                                                         \
		(methods), (path), LANE_##lane, NEED_##need, TAKES_##takes, (handler), (summary), \
	},
const struct route routes[] = {
#include "api/route.def"
};
#undef ROUTE
const size_t routes_n = ARRAY_SIZE(routes);

/* --- finding ---------------------------------------------------------------------------------- */

/* The next segment of *@path, slashes around it skipped; empty at the end. */
static struct str take_segment(struct str *path)
{
	size_t n = 0;

	while (path->len > 0 && path->p[0] == '/')
		*path = str_skip(*path, 1);
	while (n < path->len && path->p[n] != '/')
		n++;
	struct str segment = { path->p, n };

	*path = str_skip(*path, n);
	return segment;
}

static bool matches(const char *pattern, struct str path, struct str *ret_arg)
{
	struct str rest = str_from(pattern), arg = STR_NULL;

	for (;;) {
		struct str want = take_segment(&rest), have = take_segment(&path);

		if (want.len == 0 && have.len == 0)
			break;
		if (str_eqc(want, "*") && have.len > 0)
			arg = have;
		else if (!str_eq(want, have))
			return false;
	}
	*ret_arg = arg;
	return true;
}

static const struct route *find_exact(struct str path, struct str *ret_arg)
{
	for (size_t i = 0; i < routes_n; i++) {
		if (matches(routes[i].path, path, ret_arg))
			return &routes[i];
	}
	return NULL;
}

const struct route *route_find(struct str path, struct str *ret_org, struct str *ret_arg)
{
	struct str rest = path, org = STR_NULL;
	const struct route *route;

	if (str_eqc(take_segment(&rest), "prometheus"))
		path = rest;
	else
		rest = STR_NULL;
	route = find_exact(path, ret_arg);
	if (!route && rest.len > 0) {
		org = take_segment(&rest);
		route = find_exact(rest, ret_arg);
	}
	*ret_org = org;
	return route;
}

const char *route_allow(unsigned methods)
{
	static const char *const text[] = {
		[HTTP_GET | HTTP_HEAD] = "GET, HEAD",
		[HTTP_POST] = "POST",
		[HTTP_GET | HTTP_HEAD | HTTP_POST] = "GET, HEAD, POST",
	};

	return methods < ARRAY_SIZE(text) && text[methods] ? text[methods] : "";
}

/* --- the account ------------------------------------------------------------------------------ */

static const int statuses[] = { 200, 204, 400, 401, 403, 404, 405, 413,
	                        415, 422, 429, 499, 500, 501, 503 };
/* Upper bounds of the duration histogram. */
static const double bounds_s[] = { 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30 };

static struct account {
	_Atomic uint64_t by_status[ARRAY_SIZE(statuses) + 1]; /* the last one: any other */
	_Atomic uint64_t by_duration[ARRAY_SIZE(bounds_s) + 1];
	_Atomic uint64_t ns;
} accounts[ARRAY_SIZE(routes) + 1]; /* the last one: unknown paths */

static struct account *account_of(const struct route *route)
{
	return &accounts[route ? (size_t)(route - routes) : routes_n];
}

static const char *path_of(size_t i)
{
	return i < routes_n ? routes[i].path : "unknown";
}

void route_done(void *ctx, const struct request *req, const struct response *resp)
{
	struct account *a = account_of(req->route);
	uint64_t ns = clock_mono_ns() - req->start_mono_ns;
	size_t s = 0, d = 0;

	(void)ctx;
	access_unref(req->access);
	while (s < ARRAY_SIZE(statuses) && statuses[s] != resp->status)
		s++;
	while (d < ARRAY_SIZE(bounds_s) && (double)ns > bounds_s[d] * 1e9)
		d++;
	atomic_fetch_add_explicit(&a->by_status[s], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->by_duration[d], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->ns, ns, memory_order_relaxed);
}

static void collect_statuses(struct buf *out)
{
	char labels[128];

	metrics_put_family(
		out, "periscope_region_http_requests_total", "counter",
		"Requests answered, by route and HTTP status; 0 = the client went away.");
	for (size_t i = 0; i <= routes_n; i++) {
		for (size_t s = 0; s <= ARRAY_SIZE(statuses); s++) {
			uint64_t n = atomic_load(&accounts[i].by_status[s]);

			if (n == 0)
				continue;
			(void)snprintf(labels, sizeof(labels), "route=\"%s\",status=\"%d\"",
			               path_of(i), s < ARRAY_SIZE(statuses) ? statuses[s] : 0);
			metrics_put(out, "periscope_region_http_requests_total", labels, (double)n);
		}
	}
}

static void collect_duration(struct buf *out, size_t i)
{
	static const char name[] = "periscope_region_http_request_duration_seconds";
	char labels[128], full[sizeof(name) + 8];
	uint64_t n = 0;

	(void)snprintf(full, sizeof(full), "%s_bucket", name);
	for (size_t d = 0; d <= ARRAY_SIZE(bounds_s); d++) {
		n += atomic_load(&accounts[i].by_duration[d]);
		if (d < ARRAY_SIZE(bounds_s))
			(void)snprintf(labels, sizeof(labels), "route=\"%s\",le=\"%g\"", path_of(i),
			               bounds_s[d]);
		else
			(void)snprintf(labels, sizeof(labels), "route=\"%s\",le=\"+Inf\"",
			               path_of(i));
		metrics_put(out, full, labels, (double)n);
	}
	(void)snprintf(labels, sizeof(labels), "route=\"%s\"", path_of(i));
	(void)snprintf(full, sizeof(full), "%s_sum", name);
	metrics_put(out, full, labels, (double)atomic_load(&accounts[i].ns) / 1e9);
	(void)snprintf(full, sizeof(full), "%s_count", name);
	metrics_put(out, full, labels, (double)n);
}

void route_collect(struct buf *out, void *ctx)
{
	(void)ctx;
	collect_statuses(out);
	metrics_put_family(out, "periscope_region_http_request_duration_seconds", "histogram",
	                   "From the request line to the last byte sent, by route.");
	for (size_t i = 0; i <= routes_n; i++)
		collect_duration(out, i);
}

/* --- a request on its way --------------------------------------------------------------------- */

/* Whose token is it? Without access files everybody is the operator. */
static int check_token(struct request *req, struct str org, struct response *resp)
{
	const struct auth_question q = { req->route->need, org, clock_unix_ms() };
	struct err e = ERR_INIT;
	int r;

	req->grant = (struct grant){ .org = org, .hosts = true };
	if (!req->access || q.need == NEED_NOTHING)
		return 0;
	r = auth_check(req->access, req->authorization, &q, &req->arena, &req->grant, &e);
	if (r == -EACCES) {
		int status = reply_error(resp, REPLY_NO_TOKEN, "%s", e.msg);

		response_header(resp, "WWW-Authenticate", AUTH_CHALLENGE);
		return status;
	}
	if (r == -EPERM)
		return reply_error(resp, REPLY_FORBIDDEN, "%s", e.msg);
	return r < 0 ? reply_error(resp, REPLY_UNAVAILABLE, "out of memory") : 0;
}

/* A token that is stolen from a host is of no use without the host's certificate. */
static int check_certificate(struct region *region, const struct request *req,
                             struct response *resp)
{
	enum need need = req->route->need;
	struct region_conf conf;

	region_settings(region, &conf);
	if (conf.tls_client_ca[0] == '\0' || req->client_is_certified || need == NEED_NOTHING)
		return 0;
	if (conf.tls_clients == TLS_CLIENTS_ALL)
		return reply_error(resp, REPLY_FORBIDDEN,
		                   "a client certificate is needed here, and none that is valid"
		                   " was shown");
	if (need == NEED_WRITE && req->grant.hosts)
		return reply_error(resp, REPLY_FORBIDDEN,
		                   "who writes for several organisations needs a client"
		                   " certificate, and none that is valid was shown");
	return 0;
}

/* The organisation that the request is about, once the token has said which ones it may be. */
static int choose_org(struct region *region, struct request *req, struct response *resp)
{
	enum need need = req->route->need;

	req->org = req->grant.org;
	if (need == NEED_NOTHING || need == NEED_OPERATOR)
		return 0;
	if (req->org.len > 0 && !region_serves(region, req->access, req->org))
		return reply_error(resp, REPLY_NOT_FOUND, "there is no organisation \"%.*s\" here",
		                   (int)MIN(req->org.len, (size_t)64), req->org.p);
	if (req->org.len > 0 || (need == NEED_WRITE && req->grant.hosts))
		return 0;
	if (!req->access)
		req->org = region_first_org(region);
	if (req->org.len == 0)
		return reply_error(resp, REPLY_BAD_DATA,
		                   "the token is for several organisations: name one in the path,"
		                   " as in /prometheus/ORG%s",
		                   req->route->path);
	return 0;
}

/* --- pages of other origins ------------------------------------------------------------------- */

static bool origin_is_allowed(const struct region *region, struct str origin)
{
	const struct conf_strings *list = &region->conf.cors_origins; /* not reloadable */

	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i], "*") == 0 || str_eqc(origin, list->v[i]))
			return true;
	}
	return false;
}

/*
 * A browser asks before it sends a request with a token. Without a word from us it does not send
 * it; so nothing is said unless the origin is configured.
 */
static int answer_preflight(struct response *resp)
{
	response_header(resp, "Access-Control-Allow-Methods", "GET, HEAD, POST");
	response_header(resp, "Access-Control-Allow-Headers",
	                "Authorization, Content-Type, Accept, X-Requested-With");
	response_header(resp, "Access-Control-Max-Age", "3600");
	return resp->status = 204;
}

void route_finish(void *ctx, const struct request *req, struct response *resp)
{
	if (req->origin.len == 0 || req->origin.len > RESPONSE_HEADER_VALUE_MAX - 1 ||
	    !origin_is_allowed(ctx, req->origin))
		return;
	response_header(resp, "Access-Control-Allow-Origin", "%.*s", STR_FMT(req->origin));
	response_header(resp, "Access-Control-Expose-Headers", "Retry-After");
	response_header(resp, "Vary", "Origin");
}

/* --- the beginning ---------------------------------------------------------------------------- */

int route_begin(void *ctx, struct request *req, struct response *resp)
{
	struct region *region = ctx;
	struct str org;
	const struct route *route = route_find(req->path, &org, &req->path_arg);
	struct region_conf conf;
	int status;

	if (!route)
		return reply_error(resp, REPLY_NOT_FOUND, "there is nothing at %.*s",
		                   (int)MIN(req->path.len, (size_t)200), req->path.p);
	req->route = route;
	req->lane = route->lane;
	region_settings(region, &conf);
	req->body_bytes_max = route->lane == LANE_WRITE ? conf.body_bytes_max : FORM_BYTES_MAX;
	if (req->method == HTTP_OPTIONS && origin_is_allowed(region, req->origin))
		return answer_preflight(resp);
	if (!(route->methods & req->method)) {
		status = reply_error(resp, REPLY_METHOD, "%s takes %s only", route->path,
		                     route_allow(route->methods));

		response_header(resp, "Allow", "%s", route_allow(route->methods));
		return status;
	}
	req->access = region_access(region);
	status = check_token(req, org, resp);
	if (status == 0)
		status = check_certificate(region, req, resp);
	return status != 0 ? status : choose_org(region, req, resp);
}

/* "application/x-www-form-urlencoded; charset=…" is one; so is no type at all. */
static bool is_form(struct str type)
{
	struct str rest;

	(void)str_cut(type, ';', &type, &rest);
	type = str_trim(type);
	return type.len == 0 || str_eqc(type, "application/x-www-form-urlencoded");
}

/* The arguments; of an ingestion route the body is data, elsewhere it is a form. */
static int parse_params(struct request *req, struct response *resp)
{
	bool data = req->lane == LANE_WRITE || req->body.len == 0;
	struct err e = ERR_INIT;
	int r;

	if (!data && !is_form(req->content_type))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "the body must be application/x-www-form-urlencoded");
	r = params_parse(req->query, data ? STR_NULL : buf_str(&req->body), &req->arena,
	                 &req->params, &e);
	return r < 0 ? reply_args_error(resp, r, &e) : 0;
}

/* A query that waited too long is not worth running: its client has given up or will. */
static bool waited_too_long(struct region *region, const struct request *req)
{
	struct region_conf conf;

	if (req->lane != LANE_QUERY || req->queued_mono_ns == 0)
		return false;
	region_settings(region, &conf);
	return clock_mono_ns() - req->queued_mono_ns >
	       (uint64_t)conf.query_wait_timeout_ms * 1000000;
}

int route_serve(void *ctx, struct request *req, struct response *resp)
{
	int status;

	if (waited_too_long(ctx, req))
		return reply_error(resp, REPLY_TOO_MANY, "too many queries run at the same time");
	status = parse_params(req, resp);

	return status != 0 ? status : req->route->handler(ctx, req, resp);
}

int route_refuse(void *ctx, int status, const char *why, struct response *resp)
{
	(void)ctx;
	return reply_error(resp, reply_kind_of(status), "%s", why);
}
