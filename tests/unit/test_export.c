/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples on their way out: every format of an export, federation with types, times as Go does. */
#include "tests/unit/region_call.h"

#include "api/handlers/go_time.h"
#include "api/handlers/series_text.h"

#define T0 "1699999940000"

static const char text[] =
	"# HELP reqs_total Requests \\\\ \"all\".\n"
	"# TYPE reqs_total counter\n"
	"reqs_total{path=\"a\\\"b\\\\c\\nd\",job=\"j\",app=\"x\"} 5 " T0 "\n"
	"reqs_total{path=\"a\\\"b\\\\c\\nd\",job=\"j\",app=\"x\"} 7.5 1699999941000\n"
	"# TYPE lat histogram\n"
	"lat_bucket{le=\"+Inf\"} 3 " T0 "\n"
	"lat_sum 1.5 " T0 "\n"
	"{\"a.b\",\"sp ace\"=\"1\"} -0 " T0 "\n"
	"infs +Inf " T0 "\n"
	"infs -Inf 1699999941000\n"
	"# TYPE old gauge\n"
	"old 1 1699999000000\n";

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

#define EXPORT     "/api/v1/export?match[]="
#define CSV        "/api/v1/export/csv?match[]="
#define FEDERATE   "/federate?match[]="
#define BAD(start) "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"" start
#define REQS \
	"{\"__name__\":\"reqs_total\",\"app\":\"x\",\"job\":\"j\",\"path\":\"a\\\"b\\\\c\\nd\"}"
#define REQS_TEXT "reqs_total{job=\"j\",app=\"x\",path=\"a\\\"b\\\\c\\nd\"}"
#define TYPED     "# HELP reqs_total Requests \\\\ \"all\".\n# TYPE reqs_total counter\n"

struct row {
	const char *target, *accept, *user_agent;
	int status;
	const char *type; /* Content-Type of the answer; NULL = not looked at */
	const char *want; /* the whole answer of a 200, the start of any other */
};

