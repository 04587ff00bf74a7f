/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text to tree to text. Vectors pin the canonical form, and each must be a fixpoint; refusals pin
 * position and message; bombs say that no text is deep enough to hurt.
 */
#include "api/mql/mql.h"
#include "api/mql/parse.h"
#include "tests/unit/unit.h"
#include "userspace/base/alloc.h"

#include <errno.h>

/* Parses an exact-size copy, so that ASan sees a read behind it. */
static int format(struct str text, struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)16 << 20);
	struct str copy = unit_strdup(text);
	struct ast *a = NULL;
	int r = parse_query(copy, &arena, &a, e);

	if (r == 0) {
		ast_print(a, out);
		r = out->err;
	}
	free((void *)(uintptr_t)copy.p);
	return r;
}

static void check_form(const char *text, const char *want)
{
	_cleanup_(buf_done) struct buf once = BUF_INIT, twice = BUF_INIT;
	struct err e = ERR_INIT;

	if (format(str_from(text), &once, &e) < 0)
		fail_msg("%s: %s at %d", text, e.msg, e.pos);
	if (!str_eq(str_from(want), buf_str(&once)))
		fail_msg("%s: expected %s, got %s", text, want, buf_cstr(&once));
	if (format(buf_str(&once), &twice, &e) < 0)
		fail_msg("%s: reread: %s at %d", want, e.msg, e.pos);
	assert_str_equal(buf_str(&once), buf_str(&twice));
}

