/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nobody sees, counts or touches what is not theirs. The test walks the table of routes: every
 * route, every argument that chooses series, every way we could think of to ask for more, with
 * tokens of organisation a and of its app web.
 *
 *	seen      No answer holds a name or value of organisation b, or of another app of a.
 *	counted   Every answer is the same to the byte, whether b and the other app have data or
 *	          not; but for those few numbers that are about the request itself.
 *	touched   After all of it b and the other app have what they had before.
 *
 * A new route is in the test by being in the table; a route that writes needs a body here.
 */
#include "tests/unit/region_call.h"

#include <sodium.h>

#include "api/auth/access.h"
#include "api/queries.h"
#include "userspace/base/hash.h"
#include "userspace/wire/vm_native.h"

/* In names and values of what is not ours to see; no request says it, unlike the canaries. */
#define SECRET "secret"

#define AT " 1699999940000\n"

/* All of it is visible to organisation a as a whole. */
static const char ours[] = "up{app=\"web\",k=\"1\"} 1" AT "up{app=\"web\",k=\"2\"} 0" AT
			   "reqs_total{app=\"web\"} 100" AT;
static const char other_app[] = "up{app=\"canaryapp\",k=\"secret1\"} 1" AT
				"canary_total{app=\"canaryapp\"} 777" AT "noapp_secret 5" AT;
static const char other_org[] = "up{app=\"web\",k=\"secret9\"} 1" AT
				"canary_org_total{app=\"web\",canarylabel=\"secret\"} 999" AT
				"secret_total{app=\"web\",secretlabel=\"x\"} 12345" AT;

struct fixture {
	struct tempdir dir, access;
	struct region *region;
};

static void add_token(struct buf *out, const char *name, const char *org, const char *rest)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1];

	(void)crypto_hash_sha256(hash, (const uint8_t *)name, strlen(name));
	(void)sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	buf_printf(out, "  %s: {sha256: %s, organisation: \"%s\", %s}\n", name, hex, org, rest);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct buf text = BUF_INIT;

	f->dir = tempdir_make();
	f->access = tempdir_make();
	buf_puts(&text, "organisations: {a: {}, b: {}}\ntokens:\n");
	add_token(&text, "all-of-a", "a", "scopes: [read, write, admin]");
	add_token(&text, "web-of-a", "a", "scopes: [read, write], apps: [web]");
	add_token(&text, "two-of-a", "a", "scopes: [read, write], apps: [web, \"w.b\"]");
	add_token(&text, "all-of-b", "b", "scopes: [read, write, admin]");
	add_token(&text, "host", "*", "scopes: [host]");
	add_token(&text, "operator", "*", "scopes: [admin]");
	tempdir_write(&f->access, "access.yml", buf_cstr(&text), 0600);
	buf_done(&text);
	region_clock_stop();
	f->region = region_for_test(f->dir.path, NULL, 0, f->access.path);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	region_close(f->region);
	clock_set(NULL);
	tempdir_done(&f->dir);
	tempdir_done(&f->access);
	free(f);
	return 0;
}

/* --- the requests ----------------------------------------------------------------------------- */

/* What a selector argument might say to reach further; each must be a whole selector. */
static const char *const selectors[] = {
	"up",
	"{__name__!=\"\"}",
	"{__name__=~\".*\"}",
	"{__name__=~\"canary.*\"}",
	"canary_org_total",
	"canary_total",
	"{app=\"canaryapp\"}",
	"{app=~\".*\"}",
	"{app!=\"web\"}",
	"{app=\"\"}",
	"{app=\"web\" or app=\"canaryapp\"}",
	"{app=\"web\" or k=~\".*\"}",
	"{k=~\".+\" or canarylabel!=\"\"}",
	"{__org__=\"b\"}",
	"up{__org__=\"b\"}",
	"{org=\"b\" or organisation=\"b\" or __tenant__=\"b\"}",
};

