/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One scrape after another of a made-up endpoint: what of it is kept, what is told about it, which
 * series end. The batch of each is compared as text; "s" stands for a stale mark.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/scrape/reading.h"

DEFINE_CLEANUP(struct batch *, batch_free);

#define TS_MS  1700000000000
#define NOW_MS (TS_MS + 3)

static struct scrape_conf conf;
static struct series_set series;
static struct reading_of of;
static int64_t ts_ms;

static int setup(void **state)
{
	(void)state;
	conf = (struct scrape_conf){ .past_ms = 3600000,
		                     .future_ms = 60000,
		                     .samples_max = 100,
		                     .labels_max = 4,
		                     .label_name_max = 20,
		                     .label_value_max = 10,
		                     .body_bytes_max = 4000 };
	series = SERIES_SET_INIT;
	of = (struct reading_of){
		.owner = { .id = 7,
		           .org = "acme",
		           .app = "web",
		           .host = "00ff",
		           .instance = "i1",
		           .region = "" },
		.port = "80",
		.path = "/metrics",
		.samples_max = 100,
	};
	ts_ms = TS_MS;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	series_set_done(&series);
	return 0;
}

struct view {
	struct buf app;   /* the app's series */
	struct buf about; /* of the scrape: what is not 0, no duration, no limit, no size */
};

static void view_done(struct view *v)
{
	buf_done(&v->app);
	buf_done(&v->about);
}

static bool is_dull(enum series_id id, const struct sample *s)
{
	return id == SCRAPE_DURATION_SECONDS || id == SCRAPE_SAMPLES_LIMIT ||
	       id == SCRAPE_BODY_SIZE_BYTES || (s->value == 0 && id != SCRAPE_UP);
}

static int on_sample(void *ctx, enum series_id id, const struct label *labels, uint32_t n,
                     const struct sample *s)
{
	struct view *v = ctx;
	struct buf *out = id == SERIES_N ? &v->app : &v->about;

	if (id != SERIES_N && is_dull(id, s))
		return 0;
	buf_put_str(out, labels[0].value);
	for (uint32_t i = 1; i < n; i++) {
		if (str_eqc(labels[i].name, "app") || str_eqc(labels[i].name, "host") ||
		    str_eqc(labels[i].name, "path") || str_eqc(labels[i].name, "port"))
			continue;
		if (str_eqc(labels[i].name, "instance")) {
			assert_str_equal(STR("i1"), labels[i].value);
			continue;
		}
		buf_printf(out, " %.*s=%.*s", STR_FMT(labels[i].name), STR_FMT(labels[i].value));
	}
	buf_putc(out, ' ');
	if (is_stale_mark(s->value))
		buf_putc(out, 's');
	else
		buf_put_double(out, s->value);
	if (s->ts_ms != ts_ms)
		buf_printf(out, "@%lld", (long long)(s->ts_ms - TS_MS));
	buf_putc(out, '\n');
	return out->err;
}

static void look(const struct batch *b, struct view *ret)
{
	assert_non_null(b);
	assert_int_equal(0, batch_n_refused(b));
	assert_int_equal(0, batch_each(b, false, on_sample, ret));
}

/* A scrape with the answer @text; *@ret_r may be NULL. */
static struct batch *scrape_as(const char *type, int status, const char *text,
                               struct reading *ret_r)
{
	struct reading r;
	struct batch *b;
	int res;

	assert_int_equal(0, reading_begin(&r, &of, &conf, &series, ts_ms, NOW_MS));
	res = reading_head(&r, status, type);
	for (size_t at = 0, len = strlen(text); res == 0 && at < len; at += 5) {
		struct str piece = unit_strdup((struct str){ text + at, MIN(len - at, (size_t)5) });

		res = reading_data(&r, piece);
		free((void *)(uintptr_t)piece.p);
	}
	b = reading_finish(&r, 0.25);
	of.last = r.refusal;
	if (ret_r)
		*ret_r = r;
	return b;
}

