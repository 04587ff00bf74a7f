/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relabelling by table. What each case expects is what Prometheus' relabel.Process() gives for the
 * same rules and labels (its own test's cases are among them); a series is written as a="b",c="d".
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/conf.h"
#include "userspace/host/delivery/relabel.h"

struct wrapper {
	struct conf_structs rules;
};

static const struct conf_row wrapper_rows[] = {
	{ .key = "r", .type = CONF_STRUCTS, .sub = &relabel_conf_schema },
};
static const struct conf_schema wrapper_schema = { wrapper_rows, 1, sizeof(struct wrapper), -1 };

/* @yaml is a list of rules in YAML's flow form, without the brackets. */
static int compile(const char *yaml, struct relabel **ret, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct wrapper w;
	int r;

	buf_printf(&text, "r: [%s]\n", yaml);
	assert_int_equal(0, conf_init(&wrapper_schema, &w));
	r = conf_parse(&wrapper_schema, "t", buf_str(&text), &w, e);
	if (r == 0)
		r = relabel_new(ret, &w.rules, e);
	conf_done(&wrapper_schema, &w);
	return r;
}

static void parse_labels(const char *text, struct relabel_labels *ret)
{
	struct str rest = str_from(text), one;

	ret->n = 0;
	while (rest.len > 0) {
		struct label *l = &ret->v[ret->n++];

		(void)str_cut(rest, ',', &one, &rest);
		assert_true(str_cut(one, '=', &l->name, &l->value));
		l->value = (struct str){ l->value.p + 1, l->value.len - 2 };
	}
}

static void put_labels(const struct relabel_labels *l, struct buf *out)
{
	for (uint32_t i = 0; i < l->n; i++)
		buf_printf(out, "%s%.*s=\"%.*s\"", i > 0 ? "," : "", STR_FMT(l->v[i].name),
		           STR_FMT(l->v[i].value));
}

static void test_rules(void **state)
{
	static const struct {
		const char *rules, *before, *after; /* after NULL: dropped */
	} cases[] = {
		/* clang-format off */
		{ "{source_labels: [a], target_label: d, regex: 'f(.*)', replacement: 'ch${1}-ch${1}'}",
		  "__name__=\"m\",a=\"foo\"", "__name__=\"m\",a=\"foo\",d=\"choo-choo\"" },
		{ "{source_labels: [a, b], target_label: a, regex: 'f(.*);(.*)r', replacement: 'b${1}${2}m'}",
		  "__name__=\"m\",a=\"foo\",b=\"bar\"", "__name__=\"m\",a=\"boobam\",b=\"bar\"" },
		{ "{source_labels: [a], regex: '.*o.*', action: drop}", "__name__=\"m\",a=\"foo\"", NULL },
		{ "{source_labels: [a], regex: 'f', action: drop}",
		  "__name__=\"m\",a=\"foo\"", "__name__=\"m\",a=\"foo\"" },
		{ "{source_labels: [a], regex: 'foo', action: keep}",
		  "__name__=\"m\",a=\"foo\"", "__name__=\"m\",a=\"foo\"" },
		{ "{source_labels: [a], regex: 'f', action: keep}", "__name__=\"m\",a=\"foo\"", NULL },
		{ "{source_labels: [nope], regex: '', action: drop}", "__name__=\"m\"", NULL },
		{ "{source_labels: [a], target_label: d}",
		  "__name__=\"m\",a=\"foo\"", "__name__=\"m\",a=\"foo\",d=\"foo\"" },
		{ "{source_labels: [a], target_label: d, regex: 'x(.*)'}",
		  "__name__=\"m\",a=\"foo\",d=\"1\"", "__name__=\"m\",a=\"foo\",d=\"1\"" },
		{ "{source_labels: [a], target_label: a, replacement: ''}",
		  "__name__=\"m\",a=\"foo\",b=\"1\"", "__name__=\"m\",b=\"1\"" },
		{ "{target_label: a, replacement: static}", "__name__=\"m\"", "__name__=\"m\",a=\"static\"" },
		{ "{source_labels: [a], regex: 'some-([^-]+)-(?P<rest>[^,]+)', target_label: '${1}',"
		  " replacement: '$rest'}", /* as Prometheus names a target by what matched */
		  "__name__=\"m\",a=\"some-name-value\"", "__name__=\"m\",a=\"some-name-value\",name=\"value\"" },
		{ "{source_labels: [a], regex: '(.*)', target_label: '${1}', replacement: x}",
		  "__name__=\"m\",a=\"not a name\"", "__name__=\"m\",a=\"not a name\"" },
		{ "{source_labels: [a], target_label: b, replacement: '$$1 ${1}x $1x ${9} $ ${'}",
		  "__name__=\"m\",a=\"f\"", "__name__=\"m\",a=\"f\",b=\"$1 fx   $ ${\"" },
		{ "{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}",
		  "__name__=\"m\",a=\"foo\",b1=\"bar\",b2=\"baz\"",
		  "__name__=\"m\",a=\"foo\",b1=\"bar\",b2=\"baz\",bar_b1=\"bar\",bar_b2=\"baz\"" },
		{ "{regex: '__meta_(my.*)', action: labelmap}",
		  "__name__=\"m\",__meta_my_a=\"1\",my_a=\"0\"", "__name__=\"m\",__meta_my_a=\"1\",my_a=\"1\"" },
		{ "{regex: '(b.*)', action: labeldrop}",
		  "__name__=\"m\",a=\"foo\",b1=\"bar\",b2=\"baz\"", "__name__=\"m\",a=\"foo\"" },
		{ "{regex: '(__name__|b.*)', action: labelkeep}",
		  "__name__=\"m\",a=\"foo\",b1=\"bar\"", "__name__=\"m\",b1=\"bar\"" },
		{ "{source_labels: [a], target_label: a, action: uppercase}",
		  "__name__=\"m\",a=\"bAr123Foo\"", "__name__=\"m\",a=\"BAR123FOO\"" },
		{ "{source_labels: [a], target_label: b, action: lowercase}",
		  "__name__=\"m\",a=\"bAr123Foo\"", "__name__=\"m\",a=\"bAr123Foo\",b=\"bar123foo\"" },
		{ "{source_labels: [a], target_label: b, action: keepequal}",
		  "__name__=\"m\",a=\"1\",b=\"1\"", "__name__=\"m\",a=\"1\",b=\"1\"" },
		{ "{source_labels: [a], target_label: b, action: keepequal}", "__name__=\"m\",a=\"1\",b=\"2\"", NULL },
		{ "{source_labels: [a], target_label: b, action: dropequal}", "__name__=\"m\",a=\"1\",b=\"1\"", NULL },
		{ "{source_labels: [a], target_label: b, action: dropequal}",
		  "__name__=\"m\",a=\"1\",b=\"2\"", "__name__=\"m\",a=\"1\",b=\"2\"" },
		{ "{source_labels: [__org__], target_label: tenant}, {regex: __org__, action: labeldrop},"
		  " {source_labels: [tenant], regex: acme, action: keep}",
		  "__name__=\"m\",__org__=\"acme\"", "__name__=\"m\",tenant=\"acme\"" },
		{ "{source_labels: [a], regex: \"x.y\", target_label: b, replacement: line}",
		  "__name__=\"m\",a=\"x\ny\"", "__name__=\"m\",a=\"x\ny\",b=\"line\"" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		struct relabel_labels labels;
		struct relabel *rules = NULL;
		struct err e = ERR_INIT;

		if (compile(cases[i].rules, &rules, &e) < 0)
			fail_msg("%s: %s", cases[i].rules, e.msg);
		parse_labels(cases[i].before, &labels);
		enum relabel_result r = relabel_apply(rules, &labels, &arena);

		relabel_free(rules);
		if ((r == RELABEL_DROPPED) != !cases[i].after)
			fail_msg("%s: result %d", cases[i].rules, (int)r);
		put_labels(&labels, &out);
		if (cases[i].after && !str_eqc(buf_str(&out), cases[i].after))
			fail_msg("%s: got %s", cases[i].rules, buf_cstr(&out));
	}
}

static void test_bad_results(void **state)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
	struct relabel_labels labels;
	struct relabel *rules = NULL;
	static char names[LABELS_MAX][8];

	(void)state;
	assert_int_equal(0, compile("{regex: __name__, action: labeldrop}", &rules, NULL));
	parse_labels("__name__=\"m\",a=\"1\"", &labels);
	assert_int_equal(RELABEL_NO_NAME, relabel_apply(rules, &labels, &arena));
	relabel_free(rules);
	assert_int_equal(0, compile("{target_label: one_more, replacement: x}", &rules, NULL));
	for (labels.n = 0; labels.n < LABELS_MAX; labels.n++) {
		(void)snprintf(names[labels.n], 8, "l%u", labels.n);
		labels.v[labels.n] = (struct label){ str_from(names[labels.n]), STR("x") };
	}
	assert_int_equal(RELABEL_NO_NAME, relabel_apply(rules, &labels, &arena));
	relabel_free(rules);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *rules, *why;
	} cases[] = {
		{ "{action: replace}", "relabel[0]: target_label: expected a label's name" },
		{ "{target_label: 9a}", "relabel[0]: target_label: expected a label's name" },
		{ "{action: keep}, {action: lowercase}", "relabel[1]: target_label: expected" },
		{ "{action: drop, target_label: a}", "relabel[0]: target_label: has no meaning" },
		{ "{action: drop, regex: 'a)'}", "relabel[0]: regex: " },
		{ "{action: hashmod}", "expected one of replace, keep, drop" },
		{ "{action: drop, modulus: 3}", "unknown key \"modulus\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct relabel *rules = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(-EINVAL, compile(cases[i].rules, &rules, &e));
		if (!strstr(e.msg, cases[i].why))
			fail_msg("%s: %s", cases[i].rules, e.msg);
	}
}

static void test_no_memory(void **state)
{
	struct conf_strings sources = { (char *[]){ strdup("a"), strdup("b") }, 2 };
	struct relabel_conf conf = { .action = RELABEL_REPLACE,
		                     .source_labels = sources,
		                     .separator = (char[]){ ";" },
		                     .regex = (char[]){ "(x)?(.*)" },
		                     .target_label = (char[]){ "c" },
		                     .replacement = (char[]){ "$1-$2" } };
	const struct conf_structs one = { &conf, 1 };
	unsigned long n = 1;
	int r;

	(void)state;
	do {
		_cleanup_(arena_done) struct arena arena = ARENA_INIT(0);
		struct relabel *rules = NULL;
		struct relabel_labels labels;

		parse_labels("__name__=\"m\",a=\"1\"", &labels);
		alloc_fail_at(n++);
		r = relabel_new(&rules, &one, NULL);
		if (r == 0)
			r = relabel_apply(rules, &labels, &arena) == RELABEL_NO_MEMORY ? -ENOMEM
			                                                               : 0;
		alloc_fail_at(0);
		assert_true(r == 0 || r == -ENOMEM);
		relabel_free(rules);
	} while (r < 0);
	assert_true(n > 4);
	free(sources.v[0]);
	free(sources.v[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_bad_results),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
