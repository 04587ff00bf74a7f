/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration: good files set fields, bad files name file, line, key, found and expected. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/conf.h"

struct item {
	char *name;
	int64_t weight;
};

struct cfg {
	bool on;
	int64_t count, wait_ms;
	uint64_t room_bytes;
	double ratio;
	char *path, *must;
	int sync;
	struct conf_strings tags;
	struct conf_structs items, classes, kinds;
};

#define AT(f) offsetof(struct cfg, f)

static const char *const syncs[] = { "always", "interval", NULL };

static const struct conf_row item_rows[] = {
	{ .key = "weight",
	  .type = CONF_INT,
	  .offset = offsetof(struct item, weight),
	  .default_text = "1",
	  .min = 0,
	  .max = 9,
	  .sentence = "Weight." },
};
static const struct conf_schema list_item = { item_rows, 1, sizeof(struct item), -1 };
static const struct conf_schema map_item = { item_rows, 1, sizeof(struct item),
	                                     offsetof(struct item, name) };

static const struct conf_row rows[] = {
	{ .key = "on",
	  .type = CONF_BOOL,
	  .offset = AT(on),
	  .default_text = "false",
	  .reloadable = true,
	  .sentence = "On." },
	{ .key = "count",
	  .type = CONF_INT,
	  .offset = AT(count),
	  .default_text = "3",
	  .min = 1,
	  .max = 10,
	  .sentence = "Count." },
	{ .key = "wal.sync",
	  .type = CONF_ENUM,
	  .offset = AT(sync),
	  .default_text = "always",
	  .names = syncs,
	  .sentence = "Sync." },
	{ .key = "wal.wait",
	  .type = CONF_DURATION,
	  .offset = AT(wait_ms),
	  .default_text = "15s",
	  .sentence = "Wait." },
	{ .key = "room",
	  .type = CONF_SIZE,
	  .offset = AT(room_bytes),
	  .default_text = "1MiB",
	  .sentence = "Room." },
	{ .key = "ratio",
	  .type = CONF_DOUBLE,
	  .offset = AT(ratio),
	  .default_text = "0.5",
	  .sentence = "Ratio." },
	{ .key = "path",
	  .type = CONF_STRING,
	  .offset = AT(path),
	  .default_text = "/tmp",
	  .sentence = "Path." },
	{ .key = "must", .type = CONF_STRING, .offset = AT(must), .sentence = "Must." },
	{ .key = "tags",
	  .type = CONF_STRINGS,
	  .offset = AT(tags),
	  .default_text = "a, b",
	  .sentence = "Tags." },
	{ .key = "items",
	  .type = CONF_STRUCTS,
	  .offset = AT(items),
	  .sub = &list_item,
	  .sentence = "Items." },
	{ .key = "classes",
	  .type = CONF_STRUCTS,
	  .offset = AT(classes),
	  .sub = &map_item,
	  .sentence = "Classes." },
	{ .key = "kinds",
	  .type = CONF_STRUCTS,
	  .offset = AT(kinds),
	  .default_text = "{big: {weight: 5}, small: {}}",
	  .sub = &map_item,
	  .sentence = "Kinds." },
};
static const struct conf_schema schema = { rows, ARRAY_SIZE(rows), sizeof(struct cfg), -1 };

static const char good[] = "on: true\nwal: {sync: interval, wait: 1h}\nroom: 2GiB\n"
			   "must: \"a b\"\ntags: [x]\nitems:\n- {weight: 2}\n- {}\n"
			   "classes:\n  shared: {weight: 7}\nkinds: {own: {}}\n";

static void test_defaults(void **state)
{
	struct cfg c;

	(void)state;
	assert_int_equal(0, conf_init(&schema, &c));
	assert_false(c.on);
	assert_int_equal(3, c.count);
	assert_int_equal(15000, c.wait_ms);
	assert_int_equal(1 << 20, c.room_bytes);
	assert_string_equal("/tmp", c.path);
	assert_string_equal("", c.must);
	assert_int_equal(2, c.tags.n);
	assert_string_equal("b", c.tags.v[1]);
	assert_int_equal(0, c.classes.n);
	assert_int_equal(2, c.kinds.n);
	assert_string_equal("big", ((const struct item *)c.kinds.v)[0].name);
	assert_int_equal(5, ((const struct item *)c.kinds.v)[0].weight);
	assert_string_equal("small", ((const struct item *)c.kinds.v)[1].name);
	conf_done(&schema, &c);
}

