/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real handlers over a real store in a temporary folder, requests made in memory: each row is
 * one request and what must come back.
 */
#include "tests/unit/region_call.h"

#include <zlib.h>

#include "api/reply.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/rw2.h"

#define T0 "1699999940" /* one minute before NOW */

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json"
#define PB   "application/x-protobuf"

/* --- a region with something in it ------------------------------------------------------------ */

static const char text[] = "up{job=\"a\",instance=\"1\"} 1 1699999940000\n"
			   "up{job=\"a\",instance=\"2\"} 0 1699999940000\n"
			   "up{job=\"b\",instance=\"1\"} 1 1699999940000\n"
			   "reqs_total{job=\"a\"} 100 1699999880000\n"
			   "reqs_total{job=\"a\"} 160 1699999940000\n"
			   "{\"dotted.name\"} 3 1699999940000\n";

struct fixture {
	struct region *region;
	struct tempdir dir;
};

static int setup(void **state)
{
	static const char *const orgs[] = { "dev", "acme" };
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = tempdir_make();
	region_clock_stop();
	f->region = region_for_test(f->dir.path, orgs, ARRAY_SIZE(orgs), NULL);
	call_import(f->region, "/api/v1/import/prometheus", NULL, text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	region_close(f->region);
	clock_set(NULL);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

#define OK_VECTOR(rows)                                                                 \
	"{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" rows \
	"]},\"stats\""
#define OK_MATRIX(rows)                                                                 \
	"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[" rows \
	"]},\"stats\""
#define OK_SINGLE(type, value)                                                          \
	"{\"status\":\"success\",\"data\":{\"resultType\":\"" type "\",\"result\":[" AT \
	",\"" value "\"]},\"stats\""
#define OK_LIST(items)   "{\"status\":\"success\",\"data\":[" items "]}\n"
#define BAD(type, start) "{\"status\":\"error\",\"errorType\":\"" type "\",\"error\":\"" start
#define AT               "1699999940"
#define Q                "/api/v1/query?time=" T0 "&query="
#define R                "/api/v1/query_range?query="
#define RANGE            "start=1699999880&end=1699999940&step=60"
#define ONE              "{\"metric\":{},\"value\":[" AT ",\"1\"]}"
#define UP_A1            "{\"__name__\":\"up\",\"instance\":\"1\",\"job\":\"a\"}"
#define UP_A2            "{\"__name__\":\"up\",\"instance\":\"2\",\"job\":\"a\"}"
#define UP_B1            "{\"__name__\":\"up\",\"instance\":\"1\",\"job\":\"b\"}"
#define VALUE(labels, v) "{\"metric\":" labels ",\"value\":[" AT ",\"" v "\"]}"
#define ALL_NAMES        "\"__name__\",\"instance\",\"job\""

struct row {
	enum http_method method;
	const char *target, *type, *body;
	int status;
	const char *want; /* start of the answer */
};

/* clang-format off */
static const struct row rows[] = {
	/* queries */
	{ HTTP_GET, Q "1", NULL, "", 200, OK_VECTOR(ONE) },
	{ HTTP_POST, "/api/v1/query", FORM, "query=1&time=" T0, 200, OK_VECTOR(ONE) },
	{ HTTP_POST, "/api/v1/query", FORM "; charset=utf-8", "query=1&time=" T0, 200, OK_VECTOR(ONE) },
	{ HTTP_POST, Q "1", JSON, "", 200, OK_VECTOR(ONE) },
	{ HTTP_POST, Q "1", JSON, "{}", 415, BAD("bad_data", "the body must be") },
	{ HTTP_GET, Q "1&dialect=promql", NULL, "", 200, OK_SINGLE("scalar", "1") },
	{ HTTP_GET, Q "%22a%5C%22b%22&dialect=promql", NULL, "", 200, OK_SINGLE("string", "a\\\"b") },
	{ HTTP_GET, Q "rate(up)&dialect=promql", NULL, "", 422, BAD("execution", "expected type range vector") },
	{ HTTP_GET, Q "rate(up)&dialect=metricsql", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, Q "1&dialect=sql", NULL, "", 400, BAD("bad_data", "argument dialect: \\\"sql\\\" is neither") },
	{ HTTP_GET, Q "1&trace=maybe", NULL, "", 400, BAD("bad_data", "argument trace") },
	{ HTTP_GET, "/prometheus" Q "up%7Bjob%3D%22b%22%7D", NULL, "", 200, OK_VECTOR(VALUE(UP_B1, "1")) },
	{ HTTP_GET, "/prometheus/dev" Q "up{job=\"b\"}", NULL, "", 200, OK_VECTOR(VALUE(UP_B1, "1")) },
	{ HTTP_GET, "/prometheus/acme" Q "up", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, Q "up", NULL, "", 200, OK_VECTOR(VALUE(UP_A1, "1") "," VALUE(UP_A2, "0") "," VALUE(UP_B1, "1")) },
	{ HTTP_GET, Q "up{job=\"b\"}[5m]", NULL, "", 200, OK_MATRIX("{\"metric\":" UP_B1 ",\"values\":[[" AT ",\"1\"]]}") },
	{ HTTP_GET, Q "up&extra_label=job=b", NULL, "", 200, OK_VECTOR(VALUE(UP_B1, "1")) },
	{ HTTP_GET, Q "up&extra_filters[]={job=\"b\"}", NULL, "", 200, OK_VECTOR(VALUE(UP_B1, "1")) },
	{ HTTP_GET, Q "up&extra_filters={job=\"b\"}&extra_filters[]={instance=\"2\"}", NULL, "", 200,
	  OK_VECTOR(VALUE(UP_A2, "0") "," VALUE(UP_B1, "1")) },
	{ HTTP_POST, Q "up&extra_label=job=b", FORM, "extra_label=job=a", 200, OK_VECTOR(VALUE(UP_B1, "1")) },
	{ HTTP_GET, Q "up&extra_label=nokv", NULL, "", 400, BAD("bad_data", "argument extra_label: \\\"nokv\\\" is not NAME=VALUE") },
	{ HTTP_GET, Q "up&extra_filters[]={", NULL, "", 400, BAD("bad_data", "argument extra_filters[]: ") },
	{ HTTP_GET, Q "up&extra_filters[]=sum(a)", NULL, "", 400, BAD("bad_data", "argument extra_filters[]: ") },
	{ HTTP_GET, Q "3.14159&round_digits=2", NULL, "", 200, OK_VECTOR("{\"metric\":{},\"value\":[" AT ",\"3.14\"]}") },
	{ HTTP_GET, Q "31.4159&round_digits=-1", NULL, "", 200, OK_VECTOR("{\"metric\":{},\"value\":[" AT ",\"30\"]}") },
	{ HTTP_GET, Q "3.14159&round_digits=x", NULL, "", 200, OK_VECTOR("{\"metric\":{},\"value\":[" AT ",\"3.14159\"]}") },
	{ HTTP_GET, "/api/v1/query?query=up{job=\"b\"}", NULL, "", 200,
	  OK_VECTOR("{\"metric\":" UP_B1 ",\"value\":[1700000000,\"1\"]}") },
	{ HTTP_GET, "/api/v1/query?query=up{job=\"b\"}&max_lookback=30s", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, "/api/v1/query?query=up{job=\"b\"}&step=30s", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, "/api/v1/query?query=up{job=\"b\"}&latency_offset=30s", NULL, "", 200,
	  OK_VECTOR("{\"metric\":" UP_B1 ",\"value\":[1700000000,\"1\"]}") },
	{ HTTP_GET, "/api/v1/query?query=up{job=\"b\"}&latency_offset=120s", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, Q "1&latency_offset=zz", NULL, "", 200, OK_VECTOR(ONE) },
	{ HTTP_GET, Q "1&max_lookback=-1", NULL, "", 400, BAD("bad_data", "argument max_lookback: ") },
	{ HTTP_GET, Q "1&timeout=0", NULL, "", 200, OK_VECTOR(ONE) },
	{ HTTP_GET, Q "1&nocache=maybe", NULL, "", 400, BAD("bad_data", "argument nocache: ") },
	{ HTTP_GET, "/api/v1/query?query=1&time=yesterday", NULL, "", 400,
	  BAD("bad_data", "argument time: \\\"yesterday\\\" is not a time") },
	{ HTTP_GET, Q "sum(", NULL, "", 400, BAD("bad_data", "") },
	{ HTTP_GET, Q "nosuch(1)", NULL, "", 400, BAD("bad_data", "unknown function nosuch") },
	{ HTTP_GET, Q "up == on(job) up", NULL, "", 422, BAD("execution", "") },
	{ HTTP_GET, Q "%ff", NULL, "", 400, BAD("bad_data", "") },
	{ HTTP_GET, Q "%f", NULL, "", 400, BAD("bad_data", "broken %XX escape in argument \\\"query\\\"") },
	{ HTTP_GET, "/api/v1/query", NULL, "", 400, BAD("bad_data", "argument query is missing") },
	{ HTTP_GET, R "reqs_total&" RANGE, NULL, "", 200,
	  OK_MATRIX("{\"metric\":{\"__name__\":\"reqs_total\",\"job\":\"a\"},\"values\":[[1699999880,\"100\"],[" AT ",\"160\"]]}") },
	{ HTTP_POST, "/api/v1/query_range", FORM, "query=1&" RANGE, 200,
	  OK_MATRIX("{\"metric\":{},\"values\":[[1699999880,\"1\"],[" AT ",\"1\"]]}") },
	{ HTTP_GET, R "nosuch&" RANGE, NULL, "", 200, OK_MATRIX("") },
	{ HTTP_GET, R "1&start=now-1m&end=now&step=1m", NULL, "", 200,
	  OK_MATRIX("{\"metric\":{},\"values\":[[" AT ",\"1\"],[1700000000,\"1\"]]}") },
	{ HTTP_GET, R "1&start=0&end=now&step=1s", NULL, "", 422, BAD("execution", "") },
	{ HTTP_GET, R "1&start=0&end=60&step=0", NULL, "", 400, BAD("bad_data", "argument step: ") },
	{ HTTP_GET, R "1&start=x", NULL, "", 400, BAD("bad_data", "argument start: ") },
	{ HTTP_GET, R "1&end=x", NULL, "", 400, BAD("bad_data", "argument end: ") },
	/* series and labels */
	{ HTTP_GET, "/api/v1/series?match[]=up", NULL, "", 200, OK_LIST(UP_A1 "," UP_B1 "," UP_A2) },
	{ HTTP_POST, "/api/v1/series", FORM, "match%5B%5D=up&match=reqs_total", 200,
	  OK_LIST("{\"__name__\":\"reqs_total\",\"job\":\"a\"}," UP_A1 "," UP_B1 "," UP_A2) },
	{ HTTP_GET, "/api/v1/series?match[]=up&extra_filters[]={job=\"b\"}", NULL, "", 200, OK_LIST(UP_B1) },
	{ HTTP_GET, "/api/v1/series?match[]=up&extra_label=job=b", NULL, "", 200, OK_LIST(UP_B1) },
	{ HTTP_GET, "/api/v1/series?match[]=up&limit=1", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":[" UP_A1 "],\"warnings\":[\"results truncated due to limit\"]}\n" },
	{ HTTP_GET, "/api/v1/series?match[]=up&limit=3", NULL, "", 200, OK_LIST(UP_A1 "," UP_B1 "," UP_A2) },
	{ HTTP_GET, "/api/v1/series?match[]=up&limit=x", NULL, "", 400, BAD("bad_data", "argument limit: ") },
	{ HTTP_GET, "/api/v1/series?match[]=up&start=0&end=10", NULL, "", 200, OK_LIST("") },
	{ HTTP_GET, "/api/v1/series?match[]=up&start=10&end=5", NULL, "", 400, BAD("bad_data", "the range ends before it starts") },
	{ HTTP_GET, "/api/v1/series?match[]={", NULL, "", 400, BAD("bad_data", "argument match[]: ") },
	{ HTTP_GET, "/api/v1/series", NULL, "", 400, BAD("bad_data", "argument match[] is missing") },
	{ HTTP_GET, "/prometheus/acme/api/v1/series?match[]=up", NULL, "", 200, OK_LIST("") },
	{ HTTP_GET, "/api/v1/labels", NULL, "", 200, OK_LIST(ALL_NAMES) },
	{ HTTP_GET, "/api/v1/labels?match[]=reqs_total", NULL, "", 200, OK_LIST("\"__name__\",\"job\"") },
	{ HTTP_GET, "/api/v1/labels?extra_filters[]={__name__=\"reqs_total\"}", NULL, "", 200, OK_LIST("\"__name__\",\"job\"") },
	{ HTTP_GET, "/prometheus/acme/api/v1/labels", NULL, "", 200, OK_LIST("") },
	{ HTTP_GET, "/api/v1/label/job/values", NULL, "", 200, OK_LIST("\"a\",\"b\"") },
	{ HTTP_GET, "/api/v1/label/job/values?match[]=reqs_total", NULL, "", 200, OK_LIST("\"a\"") },
	{ HTTP_GET, "/api/v1/label/U__jo_62_/values", NULL, "", 200, OK_LIST("\"a\",\"b\"") },
	{ HTTP_GET, "/api/v1/label/j%6Fb/values", NULL, "", 200, OK_LIST("\"a\",\"b\"") },
	{ HTTP_GET, "/api/v1/label/j%6/values", NULL, "", 400, BAD("bad_data", "the path names no label") },
	{ HTTP_GET, "/api/v1/label/U__a_/values", NULL, "", 400, BAD("bad_data", "the path names no label") },
	{ HTTP_GET, "/api/v1/label/nosuch/values", NULL, "", 200, OK_LIST("") },
	{ HTTP_GET, "/api/v1/label/__name__/values?limit=1", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":[\"dotted.name\"],\"warnings\"" },
	/* texts of queries */
	{ HTTP_GET, "/prettify-query?query=SUM(a)BY(b)", NULL, "", 200, "{\"status\":\"success\",\"query\":\"sum(a) by(b)\"}\n" },
	{ HTTP_POST, "/prettify-query", FORM, "query=sum(", 200,
	  "{\"status\":\"error\",\"msg\":\"expected an expression, found the end (at byte 4)\"}\n" },
	{ HTTP_GET, "/expand-with-exprs?query=WITH(x=1)x*a{b=\"c\"}", NULL, "", 200,
	  "{\"status\":\"success\",\"expr\":\"1 * a{b=\\\"c\\\"}\"}\n" },
	{ HTTP_GET, "/expand-with-exprs?query=f(", NULL, "", 200, "{\"status\":\"error\",\"error\":\"" },
	/* status */
	{ HTTP_GET, "/api/v1/status/buildinfo", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"version\":\"2.24.0\"}}" },
	{ HTTP_GET, "/health", NULL, "", 200, "OK\n" },
	{ HTTP_GET, "/-/healthy", NULL, "", 200, "OK\n" },
	{ HTTP_GET, "/prometheus/-/ready", NULL, "", 200, "OK\n" },
	{ HTTP_HEAD, "/health", NULL, "", 200, "OK\n" },
	{ HTTP_GET, "/api/v1/status/flags", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"query.timeout\":\"30s\"" },
	{ HTTP_GET, "/api/v1/status/runtimeinfo", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"startTime\":\"2023-11-14T22:13:20Z\"" },
	{ HTTP_GET, "/api/v1/status/config", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"yaml\":\"\"}}\n" },
	{ HTTP_GET, "/api/v1/rules", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"groups\":[]}}\n" },
	{ HTTP_GET, "/api/v1/alerts", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"alerts\":[]}}\n" },
	{ HTTP_GET, "/api/v1/targets", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"activeTargets\":[]" },
	{ HTTP_GET, "/api/v1/notifications", NULL, "", 200, OK_LIST("") },
	{ HTTP_GET, "/api/v1/features", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"api\":{" },
	{ HTTP_POST, "/api/v1/query_exemplars", FORM, "query=test&start=1699999940000&end=1699999950000", 200, OK_LIST("") },
	{ HTTP_POST, "/api/v1/read", PB, "", 501, BAD("unavailable", "remote read is not supported") },
	/* cardinality */
	{ HTTP_GET, "/api/v1/series/count", NULL, "", 200, "{\"status\":\"success\",\"data\":[5]}\n" },
	{ HTTP_GET, "/api/v1/series/count?extra_label=job=a", NULL, "", 200, "{\"status\":\"success\",\"data\":[3]}\n" },
	{ HTTP_GET, "/prometheus/acme/api/v1/series/count", NULL, "", 200, "{\"status\":\"success\",\"data\":[0]}\n" },
	{ HTTP_GET, "/api/v1/status/tsdb?match[]=up&focusLabel=job&topN=2", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"totalSeries\":3,\"totalLabelValuePairs\":9,"
	  "\"seriesCountByMetricName\":[{\"name\":\"up\",\"value\":3," },
	{ HTTP_GET, "/api/v1/status/tsdb?date=2001-01-01", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"totalSeries\":0,\"totalLabelValuePairs\":0,\"seriesCountByMetricName\":[],"
	  "\"seriesCountByLabelName\":[],\"seriesCountByFocusLabelValue\":[],\"seriesCountByLabelValuePair\":[],"
	  "\"labelValueCountByLabelName\":[]}}\n" },
	{ HTTP_GET, "/api/v1/status/tsdb?date=0", NULL, "", 200, "{\"status\":\"success\",\"data\":{\"totalSeries\":5," },
	{ HTTP_GET, "/api/v1/status/tsdb?date=2023-11", NULL, "", 400, BAD("bad_data", "argument date: \\\"2023-11\\\" is not a day") },
	{ HTTP_GET, "/api/v1/status/tsdb?topN=x", NULL, "", 400, BAD("bad_data", "argument topN: ") },
	{ HTTP_GET, "/api/v1/status/tsdb?match[]={", NULL, "", 400, BAD("bad_data", "argument match[]: ") },
	/* metadata */
	{ HTTP_POST, "/prometheus/acme/api/v1/import/prometheus", NULL,
	  "# HELP md_total Em.\n# TYPE md_total counter\nmd_total 1 1699999940000\n# TYPE bare gauge\n", 204, "" },
	{ HTTP_GET, "/prometheus/acme/api/v1/metadata", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"bare\":[{\"type\":\"gauge\",\"help\":\"\"}],"
	  "\"md_total\":[{\"type\":\"counter\",\"help\":\"Em.\"}]}}\n" },
	{ HTTP_GET, "/prometheus/acme/api/v1/metadata?limit=1", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"bare\":[{\"type\":\"gauge\",\"help\":\"\"}]}}\n" },
	{ HTTP_GET, "/prometheus/acme/api/v1/metadata?metric=md_total", NULL, "", 200,
	  "{\"status\":\"success\",\"data\":{\"md_total\":[{\"type\":\"counter\",\"help\":\"Em.\"}]}}\n" },
	{ HTTP_GET, "/api/v1/metadata", NULL, "", 200, "{\"status\":\"success\",\"data\":{}}\n" },
	{ HTTP_GET, "/api/v1/metadata?limit=x", NULL, "", 400, BAD("bad_data", "argument limit: ") },
	/* what is asked */
	{ HTTP_GET, "/api/v1/status/active_queries", NULL, "", 200, "{\"status\":\"ok\",\"data\":[]}\n" },
	{ HTTP_GET, "/api/v1/status/top_queries?topN=3&maxLifetime=1h", NULL, "", 200, "{\"topN\":\"3\",\"maxLifetime\":\"3600s\"," },
	{ HTTP_GET, "/api/v1/status/top_queries?maxLifetime=x", NULL, "", 400, BAD("bad_data", "argument maxLifetime: ") },
	{ HTTP_GET, "/prometheus/acme" Q "md_total", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"md_total\"}", "1")) },
	{ HTTP_GET, "/prometheus/acme/api/v1/status/metric_names_stats?match_pattern=md", NULL, "", 200,
	  "{\"status\":\"success\",\"statsCollectedSince\":1700000000,\"statsCollectedRecordsTotal\":1,\"records\":["
	  "{\"metricName\":\"md_total\",\"queryRequestsCount\":1,\"lastQueryRequestTimestamp\":1700000000}]}\n" },
	{ HTTP_GET, "/prometheus/acme/api/v1/status/metric_names_stats?le=0", NULL, "", 200,
	  "{\"status\":\"success\",\"statsCollectedSince\":1700000000,\"statsCollectedRecordsTotal\":1,\"records\":[]}\n" },
	/* refusals of the router */
	{ HTTP_GET, "/nothing/here", NULL, "", 404, BAD("not_found", "there is nothing at /nothing/here") },
	{ HTTP_GET, "/prometheus/nosuch" Q "1", NULL, "", 404, BAD("not_found", "there is no organisation \\\"nosuch\\\" here") },
	{ HTTP_OTHER, Q "1", NULL, "", 405, BAD("bad_data", "/api/v1/query takes GET, HEAD, POST only") },
	{ HTTP_GET, "/api/v1/write", NULL, "", 405, BAD("bad_data", "/api/v1/write takes POST only") },
	{ HTTP_POST, "/health", NULL, "", 405, BAD("bad_data", "/health takes GET, HEAD only") },
	/* text */
	{ HTTP_POST, "/api/v1/import/prometheus", NULL, "x 1 1699999940000\nbad\n{} 5\ny 2 1699999940000\n", 400,
	  BAD("bad_data", "2 lines could not be read (line 2: ") },
	{ HTTP_GET, Q "x %2B y", NULL, "", 200, OK_VECTOR("{\"metric\":{},\"value\":[" AT ",\"3\"]}") },
	{ HTTP_POST, "/api/v1/import/prometheus?extra_label=env=t&extra_label=job=z&timestamp=1699999940000", NULL,
	  "e1{job=\"a\"} 1\n", 204, "" },
	{ HTTP_GET, Q "e1", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"e1\",\"env\":\"t\",\"job\":\"z\"}", "1")) },
	{ HTTP_POST, "/api/v1/import/prometheus?extra_label=nokv", NULL, "e2 1\n", 400, BAD("bad_data", "argument extra_label: ") },
	{ HTTP_POST, "/api/v1/import/prometheus?timestamp=x", NULL, "e2 1\n", 400, BAD("bad_data", "argument timestamp: ") },
	{ HTTP_POST, "/api/v1/import/prometheus", NULL, "old 1 1000\nnew 1 1699999940000\n", 400,
	  BAD("bad_data", "1 of 2 samples were refused, the others are stored; the first: ") },
	{ HTTP_GET, Q "{__name__=~\"old|new\"}", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"new\"}", "1")) },
	{ HTTP_POST, "/api/v1/import/prometheus", NULL, "n NaN 1699999940000\n", 204, "" },
	{ HTTP_POST, "/api/v1/import/prometheus", NULL, "", 204, "" },
	/* organisations of text samples */
	{ HTTP_POST, "/api/v1/import/prometheus", NULL,
	  "o{__org__=\"acme\"} 5 1699999940000\no{__org__=\"dev\"} 6 1699999940000\no{__org__=\"\",k=\"1\"} 7 1699999940000\n", 204, "" },
	{ HTTP_GET, "/prometheus/acme" Q "o", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"o\"}", "5")) },
	{ HTTP_GET, Q "o", NULL, "", 200,
	  OK_VECTOR(VALUE("{\"__name__\":\"o\"}", "6") "," VALUE("{\"__name__\":\"o\",\"k\":\"1\"}", "7")) },
	{ HTTP_POST, "/api/v1/import/prometheus", NULL, "p{__org__=\"nosuch\"} 5 1699999940000\np 6 1699999940000\n", 400,
	  BAD("bad_data", "1 of 2 samples were refused, the others are stored; the first: organisation \\\"nosuch\\\" is not served") },
	{ HTTP_GET, Q "p", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"p\"}", "6")) },
	{ HTTP_POST, "/prometheus/acme/api/v1/import/prometheus", NULL,
	  "q{__org__=\"dev\"} 5 1699999940000\nq{__org__=\"acme\"} 6 1699999940000\n", 400,
	  BAD("bad_data", "1 of 2 samples were refused, the others are stored; the first: organisation \\\"dev\\\" is not served") },
	{ HTTP_GET, Q "q", NULL, "", 200, OK_VECTOR("") },
	{ HTTP_GET, "/prometheus/acme" Q "q", NULL, "", 200, OK_VECTOR(VALUE("{\"__name__\":\"q\"}", "6")) },
	{ HTTP_GET, "/prometheus/acme/api/v1/labels", NULL, "", 200, OK_LIST("\"__name__\"") },
	/* remote write: what is not one */
	{ HTTP_POST, "/api/v1/write", "text/plain", "x", 415,
	  BAD("bad_data", "remote write takes application/x-protobuf, not text/plain") },
	{ HTTP_POST, "/api/v1/write", PB ";proto=io.prometheus.write.v2.Request", "x", 400,
	  BAD("bad_data", "the body is not what its Content-Encoding says") },
	{ HTTP_POST, "/api/v1/write", PB ";proto=nobody.knows.Me", "x", 415,
	  BAD("bad_data", "remote write takes prometheus.WriteRequest and io.prometheus.write.v2.Request, not nobody.knows.Me") },
	{ HTTP_POST, "/api/v1/write", PB, "", 400, BAD("bad_data", "the body is not what its Content-Encoding says") },
	{ HTTP_POST, "/api/v1/write", PB, "\xff\xff\xff\xff\x0f", 413, BAD("bad_data", "the unpacked body is above") },
	{ HTTP_POST, "/api/v1/write", PB, "\x05\x10hello", 400, BAD("bad_data", "") },
};
/* clang-format on */