static const struct {
	const char *text, *want;
} forms[] = {
	/* clang-format off */
	/* literals */
	{ "1", "1" }, { "1_000", "1_000" }, { "0x1F", "0x1F" }, { "1.5Ki", "1.5Ki" },
	{ "1e-3", "1e-3" },
	{ ".5", ".5" },
	{ "5.", "5." },
	{ "Inf", "Inf" },
	{ "nan", "nan" },
	{ "1h5m", "1h5m" }, { "1h-3m", "1h-3m" }, { "5i", "5i" }, { "5M", "5M" },
	{ "\"a\\n\"", "\"a\\n\"" }, { "'it\\'s'", "\"it's\"" }, { "`a\\n`", "\"a\\\\n\"" },
	{ "\"a\" + 'b'", "\"ab\"" }, { "\"a\" ++ b", "\"a\" + (b)" },
	{ "\"\\x41\\u00e9\\U0001F600\"", "\"A\xc3\xa9\xf0\x9f\x98\x80\"" },
	/* selectors */
	{ "foo", "foo" },
	{ "foo{}", "foo" },
	{ "{}", "{}" },
	{ "foo:bar.baz", "foo:bar.baz" },
	{ "foo{a=\"b\",}", "foo{a=\"b\"}" },
	{ "foo{a='b', c!=`d`}", "foo{a=\"b\",c!=\"d\"}" },
	{ "foo{a=~\"b|c\",d!~\"e\"}", "foo{a=~\"b|c\",d!~\"e\"}" },
	{ "{__name__=\"foo\"}", "foo" }, { "{\"foo\"}", "foo" },
	{ "{\"foo bar\", \"l l\"=\"v\"}", "foo\\ bar{l\\ l=\"v\"}" },
	{ "{a=\"b\" or c=\"d\"}", "{a=\"b\" or c=\"d\"}" },
	{ "foo{a=\"b\" or c=\"d\"}", "foo{a=\"b\" or c=\"d\"}" },
	{ "foo{a=\"b\",a=\"b\"}", "foo{a=\"b\"}" },
	{ "foo\\-bar", "foo\\-bar" },
	{ "\\u0061b", "ab" }, { "\xd0\xb6{a=\"b\"}", "\xd0\xb6{a=\"b\"}" },
	{ "foo{a=\"b\"+\"c\"}", "foo{a=\"bc\"}" },
	/* rollups */
	{ "foo[5m]", "foo[5m]" }, { "foo[300]", "foo[300]" }, { "foo[1.5h]", "foo[1.5h]" },
	{ "foo[5m:1m]", "foo[5m:1m]" },
	{ "foo[5m:]", "foo[5m:]" },
	{ "foo[:1m]", "foo[:1m]" },
	{ "foo[5m] offset -1h", "foo[5m] offset -1h" },
	{ "foo offset 1i", "foo offset 1i" },
	{ "foo @ 123 offset 1m", "foo offset 1m @ 123" }, { "foo @ end()", "foo @ end()" },
	{ "foo @ (end() - 1h)", "foo @ (end() - 1h)" },
	{ "(foo + bar)[5m:1m]", "(foo + bar)[5m:1m]" },
	{ "rate(foo[$__interval])", "rate(foo)" },
	{ "(foo[5m])[1h:1m]", "(foo[5m])[1h:1m]" },
	{ "foo[$__rate_interval:5i]", "foo[:5i]" },
	/* calls */
	{ "RATE(foo)", "rate(foo)" }, { "rate(foo,)", "rate(foo)" },
	{ "rate(foo) keep_metric_names", "rate(foo) keep_metric_names" },
	{ "(a, b)", "(a, b)" }, { "()", "()" }, { "(a)", "a" }, { "((1))", "1" },
	{ "sum(a) by (b, c,)", "sum(a) by(b,c)" }, { "sum by (b) (a)", "sum(a) by(b)" },
	{ "sum without () (a)", "sum(a) without()" },
	{ "sum(a) limit 5", "sum(a) limit 5" },
	{ "sum(a) by (\"b c\", by)", "sum(a) by(b\\ c,by)" }, { "sum", "sum" },
	{ "sum(a, b)", "sum(a, b)" }, { "time()", "time()" },
	/* operators */
	{ "a+b", "a + b" },
	{ "-a", "0 - a" },
	{ "+a", "a" },
	{ "--a", "0 - (0 - a)" },
	{ "- 1", "0 - 1" },
	{ "-2^2", "0 - (2 ^ 2)" }, { "(-2)^2", "(0 - 2) ^ 2" }, { "2^3^2", "2 ^ (3 ^ 2)" },
	{ "a-b-c", "(a - b) - c" },
	{ "a-(b-c)", "a - (b - c)" },
	{ "2 - -3^2", "2 - (0 - (3 ^ 2))" },
	{ "1+2*3", "1 + (2 * 3)" },
	{ "1*2+3", "(1 * 2) + 3" },
	{ "a atan2 b * c", "(a atan2 b) * c" },
	{ "a < b + c", "a < (b + c)" }, { "a and b < c", "a and (b < c)" },
	{ "a or b and c", "a or (b and c)" }, { "a unless b and c", "(a unless b) and c" },
	{ "a if b or c", "a if (b or c)" }, { "a default b if c", "a default (b if c)" },
	{ "a ifnot b default c", "(a ifnot b) default c" }, { "a AND b", "a and b" },
	{ "a >bool b", "a >bool b" }, { "a == bool on(x) b", "a ==bool on(x) b" },
	{ "a * on(x,y) group_left(z) b", "a * on(x,y) group_left(z) b" },
	{ "a * ignoring(x) group_right b", "a * ignoring(x) group_right() b" },
	{ "a * on(x) group_left(*) prefix \"p_\" b", "a * on(x) group_left(*) prefix \"p_\" b" },
	{ "a + b keep_metric_names", "(a + b) keep_metric_names" },
	{ "(a + b) keep_metric_names", "(a + b) keep_metric_names" },
	{ "a + (rate(b) keep_metric_names)", "a + rate(b) keep_metric_names" },
	{ "(\"a\") + (\"b\")", "\"a\" + (\"b\")" }, { "a == (1, 2)", "a == (1, 2)" },
	/* space */
	{ " a # comment\n + # another\r\n b ", "a + b" }, { "a#", "a" },
	/* clang-format on */
};

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		check_form(forms[i].text, forms[i].want);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text;
		int pos;
		const char *msg; /* a part of it */
	} rows[] = {
		/* clang-format off */
		{ "",                    0,  "expected an expression, found the end" },
		{ "a +",                 3,  "expected an expression, found the end" },
		{ "a b",                 2,  "expected an operator or the end, found b" },
		{ "foo{",                4,  "expected a name" },
		{ "foo{a}",              4,  "WITH template a is not defined" },
		{ "foo{a=}",             6,  "expected a string" },
		{ "foo{a==\"b\"}",       5,  "expected =, !=, =~ or !~, found ==" },
		{ "foo{a=\"b\" c}",      10, "expected \",\", \"or\" or \"}\"" },
		{ "foo{a=~\"(\"}",       7,  "bad regular expression" },
		{ "foo{a=\"b\" or}",     12, "expected a label" },
		{ "\"abc",               0,  "no closing" },
		{ "\"a\\q\"",            2,  "unknown escape" },
		{ "1e",                  0,  "not complete" },
		{ "09",                  0,  "expected a number, found 09" },
		{ "a ~ b",               2,  "unexpected character '~'" },
		{ "a \x01",              2,  "unexpected byte 0x01" },
		{ "foo[5m",              6,  "expected \"]\"" },
		{ "foo[1M]",             4,  "expected a duration such as 5m, found 1M" },
		{ "foo[-5m]",            4,  "expected a duration" },
		{ "foo[w]",              4,  "WITH template w is not defined" },
		{ "foo offset",          10, "expected a duration" },
		{ "foo @ 1 @ 2",         8,  "a single @" },
		{ "rte(foo)",            0,  "unknown function rte; did you mean rate?" },
		{ "sum_over_tim(foo)",   0,  "did you mean sum_over_time?" },
		{ "zzzzzzzzzzzz(foo)",   0,  "unknown function zzzzzzzzzzzz" },
		{ "rate()",              0,  "rate() takes 1 argument, found 0" },
		{ "rate(a, b)",          0,  "rate() takes 1 argument, found 2" },
		{ "clamp(a)",            0,  "clamp() takes 3 arguments, found 1" },
		{ "round(a, 1, 2)",      0,  "round() takes 1 to 2 arguments, found 3" },
		{ "rate(a",              6,  "expected \",\" or \")\"" },
		{ "sum by b (a)",        7,  "expected \"(\"" },
		{ "sum(a) limit x",      13, "expected a whole number" },
		{ "a + bool b",          4,  "bool cannot be applied to +" },
		{ "a and on(x) group_left() b", 12, "group_left cannot be applied to and" },
		{ "WITH (a = 1, a = 2)", 13, "WITH template a is there twice" },
		{ "WITH (f(x, x) = 1)",  11, "WITH template f has two parameters of one name" },
		{ "WITH (f(x) = x) f()", 16, "WITH template f takes 1 arguments, found 0" },
		{ "WITH (f(x) = f(x)) 1", 13, "unknown function f" },
		{ "WITH (f(x) = rate(x[) ", 20, "expected a duration" },
		{ "a[w]",                2,  "WITH template w is not defined" },
		{ "a{l=v}",              4,  "WITH template v is not defined" },
		{ "WITH (w = \"a\") m[w]", 17, "WITH template w is not a duration" },
		{ "topk(a)",             0,  "topk() takes 2 arguments, found 1" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct err e = ERR_INIT;
		int r = format(str_from(rows[i].text), &out, &e);

		if (r != -EINVAL || e.pos != rows[i].pos || !strstr(e.msg, rows[i].msg))
			fail_msg("%s: expected \"%s\" at %d, got %d \"%s\" at %d", rows[i].text,
			         rows[i].msg, rows[i].pos, r, e.msg, e.pos);
	}
}