static void check_good(const struct cfg *c)
{
	const struct item *items = c->items.v, *classes = c->classes.v;

	assert_true(c->on);
	assert_int_equal(1, c->sync);
	assert_int_equal(3600000, c->wait_ms);
	assert_true(c->room_bytes == 2ull << 30);
	assert_string_equal("a b", c->must);
	assert_int_equal(1, c->tags.n);
	assert_int_equal(2, c->items.n);
	assert_int_equal(2, items[0].weight);
	assert_int_equal(1, items[1].weight);
	assert_int_equal(1, c->classes.n);
	assert_string_equal("shared", classes[0].name);
	assert_int_equal(7, classes[0].weight);
	assert_int_equal(1, c->kinds.n); /* the file's replace the default's */
	assert_string_equal("own", ((const struct item *)c->kinds.v)[0].name);
}

static void test_file_and_back(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct cfg c, again;

	(void)state;
	assert_int_equal(0, conf_init(&schema, &c));
	if (conf_parse(&schema, "t.yml", str_from(good), &c, &e) < 0)
		fail_msg("%s", e.msg);
	check_good(&c);
	conf_print(&schema, &c, &text);
	assert_int_equal(0, conf_init(&schema, &again));
	if (conf_parse(&schema, "printed", buf_str(&text), &again, &e) < 0)
		fail_msg("%s\n%s", e.msg, buf_cstr(&text));
	check_good(&again);
	assert_null(conf_unreloadable_change(&schema, &c, &again));
	again.on = false; /* may change */
	assert_null(conf_unreloadable_change(&schema, &c, &again));
	again.wait_ms++;
	assert_string_equal("wal.wait", conf_unreloadable_change(&schema, &c, &again));
	conf_done(&schema, &c);
	conf_done(&schema, &again);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		/* clang-format off */
		{ "must: x\ncuont: 1\n",
		  "t.yml:2: unknown key \"cuont\", did you mean \"count\"?" },
		{ "must: x\nwal: {snyc: always}\n",
		  "t.yml:2: unknown key \"wal.snyc\", did you mean" },
		{ "must: x\nwal: 3\n", "t.yml:2: key \"wal\": expected a mapping" },
		{ "must: x\ncount: 11\n",
		  "t.yml:2: key \"count\": found \"11\", expected an integer between 1 and 10" },
		{ "must: x\ncount: many\n", "found \"many\", expected an integer" },
		{ "must: x\ncount: [1]\n", "found a list, expected an integer" },
		{ "must: x\non: yes\n", "found \"yes\", expected true or false" },
		{ "must: x\nwal:\n  sync: never\n",
		  "t.yml:3: key \"wal.sync\": found \"never\", expected one of always, interval" },
		{ "must: x\nwal: {wait: 5}\n", "expected a duration like 15s" },
		{ "must: x\nroom: big\n", "expected a size like 256MiB" },
		{ "must: x\nmust: y\n", "t.yml:2: key \"must\" stands twice (first in line 1)" },
		{ "must: x\nwal: {wait: 1s}\nwal: {sync: always}\n", "key \"wal\" stands twice" },
		{ "count: 2\n", "required key \"must\" is missing" },
		{ "", "required key \"must\" is missing" },
		{ "- a\n", "expected a mapping of settings" },
		{ "must: x\nitems: [3]\n", "found a scalar, expected a list of mappings" },
		{ "must: x\nitems: [{weight: 10}]\n", "expected an integer between 0 and 9" },
		{ "must: x\nitems: {a: {}}\n", "found a mapping, expected a list of mappings" },
		{ "must: x\npath: &a y\n",
		  "t.yml:2: anchors (&name) and aliases (*name) are not accepted" },
		{ "must: x\n  bad indent: [\n", "t.yml:2: " },
		{ "? {a: b}\n: c\nmust: x\n", "a key must be a plain word" },
		{ "\"a\\0b\": c\nmust: x\n", "a key must be a plain word" },
		{ "must:\n", "t.yml:1: key \"must\": found nothing, expected a string" },
		{ "must: ~\n", "found nothing, expected a string" },
		{ "must: null\n", "found nothing, expected a string" },
		{ "must: x\ntags: [a, ]\nitems:\n",
		  "t.yml:3: key \"items\": found nothing, expected a list of mappings" },
		{ "must: x\ntags: [~]\n", "found nothing, expected a list of strings" },
		{ "must: x\ntags: [\"a\\0b\"]\n",
		  "t.yml:2: key \"tags\": found a NUL byte, expected a list of strings" },
		{ "must: \"a\\0b\"\n", "key \"must\": found \"a\", expected a string" },
		{ "must: x\non: \"true\"\n", "found a quoted text, expected true or false" },
		{ "must: x\ncount: '3'\n", "found a quoted text, expected an integer" },
		{ "must: x\nratio: .inf\n", "expected a number" },
		{ "must: x\nratio: NaN\n", "found \"NaN\", expected a number" },
		{ "must: x\nwal.wait: 1s\n",
		  "t.yml:2: key \"wal.wait\": found a dot, expected nested mappings" },
		{ "must: x\nclasses: [{weight: 1}]\n",
		  "found a list, expected a mapping of mappings" },
		{ "must: x\nclasses: {a: {}, a: {}}\n", "key \"a\" stands twice" },
		{ "must: x\n---\nmust: y\n",
		  "t.yml:2: found a second document, expected one" },
		{ "must: x\n...\nmust: y\n", "t.yml:3: did not find expected <document start>" },
		{ "must: x\npath: \xff\n", "t.yml:2: invalid leading UTF-8 octet" },
		{ "must: x\n\"a\\nb\": 1\n", "unknown key \"a?b\"" },
		{ "must: x\ntags: {a: b}\n", "found a mapping, expected a list of strings" },
		{ "must: x\nwal: {wait: \"\"}\n", "found \"\", expected a duration" },
		{ "must: x\n<<: {count: 1}\n", "unknown key \"<<\"" },
		{ "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nmust: x\n",
		  "t.yml:1: anchors (&name) and" },
		{ "must: x\ntags: [a, *a]\n",
		  "t.yml:2: anchors (&name) and aliases (*name) are not accepted" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		struct cfg c;

		assert_int_equal(0, conf_init(&schema, &c));
		unit_note("%s", bad[i].want);
		assert_int_equal(-EINVAL,
		                 conf_parse(&schema, "t.yml", str_from(bad[i].text), &c, &e));
		if (!strstr(e.msg, bad[i].want))
			fail_msg("expected \"%s\" in \"%s\"", bad[i].want, e.msg);
		assert_int_equal(3, c.count); /* nothing is half-loaded */
		assert_string_equal("", c.must);
		conf_done(&schema, &c);
	}
}