/* Queries that wrap one: %s is the selector. */
static const char *const queries[] = {
	"%s",
	"count(%s)",
	"sum(%s) by (app)",
	"count(%s) by (__name__)",
	"%s[5m]",
	"sum(count_over_time(%s[1h]))",
	"absent(%s)",
	"timestamp(%s)",
	"topk(10, %s)",
	"label_replace(%s, \"x\", \"$1\", \"k\", \"(.*)\")",
	"up or %s",
	"up * on() group_left() count(%s)",
	"count(up) default count(%s)",
	"%s offset -1s",
	"max_over_time(%s[5m:1m])",
	"count_values(\"v\", %s)",
	"WITH (x = %s) count(x) + count(x)",
	"label_set(%s, \"__org__\", \"b\")",
	"quantile(0.5, %s) @ end()",
	"union(up, %s)",
};

/* Further arguments, tried with each of the above. */
static const char *const extras[] = {
	"",
	"&extra_label=app=canaryapp",
	"&extra_label=__org__=b",
	"&extra_filters[]={app=~\".*\"}",
	"&extra_filters[]={app=\"canaryapp\"}&extra_filters[]={app=\"web\"}",
	"&extra_filters={k!=\"nosuch\"}",
	"&org=b&organisation=b&tenant=b&__org__=b",
};

static void escape(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("&%+#", *text))
			buf_printf(out, "%%%02X", (unsigned char)*text);
		else
			buf_putc(out, *text);
	}
}

static void replace(struct buf *out, const char *pattern, const char *value)
{
	const char *at = strstr(pattern, "%s");

	if (!at) {
		buf_puts(out, pattern);
		return;
	}
	buf_put(out, pattern, (size_t)(at - pattern));
	buf_puts(out, value);
	buf_puts(out, at + 2);
}

/* Values of the wildcard of a path. */
static const char *const path_args[] = { "k", "__name__", "app", "canarylabel", "__org__" };

/* What a route does with its requests; returns the number of calls. */
typedef void (*visit_f)(void *ctx, const struct route *route, const char *target);

struct visit {
	visit_f fn;
	void *ctx;
	const struct route *route;
	const char *prefix; /* "", or /prometheus/ORG */
	bool plain;         /* without the extras: they meet enough queries as it is */
};

static void visit_extras(const struct visit *v, const char *path, const char *args)
{
	for (size_t i = 0; i < (v->plain ? 1 : ARRAY_SIZE(extras)); i++) {
		_cleanup_(buf_done) struct buf target = BUF_INIT;

		buf_printf(&target, "%s%s?%s%s", v->prefix, path, args, extras[i]);
		v->fn(v->ctx, v->route, buf_cstr(&target));
	}
}

/* Times that cover the data, in the words of every endpoint. */
#define TIMES "time=1699999940&start=1699999000&end=1699999990&step=60&date=2023-11-14&label=k"

static void visit_arg(const struct visit *v, const char *path, const char *name, const char *value)
{
	_cleanup_(buf_done) struct buf args = BUF_INIT;

	buf_printf(&args, TIMES "&%s=", name);
	escape(&args, value);
	visit_extras(v, path, buf_cstr(&args));
}

static void visit_path(const struct visit *v, const char *path)
{
	if (v->route->takes == TAKES_NONE || v->route->takes == TAKES_MATCH)
		visit_extras(v, path, TIMES);
	for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
		if (v->route->takes == TAKES_MATCH) {
			visit_arg(v, path, "match[]", selectors[i]);
			visit_arg(v, path, "match", selectors[i]);
		}
		for (size_t k = 0; v->route->takes == TAKES_QUERY && k < ARRAY_SIZE(queries); k++) {
			_cleanup_(buf_done) struct buf query = BUF_INIT;
			struct visit one = *v;

			one.plain = k > 1;
			replace(&query, queries[k], selectors[i]);
			visit_arg(&one, path, "query", buf_cstr(&query));
		}
	}
}

static void visit_route(const struct visit *v)
{
	const char *star = strchr(v->route->path, '*');

	if (!star) {
		visit_path(v, v->route->path);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(path_args); i++) {
		_cleanup_(buf_done) struct buf path = BUF_INIT;

		buf_printf(&path, "%.*s%s%s", (int)(star - v->route->path), v->route->path,
		           path_args[i], star + 1);
		visit_path(v, buf_cstr(&path));
	}
}