/* @n times @open, @middle, @n times @close: refused with a sentence, or parsed, never a crash. */
static void bomb(const char *open, const char *middle, const char *close, int n, int want)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;

	for (int i = 0; i < n; i++)
		buf_puts(&text, open);
	buf_puts(&text, middle);
	for (int i = 0; i < n; i++)
		buf_puts(&text, close);
	unit_note("%s x %d", open, n);
	assert_int_equal(want, format(buf_str(&text), &out, &e));
	if (want < 0) {
		assert_non_null(strstr(e.msg, "nested deeper"));
	} else {
		_cleanup_(buf_done) struct buf again = BUF_INIT;

		assert_int_equal(0, format(buf_str(&out), &again, &e));
		assert_str_equal(buf_str(&out), buf_str(&again));
	}
}

static void test_bombs(void **state)
{
	(void)state;
	bomb("(", "1", ")", 800, 0);
	bomb("(", "1", ")", 8000, -EINVAL);
	bomb("abs(", "x", ")", 4000, -EINVAL);
	bomb("-", "x", "", 90, 0);
	bomb("-", "x", "", 16000, -EINVAL);
	bomb("x+", "x", "", 300, 0);
	bomb("x+", "x", "", 8000, -EINVAL);
	bomb("2^", "2", "", 8000, -EINVAL);
	bomb("x default x if ", "x", "", 1000, -EINVAL);
	bomb("(", "x", ")[1m:]", 3000, -EINVAL);
	bomb("x @ (", "x", ")", 3000, -EINVAL);
	bomb("+", "x", "", 16000, 0); /* says nothing, nests nothing */
	bomb("((-2)^", "2", ")", 4000, -EINVAL);
}

/* WITH templates double what they get, again and again. */
static void with_bomb(const char *text, const char *want)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct err e = ERR_INIT;

	unit_note("%.60s", text);
	assert_int_equal(-EINVAL, format(str_from(text), &out, &e));
	if (!strstr(e.msg, want))
		fail_msg("expected \"%s\", got \"%s\"", want, e.msg);
}