static void test_missing_file(void **state)
{
	struct err e = ERR_INIT;
	struct cfg c;

	(void)state;
	assert_int_equal(0, conf_init(&schema, &c));
	assert_int_equal(-ENOENT, conf_load(&schema, "/nonexistent/x.yml", &c, &e));
	assert_non_null(strstr(e.msg, "/nonexistent/x.yml"));
	conf_done(&schema, &c);
}

/* Our own allocations; libyaml's are malloc's and are not counted. */
static void test_every_allocation_may_fail(void **state)
{
	unsigned long n = 0;
	int r = -ENOMEM;

	(void)state;
	while (r == -ENOMEM) {
		struct cfg c;

		alloc_fail_at(0);
		assert_int_equal(0, conf_init(&schema, &c));
		alloc_fail_at(++n);
		r = conf_parse(&schema, "t.yml", str_from(good), &c, NULL);
		alloc_fail_at(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(r == 0 ? 1 : 0, c.sync);
		conf_done(&schema, &c);
	}
	assert_true(n > 10);
}

/* Keys of one group apart in the table; a range in both units. */
static const struct conf_row apart_rows[] = {
	{ .key = "a.b.x",
	  .type = CONF_DURATION,
	  .offset = AT(wait_ms),
	  .default_text = "1m",
	  .min = 1000,
	  .max = 7200e3,
	  .sentence = "X." },
	{ .key = "tags", .type = CONF_STRINGS, .offset = AT(tags), .default_text = "[p, q]" },
	{ .key = "a.y",
	  .type = CONF_SIZE,
	  .offset = AT(room_bytes),
	  .default_text = "0",
	  .max = 0x1p30,
	  .sentence = "Y | Z." },
	{ .key = "a.b.z", .type = CONF_STRING, .offset = AT(path), .default_text = "" },
};
static const struct conf_schema apart = { apart_rows, ARRAY_SIZE(apart_rows), sizeof(struct cfg),
	                                  -1 };

static void test_groups_apart(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct cfg c;

	(void)state;
	assert_int_equal(0, conf_init(&apart, &c));
	assert_int_equal(2, c.tags.n);
	assert_string_equal("p", c.tags.v[0]);
	assert_string_equal("q", c.tags.v[1]);
	conf_print(&apart, &c, &text);
	assert_string_equal("a:\n  b:\n    # X.\n    x: 1m\n    z: \"\"\n"
	                    "  # Y | Z.\n  y: 0B\ntags: [\"p\", \"q\"]\n",
	                    buf_cstr(&text));
	if (conf_parse(&apart, "printed", buf_str(&text), &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(-EINVAL, conf_parse(&apart, "t", STR("a: {b: {x: 3h}}"), &c, &e));
	assert_string_equal("t:1: key \"a.b.x\": found \"3h\", expected a duration like 15s "
	                    "between 1s and 2h",
	                    e.msg);
	e = ERR_INIT;
	assert_int_equal(-EINVAL, conf_parse(&apart, "t", STR("a: {y: 2GiB}"), &c, &e));
	assert_non_null(strstr(e.msg, "between 0B and 1GiB"));
	conf_done(&apart, &c);
}

/* Every text that a string may hold comes back from the printed file. */
static void test_printed_strings_read_back(void **state)
{
	static const char alphabet[][5] = {
		"a",      "\"",     "\\",           "\n", "\t",         "\x7f",    "\xc2\x85",
		"\u2028", "\ufeff", "\u00e9",       " ",  "\U0001f600", "#",       ": ",
		"\x01",   "-",      "\xef\xbf\xbf", "'",  "%",          "\xc2\xa0"
	};
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 2000; round++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		_cleanup_(buf_done) struct buf want = BUF_INIT;
		struct err e = ERR_INIT;
		struct cfg c;

		for (uint32_t n = rng_below(&rng, 12); n > 0; n--)
			buf_puts(&want, alphabet[rng_below(&rng, ARRAY_SIZE(alphabet))]);
		assert_int_equal(0, conf_init(&apart, &c));
		free(c.path);
		c.path = strdup(buf_cstr(&want));
		conf_print(&apart, &c, &text);
		if (conf_parse(&apart, "printed", buf_str(&text), &c, &e) < 0)
			fail_msg("%s\n%s", e.msg, buf_cstr(&text));
		assert_string_equal(buf_cstr(&want), c.path);
		conf_done(&apart, &c);
	}
}

/* Each of these texts is quick to refuse, whatever libyaml would make of it. */
static void test_limits(void **state)
{
	static const char *const units[] = { "[", "- ", "{a: ", "a: &x [*x,", "x: 1\n" };
	struct cfg c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		_cleanup_(buf_done) struct buf text = BUF_INIT;
		struct err e = ERR_INIT;

		while (text.len < 200000)
			buf_puts(&text, units[i]);
		assert_int_equal(0, conf_init(&schema, &c));
		assert_int_equal(-EINVAL, conf_parse(&schema, "t", buf_str(&text), &c, &e));
		assert_true(e.msg[0] != '\0');
		while (text.len < (1 << 20) + 1)
			buf_puts(&text, "\n");
		e = ERR_INIT;
		assert_int_equal(-EINVAL, conf_parse(&schema, "t", buf_str(&text), &c, &e));
		assert_string_equal("t: larger than 1048576 bytes", e.msg);
		conf_done(&schema, &c);
	}
}

/* The key that a complaint begins with is looked up in the file, as far as its words lead. */
static void test_complaints(void **state)
{
	static const char text[] = "a: 1\nb:\n  c: x\n  d:\n  - e: 1\n  - {f: 1,\n     g: 2}\n";
	static const struct {
		const char *why, *want;
	} cases[] = {
		/* clang-format off */
		{ "a: wrong",           "t:1: a: wrong" },
		{ "b.c: wrong",         "t:3: b.c: wrong" },
		{ "b.d[0].e: wrong",    "t:5: b.d[0].e: wrong" },
		{ "b.d[1]: g: wrong",   "t:7: b.d[1]: g: wrong" },
		{ "b.d[2].e: wrong",    "t:4: b.d[2].e: wrong" },
		{ "b.d[-1]: wrong",     "t:4: b.d[-1]: wrong" },
		{ "b.x: a: wrong",      "t:2: b.x: a: wrong" },
		{ "x.a: wrong",         "t: x.a: wrong" },
		{ "",                   "t: " },
		/* clang-format on */
	};
	static const char *const no_documents[] = { "", "[", "a: \xff", "# nothing\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;

		assert_int_equal(-EINVAL,
		                 conf_complain("t", str_from(text), -EINVAL, cases[i].why, &e));
		assert_string_equal(cases[i].want, e.msg);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no_documents); i++) {
		struct err e = ERR_INIT;

		(void)conf_complain("t", str_from(no_documents[i]), -EINVAL, "a: wrong", &e);
		assert_string_equal("t: a: wrong", e.msg);
	}
}

static void test_document(void **state)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	(void)state;
	conf_document(&schema, &text);
	const char *all = buf_cstr(&text);

	assert_non_null(
		strstr(all, "| `wal.sync` | one of always, interval | `always` | no | Sync. |\n"));
	assert_non_null(strstr(all, "| `must` | a string | required | no | Must. |\n"));
	assert_non_null(strstr(all, "| `items` | a list of mappings | none | no | Items. |\n"));
	assert_non_null(strstr(all, "| `items[].weight` | an integer between 0 and 9 | `1` |"));
	assert_non_null(strstr(all, "| `classes.<name>.weight` |"));
	buf_clear(&text);
	conf_document(&apart, &text);
	assert_non_null(strstr(buf_cstr(&text), "| Y \\| Z. |\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_file_and_back),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_groups_apart),
		cmocka_unit_test(test_printed_strings_read_back),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
