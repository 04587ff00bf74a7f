/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines: what is stored, what each refusal says, and a help text within 80 columns. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/opt.h"

struct opts {
	bool check;
	const char *data;
	struct opt_strings set;
};

#define ROW(...) OPT_ROW(struct opts, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("check", NULL, FLAG, check, "check the configuration and end"),
	ROW("data", "DIR", STRING, data,
	    "folder of the store, which is created when it is missing and locked as long as the "
	    "program runs"),
	ROW("set", "KEY=VALUE", STRINGS, set, "one setting"),
};

/* A command that takes files, and a letter. */
static const struct opt_row file_rows[] = {
	ROW(NULL, "FILE...", REST, set, "what is read"),
	ROW("check", NULL, FLAG, check, "look only"),
	{ .name = "output",
	  .letter = 'o',
	  .arg = "FILE",
	  .type = OPT_STRING,
	  .offset = offsetof(struct opts, data),
	  .help = "what is written" },
};

#define ARGS_MAX 70

static int parse_by(const struct opt_row *table, size_t n, const char *const *args,
                    struct opts *ret, struct err *e)
{
	static char program[] = "program";
	char *argv[ARGS_MAX + 2] = { program };
	int argc = 1;

	while (args[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
		argc++;
	}
	*ret = (struct opts){ 0 };
	*e = ERR_INIT;
	return opt_parse(table, n, argc, argv, ret, e);
}

static int parse(const char *const *args, struct opts *ret, struct err *e)
{
	return parse_by(rows, ARRAY_SIZE(rows), args, ret, e);
}

static void test_stored(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const all[] = { "--data", "/a",        "--check",    "--set",
		                           "a=1",    "--set=b=2", "--data=--b", NULL };
	struct opts o;
	struct err e;

	(void)state;
	assert_int_equal(0, parse(none, &o, &e));
	assert_false(o.check);
	assert_null(o.data);
	assert_int_equal(0, parse(all, &o, &e));
	assert_true(o.check);
	assert_string_equal("--b", o.data); /* the last one wins */
	assert_int_equal(2, o.set.n);
	assert_string_equal("a=1", o.set.v[0]);
	assert_string_equal("b=2", o.set.v[1]);
	assert_int_equal(0, e.code);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *args[3];
		const char *want;
	} bad[] = {
		/* clang-format off */
		{ { "file" },              "unexpected argument 'file' (see --help)" },
		{ { "-d" },                "unexpected argument '-d' (see --help)" },
		{ { "--" },                "unexpected argument '--' (see --help)" },
		{ { "" },                  "unexpected argument '' (see --help)" },
		{ { "--dat", "x" },        "unknown option --dat (see --help)" },
		{ { "--datas=x" },         "unknown option --datas (see --help)" },
		{ { "--=x" },              "unknown option -- (see --help)" },
		{ { "--check=yes" },       "option --check takes no value" },
		{ { "--data" },            "option --data needs a value: --data DIR" },
		{ { "--data", "--check" }, "option --data needs a value: --data DIR" },
		{ { "--check", "yes" },    "unexpected argument 'yes' (see --help)" },
		{ { "--data=" },           "option --data: its value is empty" },
		{ { "--data", "" },        "option --data: its value is empty" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct opts o;
		struct err e;

		unit_note("%s", bad[i].want);
		assert_int_equal(-EINVAL, parse(bad[i].args, &o, &e));
		assert_string_equal(bad[i].want, e.msg);
		assert_int_equal(-EINVAL, e.code);
	}
}

static void test_too_many(void **state)
{
	const char *args[OPT_STRINGS_MAX + 2] = { NULL };
	struct opts o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < OPT_STRINGS_MAX; i++)
		args[i] = "--set=x";
	assert_int_equal(0, parse(args, &o, &e));
	assert_int_equal(OPT_STRINGS_MAX, o.set.n);
	args[OPT_STRINGS_MAX] = "--set=x";
	assert_int_equal(-EINVAL, parse(args, &o, &e));
	assert_string_equal("--set is given more than 32 times", e.msg);
}

static void test_files_and_letters(void **state)
{
	static const char *const good[] = { "a", "-o", "out", "--check", "b", "", NULL };
	static const struct {
		const char *args[3];
		const char *want;
	} bad[] = {
		/* clang-format off */
		{ { "-o" },      "option --output needs a value: --output FILE" },
		{ { "-x" },      "unexpected argument '-x' (see --help)" },
		{ { "-oout" },   "unexpected argument '-oout' (see --help)" },
		{ { "a", "--" }, "unexpected argument '--' (see --help)" },
		/* clang-format on */
	};
	const size_t n = ARRAY_SIZE(file_rows);
	struct opts o;
	struct err e;

	(void)state;
	assert_int_equal(0, parse_by(file_rows, n, good, &o, &e));
	assert_int_equal(3, o.set.n);
	assert_string_equal("a", o.set.v[0]);
	assert_string_equal("b", o.set.v[1]);
	assert_string_equal("", o.set.v[2]);
	assert_string_equal("out", o.data);
	assert_true(o.check);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unit_note("%s", bad[i].want);
		assert_int_equal(-EINVAL, parse_by(file_rows, n, bad[i].args, &o, &e));
		assert_string_equal(bad[i].want, e.msg);
	}
}

static void test_help_of_files(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	opt_help("program", "Does it.", file_rows, ARRAY_SIZE(file_rows), &out);
	assert_string_equal("Usage: program [options] FILE...\nDoes it.\n\n"
	                    "  FILE...            what is read\n"
	                    "  --check            look only\n"
	                    "  --output, -o FILE  what is written\n",
	                    buf_cstr(&out));
}

static void test_help(void **state)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	(void)state;
	opt_help("program", "Does it.", rows, ARRAY_SIZE(rows), &out);
	assert_string_equal(
		"Usage: program [options]\nDoes it.\n\n"
		"  --check          check the configuration and end\n"
		"  --data DIR       folder of the store, which is created when it is missing and\n"
		"                   locked as long as the program runs\n"
		"  --set KEY=VALUE  one setting\n",
		buf_cstr(&out));
	for (struct str rest = buf_str(&out), line; rest.len > 0;) {
		(void)str_cut(rest, '\n', &line, &rest);
		assert_true(line.len <= 80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored),   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_files_and_letters),
		cmocka_unit_test(test_help),     cmocka_unit_test(test_help_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