/* Every route that reads, through every path that names organisation a. */
static void visit_readers(visit_f fn, void *ctx)
{
	static const char *const prefixes[] = { "", "/prometheus", "/prometheus/a",
		                                "//prometheus//a/" };

	for (size_t i = 0; i < routes_n; i++) {
		for (size_t k = 0; routes[i].need == NEED_READ && k < ARRAY_SIZE(prefixes); k++) {
			const struct visit v = { fn, ctx, &routes[i], prefixes[k], false };

			/* The other prefixes are the same organisation: once is enough. */
			if (k == 0 || routes[i].takes != TAKES_QUERY)
				visit_route(&v);
		}
	}
}

/* --- what comes back -------------------------------------------------------------------------- */

/*
 * How long it took, and what this organisation asked before, is about the requests themselves. How
 * many series were read is not: it stays.
 */
static void drop_volatile(struct buf *b)
{
	static const char *const keys[] = { "\"executionTimeMsec\":", "\"requestsCount\":",
		                            "\"lastRequestTimestamp\":", "\"queryRequestsCount\":",
		                            "\"lastQueryRequestTimestamp\":" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (char *p = (char *)(uintptr_t)buf_cstr(b); (p = strstr(p, keys[i]));) {
			p += strlen(keys[i]);
			size_t digits = strspn(p, "0123456789");

			memmove(p, p + digits, (size_t)(b->p + b->len - p) - digits + 1);
			b->len -= digits;
		}
	}
}

struct reader {
	struct fixture *f;
	const char *token, *who;
	uint64_t *hashes; /* of the answers, in the order of the visit */
	size_t n, cap;
	bool compare;
	size_t statuses[600];
};

static void read_one(void *ctx, const struct route *route, const char *target)
{
	struct reader *r = ctx;
	const struct call c = { .target = target,
		                .token = r->token,
		                .method = route->methods & HTTP_GET ? HTTP_GET : HTTP_POST };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	int status = call(r->f->region, &c, &out, NULL);

	r->statuses[status]++;
	if (strstr(buf_cstr(&out), SECRET))
		fail_msg("%s sees: %s\n%.2000s", r->who, target, buf_cstr(&out));
	drop_volatile(&out);
	uint64_t hash = hash_str(buf_str(&out)) ^ (uint64_t)status;

	if (strcmp(route->path, "/api/v1/status/top_queries") == 0)
		return; /* about one's own earlier requests: test_questions() */
	if (!r->compare) {
		assert_int_equal(0, MEM_GROW(r->hashes, r->cap, r->n + 1));
		r->hashes[r->n] = hash;
	} else if (r->hashes[r->n] != hash) {
		fail_msg("%s can tell what others have: %s\n%.2000s", r->who, target,
		         buf_cstr(&out));
	}
	r->n++;
}

static void read_all(struct reader *r, bool compare)
{
	r->compare = compare;
	r->n = 0;
	visit_readers(read_one, r);
}

static void expect_untouched(struct fixture *f)
{
	call_expect(f->region, "/api/v1/query?time=1699999940&query=count({__name__!=\"\"})",
	            "Bearer all-of-b", 200,
	            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	            "{\"metric\":{},\"value\":[1699999940,\"3\"]}]}");
	call_expect(f->region,
	            "/api/v1/query?time=1699999940&query=count({app!=\"web\",__name__!=\"\"})",
	            "Bearer all-of-a", 200,
	            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	            "{\"metric\":{},\"value\":[1699999940,\"3\"]}]}");
}

/*
 * First only our own data is there, then that of others as well. Organisation a as a whole sees its
 * other app, so its answers are taken in between.
 */
static void test_reading(void **state)
{
	struct fixture *f = *state;
	struct reader web = { .f = f, .token = "Bearer web-of-a", .who = "app web of a" };
	struct reader two = { .f = f, .token = "FlyV1 two-of-a", .who = "two apps of a" };
	struct reader a = { .f = f, .token = "Bearer all-of-a", .who = "a" };

	call_import(f->region, "/api/v1/import/prometheus", "Bearer web-of-a", ours);
	read_all(&web, false);
	read_all(&two, false);
	read_all(&a, false);
	call_import(f->region, "/api/v1/import/prometheus", "Bearer all-of-b", other_org);
	read_all(&a, true);
	call_import(f->region, "/api/v1/import/prometheus", "Bearer all-of-a", other_app);
	read_all(&web, true);
	read_all(&two, true);
	expect_untouched(f);
	/* The test does ask: most of it is answered, and with data. */
	print_message("    %zu requests, %zu answered with 200, %zu with 400, %zu with 422\n",
	              web.n, web.statuses[200], web.statuses[400], web.statuses[422]);
	assert_true(web.n > 2000);
	assert_true(web.statuses[200] > web.n / 2);
	assert_int_equal(0, web.statuses[401] + web.statuses[403] + web.statuses[500]);
	free(web.hashes);
	free(two.hashes);
	free(a.hashes);
}