static void expect(const char *text, const char *app, const char *about)
{
	__attribute__((cleanup(view_done))) struct view v = { .app = BUF_INIT };
	_cleanup_(batch_freep) struct batch *b = scrape_as("text/plain", 200, text, NULL);

	look(b, &v);
	assert_string_equal(app, buf_cstr(&v.app));
	assert_string_equal(about, buf_cstr(&v.about));
	ts_ms += 15000;
}

static void test_series_come_and_go(void **state)
{
	(void)state;
	expect("a 1\nb{l=\"x\"} 2\n", "a 1\nb l=x 2\n",
	       "up 1\nscrape_samples_scraped 2\nscrape_series_added 2\n");
	expect("a 3\nb{l=\"x\"} 4\n", "a 3\nb l=x 4\n", "up 1\nscrape_samples_scraped 2\n");
	expect("a 5\nb{l=\"y\"} 6\n", "a 5\nb l=y 6\nb l=x s\n",
	       "up 1\nscrape_samples_scraped 2\nscrape_series_added 1\n");
	expect("", "b l=y s\na s\n", "up 1\n");
	expect("", "", "up 1\n");
	expect("a 7\n", "a 7\n", "up 1\nscrape_samples_scraped 1\nscrape_series_added 1\n");
}

/* Whose a series is, is not the app's to say. */
static void test_labels_of_the_owner(void **state)
{
	(void)state;
	expect("a{instance=\"mine\",app=\"theirs\",__org__=\"victim\",region=\"fra\"} 1\n",
	       "a region=fra 1\n", "up 1\nscrape_samples_scraped 1\nscrape_series_added 1\n");
	/* Two that differ in such a label only are one. */
	expect("a{instance=\"x\",k=\"1\"} 1\na{k=\"1\",instance=\"y\"} 2\n",
	       "a k=1 1\na region=fra s\n",
	       "up 1\nscrape_samples_scraped 2\nscrape_series_added 1\nscrape_lines_refused 1\n");
}

static void test_bad_lines_cost_themselves(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		/* clang-format off */
		{ "x{", "expected a label name" },
		{ "x 1e", "the value is not a number" },
		{ "x{l=\"1\",l=\"2\"} 1", "a label stands twice" },
		{ "good 2", "the series came before in this scrape" },
		{ "up 1", "the name belongs to the samples about the scrape" },
		{ "scrape_refused{reason=\"x\"} 1", "the name belongs to the samples about the scrape" },
		{ "x{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"} 1", "more labels than scrape.labels" },
		{ "x{l=\"01234567890\"} 1", "a value longer than scrape.label_value" },
		{ "x{l01234567890123456789=\"1\"} 1", "a name longer than scrape.label_name" },
		{ "x01234567890123456789 1", "a name longer than scrape.label_name" },
		{ "x{l=\"\xff\"} 1", "not UTF-8" },
		{ "{\"x\xc0\"} 1", "not UTF-8" },
		{ "x 1 1699996399999", "the timestamp is older than scrape.past" },
		{ "x 1 1700000060004", "the timestamp is further ahead than scrape.future" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__attribute__((cleanup(view_done))) struct view v = { .app = BUF_INIT };
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct reading r;

		unit_note("%s", rows[i].line);
		buf_printf(&text, "good 1\n\n%s\nbetter 2\n", rows[i].line);
		_cleanup_(batch_freep) struct batch *b =
			scrape_as("text/plain; version=0.0.4", 200, buf_cstr(&text), &r);

		look(b, &v);
		assert_string_equal("good 1\nbetter 2\n", buf_cstr(&v.app));
		assert_int_equal(1, r.n_bad);
		assert_int_equal(3, r.first_bad_line);
		if (!strstr(r.first_bad, rows[i].why))
			fail_msg("%s", r.first_bad);
	}
}