static void test_rows(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct response meta;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct call c = { .method = row->method,
			                .target = row->target,
			                .type = row->type,
			                .body = str_from(row->body) };
		int status = call(f->region, &c, &out, &meta);

		if (status != row->status ||
		    strncmp(buf_cstr(&out), row->want, strlen(row->want)) != 0)
			fail_msg("%s\n    want %d %s\n    got  %d %s", row->target, row->status,
			         row->want, status, buf_cstr(&out));
		if (status >= 400)
			assert_string_equal(REPLY_JSON, meta.content_type);
		assert_int_equal(status == 405, response_get_header(&meta, "Allow") != NULL);
	}
}

/* --- bodies that a string cannot hold --------------------------------------------------------- */

static int post(struct fixture *f, const char *target, const char *coding, const char *version,
                struct str body, struct buf *out)
{
	const struct call c = { .method = HTTP_POST,
		                .target = target,
		                .type = PB,
		                .coding = coding,
		                .rw_version = version,
		                .body = body };
	struct response meta;

	return call(f->region, &c, out, &meta);
}

static void test_remote_write(void **state)
{
	static const struct label good[] = { { STR_INIT("__name__"), STR_INIT("rw") },
		                             { STR_INIT("__org__"), STR_INIT("acme") },
		                             { STR_INIT("k"), STR_INIT("v") } };
	static const struct label nameless[] = { { STR_INIT("k"), STR_INIT("v") } };
	static const struct sample samples[] = { { 1699999940000, 42 }, { 1699999941000, 43 } };
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf message = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;
	const struct call query = { .target = "/prometheus/acme" Q "rw" };
	struct response meta;

	rw_encode_series(&message, good, 3, samples, 2);
	assert_int_equal(0, coding_pack(CODING_SNAPPY, buf_str(&message), &packed));
	assert_int_equal(204, post(f, "/api/v1/write", "snappy", "0.1.0", buf_str(&packed), &out));
	assert_int_equal(0, out.len);
	assert_int_equal(200, call(f->region, &query, &out, &meta));
	assert_non_null(strstr(buf_cstr(&out), VALUE("{\"__name__\":\"rw\",\"k\":\"v\"}", "42")));

	assert_int_equal(400, post(f, "/api/v1/write", "zstd", NULL, buf_str(&packed), &out));
	assert_int_equal(415, post(f, "/api/v1/write", "snappy", "2.0.0", buf_str(&packed), &out));
	assert_int_equal(415, post(f, "/api/v1/write", "gzip", NULL, buf_str(&packed), &out));
	assert_int_equal(0, coding_pack(CODING_ZSTD, buf_str(&message), &packed));
	assert_int_equal(204, post(f, "/api/v1/write", "zstd", NULL, buf_str(&packed), &out));
	assert_int_equal(0, coding_pack(CODING_SNAPPY, buf_str(&message), &packed));

	rw_encode_series(&message, nameless, 1, samples, 2);
	assert_int_equal(0, coding_pack(CODING_SNAPPY, buf_str(&message), &packed));
	assert_int_equal(400, post(f, "/api/v1/write", "snappy", NULL, buf_str(&packed), &out));
	assert_non_null(strstr(buf_cstr(&out), "2 of 4 samples were refused"));
	packed.len -= 3; /* torn */
	assert_int_equal(400, post(f, "/api/v1/write", "snappy", NULL, buf_str(&packed), &out));
}