/* clang-format off */
static const struct row rows[] = {
	{ EXPORT "reqs_total", NULL, NULL, 200, "application/stream+json; charset=utf-8",
	  "{\"metric\":" REQS ",\"values\":[5,7.5],\"timestamps\":[" T0 ",1699999941000]}\n" },
	{ EXPORT "reqs_total&max_rows_per_line=1", NULL, NULL, 200, NULL,
	  "{\"metric\":" REQS ",\"values\":[5],\"timestamps\":[" T0 "]}\n"
	  "{\"metric\":" REQS ",\"values\":[7.5],\"timestamps\":[1699999941000]}\n" },
	{ EXPORT "infs", NULL, NULL, 200, NULL,
	  "{\"metric\":{\"__name__\":\"infs\"},\"values\":[\"Infinity\",\"-Infinity\"],\"timestamps\":[" T0 ",1699999941000]}\n" },
	{ EXPORT "{__name__=\"a.b\"}", NULL, NULL, 200, NULL,
	  "{\"metric\":{\"__name__\":\"a.b\",\"sp ace\":\"1\"},\"values\":[-0],\"timestamps\":[" T0 "]}\n" },
	{ EXPORT "reqs_total&start=1699999941&end=1699999941", NULL, NULL, 200, NULL,
	  "{\"metric\":" REQS ",\"values\":[7.5],\"timestamps\":[1699999941000]}\n" },
	{ EXPORT "lat_sum&match[]=infs&start=1699999941", NULL, NULL, 200, NULL,
	  "{\"metric\":{\"__name__\":\"infs\"},\"values\":[\"-Infinity\"],\"timestamps\":[1699999941000]}\n" },
	{ EXPORT "nosuch", NULL, NULL, 200, NULL, "" },
	{ "/prometheus/acme" EXPORT "reqs_total", NULL, NULL, 200, NULL, "" },
	{ EXPORT "reqs_total&format=prometheus", NULL, NULL, 200, "text/plain; charset=utf-8",
	  REQS_TEXT " 5 " T0 "\n" REQS_TEXT " 7.5 1699999941000\n" },
	{ EXPORT "{__name__=\"a.b\"}&format=prometheus", NULL, NULL, 200, NULL, "a.b{sp ace=\"1\"} 0 " T0 "\n" },
	{ EXPORT "reqs_total&match[]=infs&format=promapi", NULL, NULL, 200, NULL,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
	  "{\"metric\":{\"__name__\":\"infs\"},\"values\":[[1699999940,\"+Inf\"],[1699999941,\"-Inf\"]]},"
	  "{\"metric\":" REQS ",\"values\":[[1699999940,\"5\"],[1699999941,\"7.5\"]]}]}}\n" },
	{ EXPORT "nosuch&format=promapi", NULL, NULL, 200, NULL,
	  "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}\n" },
	{ EXPORT "infs&format=xml", NULL, NULL, 400, NULL, BAD("argument format: \\\"xml\\\" is neither") },
	{ EXPORT "infs&max_rows_per_line=x", NULL, NULL, 400, NULL, BAD("argument max_rows_per_line: ") },
	{ EXPORT "infs&start=10&end=5", NULL, NULL, 400, NULL, BAD("the range ends before it starts") },
	{ "/api/v1/export", NULL, NULL, 400, NULL, BAD("argument match[] is missing") },
	/* CSV */
	{ CSV "reqs_total&format=__name__,app,nosuch,path,__value__,__timestamp__:unix_s", NULL, NULL, 200, NULL,
	  "__name__,app,nosuch,path,__value__,__timestamp__:unix_s\n"
	  "reqs_total,x,,\"a\\\"b\\\\c\\nd\",5,1699999940\n"
	  "reqs_total,x,,\"a\\\"b\\\\c\\nd\",7.5,1699999941\n" },
	{ CSV "lat_sum&format=__timestamp__:unix_ms,__timestamp__:unix_ns,__timestamp__:rfc3339,__timestamp__:custom:2006-01-02",
	  NULL, NULL, 200, NULL,
	  "__timestamp__:unix_ms,__timestamp__:unix_ns,__timestamp__:rfc3339,__timestamp__:custom:2006-01-02\n"
	  T0 "," T0 "000000,2023-11-14T22:12:20Z,2023-11-14\n" },
	{ CSV "lat_sum", NULL, NULL, 400, NULL, BAD("argument format") },
	{ CSV "lat_sum&format=__timestamp__:nosuch", NULL, NULL, 400, NULL, BAD("argument format") },
	/* federation */
	{ FEDERATE "reqs_total&match[]=lat_bucket&match[]=lat_sum", NULL, NULL, 200, "text/plain; charset=utf-8",
	  "# TYPE lat histogram\nlat_bucket{le=\"+Inf\"} 3 " T0 "\nlat_sum 1.5 " T0 "\n"
	  TYPED REQS_TEXT " 7.5 1699999941000\n" },
	{ FEDERATE "{__name__=\"a.b\"}", "text/plain;version=0.0.4", NULL, 200, NULL, "a.b{sp ace=\"1\"} 0 " T0 "\n" },
	{ FEDERATE "{__name__=\"a.b\"}", "text/plain;version=0.0.4", "Prometheus/2.42.0", 200,
	  "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "a_b{sp_ace=\"1\"} 0 " T0 "\n" },
	{ FEDERATE "{__name__=\"a.b\"}", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.2",
	  "Prometheus/3.5.0", 200, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
	  "{\"a.b\",\"sp ace\"=\"1\"} 0 " T0 "\n" },
	{ FEDERATE "reqs_total", "application/openmetrics-text; version=1.0.0", "curl/8", 200,
	  "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
	  "# HELP reqs Requests \\\\ \\\"all\\\".\n# TYPE reqs counter\n" REQS_TEXT " 7.5 1699999941.000\n# EOF\n" },
	{ FEDERATE "old", NULL, NULL, 200, NULL, "" },
	{ FEDERATE "old&max_lookback=1h", NULL, NULL, 200, NULL, "# TYPE old gauge\nold 1 1699999000000\n" },
	{ FEDERATE "old&end=1699999990", NULL, NULL, 200, NULL, "# TYPE old gauge\nold 1 1699999000000\n" },
	{ "/prometheus/acme" FEDERATE "lat_sum", NULL, NULL, 200, NULL, "" },
	{ FEDERATE "lat_sum&max_lookback=x", NULL, NULL, 400, NULL, BAD("argument max_lookback: ") },
	{ "/federate", NULL, NULL, 400, NULL, BAD("argument match[] is missing") },
};
/* clang-format on */

static void test_rows(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct response meta;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct call c = { .target = row->target,
			                .accept = row->accept,
			                .user_agent = row->user_agent };
		int status = call(f->region, &c, &out, &meta);
		size_t n = status < 400 ? out.len : strlen(row->want);

		if (status != row->status || strncmp(buf_cstr(&out), row->want, n) != 0 ||
		    (status < 400 && n != strlen(row->want)))
			fail_msg("%s\n    want %d %s\n    got  %d %s", row->target, row->status,
			         row->want, status, buf_cstr(&out));
		if (row->type)
			assert_string_equal(row->type, meta.content_type);
	}
}

