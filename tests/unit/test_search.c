/* SPDX-License-Identifier: BSD-2-Clause */
/* What helps somebody who writes a query: search by what is typed, trees, tokens, completion. */
#include "tests/unit/region_call.h"

#include "api/fuzzy.h"
#include "api/mql/mql.h"

struct fixture {
	struct region *region;
	struct tempdir dir;
};

static const char text[] =
	"# HELP fly_instance_cpu CPU \"time\".\n# TYPE fly_instance_cpu counter\n"
	"fly_instance_cpu{app=\"web\",mode=\"idle\"} 1 1699999940000\n"
	"fly_instance_cpu{app=\"Worker\",mode=\"user\"} 1 1699999940000\n"
	"fly_instance_up{app=\"web\"} 1 1699999940000\n"
	"# TYPE lat histogram\nlat_bucket{le=\"+Inf\"} 1 1699999940000\n"
	"# TYPE mode gauge\nUp 1 1699999940000\n";

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

/* --- requests --------------------------------------------------------------------------------- */

#define SEARCH "/api/v1/search/"
#define BAD    "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\""
#define END    "{\"status\":\"success\",\"has_more\":false}\n"
#define MORE   "{\"status\":\"success\",\"has_more\":true}\n"
#define N(x)   "{\"name\":\"" x "\"}"
#define R(x)   "{\"results\":[" x "]}\n"
#define PARSE  "/api/v1/parse_query?query="
#define SELECT(name)                                                \
	"{\"type\":\"vectorSelector\",\"name\":\"" name             \
	"\",\"matchers\":[{\"name\":\"__name__\",\"value\":\"" name \
	"\",\"type\":\"=\"}],\"offset\":0,\"timestamp\":null,\"startOrEnd\":null}"