#define PB2 PB ";proto=io.prometheus.write.v2.Request"

static void expect_written(const struct response *meta, const char *samples)
{
	static const char prefix[] = "X-Prometheus-Remote-Write-";
	static const char *const zero[] = { "Histograms", "Exemplars" };
	char name[64];

	(void)snprintf(name, sizeof(name), "%sSamples-Written", prefix);
	assert_string_equal(samples, response_get_header(meta, name));
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++) {
		(void)snprintf(name, sizeof(name), "%s%s-Written", prefix, zero[i]);
		assert_string_equal("0", response_get_header(meta, name));
	}
}

/* 2.0: symbols, metadata with the series, and an answer that counts. */
static void test_remote_write_2(void **state)
{
	static const struct label good[] = { { STR_INIT("__name__"), STR_INIT("rw2_total") },
		                             { STR_INIT("k"), STR_INIT("v") } };
	static const struct label other[] = { { STR_INIT("__name__"), STR_INIT("rw2_h_bucket") },
		                              { STR_INIT("__org__"), STR_INIT("acme") } };
	static const struct label nameless[] = { { STR_INIT("k"), STR_INIT("v") } };
	static const struct rw2_meta counter = { RW_TYPE_COUNTER, STR_INIT("C."), STR_INIT("s") };
	static const struct rw2_meta histogram = { RW_TYPE_HISTOGRAM, STR_INIT("H."), { 0 } };
	const struct sample samples[] = { { 1699999940000, 42 }, { 1699999941000, (double)NAN } };
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf message = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;
	struct rw2_writer w = RW2_WRITER_INIT;
	struct call c = { .method = HTTP_POST,
		          .target = "/api/v1/write",
		          .type = PB2,
		          .coding = "snappy",
		          .rw_version = "2.0.0" };
	struct response meta;

	rw2_add(&w, good, 2, samples, 2, &counter);
	rw2_add(&w, other, 2, samples, 1, &histogram);
	assert_int_equal(0, rw2_finish(&w, &message));
	assert_int_equal(0, coding_pack(CODING_SNAPPY, buf_str(&message), &packed));
	c.body = buf_str(&packed);
	assert_int_equal(204, call(f->region, &c, &out, &meta));
	expect_written(&meta, "3"); /* a plain NaN is nothing to store, and that is no failure */
	call_expect(f->region, Q "rw2_total", NULL, 200,
	            OK_VECTOR(VALUE("{\"__name__\":\"rw2_total\",\"k\":\"v\"}", "42")));
	call_expect(f->region, "/api/v1/metadata?metric=rw2_total", NULL, 200,
	            "{\"status\":\"success\",\"data\":{\"rw2_total\":[{\"type\":\"counter\","
	            "\"help\":\"C.\",\"unit\":\"s\"}]}}");
	call_expect(f->region, "/prometheus/acme/api/v1/metadata?metric=rw2_h", NULL, 200,
	            "{\"status\":\"success\",\"data\":{\"rw2_h\":[{\"type\":\"histogram\","
	            "\"help\":\"H.\"}]}}");

	rw2_add(&w, nameless, 1, samples, 2, NULL);
	buf_clear(&message);
	assert_int_equal(0, rw2_finish(&w, &message));
	assert_int_equal(0, coding_pack(CODING_ZSTD, buf_str(&message), &packed));
	c.body = buf_str(&packed);
	c.coding = "zstd";
	assert_int_equal(400, call(f->region, &c, &out, &meta));
	expect_written(&meta, "3");
	assert_non_null(strstr(buf_cstr(&out), "2 of 5 samples were refused"));

	/* A series with a native histogram (field 3) beside its sample. */
	static const char with_histogram[] = "\x22\x00\x22\x08__name__\x22\x05hmmmm"
					     "\x2a\x0c\x0a\x02\x01\x02\x12\x02\x10\x00"
					     "\x1a\x02\x08\x01";

	assert_int_equal(0, coding_pack(CODING_SNAPPY,
	                                (struct str){ with_histogram, sizeof(with_histogram) - 1 },
	                                &packed));
	c.body = buf_str(&packed);
	c.coding = NULL;
	assert_int_equal(400, call(f->region, &c, &out, &meta));
	expect_written(&meta, "0"); /* its sample is from 1970 */
	rw2_writer_done(&w);
}