/* "WITH (" @first, then @n times @next with the numbers i and i - 1, then ") " and @last. */
static void chain_bomb(const char *first, const char *next, int n, const char *last,
                       const char *want)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	buf_puts(&text, "WITH (");
	buf_puts(&text, first);
	for (int i = 1; i <= n; i++) {
		for (const char *c = next; *c; c++) {
			if (*c == '#' || *c == '<')
				buf_printf(&text, "%d", *c == '#' ? i : i - 1);
			else
				buf_putc(&text, *c);
		}
	}
	buf_printf(&text, ") %s", last);
	with_bomb(buf_cstr(&text), want);
}

static void test_with_bombs(void **state)
{
	(void)state;
	with_bomb("WITH (f(x) = x + x) "
	          "f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(1"
	          "))))))))))))))))))))))))))))))",
	          "grows to more than");
	chain_bomb("a0 = m", ", a# = a< + a<", 40, "a40", "grows to more than");
	chain_bomb("a0 = m", ", a# = (a<, a<, a<, a<)", 40, "a40", "grows to more than");
	chain_bomb("a0(x) = x", ", a#(x) = a<(x) + a<(x)", 40, "1", "need more than");
	chain_bomb("k(x, y) = x, a0(x) = x", ", a#(x) = k(1, a<(x) + a<(x))", 40, "a40(1)",
	           "need more than");
	chain_bomb("k(x, y) = x, a0(x) = x", ", a#(x) = a<(a<(x))", 40, "1", "need more than");
	chain_bomb("a0(x) = x", ", a#(x) = abs(a<(x))", 300, "1", "need more than");
	chain_bomb("a0 = m", ", a# = abs(a<)", 450, "a450", "nested deeper");
}

/* The n-th allocation fails, for n = 1, 2, ... until parsing succeeds. */
static void test_out_of_memory(void **state)
{
	static const char text[] =
		"sum(rate(foo{a=~\"b.*\" or c=\"d\"}[5m])) by (x, y, z, u, v) / "
		"on(x) group_left(y) (1, \"a\\n\" + \"b\", bar[1h:5m] @ end()) + "
		"WITH (w = 5m, l = {a=\"b\"}, f(x, y) = x{l}[w] + ru(y, 2)) f(m, 1)";
	unsigned long n = 0;
	int r;

	(void)state;
	do {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct err e = ERR_INIT;

		alloc_fail_at(++n);
		r = format(str_from(text), &out, &e);
		alloc_fail_at(0);
		assert_true(r == 0 || r == -ENOMEM);
	} while (r < 0 && n < 10000);
	assert_int_equal(0, r);
}

/* --- the forms that people and editors see; recorded from VictoriaMetrics 1.145 --------------- */

struct text_row {
	const char *query, *text;
};

static const struct text_row pretties[] = {
	/* clang-format off */
	{ "sum(rate(http_requests_total{job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"}[5m])) by (job)"
	  " / sum(rate(http_requests_total[5m])) by (job) > 0.5",
	  "(\n"
	  "  sum(\n"
	  "    rate(\n"
	  "      http_requests_total{\n"
	  "        job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"\n"
	  "      }[5m]\n"
	  "    )\n"
	  "  ) by(job)\n"
	  "    /\n"
	  "  sum(rate(http_requests_total[5m])) by(job)\n"
	  ")\n"
	  "  >\n"
	  "0.5" },
	{ "WITH (f = {a=\"b\"}, w=5m, l(x, y)=sum(m{f}[w]) by (x)) l(q, r) + m{f,c=\"x\"+\"y\"} offset w",
	  "WITH (\n"
	  "  f = {a=\"b\"},\n"
	  "  w = 5m,\n"
	  "  l(x,y) = sum(m{f}[w]) by(x),\n"
	  ")\n"
	  "l(q, r) + (m{f,c=\"x\"+\"y\"} offset w)" },
	{ "WITH (rate5m(m) = sum(rate(m[5m])) by (job, instance), longname ="
	  " {job=\"aaaaaaaaaaaaaaaaaaaaaaaaaaa\",instance=\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}) rate5m(http_requests_total{longname})",
	  "WITH (\n"
	  "  rate5m(m) = sum(rate(m[5m])) by(job,instance),\n"
	  "  longname = (\n"
	  "    {\n"
	  "      job=\"aaaaaaaaaaaaaaaaaaaaaaaaaaa\",\n"
	  "      instance=\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"\n"
	  "    }\n"
	  "  ),\n"
	  ")\n"
	  "rate5m(http_requests_total{longname})" },
	{ "RATE(m[$__interval]) Keep_Metric_Names + nosuch(a, 'b')", "RATE(m) keep_metric_names + nosuch(a, 'b')" },
	{ "{\"a b\", \"c d\"=\"e\"}", "{\"a b\", \"c d\"=\"e\"}" },
	{ "a{b=\"c\" or d=\"e\",f}", "a{b=\"c\" or d=\"e\",f}" },
	{ "(abs(a) keep_metric_names + rate(b)) keep_metric_names", "(abs(a) keep_metric_names + (rate(b))) keep_metric_names" },
	{ "http_requests_total{job=\"very-long-job-name\",instance=~\"very-long-instance-.*\" or"
	  " job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"}",
	  "http_requests_total{\n"
	  "  job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"\n"
	  "    or\n"
	  "  job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"\n"
	  "}" },
	{ "http_requests_total{job=\"very-long-job-name-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",instance=~\"very-long-instance-.*\","
	  "zzzzzzzzzzzzzzzzzz=\"aaaaaaaaaaaaaaaaaaaaa\"}"
	  "",
	  "http_requests_total{\n"
	  "  job=\"very-long-job-name-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\n"
	  "  instance=~\"very-long-instance-.*\",\n"
	  "  zzzzzzzzzzzzzzzzzz=\"aaaaaaaaaaaaaaaaaaaaa\"\n"
	  "}" },
	{ "(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)[5m:1m]"
	  " offset 1h @ end()",
	  "(\n"
	  "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	  "    +\n"
	  "  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
	  ")[5m:1m] offset 1h @ end()" },
	{ "(sum(rate(http_requests_total{job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"}[5m])) / 3)"
	  " keep_metric_names",
	  "(\n"
	  "  sum(\n"
	  "    rate(\n"
	  "      http_requests_total{\n"
	  "        job=\"very-long-job-name\",instance=~\"very-long-instance-.*\"\n"
	  "      }[5m]\n"
	  "    )\n"
	  "  )\n"
	  "    /\n"
	  "  3\n"
	  ") keep_metric_names" },
	{ "x offset $__interval", "x offset 1i" },
	/* clang-format on */
};

