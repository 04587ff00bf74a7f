/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM descriptions. docs/vm-spec.md is the normative text: its example, every limit of its tables
 * and every message of its table of errors are read from it and tried. Run from the tree's root.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <jansson.h>

#include "tests/unit/doc.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"
#include "userspace/base/num.h"
#include "userspace/host/spec.h"

#define DOC  "docs/vm-spec.md"
#define GOOD "\"org\": \"acme\", \"app\": \"web\", \"instance\": \"i-1\", \"pid\": 7"

#define _cleanup_json_ _cleanup_(json_decrefp)

static int parse(const char *text, struct vm_spec *s, struct err *e)
{
	struct str exact = unit_strdup(str_from(text));
	int r = spec_parse(exact, s, e);

	free((void *)(uintptr_t)exact.p);
	return r;
}

static struct vm_spec good(const char *text)
{
	struct err e = ERR_INIT;
	struct vm_spec s;

	memset(&s, 0xaa, sizeof(s));
	if (parse(text, &s, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

/* A refusal says why and leaves what was there. */
static void assert_bad(const char *text, const char *why)
{
	struct err e = ERR_INIT;
	struct vm_spec s, before;

	memset(&s, 0xaa, sizeof(s));
	memcpy(&before, &s, sizeof(s));
	assert_int_equal(-EINVAL, parse(text, &s, &e));
	assert_string_equal(why, e.msg);
	assert_memory_equal(&before, &s, sizeof(s));
	assert_int_equal(-EINVAL, parse(text, &s, NULL));
}

/* ---- docs/vm-spec.md ------------------------------------------------------------------------ */

static void test_example_of_the_document(void **state)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str rest, example = doc_between(doc_open(&doc, DOC), "```json\n", "```", &rest);
	struct err e = ERR_INIT;
	struct vm_spec s;

	(void)state;
	assert_int_equal(0, spec_parse(example, &s, &e));
	assert_string_equal("acme", s.org);
	assert_string_equal("web", s.app);
	assert_string_equal("148e21f7b12089", s.instance);
	assert_string_equal("ams", s.region);
	assert_string_equal("worker", s.process_group);
	assert_string_equal("shared", s.cpu_class);
	assert_string_equal("6.1-default", s.kernel_profile);
	assert_int_equal(0, s.pid);
	assert_string_equal("/run/fc/148e21f7b12089/pid", s.pid_file);
	assert_string_equal("/sys/fs/cgroup/vms/148e21f7b12089", s.cgroup);
	assert_int_equal(2, s.vcpus);
	assert_int_equal(536870912, s.memory_bytes);
	assert_int_equal(1, s.n_taps);
	assert_string_equal("tap148e21", s.taps[0].ifname);
	assert_string_equal("eth0", s.taps[0].guest);
	assert_int_equal(2, s.n_disks);
	assert_string_equal("/dev/vg0/vol_r7x2", s.disks[1].path);
	assert_string_equal("vdb", s.disks[1].guest);
	assert_int_equal(1, s.n_volumes);
	assert_string_equal("vol_r7x2", s.volumes[0].id);
	assert_string_equal("/dev/vg0/vol_r7x2", s.volumes[0].device);
	assert_int_equal(1, s.n_metrics);
	assert_int_equal(9091, s.metrics[0].port);
	assert_string_equal("/metrics", s.metrics[0].path);
	assert_int_equal(1, s.metrics[0].n_processes);
	assert_string_equal("worker", s.metrics[0].processes[0]);
	assert_int_equal(2, s.n_addresses);
	assert_string_equal("fdaa:0:1::2", s.addresses[1]);
	assert_int_equal(2, s.n_hostnames);
	assert_string_equal("*.web.example.com", s.hostnames[1]);
	assert_int_equal(1, s.n_listeners);
	assert_string_equal("203.0.113.7:443", s.listeners[0]);
	assert_int_equal(20, s.soft_limit);
	assert_int_equal(25, s.hard_limit);

	struct str smallest = doc_between(rest, "`{", "}`", &rest);

	assert_int_equal(0, spec_parse((struct str){ smallest.p - 1, smallest.len + 2 }, &s, &e));
	assert_int_equal(4711, s.pid);
}

/* One row of a field table: "| `ifname` | text | yes | 15 bytes | ...". */
struct row {
	struct str section; /* "" = the VM itself */
	struct str name, type, required, limit;
};

static bool row_of(struct str line, struct row *row)
{
	struct str cells[6] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
		struct str cell;

		(void)str_cut(line, '|', &cell, &line);
		cells[i] = str_trim(cell);
	}
	if (cells[1].len < 3 || cells[1].p[0] != '`' || cells[4].len == 0)
		return false;
	row->name = (struct str){ cells[1].p + 1, cells[1].len - 2 };
	row->type = cells[2];
	row->required = cells[3];
	row->limit = cells[4];
	return true;
}

static uint64_t limit_of(const struct row *row)
{
	struct str first, rest, number = row->limit;
	uint64_t n;

	if (str_starts(number, STR("1 to ")))
		number = str_skip(number, 5);
	(void)str_cut(number, ' ', &first, &rest);
	assert_int_equal(0, num_parse_u64(first, &n));
	return n;
}

/* An object of the section that is good but for the field in question. */
static json_t *base_of(struct str section)
{
	json_t *o = NULL;

	if (section.len == 0)
		o = json_pack("{ssssss}", "org", "acme", "app", "web", "instance", "i-1");
	else if (str_eqc(section, "taps"))
		o = json_pack("{ss}", "ifname", "tap0");
	else if (str_eqc(section, "disks"))
		o = json_pack("{ss}", "path", "/dev/vda");
	else if (str_eqc(section, "volumes"))
		o = json_pack("{ssss}", "id", "vol", "device", "/dev/vda");
	else if (str_eqc(section, "metrics"))
		o = json_pack("{si}", "port", 9091);
	assert_non_null(o);
	return o;
}

/* @value (taken over; NULL leaves the field out) in the place of @row, in a whole description. */
static int try_value(const struct row *row, json_t *value, struct err *e)
{
	_cleanup_json_ json_t *o = base_of(row->section);
	char name[64], list[64];
	struct vm_spec s;

	(void)snprintf(name, sizeof(name), "%.*s", STR_FMT(row->name));
	(void)snprintf(list, sizeof(list), "%.*s", STR_FMT(row->section));
	if (value)
		json_object_set_new(o, name, value);
	else
		json_object_del(o, name);
	if (row->section.len > 0) {
		json_t *root = base_of(STR_NULL);

		json_object_set_new(root, list, json_pack("[o]", o));
		o = root;
	}
	if (!json_object_get(o, "pid") && !json_object_get(o, "pid_file") &&
	    !json_object_get(o, "cgroup"))
		json_object_set_new(o, "pid", json_integer(7));
	_cleanup_free_ char *text = json_dumps(o, JSON_COMPACT);

	assert_non_null(text);
	*e = ERR_INIT;
	return parse(text, &s, e);
}

static json_t *text_of(const struct row *row, uint64_t bytes)
{
	char text[1024];

	assert_true(bytes < sizeof(text));
	memset(text, 'x', sizeof(text));
	if (str_eqc(row->type, "path"))
		text[0] = '/';
	return json_stringn(text, bytes);
}

/* What is before and behind the number in a good text of a list of texts. */
struct form {
	const char *list, *before, *behind;
};

/* NULL: the list is of objects. */
static const struct form *form_of(struct str list)
{
	static const struct form forms[] = {
		{ "processes", "n", "" },
		{ "addresses", "10.0.0.", "" },
		{ "hostnames", "n", ".example" },
		{ "listeners", "10.0.0.7:", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (str_eqc(list, forms[i].list))
			return &forms[i];
	}
	return NULL;
}

static json_t *list_of(const struct row *row, uint64_t n)
{
	json_t *list = json_array();

	for (uint64_t i = 0; i < n; i++) {
		char text[32];
		const struct form *form = form_of(row->name);
		json_t *item = form ? NULL : base_of(row->name);

		(void)snprintf(text, sizeof(text), "%s%u%s", form ? form->before : "n", (unsigned)i,
		               form ? form->behind : "");
		if (form)
			item = json_string(text);
		else if (json_object_get(item, "ifname"))
			json_object_set_new(item, "ifname", json_string(text));
		else if (json_object_get(item, "id"))
			json_object_set_new(item, "id", json_string(text));
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *value_of(const struct row *row, uint64_t size)
{
	if (str_eqc(row->type, "number"))
		return json_integer((json_int_t)size);
	return str_eqc(row->type, "list") ? list_of(row, size) : text_of(row, size);
}

/* The message begins with the field's place and its fault. */
static void assert_names(const struct row *row, const struct err *e, const char *what)
{
	char expected[256];

	(void)snprintf(expected, sizeof(expected), "%.*s%s%.*s: %s", STR_FMT(row->section),
	               row->section.len > 0 ? "[0]." : "", STR_FMT(row->name), what);
	assert_string_equal(expected, e->msg);
}

static void check_limits(const struct row *row)
{
	uint64_t limit = limit_of(row);
	char what[64];
	struct err e;

	if (str_eqc(row->type, "number"))
		(void)snprintf(what, sizeof(what), "expected a number from 1 to %llu",
		               (unsigned long long)limit);
	else
		(void)snprintf(what, sizeof(what),
		               str_eqc(row->type, "list") ? "more than %llu items"
		                                          : "longer than %llu bytes",
		               (unsigned long long)limit);
	if (str_eqc(row->name, "kind")) { /* one word is good, and no other */
		assert_int_equal(0, try_value(row, json_string("postgres"), &e));
		assert_int_equal(-EINVAL, try_value(row, value_of(row, limit), &e));
		assert_names(row, &e, "expected postgres");
		return;
	}
	if (try_value(row, value_of(row, limit), &e) < 0)
		fail_msg("%.*s at its limit: %s", STR_FMT(row->name), e.msg);
	assert_int_equal(0, try_value(row, value_of(row, 1), &e));
	assert_int_equal(-EINVAL, try_value(row, value_of(row, limit + 1), &e));
	assert_names(row, &e, what);
}

static void check_types(const struct row *row)
{
	struct err e;
	char what[64];

	if (str_eqc(row->type, "number"))
		(void)snprintf(what, sizeof(what), "expected a number from 1 to %llu",
		               (unsigned long long)limit_of(row));
	else
		(void)snprintf(what, sizeof(what), "expected a %s",
		               str_eqc(row->type, "list") ? "list" : "text");
	assert_int_equal(-EINVAL, try_value(row, json_null(), &e));
	assert_names(row, &e, what);
	assert_int_equal(-EINVAL, try_value(row, json_true(), &e));
	assert_names(row, &e, what);
	assert_int_equal(-EINVAL, try_value(row, json_object(), &e));
	assert_names(row, &e, what);
	assert_int_equal(-EINVAL, try_value(row, json_real(1.0), &e));
	assert_names(row, &e, what);
	if (str_eqc(row->type, "number")) {
		assert_int_equal(-EINVAL, try_value(row, json_integer(0), &e));
		assert_int_equal(-EINVAL, try_value(row, json_integer(-1), &e));
		assert_int_equal(-EINVAL, try_value(row, json_string("1"), &e));
	} else if (!str_eqc(row->type, "list")) {
		assert_int_equal(-EINVAL, try_value(row, json_string(""), &e));
		assert_names(row, &e, "is empty; leave it out instead");
		assert_int_equal(-EINVAL, try_value(row, json_string("/\x7f"), &e));
		assert_names(row, &e, "holds a control character");
	}
	if (str_eqc(row->type, "path")) {
		assert_int_equal(-EINVAL, try_value(row, json_string("a/b"), &e));
		assert_names(row, &e, "expected a path that begins with /");
	}
}

static void check_required(const struct row *row)
{
	struct err e;
	int r = try_value(row, NULL, &e);

	if (!str_eqc(row->required, "yes")) {
		assert_int_equal(0, r);
		return;
	}
	assert_int_equal(-EINVAL, r);
	assert_names(row, &e, "is missing");
}

static void test_every_field_of_the_document(void **state)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str line, rest, text = doc_open(&doc, DOC);
	struct row row = { 0 };
	size_t n = 0;

	(void)state;
	text = doc_between(text, "## Fields", "## Errors", &rest);
	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		if (str_starts(line, STR("### ")))
			row.section = str_skip(line, 4);
		if (!row_of(line, &row))
			continue;
		unit_note("%.*s.%.*s", STR_FMT(row.section), STR_FMT(row.name));
		check_limits(&row);
		check_types(&row);
		check_required(&row);
		n++;
	}
	assert_int_equal(25 + 2 + 2 + 2 + 3, n); /* all that spec.c has */
}

/* "| `added` | `message` |": the left side goes over a good description. */
static void check_error_row(struct str line)
{
	struct str rest, added = doc_between(line, "| `", "` | `", &rest);
	struct str message = { rest.p, 0 };
	char text[512], why[256];

	const char *end = memmem(rest.p, rest.len, "` |", 3);

	assert_non_null(end);
	message.len = (size_t)(end - rest.p);
	(void)snprintf(text, sizeof(text), "{%.*s}", STR_FMT(added));
	(void)snprintf(why, sizeof(why), "%.*s", STR_FMT(message));
	unit_note("%s", text);
	_cleanup_json_ json_t *o = json_loads("{" GOOD "}", 0, NULL);
	_cleanup_json_ json_t *more = json_loads(text, 0, NULL);

	assert_non_null(more);
	json_object_update(o, more);
	_cleanup_free_ char *whole = json_dumps(o, 0);

	assert_bad(whole, why);
}

static void test_every_error_of_the_document(void **state)
{
	_cleanup_(doc_done) struct doc doc = { 0 };
	struct str line, rest, text = doc_open(&doc, DOC);
	size_t n = 0;

	(void)state;
	(void)doc_between(text, "## Err", "\n", &rest);
	for (text = rest; text.len > 0;) {
		(void)str_cut(text, '\n', &line, &text);
		if (!str_starts(line, STR("| `")))
			continue;
		check_error_row(line);
		n++;
	}
	assert_true(n >= 15);
}

/* ---- the parser ----------------------------------------------------------------------------- */

static void test_not_a_description(void **state)
{
	(void)state;
	assert_bad("", "line 1: '[' or '{' expected near end of file");
	assert_bad("\"acme\"", "line 1: '[' or '{' expected near '\"acme\"'");
	assert_bad("[]", "expected an object");
	assert_bad("{}", "org: is missing");
	assert_bad("{" GOOD "} x", "line 1: end of file expected near 'x'");
	assert_bad("{" GOOD ",\n \"vcpus\":\n}", "line 3: unexpected token near '}'");
	assert_bad("{" GOOD, "line 1: '}' expected near end of file");
	assert_bad("{" GOOD ", \"app\": \"web\"}", "line 1: duplicate object key near '\"app\"'");
	assert_bad("{" GOOD ", \"taps\": [{\"ifname\": \"a\", \"ifname\": \"b\"}]}",
	           "line 1: duplicate object key near '\"ifname\"'");
	assert_bad("{" GOOD ", \"region\": \"\xff\"}",
	           "line 1: unable to decode byte 0xff near '\"'");
	assert_bad("{" GOOD ", \"vcpus\": 99999999999999999999}",
	           "line 1: too big integer near '99999999999999999999'");
}

static void test_nul_bytes(void **state)
{
	static const char raw[] = "{\"org\": \"ac\0me\"}";
	struct err e = ERR_INIT;
	struct vm_spec s;

	(void)state;
	assert_int_equal(-EINVAL, spec_parse((struct str){ raw, sizeof(raw) - 1 }, &s, &e));
	assert_non_null(strstr(e.msg, "line 1: "));
	e = ERR_INIT;
	assert_int_equal(-EINVAL, parse("{" GOOD ", \"region\": \"a\\u0000b\"}", &s, &e));
	assert_non_null(strstr(e.msg, "line 1: "));
	assert_int_equal(-EINVAL, spec_parse(STR_NULL, &s, &e));
}

static void test_what_no_single_field_can_tell(void **state)
{
	static const char head[] = "{\"org\": \"acme\", \"app\": \"web\", \"instance\": \"i-1\"";
	char text[512];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s}", head);
	assert_bad(text, "pid: is missing, and so are pid_file and cgroup");
	(void)snprintf(text, sizeof(text), "%s, \"cgroup\": \"/c\"}", head);
	assert_string_equal("/c", good(text).cgroup);
	(void)snprintf(text, sizeof(text), "%s, \"cgroup\": \"/c\", \"pid_file\": \"/p\"}", head);
	assert_string_equal("/p", good(text).pid_file);
	(void)snprintf(text, sizeof(text), "%s, \"cgroup\": \"/c\", \"pid\": 1}", head);
	assert_int_equal(1, good(text).pid);
	assert_bad("{\"org\": \"a\", \"app\": \"b\", \"instance\": \".c\", \"pid\": 1}",
	           "instance: must be good as a file name");
	assert_bad("{\"org\": \"a\", \"app\": \"b\", \"instance\": \"c/d\", \"pid\": 1}",
	           "instance: must be good as a file name");
}

static void test_names_given_twice(void **state)
{
	(void)state;
	assert_bad("{" GOOD ", \"taps\": [{\"ifname\": \"t0\"}, {\"ifname\": \"t1\"}, "
	           "{\"ifname\": \"t0\"}]}",
	           "taps[2].ifname: the same as of taps[0]");
	/* The second is eth1 because of its place. */
	assert_bad("{" GOOD ", \"taps\": [{\"ifname\": \"t0\", \"guest\": \"eth1\"}, "
	           "{\"ifname\": \"t1\"}]}",
	           "taps[1].guest: the same as of taps[0]");
	assert_bad("{" GOOD ", \"disks\": [{\"path\": \"/a\", \"guest\": \"sdx\"}, "
	           "{\"path\": \"/b\", \"guest\": \"sdx\"}]}",
	           "disks[1].guest: the same as of disks[0]");
	assert_bad("{" GOOD ", \"volumes\": [{\"id\": \"v\", \"device\": \"/a\"}, "
	           "{\"id\": \"v\", \"device\": \"/b\"}]}",
	           "volumes[1].id: the same as of volumes[0]");
	/* One image for two disks is odd but no contradiction. */
	(void)good("{" GOOD ", \"disks\": [{\"path\": \"/a\"}, {\"path\": \"/a\"}]}");
}

static void test_defaults(void **state)
{
	struct buf text = BUF_INIT;

	(void)state;
	buf_puts(&text, "{" GOOD ", \"metrics\": [{\"port\": 80}], \"taps\": [{\"ifname\": "
	                "\"a\"}, {\"ifname\": \"b\"}], \"disks\": [");
	for (int i = 0; i < VM_DISKS_MAX; i++)
		buf_printf(&text, "%s{\"path\": \"/dev/d%d\"}", i > 0 ? ", " : "", i);
	buf_puts(&text, "]}");
	struct vm_spec s = good(buf_cstr(&text));

	assert_string_equal("/metrics", s.metrics[0].path);
	assert_int_equal(0, s.metrics[0].n_processes);
	assert_string_equal("eth0", s.taps[0].guest);
	assert_string_equal("eth1", s.taps[1].guest);
	assert_string_equal("vda", s.disks[0].guest);
	assert_string_equal("vdz", s.disks[25].guest);
	assert_string_equal("vdaa", s.disks[26].guest);
	assert_string_equal("vdaf", s.disks[31].guest);
	buf_done(&text);
}

/* Order, spaces and escapes are the writer's business; any difference in content is one. */
static void test_equal_descriptions_compare_equal(void **state)
{
	struct vm_spec a = good("{" GOOD ", \"region\": \"ams\", \"taps\": [{\"ifname\": \"t0\"}], "
	                        "\"metrics\": [{\"port\": 80}]}");
	struct vm_spec b = good("{\"metrics\":[{\"path\":\"/metrics\",\"port\":80}],\n"
	                        "\"taps\":[{\"guest\":\"eth0\",\"ifname\":\"t\\u0030\"}],"
	                        "\"region\":\"\\u0061ms\"," GOOD "}\n\n");
	struct vm_spec c = good("{" GOOD ", \"region\": \"am\", \"taps\": [{\"ifname\": \"t0\"}], "
	                        "\"metrics\": [{\"port\": 80}]}");
	struct vm_spec d = good("{" GOOD ", \"region\": \"ams\", \"taps\": [{\"ifname\": \"t0\"}], "
	                        "\"metrics\": [{\"port\": 81}]}");

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
	assert_memory_not_equal(&a, &d, sizeof(a));
}

static void test_largest(void **state)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct vm_spec s;