static const struct {
	const char *target;
	int status;
	const char *want; /* the whole of a 200, the start of any other */
} rows[] = {
	/* clang-format off */
	{ SEARCH "metric_names", 200, R(N("Up") "," N("fly_instance_cpu") "," N("fly_instance_up") "," N("lat_bucket")) END },
	{ SEARCH "metric_names?search[]=up", 200, R(N("fly_instance_up")) END },
	{ SEARCH "metric_names?search[]=up&case_sensitive=false", 200, R(N("Up") "," N("fly_instance_up")) END },
	{ SEARCH "metric_names?search[]=up&search[]=lat", 200, R(N("fly_instance_up") "," N("lat_bucket")) END },
	{ SEARCH "metric_names?sort_dir=dsc&limit=2&batch_size=1", 200, R(N("lat_bucket")) R(N("fly_instance_up")) MORE },
	{ SEARCH "metric_names?search[]=fcpu", 200, END },
	{ SEARCH "metric_names?search[]=fcpu&fuzz_alg=subsequence", 200, R(N("fly_instance_cpu")) END },
	{ SEARCH "metric_names?search[]=fly_instanec_up&fuzz_alg=jarowinkler&fuzz_threshold=90&sort_by=score", 200,
	  R(N("fly_instance_up") "," N("fly_instance_cpu")) END },
	{ SEARCH "metric_names?search[]=Up&include_score=true&include_metadata=true", 200, R("{\"name\":\"Up\",\"score\":1}") END },
	{ SEARCH "metric_names?search[]=cpu&include_metadata=1", 200,
	  R("{\"name\":\"fly_instance_cpu\",\"type\":\"counter\",\"help\":\"CPU \\\"time\\\".\",\"unit\":\"\"}") END },
	{ SEARCH "metric_names?search[]=lat&include_metadata=1", 200,
	  R("{\"name\":\"lat_bucket\",\"type\":\"histogram\",\"help\":\"\",\"unit\":\"\"}") END },
	{ SEARCH "metric_names?match[]={mode=\"user\"}", 200, R(N("fly_instance_cpu")) END },
	{ SEARCH "label_names?search[]=mode&include_metadata=1", 200, R(N("mode")) END },
	{ SEARCH "label_names?search[]=m", 200, R(N("__name__") "," N("mode")) END },
	{ SEARCH "label_values?label=app&match[]=fly_instance_cpu&search[]=w&case_sensitive=false", 200,
	  R("{\"value\":\"Worker\"},{\"value\":\"web\"}") END },
	{ "/prometheus/acme" SEARCH "metric_names", 200, END },
	{ SEARCH "label_values", 400, BAD "argument label is missing" },
	{ SEARCH "metric_names?fuzz_alg=soundex", 400, BAD "argument fuzz_alg: " },
	{ SEARCH "metric_names?fuzz_threshold=101", 400, BAD "argument fuzz_threshold" },
	{ SEARCH "metric_names?sort_by=score&sort_dir=asc", 400, BAD "argument sort_dir" },
	{ SEARCH "metric_names?limit=0", 400, BAD "limit is a number" },
	{ SEARCH "metric_names?limit=10001", 400, BAD "limit is a number" },
	{ SEARCH "metric_names?match[]={", 400, BAD "argument match[]: " },
	{ "/api/v1/format_query?query=SUM(a)BY(b)", 200, "{\"status\":\"success\",\"data\":\"sum(a) by(b)\"}\n" },
	{ "/api/v1/format_query?query=sum(", 400, BAD "expected an expression, found the end (at byte 4)" },
	{ PARSE "-a", 200,
	  "{\"status\":\"success\",\"data\":{\"type\":\"binaryExpr\",\"op\":\"-\",\"lhs\":{\"type\":\"numberLiteral\",\"val\":\"0\"},"
	  "\"rhs\":" SELECT("a") ",\"matching\":{\"card\":\"one-to-one\",\"labels\":[],\"on\":false,\"include\":[]},"
	  "\"bool\":false,\"keepMetricNames\":false},\"tokens\":[[\"operator\",0,1],[\"name\",1,2]],"
	  "\"completion\":{\"expects\":[\"metric\",\"function\"],\"from\":1,\"to\":2,\"prefix\":\"a\",\"label\":\"\",\"metric\":\"\"}}\n" },
	{ PARSE "topk(2,a)&pos=5", 200,
	  "{\"status\":\"success\",\"data\":{\"type\":\"aggregation\",\"op\":\"topk\",\"expr\":" SELECT("a") ","
	  "\"param\":{\"type\":\"numberLiteral\",\"val\":\"2\"},\"grouping\":[],\"without\":false},"
	  "\"tokens\":[[\"aggregate\",0,4],[\"bracket\",4,5],[\"number\",5,6],[\"bracket\",6,7],[\"name\",7,8],[\"bracket\",8,9]],"
	  "\"completion\":{\"expects\":[\"metric\",\"function\"],\"from\":5,\"to\":5,\"prefix\":\"\",\"label\":\"\",\"metric\":\"\"}}\n" },
	{ PARSE "rate(a[5m]", 400, BAD "expected \\\",\\\" or \\\")\\\", found the end (at byte 10)\",\"position\":10,"
	  "\"tokens\":[[\"function\",0,4]," },
	{ PARSE "a&pos=-1", 400, BAD "argument pos is not" },
	{ PARSE "a&pos=x", 400, BAD "argument pos is not" },
	/* clang-format on */
};

static void test_rows(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct call c = { .target = rows[i].target };
		int status = call(f->region, &c, &out, NULL);
		bool whole = status == 200;

		if (status != rows[i].status ||
		    (whole ? strcmp(buf_cstr(&out), rows[i].want)
		           : strncmp(buf_cstr(&out), rows[i].want, strlen(rows[i].want))) != 0)
			fail_msg("%s\n    want %d %s\n    got  %d %s", rows[i].target,
			         rows[i].status, rows[i].want, status, buf_cstr(&out));
	}
}

/* --- what may stand at the cursor: | in the text ---------------------------------------------- */

#define START (MQL_EXPECTS_METRIC | MQL_EXPECTS_FUNCTION)