/* --- the parts -------------------------------------------------------------------------------- */

static void test_go_time(void **state)
{
	static const struct {
		const char *layout;
		int64_t ts_ms;
		const char *want;
	} times[] = {
		{ GO_TIME_RFC3339, 1699999940120, "2023-11-14T22:12:20.12Z" },
		{ "2006-01-02T15:04:05.000Z07:00", 1699999940120, "2023-11-14T22:12:20.120Z" },
		{ "Monday, 02-Jan-06 15:04:05 MST", 1699999940000,
		  "Tuesday, 14-Nov-23 22:12:20 UTC" },
		{ "Mon Jan _2 15:04:05 2006", 0, "Thu Jan  1 00:00:00 1970" },
		{ "January 2, 3:04PM 3:4:5pm", 1699999940000, "November 14, 10:12PM 10:12:20pm" },
		{ "03:04AM", 0, "12:00AM" }, /* AM is no part of a layout, PM is */
		{ "03:04 PM -0700 -07:00", 0, "12:00 AM +0000 +00:00" },
		{ "1/2/06 002 __2", 0, "1/1/70 001   1" },
		{ "05,999999999|05.000000", 1, "00,001|00.001000" },
		{ "no parts", 0, "no parts" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;

		go_time_put(&out, str_from(times[i].layout), times[i].ts_ms);
		assert_string_equal(times[i].want, buf_cstr(&out));
	}
}

/* What names the job and the instance comes first, whatever the store's order. */
static void test_label_order(void **state)
{
	static const struct label labels[] = {
		{ STR_INIT("__name__"), STR_INIT("m") }, { STR_INIT("Job"), STR_INIT("J") },
		{ STR_INIT("a"), STR_INIT("1") },        { STR_INIT("instance"), STR_INIT("i") },
		{ STR_INIT("job"), STR_INIT("j") },      { STR_INIT("ns"), STR_INIT("n") },
		{ STR_INIT("zone"), STR_INIT("z") },
	};
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct label many[70];
	char names[70][8];

	(void)state;
	series_text_put(&out, NAMES_RAW, labels, ARRAY_SIZE(labels));
	assert_string_equal("m{ns=\"n\",Job=\"J\",job=\"j\",instance=\"i\",a=\"1\",zone=\"z\"}",
	                    buf_cstr(&out));
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "l%u", i);
		many[i] = (struct label){ str_from(names[i]), STR("v") };
	}
	buf_clear(&out);
	series_text_put(&out, NAMES_QUOTED, many, ARRAY_SIZE(many));
	assert_non_null(strstr(buf_cstr(&out), "\"l63\"=\"v\",\"l64\"=\"v\""));
	assert_non_null(strstr(buf_cstr(&out), "\"l69\"=\"v\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_go_time),
		cmocka_unit_test(test_label_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
