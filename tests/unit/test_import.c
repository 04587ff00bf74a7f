/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples on their way in, by every format of an import: what is stored of it, and what is said
 * about what is not. An export of what came in is what went out before.
 */
#include "tests/unit/region_call.h"

#include "userspace/wire/jsonline.h"

struct fixture {
	struct region *region;
	struct tempdir dir;
};

static int setup(void **state)
{
	static const char *const orgs[] = { "dev" };
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = tempdir_make();
	region_clock_stop();
	f->region = region_for_test(f->dir.path, orgs, ARRAY_SIZE(orgs), NULL);
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

#define JSON "/api/v1/import"
#define CSV  "/api/v1/import/csv?format="
#define T0   "1699999940000"
#define T1   "1699999941000"
#define BAD  "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\""
#define LINE(metric, values, times) \
	"{\"metric\":{" metric "},\"values\":[" values "],\"timestamps\":[" times "]}\n"

/* Each row has metrics of its own, which are asked for by @match afterwards. */
static const struct row {
	const char *target, *body;
	int status;
	const char *answer; /* its start */
	const char *match, *exported;
} rows[] = {
	/* clang-format off */
	{ JSON, LINE("\"__name__\":\"a1\",\"x\":\"y\"", "1,-0.5e1", T0 "," T1), 204, "",
	  "a1", LINE("\"__name__\":\"a1\",\"x\":\"y\"", "1,-5", T0 "," T1) },
	{ JSON, LINE("\"__name__\":\"a2\"", "\"Infinity\",\"-Infinity\",null,\"NaN\"", T0 "," T1 "," T0 "," T1), 204, "",
	  "a2", LINE("\"__name__\":\"a2\"", "\"Infinity\",\"-Infinity\"", T0 "," T1) },
	{ JSON, "\r\n{ \"more\" : [{\"a\":[null,\"]\"]}, 5] ,\"timestamps\":[" T0 "],\n\n"
	        "{ \"more\" : [{\"a\":[null,\"]\"]}, 5] ,\"timestamps\":[ " T0
	        " ] , \"values\" : [ 7 ],\"metric\":{\"__name__\":\"a3\"} } \r\n",
	  400, BAD "1 lines could not be read (line 2: ", "a3", LINE("\"__name__\":\"a3\"", "7", T0) },
	{ JSON, LINE("\"__name__\":\"a4\",\"x\":\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "1", T0), 204, "",
	  "a4", LINE("\"__name__\":\"a4\",\"x\":\"\xc3\xa9\xf0\x9f\x98\x80\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"", "1", T0) },
	{ JSON, LINE("\"__name__\":\"a5\"", "1,2", T0), 400,
	  BAD "1 lines could not be read (line 1: 2 values have 1 timestamps); 0 samples are stored, 0 refused", "a5", "" },
	{ JSON "?extra_label=x=z&extra_label=n=1", LINE("\"__name__\":\"a6\",\"x\":\"y\"", "1", T0), 204, "",
	  "a6", LINE("\"__name__\":\"a6\",\"n\":\"1\",\"x\":\"z\"", "1", T0) },
	{ JSON "?extra_label=x", LINE("\"__name__\":\"a7\"", "1", T0), 400,
	  BAD "argument extra_label: \\\"x\\\" is not NAME=VALUE", "a7", "" },
	{ JSON, LINE("\"x\":\"y\"", "1", T0) LINE("\"__name__\":\"a8\"", "1", T0), 400,
	  BAD "1 of 2 samples were refused, the others are stored; the first: ",
	  "a8", LINE("\"__name__\":\"a8\"", "1", T0) },
	{ JSON, "", 204, "", "a9", "" },
	/* CSV */
	{ CSV "1:time:unix_s,2:metric:b1,3:label:l", "1699999940,5,x\r\n\n1699999941,6,y", 204, "",
	  "b1", LINE("\"__name__\":\"b1\",\"l\":\"x\"", "5", T0) LINE("\"__name__\":\"b1\",\"l\":\"y\"", "6", T1) },
	{ CSV "3:time:unix_ms,1:metric:b2,2:metric:b3", "5,6," T0 "\n,7," T1 "\n", 204, "",
	  "{__name__=~\"b2|b3\"}", LINE("\"__name__\":\"b2\"", "5", T0) LINE("\"__name__\":\"b3\"", "6,7", T0 "," T1) },
	{ CSV "1:label:l,2:metric:b4,3:time:unix_ns", "\"a,\"\"b\"\"\",1e3," T0 "000000,and,more\n", 204, "",
	  "b4", LINE("\"__name__\":\"b4\",\"l\":\"a,\\\"b\\\"\"", "1000", T0) },
	{ CSV "1:metric:b5,4:time:rfc3339", "1,,,2023-11-14T22:12:20Z\n2,,,2023-11-14T23:12:21+01:00\n", 204, "",
	  "b5", LINE("\"__name__\":\"b5\"", "1,2", T0 "," T1) },
	{ CSV "1:metric:b6", "3\n", 204, "", "b6", LINE("\"__name__\":\"b6\"", "3", "1700000000000") }, /* now */
	{ CSV "1:metric:b7,2:time:unix_s", "value,time\n1,1699999940\n2,x\n\"3,1\n,1\n", 400,
	  BAD "4 lines could not be read (line 1: \\\"value\\\" is not a value of b7; line 3: \\\"x\\\" is not a time in unix_s;"
	  " line 4: a quoted cell does not end; line 5: there is no value); 1 samples are stored",
	  "b7", LINE("\"__name__\":\"b7\"", "1", T0) },
	{ CSV, "1\n", 400, BAD "argument format is missing", NULL, NULL },
	{ CSV "1:label:a", "1\n", 400, BAD "argument format names no column of values", NULL, NULL },
	{ CSV "1:metric:a,1:metric:b", "1\n", 400, BAD "argument format: \\\"1:metric:b\\\": the column is named twice", NULL, NULL },
	{ CSV "0:metric:a", "1\n", 400, BAD "argument format: \\\"0:metric:a\\\": a position is", NULL, NULL },
	{ CSV "1:metric:a,2:time:days", "1\n", 400, BAD "argument format: \\\"2:time:days\\\": a time is", NULL, NULL },
	{ CSV "1:metric:a,2:time:unix_s,3:time:unix_s", "1\n", 400, BAD "argument format names more than one time", NULL, NULL },
	{ CSV "1:value:a", "1\n", 400, BAD "argument format: \\\"1:value:a\\\": a kind is", NULL, NULL },
	{ CSV "1:metric", "1\n", 400, BAD "argument format: \\\"1:metric\\\": each entry is", NULL, NULL },
	/* blocks */
	{ "/api/v1/import/native", "", 400,
	  BAD "1 blocks could not be read (block 0: the stream does not begin with two times)", NULL, NULL },
	{ "/api/v1/import/native", "0123456789abcdefxyz", 400, BAD "1 blocks could not be read (block 1: block 1 is cut off", NULL, NULL },
	/* clang-format on */
};

static void export(struct region *region, const char *path, const char *match, struct buf *out)
{
	_cleanup_(buf_done) struct buf target = BUF_INIT;

	buf_printf(&target, "%s?match[]=%s", path, match);
	const struct call c = { .target = buf_cstr(&target) };

	assert_int_equal(200, call(region, &c, out, NULL));
}

static void test_rows(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct call c = { .method = HTTP_POST,
			                .target = row->target,
			                .body = str_from(row->body) };
		int status = call(f->region, &c, &out, NULL);

		if (status != row->status ||
		    strncmp(buf_cstr(&out), row->answer, strlen(row->answer)) != 0)
			fail_msg("row %zu: want %d %s\n    got %d %s", i, row->status, row->answer,
			         status, buf_cstr(&out));
		if (!row->match)
			continue;
		export(f->region, "/api/v1/export", row->match, &out);
		assert_string_equal(row->exported, buf_cstr(&out));
	}
}

/* What was exported comes in again as it was; here under a label more, to be told apart. */
static void test_there_and_back(void **state)
{
	static const char *const ways[][2] = {
		{ "/api/v1/export", "/api/v1/import?extra_label=way=0" },
		{ "/api/v1/export/native", "/api/v1/import/native?extra_label=way=1" },
	};
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf text = BUF_INIT, was = BUF_INIT, out = BUF_INIT,
				       is = BUF_INIT;
	struct rng rng = unit_rng();

	for (int i = 0; i < 20000; i++) {
		buf_printf(&text, "trip{kind=\"counter\",way=\"\"} %d %lld\n", i * 3,
		           1699900000000ll + i * 1000 + (int)rng_below(&rng, 3));
		buf_printf(&text, "trip{kind=\"gauge\"} %.17g %lld\n",
		           ldexp((double)rng_u64(&rng), (int)rng_below(&rng, 128) - 128),
		           1699900000000ll + i * 2000);
	}
	buf_printf(&text, "trip{kind=\"\x01\x02 odd\"} +Inf %s\n", T0);
	call_import(f->region, "/api/v1/import/prometheus", NULL, buf_cstr(&text));
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_(buf_done) struct buf match = BUF_INIT, label = BUF_INIT;

		export(f->region, ways[i][0], "trip{way=\"\"}", &out);
		const struct call in = { .method = HTTP_POST,
			                 .target = ways[i][1],
			                 .body = buf_str(&out) };

		assert_int_equal(204, call(f->region, &in, &is, NULL));
		export(f->region, "/api/v1/export", "trip{way=\"\"}", &was);
		buf_printf(&match, "trip{way=\"%zu\"}", i);
		buf_printf(&label, ",\"way\":\"%zu\"", i);
		export(f->region, "/api/v1/export", buf_cstr(&match), &is);
		for (char *p; (p = strstr((char *)(uintptr_t)buf_cstr(&is), buf_cstr(&label)));) {
			memmove(p, p + label.len, strlen(p + label.len) + 1);
			is.len -= label.len;
		}
		assert_string_equal(buf_cstr(&was), buf_cstr(&is));
	}
}

/* --- JSON that is none ------------------------------------------------------------------------ */

static void test_bad_json(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"[]",
		"{}",
		"{} ",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1]",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1]}x",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1],}",
		"{\"metric\":{\"a\":\"b\",},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":1},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1,],\"timestamps\":[1,2]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[\"1\"],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[true],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1.5]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[null]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[],\"timestamps\":[]}",
		"{\"metric\":{},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":[],\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":1,\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1],\"values\":[2]}",
		"{\"metric\":{\"a\":\"\\x\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"\\u12\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"\\ud800\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"\\ud800\\u0041\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"\\udc00\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"\n\"},\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1],\"x\":[1}}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1],\"x\":}",
		"{\"x\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],\"metric\":{\"a\":\"b\"},"
		"\"values\":[1],\"timestamps\":[1]}",
		"{\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1],\"x\":\"\\\"}",
	};
	struct jsonline l = { .n_labels = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		size_t n = strlen(lines[i]);
		char *copy = unit_memdup(lines[i], n);
		struct err e = ERR_INIT;

		unit_note("%s", lines[i]);
		assert_int_equal(-EBADMSG, jsonline_parse(&l, (struct str){ copy, n }, &e));
		assert_true(e.msg[0] != '\0' && e.pos <= (int)n);
		free(copy);
	}
	jsonline_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_bad_json),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