static void test_completion(void **state)
{
	static const struct {
		const char *text;
		unsigned expects;
		const char *prefix, *label, *metric;
	} places[] = {
		{ "|", START, "", "", "" },
		{ "fly|", START, "fly", "", "" },
		{ "sum(|", START, "", "", "" },
		{ "sum(a) + |", START, "", "", "" },
		{ "a and |", START, "", "", "" },
		{ "a |", MQL_EXPECTS_OPERATOR, "", "", "" },
		{ "sum(a) b|", MQL_EXPECTS_OPERATOR, "b", "", "" },
		{ "a[|", MQL_EXPECTS_DURATION, "", "", "" },
		{ "a[5|m]", MQL_EXPECTS_DURATION, "5", "", "" },
		{ "a offset |", MQL_EXPECTS_DURATION, "", "", "" },
		{ "a{|", MQL_EXPECTS_LABEL, "", "", "a" },
		{ "a{b=\"c\",d|", MQL_EXPECTS_LABEL, "d", "", "a" },
		{ "{b=\"c\" or |", MQL_EXPECTS_LABEL, "", "", "" },
		{ "a{b|", MQL_EXPECTS_LABEL, "b", "", "a" },
		{ "a{b |", MQL_EXPECTS_MATCHER, "", "", "a" },
		{ "a{b=|", MQL_EXPECTS_VALUE, "", "b", "a" },
		{ "a{b=~\"x y|", MQL_EXPECTS_VALUE, "x y", "b", "a" },
		{ "a{b!~'|'", MQL_EXPECTS_VALUE, "", "b", "a" },
		{ "a{b=\"c\"|", MQL_EXPECTS_OPERATOR, "", "", "a" },
		{ "sum by (|", MQL_EXPECTS_LABEL, "", "", "" },
		{ "sum(a) without (b, c|)", MQL_EXPECTS_LABEL, "c", "", "" },
		{ "a * on(|", MQL_EXPECTS_LABEL, "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *bar = strchr(places[i].text, '|');
		size_t at = (size_t)(bar - places[i].text);
		char query[64];
		struct mql_context c;

		(void)snprintf(query, sizeof(query), "%.*s%s", (int)at, places[i].text, bar + 1);
		unit_note("%s", places[i].text);
		assert_int_equal(0, mql_complete(str_from(query), at, &c));
		assert_int_equal(places[i].expects, c.expects);
		assert_true(str_eqc(c.prefix, places[i].prefix));
		assert_true(str_eqc(c.label, places[i].label));
		assert_true(str_eqc(c.metric, places[i].metric));
		assert_int_equal(at, c.to);
		assert_true(c.from <= c.to);
	}
}

/* --- scores ----------------------------------------------------------------------------------- */

static void test_scores(void **state)
{
	static const struct fuzzy not = { FUZZY_NOT, false, 0 };
	static const struct fuzzy fold = { FUZZY_NOT, true, 0 };
	static const struct fuzzy sub = { FUZZY_SUBSEQUENCE, false, 0 };
	static const struct fuzzy jaro = { FUZZY_JARO_WINKLER, false, 0.5 };
	static const struct {
		const struct fuzzy *f;
		const char *term, *name;
		double score;
	} pairs[] = {
		{ &not, "up", "up", 1 },
		{ &not, "up", "update", 0.95 },
		{ &not, "up", "is_up_now", 0.9 },
		{ &not, "up", "u_p", 0 },
		{ &not, "Up", "up", 0 },
		{ &fold, "Up", "uP", 1 },
		{ &not, "", "x", 0.95 },
		{ &not, "xx", "x", 0 },
		{ &sub, "ac", "a_b_c", 0.9 * 2 / 5 },
		{ &sub, "ca", "a_b_c", 0 },
		/* MARTHA and MARHTA: 0.944 by Jaro, 0.961 with Winkler's prefix. */
		{ &jaro, "MARTHA", "MARHTA",
		  0.9 * (0.944444444444444 + 3 * 0.1 * 0.055555555555556) },
		{ &jaro, "DIXON", "DICKSONX",
		  0.9 * (0.766666666666667 + 2 * 0.1 * 0.233333333333333) },
		{ &jaro, "abc", "xyz", 0 },
		{ &jaro, "abcd", "xyzd", 0.9 * 0.5 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		double score =
			fuzzy_score(pairs[i].f, str_from(pairs[i].term), str_from(pairs[i].name));

		unit_note("%s %s %f", pairs[i].term, pairs[i].name, score);
		assert_true(score - pairs[i].score < 1e-9 && pairs[i].score - score < 1e-9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_scores),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