/* What others ask is theirs as well, while it runs and afterwards. */
static void test_questions(void **state)
{
	static const struct {
		const char *token;
		const char *sees; /* NULL = nothing */
	} rows[] = {
		{ "Bearer all-of-b", "secret_of_b" },
		{ "Bearer all-of-a", "secret_of_web" },
		{ "Bearer web-of-a", "secret_of_web" },
		{ "Bearer two-of-a", NULL },
	};
	static const char *const paths[] = { "active_queries", "top_queries" };
	static struct query_run runs[] = {
		{ .org = STR_INIT("b"),
		  .who = STR_INIT("all-of-b"),
		  .text = STR_INIT("secret_of_b") },
		{ .org = STR_INIT("a"),
		  .who = STR_INIT("web-of-a"),
		  .text = STR_INIT("secret_of_web") },
	};
	const struct query_cost cost = { .took_ns = 1000000000 };
	struct fixture *f = *state;

	for (size_t ended = 0; ended < 2; ended++) {
		for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
			if (ended)
				queries_end(f->region->queries, &runs[i], &cost);
			else
				queries_begin(f->region->queries, &runs[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			_cleanup_(buf_done) struct buf target = BUF_INIT, out = BUF_INIT;
			struct call c = { .token = rows[i].token };

			buf_printf(&target, "/api/v1/status/%s", paths[ended]);
			c.target = buf_cstr(&target);
			assert_int_equal(200, call(f->region, &c, &out, NULL));
			const char *secret = strstr(buf_cstr(&out), SECRET);

			unit_note("%s %s", rows[i].token, paths[ended]);
			assert_true((secret != NULL) == (rows[i].sees != NULL));
			for (; secret; secret = strstr(secret + 1, SECRET))
				assert_int_equal(0, strncmp(secret, rows[i].sees,
				                            strlen(rows[i].sees)));
		}
	}
}

/* --- wrong doors ------------------------------------------------------------------------------ */

/* Paths that name b, or try to. */
static const char *const doors[] = {
	"/prometheus/b",
	"//prometheus//b",
	"/prometheus/b/",
	"/prometheus/a/../b",
	"/prometheus/a/prometheus/b",
	"/prometheus/%62",
	"/prometheus/B",
	"/prometheus/b%00",
	"/prometheus/nowhere",
};

static void test_doors(void **state)
{
	static const char *const tokens[] = { "Bearer all-of-a", "Bearer web-of-a", NULL,
		                              "Bearer nobody", "Basic YTpi" };
	struct fixture *f = *state;

	for (size_t i = 0; i < routes_n; i++) {
		for (size_t d = 0; d < ARRAY_SIZE(doors) * ARRAY_SIZE(tokens); d++) {
			_cleanup_(buf_done) struct buf target = BUF_INIT, out = BUF_INIT;
			const char *token = tokens[d / ARRAY_SIZE(doors)];
			const struct call c = {
				.target = NULL,
				.token = token,
				.method = routes[i].methods & HTTP_GET ? HTTP_GET : HTTP_POST,
			};
			struct call one = c;

			if (routes[i].need == NEED_NOTHING)
				continue;
			buf_printf(&target,
			           "%s%s?" TIMES "&query=count({__name__!=\"\"})"
			           "&match[]={__name__!=\"\"}",
			           doors[d % ARRAY_SIZE(doors)], routes[i].path);
			one.target = buf_cstr(&target);
			int status = call(f->region, &one, &out, NULL);

			if (status != 401 && status != 403 && status != 404)
				fail_msg("%s with %s: %d %s", one.target, token, status,
				         buf_cstr(&out));
			assert_null(strstr(buf_cstr(&out), SECRET));
		}
	}
	expect_untouched(f);
}

/* No route but the open ones answers without a token, and each need has its own. */
static void test_needs(void **state)
{
	static const struct {
		const char *token;
		unsigned may; /* bits of enum need */
	} rows[] = {
		{ NULL, 1u << NEED_NOTHING },
		{ "Bearer nobody", 1u << NEED_NOTHING },
		{ "Bearer web-of-a", 1u << NEED_NOTHING | 1u << NEED_READ | 1u << NEED_WRITE },
		{ "Bearer host", 1u << NEED_NOTHING | 1u << NEED_WRITE },
		{ "Bearer operator", 1u << NEED_NOTHING | 1u << NEED_ADMIN | 1u << NEED_OPERATOR },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < routes_n * ARRAY_SIZE(rows); i++) {
		const struct route *route = &routes[i % routes_n];
		_cleanup_(buf_done) struct buf target = BUF_INIT, out = BUF_INIT;
		const char *token = rows[i / routes_n].token;
		struct call c = { .token = token,
			          .method = route->methods & HTTP_GET ? HTTP_GET : HTTP_POST };

		buf_printf(&target, "/prometheus/a%s", route->path);
		c.target = buf_cstr(&target);
		bool may = rows[i / routes_n].may & 1u << route->need;
		int status = call(f->region, &c, &out, NULL);

		if ((status != 401 && status != 403) != may)
			fail_msg("%s with %s: %d %s", c.target, token ? token : "no token", status,
			         buf_cstr(&out));
		if (!may) {
			struct response meta;

			assert_int_equal(token && strcmp(token, "Bearer nobody") ? 403 : 401,
			                 call(f->region, &c, &out, &meta));
			assert_true((response_get_header(&meta, "WWW-Authenticate") != NULL) ==
			            (meta.status == 401));
		}
	}
	expect_untouched(f);
}

/* --- writing and deleting --------------------------------------------------------------------- */

/* A body for each route that writes, for organisation b and for an app of somebody else. */
static const struct {
	const char *path, *body;
} bodies[] = {
	{ "/api/v1/import/prometheus",
	  "sneaked{__org__=\"b\",app=\"web\"} 1" AT "sneaked{app=\"canaryapp\",by=\"web\"} 1" AT },
	{ "/api/v1/import",
	  "{\"metric\":{\"__name__\":\"sneaked\",\"__org__\":\"b\",\"app\":\"web\"},\"values\":[1],"
	  "\"timestamps\":[1699999940000]}\n"
	  "{\"metric\":{\"__name__\":\"sneaked\",\"app\":\"canaryapp\"},\"values\":[1],"
	  "\"timestamps\":[1699999940000]}\n" },
	{ "/api/v1/import/csv?format=1:time:unix_s,2:metric:sneaked,3:label:__org__,4:label:app",
	  "1699999940,1,b,web\n1699999940,1,,canaryapp\n" },
};

/* The same as blocks. */
static void put_blocks(struct buf *out)
{
	static const struct label org[] = { { STR_INIT("__name__"), STR_INIT("sneaked") },
		                            { STR_INIT("__org__"), STR_INIT("b") },
		                            { STR_INIT("app"), STR_INIT("web") } };
	static const struct label app[] = { { STR_INIT("__name__"), STR_INIT("sneaked") },
		                            { STR_INIT("app"), STR_INIT("canaryapp") } };
	const int64_t ts_ms = 1699999940000;
	const double value = 1;

	vm_native_put_head(out, 0, INT64_MAX);
	(void)vm_native_put_block(out, org, ARRAY_SIZE(org), &ts_ms, &value, 1);
	(void)vm_native_put_block(out, app, ARRAY_SIZE(app), &ts_ms, &value, 1);
}

static void write_one(struct fixture *f, const struct route *route, const char *token,
                      const char *prefix)
{
	_cleanup_(buf_done) struct buf target = BUF_INIT, body = BUF_INIT, out = BUF_INIT;
	const char *path = route->path;

	if (strcmp(path, "/api/v1/import/native") == 0)
		put_blocks(&body);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		size_t n = strcspn(bodies[i].path, "?");

		if (strncmp(bodies[i].path, path, n) != 0 || path[n] != '\0')
			continue;
		path = bodies[i].path;
		buf_puts(&body, bodies[i].body);
		break;
	}
	if (strcmp(path, "/api/v1/write") == 0)
		return; /* test_remote_write() */
	if (body.len == 0)
		fail_msg("%s writes, but has no body here", path);
	buf_printf(&target, "%s%s", prefix, path);
	const struct call c = { .method = HTTP_POST,
		                .target = buf_cstr(&target),
		                .token = token,
		                .body = buf_str(&body) };

	assert_true(call(f->region, &c, &out, NULL) >= 400);
}