/* Series with a time of their own do not end by being absent. */
static void test_timestamps(void **state)
{
	(void)state;
	expect("a 1 1700000000002\na 2 1699999999000\nb 3\n", "a 1@2\na 2@-1000\nb 3\n",
	       "up 1\nscrape_samples_scraped 3\nscrape_series_added 1\n");
	expect("", "b s\n", "up 1\n");
}

static void expect_refused(const char *type, int status, const char *text, const char *app,
                           const char *about, const char *why)
{
	__attribute__((cleanup(view_done))) struct view v = { .app = BUF_INIT };
	struct reading r;
	_cleanup_(batch_freep) struct batch *b = scrape_as(type, status, text, &r);

	look(b, &v);
	assert_string_equal(app, buf_cstr(&v.app));
	assert_string_equal(about, buf_cstr(&v.about));
	assert_string_equal(why, r.why);
	ts_ms += 15000;
}

/* Nothing of a refused scrape is kept; what was there before ends, and what is new never began. */
static void test_refused_scrapes(void **state)
{
	_cleanup_(buf_done) struct buf large = BUF_INIT, many = BUF_INIT;

	(void)state;
	for (int i = 0; i < 101; i++)
		buf_printf(&many, "m%d 1\n", i);
	while (large.len <= 4000)
		buf_puts(&large, "# a comment that is of no use to anybody\n");
	expect("a 1\nb 2\n", "a 1\nb 2\n",
	       "up 1\nscrape_samples_scraped 2\nscrape_series_added 2\n");
	expect_refused(
		"text/plain", 200, buf_cstr(&many), "a s\nb s\n",
		"up 0\nscrape_samples_scraped 101\nscrape_refused reason=too_many_samples 1\n",
		"more samples than scrape.samples");
	expect_refused(
		"text/plain", 200, buf_cstr(&many), "",
		"up 0\nscrape_samples_scraped 101\nscrape_refused reason=too_many_samples 1\n",
		"more samples than scrape.samples");
	expect_refused("text/plain", 200, buf_cstr(&large), "",
	               "up 0\nscrape_refused reason=too_large 1\n"
	               "scrape_refused reason=too_many_samples s\n",
	               "larger than scrape.body_size");
	expect_refused("text/html", 404, "<h1>", "",
	               "up 0\nscrape_refused reason=status 1\nscrape_refused reason=too_large s\n",
	               "HTTP status 404");
	expect_refused("application/vnd.google.protobuf", 200, "x", "",
	               "up 0\nscrape_refused reason=format 1\nscrape_refused reason=status s\n",
	               "neither text nor OpenMetrics");
	expect("a 3\n", "a 3\n",
	       "up 1\nscrape_samples_scraped 1\nscrape_series_added 1\n"
	       "scrape_refused reason=format s\n");
}

static void test_openmetrics(void **state)
{
	const char *type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
	__attribute__((cleanup(view_done))) struct view v = { .app = BUF_INIT };
	_cleanup_(batch_freep) struct batch *b =
		scrape_as(type, 200,
	                  "# TYPE a counter\na_total 1\nb 2 1700000000.5\nh {count:1} 1\n# EOF\n",
	                  NULL);

	(void)state;
	look(b, &v);
	assert_string_equal("a_total 1\nb 2@500\n", buf_cstr(&v.app));
	assert_non_null(strstr(buf_cstr(&v.about), "scrape_native_histograms_refused 1\n"));
	ts_ms += 15000;
	expect_refused(type, 200, "a_total 1\n", "a_total s\n",
	               "up 0\nscrape_samples_scraped 1\nscrape_refused reason=format 1\n",
	               "OpenMetrics does not end in # EOF");
}

static void meta_at(const struct batch *b, size_t i, const char *help, uint32_t type,
                    const char *unit)
{
	struct rw2_meta meta;

	batch_sample_meta(b, i, &meta);
	assert_str_equal(str_from(help), meta.help);
	assert_int_equal(type, meta.type);
	assert_str_equal(str_from(unit), meta.unit);
}

