/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exposition text. Good lines by table, bad lines by table (each costs itself only), and a seeded
 * property: what is written parses back to the same labels, value and time.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/doc.h"
#include "userspace/base/alloc.h"
#include "userspace/wire/promtext.h"

struct seen {
	struct buf text; /* what was met, in a form that a table can hold */
	uint64_t n_bad, bad_line;
	struct err bad;
	int stop;
};

static int on_sample(void *ctx, const struct promtext_sample *s)
{
	struct seen *seen = ctx;

	for (uint32_t i = 0; i < s->n_labels; i++)
		buf_printf(&seen->text, "<%.*s=%.*s>", STR_FMT(s->labels[i].name),
		           STR_FMT(s->labels[i].value));
	buf_put_double(&seen->text, s->value);
	if (s->has_ts)
		buf_printf(&seen->text, "@%lld", (long long)s->ts_ms);
	buf_putc(&seen->text, ';');
	return seen->stop;
}

static int on_metadata(void *ctx, struct str name, struct str type, struct str help)
{
	struct seen *seen = ctx;

	buf_printf(&seen->text, "[%.*s|%.*s|%.*s]", STR_FMT(name), STR_FMT(type), STR_FMT(help));
	return 0;
}

static int on_bad(void *ctx, uint64_t line, const struct err *e)
{
	struct seen *seen = ctx;

	if (seen->n_bad++ == 0) {
		seen->bad_line = line;
		seen->bad = *e;
	}
	return 0;
}

static int on_unit(void *ctx, struct str name, struct str unit)
{
	struct seen *seen = ctx;

	buf_printf(&seen->text, "[%.*s in %.*s]", STR_FMT(name), STR_FMT(unit));
	return 0;
}

static const struct promtext_ops ops = { on_sample, on_metadata, on_unit, on_bad };

static int parse_exact(const char *text, struct seen *seen)
{
	struct str copy = unit_strdup(str_from(text));
	int r = promtext_parse(copy, &ops, seen);

	free((void *)(uintptr_t)copy.p);
	return r;
}

static void test_good(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		/* clang-format off */
		{ "", "" },
		{ "\n\n  \n", "" },
		{ "up 1\n", "<__name__=up>1;" },
		{ "up 1", "<__name__=up>1;" },
		{ "up{} 1 1000\n", "<__name__=up>1@1000;" },
		{ "up\t{ a = \"b\" , }\t-0.5\t-7\r\n", "<__name__=up><a=b>-0.5@-7;" },
		{ "a:b_c{x=\"1\",y=\"2\"} +Inf\n", "<__name__=a:b_c><x=1><y=2>+Inf;" },
		{ "m{l=\"q\\\"b\\\\n\\n\\x\"} NaN\n", "<__name__=m><l=q\"b\\n\n\\x>NaN;" },
		{ "{\"http.requests\",\"a.b\"=\"c\"} 2\n", "<__name__=http.requests><a.b=c>2;" },
		{ "m{a=\"\"} 1e3\n", "<__name__=m><a=>1000;" },
		{ "# TYPE m counter\n# HELP m a \\n b\\\\\nm 1\n",
		  "[m|counter|][m||a \n b\\]<__name__=m>1;" },
		{ "# a comment\n#\n# TYPE\nm 1 # {id=\"x\"} 0.5\n# EOF\n", "<__name__=m>1;" },
		{ "m{a=\"}\",b=\",\"} 1\n", "<__name__=m><a=}><b=,>1;" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen = { 0 };

		unit_note("%s", rows[i].text);
		assert_int_equal(0, parse_exact(rows[i].text, &seen));
		assert_string_equal(rows[i].want, buf_cstr(&seen.text));
		assert_int_equal(strstr(rows[i].text, "# TYPE\n") ? 1 : 0, seen.n_bad);
		buf_done(&seen.text);
	}
}