static const struct text_row expansions[] = {
	/* clang-format off */
	{ "ru(a, b)", "(clamp_min(b - clamp_min(a, 0), 0) / clamp_min(b, 0)) * 100" },
	{ "WITH (x = 1 + 2) a * x", "a * 3" },
	{ "a{b=\"c\"} + on(b) group_left(y) d", "a{b=\"c\"} + on(b) group_left(y) d{b=\"c\"}" },
	{ "a{x=\"2\",k=\"1\"} - b{x=~\"3.*\"}", "a{k=\"1\",x=\"2\",x=~\"3.*\"} - b{k=\"1\",x=\"2\",x=~\"3.*\"}" },
	{ "1/3 * 1000000 * 1e9", "3.333333333333333e+14" },
	{ "\"a\"+\"b\"", "\"ab\"" },
	{ "a > 1 > -2", "(a > 1) > -2" },
	{ "alias(a{b!=\"\"}, \"n\")", "label_set(a{b!=\"\"}, \"__name__\", \"n\")" },
	{ "{\"a b\", \"c d\"=\"e\"}", "a\\ b{c\\ d=\"e\"}" },
	{ "sum(a{x=\"1\"}) by (x, y) + b", "sum(a{x=\"1\"}) by(x,y) + b{x=\"1\"}" },
	{ "5 < a", "5 < a" },
	{ "{\"c\",a=\"b\" or \"x\",d=\"e\"}", "{__name__=\"c\",a=\"b\" or __name__=\"x\",d=\"e\"}" },
	/* clang-format on */
};

typedef int (*text_f)(struct str text, struct buf *out, struct err *e);

static void check_texts(text_f f, const struct text_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT, again = BUF_INIT;
		struct err e = ERR_INIT;

		if (f(str_from(rows[i].query), &text, &e) < 0)
			fail_msg("%s: %s", rows[i].query, e.msg);
		if (!str_eq(str_from(rows[i].text), buf_str(&text)))
			fail_msg("%s: expected\n%s\ngot\n%s", rows[i].query, rows[i].text,
			         buf_cstr(&text));
		/* Read again, it is the same text. */
		assert_int_equal(0, f(buf_str(&text), &again, &e));
		assert_str_equal(buf_str(&text), buf_str(&again));
	}
}

static void test_prettify(void **state)
{
	(void)state;
	check_texts(mql_prettify, pretties, ARRAY_SIZE(pretties));
}

static void test_expand(void **state)
{
	(void)state;
	check_texts(mql_expand, expansions, ARRAY_SIZE(expansions));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),         cmocka_unit_test(test_prettify),
		cmocka_unit_test(test_expand),        cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bombs),         cmocka_unit_test(test_with_bombs),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
