/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A region in a temporary folder, and requests made in memory: what http.c does with one, without a
 * network. Time stands still at REGION_NOW_MS, so answers are exact.
 */

#include "tests/unit/unit.h"

#include <time.h>

#include "api/region.h"
#include "api/route.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"

#define REGION_NOW_MS 1700000000000ll

static inline int64_t region_unix_standing_still(void)
{
	return REGION_NOW_MS;
}

static inline uint64_t region_mono_real(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void region_clock_stop(void)
{
	static const struct clock_ops still = { region_unix_standing_still, region_mono_real };

	clock_set(&still);
}

struct call {
	enum http_method method; /* 0 = GET */
	const char *target;
	const char *token; /* the Authorization header */
	const char *type, *coding, *rw_version;
	struct str body;
	const char *accept, *user_agent;
};

static inline struct str call_header(const char *text)
{
	return text ? str_from(text) : STR_NULL;
}

/*
 * Returns the status. The body of the answer is copied to @out, the rest to @meta (may be NULL),
 * whose body and stream are gone then.
 */
static inline int call(struct region *region, const struct call *c, struct buf *out,
                       struct response *meta)
{
	struct request req = {
		.method = c->method ? c->method : HTTP_GET,
		.arena = ARENA_INIT((size_t)64 << 20),
		.content_type = call_header(c->type),
		.content_encoding = call_header(c->coding),
		.rw_version = call_header(c->rw_version),
		.authorization = call_header(c->token),
		.accept = call_header(c->accept),
		.user_agent = call_header(c->user_agent),
		.start_mono_ns = clock_mono_ns(),
	};
	struct response resp = { 0 };
	struct str target = unit_strdup(str_from(c->target));

	(void)str_cut(target, '?', &req.path, &req.query);
	buf_put_str(&req.body, c->body);
	int status = route_begin(region, &req, &resp);

	if (status == 0 && req.body.len > req.body_bytes_max)
		status = route_refuse(region, 413, "the body is above the limit", &resp);
	if (status == 0)
		status = route_serve(region, &req, &resp);
	buf_clear(out);
	buf_put_str(out, buf_str(&resp.body));
	for (int r = 0; resp.stream.ctx && r == 0;)
		r = resp.stream.next(resp.stream.ctx, out, 1000);
	route_done(region, &req, &resp);
	assert_int_equal(status, resp.status);
	if (meta)
		*meta = resp;
	response_done(&resp);
	request_done(&req);
	free((void *)(uintptr_t)target.p);
	return status;
}

/* GET @target with @token, whose answer must have @status and begin with @want. */
static inline void call_expect(struct region *region, const char *target, const char *token,
                               int status, const char *want)
{
	const struct call c = { .target = target, .token = token };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	int got = call(region, &c, &out, NULL);

	if (got != status || strncmp(buf_cstr(&out), want, strlen(want)) != 0)
		fail_msg("%s (%s)\n    want %d %s\n    got  %d %s", target,
		         token ? token : "no token", status, want, got, buf_cstr(&out));
}

/* Stores exposition text; nothing of it may be refused. */
static inline void call_import(struct region *region, const char *target, const char *token,
                               const char *text)
{
	const struct call c = {
		.method = HTTP_POST, .target = target, .token = token, .body = str_from(text)
	};
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	if (call(region, &c, &out, NULL) != 204)
		fail_msg("%s: %s", target, buf_cstr(&out));
}

/*
 * A region that serves @orgs; @access is the path of access files, or NULL. The latency offset is
 * 0, so that what was just stored is seen.
 */
static inline struct region *region_for_test(const char *dir, const char *const *orgs,
                                             size_t n_orgs, const char *access)
{
	const struct region_conf_source source = {
		.overrides = { { "data", dir },
		               { "access", access },
		               { "query.latency_offset", "0s" } },
	};
	struct region_conf conf;
	struct region *region;
	struct err e = ERR_INIT;

	assert_int_equal(0, region_conf_read(&source, &conf, &e));
	for (size_t i = 0; i < conf.organisations.n; i++)
		free(conf.organisations.v[i]);
	conf.organisations.v = mem_realloc(conf.organisations.v, n_orgs + 1, sizeof(char *));
	for (size_t i = 0; i < n_orgs; i++)
		conf.organisations.v[i] = mem_strndup(orgs[i], strlen(orgs[i]));
	conf.organisations.n = n_orgs;
	if (region_conf_check(&conf, &e) < 0 || region_open(&region, &conf, &source, &e) < 0)
		fail_msg("%s", e.msg);
	return region;
}