static void test_metadata(void **state)
{
	static const char text[] = "# HELP a Helps.\n# TYPE a counter\n# UNIT a bytes\na_total 1\n"
				   "lonely 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\n"
				   "h_other 1\n# HELP h2 Two.\nh2 1\n# EOF\n";

	(void)state;
	of.with_metadata = true;
	_cleanup_(batch_freep) struct batch *b =
		scrape_as("application/openmetrics-text", 200, text, NULL);

	meta_at(b, 0, "Helps.", RW_TYPE_COUNTER, "bytes");
	meta_at(b, 1, "", RW_TYPE_UNKNOWN, "");
	meta_at(b, 2, "", RW_TYPE_HISTOGRAM, "");
	meta_at(b, 3, "", RW_TYPE_HISTOGRAM, "");
	meta_at(b, 4, "", RW_TYPE_UNKNOWN, "");
	meta_at(b, 5, "Two.", RW_TYPE_UNKNOWN, "");
	of.with_metadata = false;
	_cleanup_(batch_freep) struct batch *without = scrape_as("text/plain", 200, text, NULL);

	meta_at(without, 0, "", RW_TYPE_UNKNOWN, "");
}

static void test_the_end(void **state)
{
	__attribute__((cleanup(view_done))) struct view v = { .app = BUF_INIT };

	(void)state;
	expect("a 1\n", "a 1\n", "up 1\nscrape_samples_scraped 1\nscrape_series_added 1\n");
	of.last = SCRAPE_STATUS;
	_cleanup_(batch_freep) struct batch *b = reading_of_the_end(&of, &series, ts_ms);

	look(b, &v);
	assert_string_equal("a s\n", buf_cstr(&v.app));
	assert_string_equal("up s\nscrape_samples_scraped s\nscrape_series_added s\n"
	                    "scrape_lines_refused s\nscrape_native_histograms_refused s\n"
	                    "scrape_refused reason=status s\n",
	                    buf_cstr(&v.about));
	assert_int_equal(0, series_set_n(&series));
}

/* Against the plain definition: any part of many series stays, goes, comes back. */
static void test_set_of_series(void **state)
{
	static bool was[500], is[500];
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 40; round++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		size_t n_ended = 0, n_new = 0;
		struct reading r;

		conf.body_bytes_max = 1 << 20;
		of.samples_max = 1000;
		for (uint32_t i = 0; i < 500; i++) {
			is[i] = rng_below(&rng, 5) > (was[i] ? 0u : 2u);
			n_ended += was[i] && !is[i];
			n_new += is[i] && !was[i];
			if (is[i])
				buf_printf(&text, "m{i=\"%u\"} 1\n", i);
		}
		memcpy(was, is, sizeof(was));
		_cleanup_(batch_freep) struct batch *b = scrape_as("", 200, buf_cstr(&text), &r);
		size_t n_stale = 0;

		for (size_t i = 0; i < batch_n_samples(b); i++)
			n_stale += batch_sample_is_stale(b, i);
		assert_int_equal(n_ended, n_stale);
		assert_int_equal(n_new, r.n_new);
		assert_int_equal(0, r.n_bad);
	}
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned long n = 1; n < 80; n++) {
		_cleanup_(batch_freep) struct batch *b = NULL;
		struct reading r;

		alloc_fail_at(n);
		int res = reading_begin(&r, &of, &conf, &series, ts_ms, NOW_MS);

		if (res == 0) {
			res = reading_data(&r, STR("# HELP a x\na 1\nb{l=\"\\n\"} 2\nc"));
			b = reading_finish(&r, 1);
			if (b && r.refusal != SCRAPE_TAKEN)
				assert_int_equal(SCRAPE_MEMORY, r.refusal);
		}
		alloc_fail_at(0);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_series_come_and_go),
		TEST(test_labels_of_the_owner),
		TEST(test_bad_lines_cost_themselves),
		TEST(test_timestamps),
		TEST(test_refused_scrapes),
		TEST(test_openmetrics),
		TEST(test_metadata),
		TEST(test_the_end),
		TEST(test_set_of_series),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