static void test_bad_line_costs_itself_only(void **state)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "1up 1", "expected a metric name" },
		{ "up", "the value is missing" },
		{ "up one", "the value is not a number" },
		{ "up 1 2.5", "the timestamp is not an integer" },
		{ "up 1 2 3", "something stands behind the timestamp" },
		{ "up{a=\"b\" 1", "expected , or }" },
		{ "up{a=\"b} 1", "a quoted text does not end" },
		{ "up{a=\"b\\\"} 1", "a quoted text does not end" },
		{ "up{a=b} 1", "expected a quoted label value" },
		{ "up{a} 1", "expected = behind the label name" },
		{ "up{=\"b\"} 1", "expected a label name" },
		{ "up{a=\"b\",,} 1", "expected a label name" },
		{ "up{\"x\"} 1", "a second metric name" },
		{ "{a=\"b\"} 1", "expected a metric name" },
		{ "{", "expected a label name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct seen seen = { 0 };

		unit_note("%s", rows[i].line);
		buf_printf(&text, "a 1\n%s\nb 2\n", rows[i].line);
		assert_int_equal(0, parse_exact(buf_cstr(&text), &seen));
		assert_string_equal("<__name__=a>1;<__name__=b>2;", buf_cstr(&seen.text));
		assert_int_equal(1, seen.n_bad);
		assert_int_equal(2, seen.bad_line);
		if (!strstr(seen.bad.msg, rows[i].want))
			fail_msg("expected \"%s\" in \"%s\"", rows[i].want, seen.bad.msg);
		buf_done(&seen.text);
	}
}

/* ---- docs/format/exposition.md -------------------------------------------------------------- */

static int write_again(void *ctx, const struct promtext_sample *s)
{
	struct seen *seen = ctx;

	promtext_write_sample(&seen->text, s->labels, s->n_labels, s->value,
	                      s->has_ts ? &s->ts_ms : NULL);
	return 0;
}

/* The next row "| `line` | cell |" of the table, without code marks; false behind the last. */
static bool next_row(struct str *table, struct str *line, struct str *cell)
{
	struct str row, rest;

	if (!str_cut(*table, '\n', &row, table) || !str_starts(row, STR("| `")))
		return false;
	*line = doc_between(row, "| `", "` | ", &rest);
	*cell = str_trim(rest);
	cell->len -= 2; /* " |" at the end */
	if (cell->len > 2 && cell->p[0] == '`')
		*cell = (struct str){ cell->p + 1, cell->len - 2 };
	return true;
}

static size_t try_table(struct str page, const char *head, bool good)
{
	const struct promtext_ops again = { .sample = write_again, .bad = on_bad };
	struct str table, line, want;
	size_t n = 0;

	(void)doc_between(page, head, "|---|---|\n", &table);
	for (; next_row(&table, &line, &want); n++) {
		struct seen seen = { 0 };

		unit_note("%.*s", STR_FMT(line));
		struct str exact = unit_strdup(line);

		assert_int_equal(0, promtext_parse(exact, &again, &seen));
		free((void *)(uintptr_t)exact.p);
		assert_int_equal(good ? 0 : 1, seen.n_bad);
		if (good)
			assert_str_equal(want, str_trim(buf_str(&seen.text)));
		else
			assert_str_equal(want, str_from(seen.bad.msg));
		buf_done(&seen.text);
	}
	return n;
}

static void test_the_document(void **state)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str page = doc_open(&doc, "docs/format/exposition.md");

	(void)state;
	assert_int_equal(8, try_table(page, "| line | is the sample |\n", true));
	assert_int_equal(10, try_table(page, "| line | why |\n", false));
}

static void test_label_limit(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct seen seen = { 0 };

	(void)state;
	buf_puts(&text, "m{");
	for (unsigned i = 0; i < LABELS_MAX; i++) /* with the name one too many */
		buf_printf(&text, "l%u=\"\",", i);
	buf_puts(&text, "} 1\n");
	assert_int_equal(0, parse_exact(buf_cstr(&text), &seen));
	assert_int_equal(1, seen.n_bad);
	buf_done(&seen.text);
}

static int parse_pieces(const char *text, size_t cut, enum promtext_format format,
                        struct seen *seen)
{
	_cleanup_(promtext_reader_done) struct promtext_reader r = PROMTEXT_READER_INIT(format);
	struct str one = unit_strdup((struct str){ text, cut });
	struct str two = unit_strdup(str_from(text + cut));
	int res = promtext_feed(&r, one, &ops, seen);