static size_t gzip(const void *src, size_t bytes, unsigned char *dst, size_t cap)
{
	z_stream z = { 0 };

	assert_int_equal(Z_OK, deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY));
	z.next_in = (z_const Bytef *)(uintptr_t)src;
	z.avail_in = (uInt)bytes;
	z.next_out = dst;
	z.avail_out = (uInt)cap;
	assert_int_equal(Z_STREAM_END, deflate(&z, Z_FINISH));
	(void)deflateEnd(&z);
	return cap - z.avail_out;
}

static void test_gzip(void **state)
{
	static const char one[] = "gz{m=\"1\"} 1 1699999940000\n",
			  two[] = "gz{m=\"2\"} 2 1699999940000\n";
	struct fixture *f = *state;
	unsigned char packed[512];
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	const struct call query = { .target = Q "count(gz)" };
	const char *to = "/api/v1/import/prometheus";
	struct response meta;
	size_t n = gzip(one, sizeof(one) - 1, packed, sizeof(packed));

	n += gzip(two, sizeof(two) - 1, packed + n, sizeof(packed) - n); /* a second member */
	struct str body = { (const char *)packed, n };

	assert_int_equal(204, post(f, to, "gzip", NULL, body, &out));
	assert_int_equal(200, call(f->region, &query, &out, &meta));
	assert_non_null(strstr(buf_cstr(&out), "[" AT ",\"2\"]"));
	body.len -= 1;
	assert_int_equal(400, post(f, to, "gzip", NULL, body, &out));
	assert_int_equal(400, post(f, to, "gzip", NULL, STR("x 1\n"), &out));
	assert_int_equal(415, post(f, to, "br", NULL, body, &out));
}