static void test_writing(void **state)
{
	static const char *const tokens[] = { "Bearer web-of-a", "Bearer two-of-a", "Bearer nobody",
		                              NULL };
	static const char *const prefixes[] = { "", "/prometheus/a", "/prometheus/b" };
	struct fixture *f = *state;

	for (size_t i = 0; i < routes_n; i++) {
		for (size_t k = 0;
		     routes[i].need == NEED_WRITE && k < ARRAY_SIZE(tokens) * ARRAY_SIZE(prefixes);
		     k++)
			write_one(f, &routes[i], tokens[k % ARRAY_SIZE(tokens)],
			          prefixes[k / ARRAY_SIZE(tokens)]);
	}
	expect_untouched(f);
	/* A host may, and names the organisation. */
	call_import(f->region, "/api/v1/import/prometheus", "Bearer host",
	            "hosted{__org__=\"a\",app=\"web\"} 1" AT);
	call_expect(
		f->region, "/api/v1/series?match[]=hosted&" TIMES, "Bearer web-of-a", 200,
		"{\"status\":\"success\",\"data\":[{\"__name__\":\"hosted\",\"app\":\"web\"}]}");
	call_expect(f->region, "/api/v1/series?match[]=hosted&" TIMES, "Bearer all-of-b", 200,
	            "{\"status\":\"success\",\"data\":[]}");
}