	free((void *)(uintptr_t)one.p);
	if (res == 0)
		res = promtext_feed(&r, two, &ops, seen);
	free((void *)(uintptr_t)two.p);
	return res < 0 ? res : promtext_end(&r, &ops, seen);
}

/* Cut anywhere, it says the same. */
static void test_pieces(void **state)
{
	static const char text[] = "# HELP m x\\ny\n# TYPE m counter\nm{a=\"1\",b=\"\\n\"} 1 7\r\n"
				   "\nbad line\nm{a=\"2\"} 2.5e3\nlast 3";
	struct seen whole = { 0 };

	(void)state;
	assert_int_equal(0, parse_exact(text, &whole));
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct seen seen = { 0 };

		assert_int_equal(0, parse_pieces(text, cut, PROMTEXT_PROMETHEUS, &seen));
		assert_str_equal(buf_str(&whole.text), buf_str(&seen.text));
		assert_int_equal(1, seen.n_bad);
		assert_int_equal(5, seen.bad_line);
		buf_done(&seen.text);
	}
	buf_done(&whole.text);
}

static void test_long_lines(void **state)
{
	_cleanup_(promtext_reader_done) struct promtext_reader r =
		PROMTEXT_READER_INIT(PROMTEXT_PROMETHEUS);
	static char piece[PROMTEXT_LINE_BYTES_MAX / 2 + 1];
	struct seen seen = { 0 };

	(void)state;
	memset(piece, 'x', sizeof(piece));
	assert_int_equal(0, promtext_feed(&r, STR("a 1\n"), &ops, &seen));
	for (int i = 0; i < 100; i++)
		assert_int_equal(0, promtext_feed(&r, (struct str){ piece, sizeof(piece) }, &ops,
		                                  &seen));
	assert_true(r.partial.cap <= 2 * PROMTEXT_LINE_BYTES_MAX);
	assert_int_equal(0, promtext_feed(&r, STR(" 2\nbad\nb 3\n"), &ops, &seen));
	assert_int_equal(0, promtext_end(&r, &ops, &seen));
	assert_string_equal("<__name__=a>1;<__name__=b>3;", buf_cstr(&seen.text));
	assert_int_equal(2, seen.n_bad);
	assert_int_equal(2, seen.bad_line);
	assert_non_null(strstr(seen.bad.msg, "longer than 65536 bytes"));
	assert_int_equal(4, r.line);
	buf_done(&seen.text);
}

static void test_openmetrics(void **state)
{
	static const struct {
		const char *text, *want;
		int r;
		uint64_t n_bad;
	} rows[] = {
		/* clang-format off */
		{ "# EOF", "", 0, 0 },
		{ "# EOF\n", "", 0, 0 },
		{ "", "", -EBADMSG, 0 },
		{ "m 1\n", "<__name__=m>1;", -EBADMSG, 0 },
		{ "# TYPE m counter\n# UNIT m seconds\n# HELP m h\nm_total 1 1.5\nm_created 0.25\n# EOF\n",
		  "[m|counter|][m in seconds][m||h]<__name__=m_total>1@1500;<__name__=m_created>0.25;", 0, 0 },
		{ "m 1 1600000000.123\n# EOF\n", "<__name__=m>1@1600000000123;", 0, 0 },
		{ "m 1 -0.9999\n# EOF\n", "<__name__=m>1@-999;", 0, 0 },
		{ "m 1 1e99\n# EOF\n", "", 0, 1 },
		{ "m 1 NaN\n# EOF\n", "", 0, 1 },
		{ "m_bucket{le=\"1.0\"} 3 # {trace_id=\"x y\"} 0.67 1.5\n# EOF\n", "<__name__=m_bucket><le=1.0>3;", 0, 0 },
		{ "m_bucket{le=\"+Inf\"} 3 7.0 # {} 0.67\n# EOF\n", "<__name__=m_bucket><le=+Inf>3@7000;", 0, 0 },
		{ "m {count:1,sum:2} 5\n# EOF\n", "", 0, 1 },
		{ "m{a=\"b\"} {count:1,sum:2} 5\n# EOF\n", "", 0, 1 },
		{ "m 1\n# EOF\nm 2\n# x\n", "<__name__=m>1;", 0, 2 },
		{ "m 1\n# EOF\n\n", "<__name__=m>1;", 0, 0 },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen = { 0 };

		unit_note("%s", rows[i].text);
		assert_int_equal(rows[i].r,
		                 parse_pieces(rows[i].text, 0, PROMTEXT_OPENMETRICS, &seen));
		assert_string_equal(rows[i].want, buf_cstr(&seen.text));
		assert_int_equal(rows[i].n_bad, seen.n_bad);
		if (strchr(rows[i].text, ':'))
			assert_int_equal(-ENOTSUP, seen.bad.code);
		buf_done(&seen.text);
	}
}