/* A small body that unpacks to more than the limit is refused before it is all there. */
static void test_gzip_bomb(void **state)
{
	const size_t bytes = (size_t)33 << 20;
	struct fixture *f = *state;
	_cleanup_free_ char *zeros = calloc(1, bytes);
	_cleanup_free_ unsigned char *packed = malloc((size_t)1 << 20);
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	size_t n = gzip(zeros, bytes, packed, (size_t)1 << 20);

	assert_true(n < 100000);
	assert_int_equal(413, post(f, "/api/v1/import/prometheus", "gzip", NULL,
	                           (struct str){ (const char *)packed, n }, &out));
}

static void test_large_body(void **state)
{
	const size_t bytes = ((size_t)32 << 20) + 1;
	struct fixture *f = *state;
	_cleanup_free_ char *zeros = calloc(1, bytes);
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(413, post(f, "/api/v1/write", "snappy", NULL, (struct str){ zeros, bytes },
	                           &out));
}

/* More lines than one batch, and an answer that does not fit in one piece. */
static void test_big(void **state)
{
	enum {
		SERIES = 9000
	};
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf lines = BUF_INIT, out = BUF_INIT;
	const struct call count = { .target = Q "count(big)" };
	const struct call all = { .target = Q "big" };
	struct response meta;
	size_t n = 0;

	for (unsigned i = 0; i < SERIES; i++)
		buf_printf(&lines, "big{i=\"%u\"} %u 1699999940000\n", i, i);
	assert_int_equal(204,
	                 post(f, "/api/v1/import/prometheus", NULL, NULL, buf_str(&lines), &out));
	assert_int_equal(200, call(f->region, &count, &out, &meta));
	assert_non_null(strstr(buf_cstr(&out), "[" AT ",\"9000\"]"));
	assert_int_equal(200, call(f->region, &all, &out, &meta));
	assert_true(out.len > (size_t)400000);
	for (const char *p = buf_cstr(&out); (p = strstr(p, "\"metric\"")); p++)
		n++;
	assert_int_equal(SERIES, n);
	assert_string_equal("}}\n", buf_cstr(&out) + out.len - 3);
}