	(void)state;
	buf_puts(&text, "{" GOOD "}");
	while (text.len < SPEC_BYTES_MAX)
		buf_putc(&text, ' ');
	assert_int_equal(0, spec_parse(buf_str(&text), &s, &e));
	buf_putc(&text, ' ');
	assert_int_equal(-EINVAL, spec_parse(buf_str(&text), &s, &e));
	assert_string_equal("larger than 65536 bytes", e.msg);
	buf_clear(&text);
	for (size_t i = 0; i < SPEC_BYTES_MAX; i++)
		buf_putc(&text, '[');
	e = ERR_INIT;
	assert_int_equal(-EINVAL, spec_parse(buf_str(&text), &s, &e));
	assert_non_null(strstr(e.msg, "line 1: "));
	buf_done(&text);
}

/* An unknown field may be called anything; the message stays one clean, short line. */
static void test_hostile_field_names(void **state)
{
	char text[SPEC_PATH_CAP * 2] = "{" GOOD ", \"";
	size_t at = strlen(text);
	struct err e = ERR_INIT;
	struct vm_spec s;

	(void)state;
	assert_bad("{" GOOD ", \"a\\nb%s%n\": 1}", "a\xef\xbf\xbd"
	                                           "b%s%n: unknown field");
	assert_bad("{" GOOD ", \"\": 1}", ": unknown field");
	memset(text + at, 'k', 300);
	memcpy(text + at + 300, "\": 1}", 6);
	assert_int_equal(-EINVAL, parse(text, &s, &e));
	assert_true(strlen(e.msg) < 80);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void test_file_names(void **state)
{
	(void)state;
	assert_true(spec_is_name("i-1.json"));
	assert_true(spec_is_name("a b.json"));
	assert_true(spec_is_name("x.json.json"));
	assert_false(spec_is_name(".json"));
	assert_false(spec_is_name(".i-1.json"));
	assert_false(spec_is_name("i-1.json.tmp"));
	assert_false(spec_is_name("i-1.JSON"));
	assert_false(spec_is_name("json"));
	assert_false(spec_is_name(""));
}

struct folder {
	struct tempdir dir;
	int fd;
};

static void folder_done(struct folder *f)
{
	(void)close(f->fd);
	tempdir_done(&f->dir);
}

static struct folder folder_make(void)
{
	struct folder f = { .dir = tempdir_make() };

	f.fd = open(f.dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f.fd >= 0);
	return f;
}

static void put(const struct folder *f, const char *name, const char *text, size_t bytes)
{
	int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(0, file_write_fd(fd, text, bytes));
	(void)close(fd);
}

static void assert_load(const struct folder *f, const char *name, int code, const char *why)
{
	struct err e = ERR_INIT;
	struct vm_spec s;

	assert_int_equal(code, spec_load(f->fd, name, &s, &e));
	assert_string_equal(why, e.msg);
	if (code == 0)
		assert_string_equal("i-1", s.instance);
}

static void test_load(void **state)
{
	_cleanup_(folder_done) struct folder f = folder_make();
	static const char text[] = "{" GOOD "}";
	static char big[SPEC_BYTES_MAX + 1];

	(void)state;
	memset(big, ' ', sizeof(big));
	memcpy(big, text, sizeof(text) - 1);
	put(&f, "i-1.json", text, sizeof(text) - 1);
	put(&f, "i-2.json", text, sizeof(text) - 1);
	put(&f, "bad.json", "{}", 2);
	put(&f, "empty.json", "", 0);
	put(&f, "big.json", big, sizeof(big));
	assert_load(&f, "i-1.json", 0, "");
	assert_load(&f, "none.json", -ENOENT, "none.json: No such file or directory");
	assert_load(&f, "i-2.json", -EINVAL, "i-2.json: instance: \"i-1\" is not the file's name");
	assert_load(&f, "bad.json", -EINVAL, "bad.json: org: is missing");
	assert_load(&f, "empty.json", -EINVAL,
	            "empty.json: line 1: '[' or '{' expected near end of file");
	assert_load(&f, "big.json", -EINVAL, "big.json: larger than 65536 bytes");
	put(&f, "i-1.json", big, SPEC_BYTES_MAX);
	assert_load(&f, "i-1.json", 0, "");
}

/* Nothing in the folder may make the daemon wait. */
static void test_load_no_regular_file(void **state)
{
	_cleanup_(folder_done) struct folder f = folder_make();
	static const char text[] = "{" GOOD "}";

	(void)state;
	assert_int_equal(0, mkfifoat(f.fd, "fifo.json", 0600));
	assert_int_equal(0, mkdirat(f.fd, "dir.json", 0700));
	assert_int_equal(0, symlinkat("/dev/zero", f.fd, "zero.json"));
	assert_int_equal(0, symlinkat("loop.json", f.fd, "loop.json"));
	assert_int_equal(0, symlinkat("nowhere", f.fd, "dangling.json"));
	put(&f, ".i-1", text, sizeof(text) - 1);
	assert_int_equal(0, symlinkat(".i-1", f.fd, "i-1.json"));
	assert_load(&f, "fifo.json", -EINVAL, "fifo.json: not a regular file");
	assert_load(&f, "dir.json", -EINVAL, "dir.json: not a regular file");
	assert_load(&f, "zero.json", -EINVAL, "zero.json: not a regular file");
	assert_load(&f, "loop.json", -ELOOP, "loop.json: Too many levels of symbolic links");
	assert_load(&f, "dangling.json", -ENOENT, "dangling.json: No such file or directory");
	assert_load(&f, "i-1.json", 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example_of_the_document),
		cmocka_unit_test(test_every_field_of_the_document),
		cmocka_unit_test(test_every_error_of_the_document),
		cmocka_unit_test(test_not_a_description),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_what_no_single_field_can_tell),
		cmocka_unit_test(test_names_given_twice),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_equal_descriptions_compare_equal),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_hostile_field_names),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_no_regular_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