static void test_callback_stops(void **state)
{
	struct seen seen = { .stop = -EAGAIN };

	(void)state;
	assert_int_equal(-EAGAIN, parse_exact("a 1\nb 2\n", &seen));
	assert_string_equal("<__name__=a>1;", buf_cstr(&seen.text));
	buf_done(&seen.text);
	alloc_fail_at(1);
	assert_int_equal(-ENOMEM, parse_exact("a 1\n", &seen));
	alloc_fail_at(0);
}

static void random_text(struct rng *rng, char *dst, size_t at_least, struct str *ret)
{
	static const char bytes[] = "ab_:9\\\"n\n, }{=#\xc3\xa9";
	size_t n = at_least + rng_below(rng, 10);

	for (size_t i = 0; i < n; i++)
		dst[i] = bytes[rng_below(rng, sizeof(bytes) - 1)];
	*ret = (struct str){ dst, n };
}

struct expect {
	const struct label *labels;
	uint32_t n_labels;
	double value;
	int64_t ts_ms;
	int n;
};

static int check_same(void *ctx, const struct promtext_sample *s)
{
	struct expect *x = ctx;

	assert_int_equal(x->n_labels, s->n_labels);
	for (uint32_t i = 0; i < s->n_labels; i++) {
		assert_str_equal(x->labels[i].name, s->labels[i].name);
		assert_str_equal(x->labels[i].value, s->labels[i].value);
	}
	assert_double_near(x->value, s->value, 0);
	assert_true(s->has_ts);
	assert_true(x->ts_ms == s->ts_ms);
	x->n++;
	return 0;
}

static int never_bad(void *ctx, uint64_t line, const struct err *e)
{
	(void)ctx;
	fail_msg("line %llu: %s", (unsigned long long)line, e->msg);
	return 0;
}

/* A quoted text may hold anything but a line feed outside an escape; the writer escapes it. */
static void test_round_trip(void **state)
{
	static const struct promtext_ops same = { .sample = check_same, .bad = never_bad };
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 5000; round++) {
		char text[8][20];
		struct label labels[4] = { { .name = STR(LABEL_NAME) } };
		struct expect x = { labels, 1 + rng_below(&rng, 4), double_from_bits(rng_u64(&rng)),
			            (int64_t)rng_u64(&rng), 0 };
		_cleanup_(buf_done) struct buf out = BUF_INIT;

		random_text(&rng, text[0], 1, &labels[0].value);
		for (uint32_t i = 1; i < x.n_labels; i++) {
			random_text(&rng, text[2 * i], 1, &labels[i].name);
			random_text(&rng, text[2 * i + 1], 0, &labels[i].value);
		}
		promtext_write_sample(&out, labels, x.n_labels, x.value, &x.ts_ms);
		struct str copy = unit_strdup(buf_str(&out));

		assert_int_equal(0, promtext_parse(copy, &same, &x));
		assert_int_equal(1, x.n);
		free((void *)(uintptr_t)copy.p);
	}
}

static void test_write_metadata(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	promtext_write_metadata(&out, "m", "counter", "a\nb\\c\"");
	assert_string_equal("# HELP m a\\nb\\\\c\"\n# TYPE m counter\n", buf_cstr(&out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad_line_costs_itself_only),
		cmocka_unit_test(test_the_document),
		cmocka_unit_test(test_label_limit),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_write_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
