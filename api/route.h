/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * From a path to its handler, and the account of what each route answered. The table is route.def.
 */

#include "api/http/http.h"
#include "userspace/base/buf.h"

struct region;

/* Answers the request; returns the HTTP status. See reply.h. */
typedef int (*route_handler_f)(struct region *region, struct request *req, struct response *resp);

enum takes { /* arguments that choose series */
	TAKES_NONE,
	TAKES_QUERY, /* query */
	TAKES_MATCH, /* match[] */
};

struct route {
	unsigned methods; /* bits of enum http_method */
	const char *path;
	enum lane lane;
	enum need need;
	enum takes takes;
	route_handler_f handler;
	const char *summary;
};

extern const struct route routes[];
extern const size_t routes_n;

/*
 * route_find() - the route of @path, whatever its method; NULL when there is none. Doubled slashes
 * count once. *@ret_org is the organisation that /prometheus/ORG names, or empty; *@ret_arg what
 * "*" stands for, still escaped. Both are slices of @path. Cost: a pass over the table.
 */
const struct route *route_find(struct str path, struct str *ret_org, struct str *ret_arg);

/* "GET, HEAD, POST", for Allow. */
const char *route_allow(unsigned methods);

/* struct http_ops of the region: @ctx is a struct region. */
int route_begin(void *ctx, struct request *req, struct response *resp);
int route_serve(void *ctx, struct request *req, struct response *resp);
/* Headers that every answer has. */
void route_finish(void *ctx, const struct request *req, struct response *resp);
void route_done(void *ctx, const struct request *req, const struct response *resp);
int route_refuse(void *ctx, int status, const char *why, struct response *resp);

/* Requests and durations by route, as a collector of base/metrics.h; @ctx is not used. */
void route_collect(struct buf *out, void *ctx);