/* The bytes of a series that others made known do not open a door: the store finds it by them. */
static void test_known_bytes(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	const struct call again = {
		.method = HTTP_POST,
		.target = "/api/v1/import/prometheus",
		.token = "Bearer web-of-a",
		.body = str_from("canary_total{app=\"canaryapp\"} 778 1699999950000\n"),
	};

	assert_int_equal(400, call(f->region, &again, &out, NULL));
	assert_non_null(strstr(buf_cstr(&out), "may not write series of app"));
	call_expect(f->region, "/api/v1/query?query=canary_total&time=1699999960",
	            "Bearer all-of-a", 200,
	            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	            "{\"metric\":{\"__name__\":\"canary_total\",\"app\":\"canaryapp\"},"
	            "\"value\":[1699999960,\"777\"]}]}");
}

/*
 * The admin of a deletes with every selector and argument that could reach further, through every
 * door; b has all it had. Nobody else of a may delete at all: test_needs().
 */
static void delete_one(void *ctx, const struct route *route, const char *target)
{
	struct fixture *f = ctx;
	const struct call c = { .method = HTTP_POST, .target = target, .token = "Bearer all-of-a" };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	int status = call(f->region, &c, &out, NULL);

	(void)route;
	if (status != 204 && status != 400)
		fail_msg("%s: %d %s", target, status, buf_cstr(&out));
}

static void test_deleting(void **state)
{
	struct fixture *f = *state;
	const struct visit v = { .fn = delete_one, .ctx = f };

	for (size_t i = 0; i < routes_n; i++) {
		struct visit one = v;

		one.route = &routes[i];
		one.prefix = "/prometheus/a";
		if (routes[i].need == NEED_ADMIN)
			visit_route(&one);
	}
	call_expect(f->region, "/api/v1/query?time=1699999940&query=count({__name__!=\"\"})",
	            "Bearer all-of-a", 200,
	            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]");
	call_expect(f->region, "/api/v1/query?time=1699999940&query=count({__name__!=\"\"})",
	            "Bearer all-of-b", 200,
	            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	            "{\"metric\":{},\"value\":[1699999940,\"3\"]}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),     cmocka_unit_test(test_questions),
		cmocka_unit_test(test_doors),       cmocka_unit_test(test_needs),
		cmocka_unit_test(test_known_bytes), cmocka_unit_test(test_writing),
		cmocka_unit_test(test_deleting),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