static void test_metrics(void **state)
{
	static const char *const want[] = {
		"periscope_region_build_info{version=\"",
		"periscope_region_http_requests_total{route=\"/api/v1/query\",status=\"200\"} ",
		"periscope_region_http_requests_total{route=\"unknown\",status=\"404\"} ",
		"periscope_region_http_request_duration_seconds_bucket"
		"{route=\"/api/v1/query\",le=\"+Inf\"} ",
		"periscope_region_store_samples_refused_total{reason=\"organisation\"} ",
		"periscope_region_store_series ",
		"periscope_region_store_samples_refused_total{reason=\"too_old\"} ",
	};
	struct fixture *f = *state;
	const struct call get = { .target = "/metrics" };
	const struct call query = { .target = Q "1" };
	const struct call none = { .target = "/none" };
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct response meta;

	(void)call(f->region, &query, &out, &meta);
	(void)call(f->region, &none, &out, &meta);
	assert_int_equal(200, call(f->region, &get, &out, &meta));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		if (!strstr(buf_cstr(&out), want[i]))
			fail_msg("no %s in\n%s", want[i], buf_cstr(&out));
	}
}

/* A query that waited too long for a worker is not run. */
static void test_waited(void **state)
{
	struct fixture *f = *state;
	struct request req = { .method = HTTP_GET,
		               .path = STR("/api/v1/query"),
		               .query = STR("query=1"),
		               .queued_mono_ns = clock_mono_ns() - 11000000000u };
	struct response resp = { 0 };

	assert_int_equal(0, route_begin(f->region, &req, &resp));
	assert_int_equal(429, route_serve(f->region, &req, &resp));
	assert_string_equal("2", response_get_header(&resp, "Retry-After"));
	request_done(&req);
	response_done(&resp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_remote_write),
		cmocka_unit_test(test_remote_write_2),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_gzip_bomb),
		cmocka_unit_test(test_large_body),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_waited),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
