/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The function registry. A row without a case in tests/mql fails here: a function that nobody has
 * compared with the oracle does not exist. Answers there are those of the oracle (record-mql); an
 * error that is expected is ours, so it does not count.
 */
#include "api/mql/fn.h"
#include "tests/unit/unit.h"
#include "userspace/base/file.h"

#include <ctype.h>
#include <dirent.h>

static void read_cases(struct buf *out)
{
	DIR *dir = opendir("tests/mql");
	struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		char path[512];

		if (!strstr(d->d_name, ".test"))
			continue;
		(void)snprintf(path, sizeof(path), "tests/mql/%s", d->d_name);
		assert_int_equal(0, file_read(path, out, 64 << 20));
	}
	(void)closedir(dir);
}

/* Is @name called in an eval line: the name, not the tail of another, then a parenthesis? */
static bool is_called(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(text, name); p; p = strstr(p + 1, name)) {
		bool starts = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
		const char *behind = p + n;

		if (strncmp(behind, " by (", 5) == 0 || strncmp(behind, " without (", 10) == 0)
			behind++;
		if (starts && (*behind == '(' || behind != p + n))
			return true;
	}
	return false;
}

/* The lines of evaluations that have an answer, of all lines in @in. */
static void answered(struct str in, struct buf *out)
{
	struct str line, next;

	(void)str_cut(in, '\n', &line, &in);
	while (in.len > 0) {
		(void)str_cut(in, '\n', &next, &in);
		if (str_starts(line, STR("eval ")) && !str_starts(next, STR("  expect fail"))) {
			buf_put_str(out, line);
			buf_putc(out, '\n');
		}
		line = next;
	}
	assert_int_equal(0, out->err);
}

static void test_every_row_has_a_case(void **state)
{
	_cleanup_(buf_done) struct buf all_text = BUF_INIT, text = BUF_INIT;
	size_t n, missing = 0;
	const struct fn *const *all = fn_all(&n);

	(void)state;
	read_cases(&all_text);
	answered(buf_str(&all_text), &text);
	assert_true(n > 100);
	for (size_t i = 0; i < n; i++) {
		if (is_called(buf_cstr(&text), all[i]->name))
			continue;
		print_message("    no answered case in tests/mql calls %s()\n", all[i]->name);
		missing++;
	}
	assert_int_equal(0, missing);
}

static void test_find(void **state)
{
	size_t n;
	const struct fn *const *all = fn_all(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(all[i], fn_find(str_from(all[i]->name)));
		if (i > 0)
			assert_true(strcmp(all[i - 1]->name, all[i]->name) < 0);
	}
	assert_string_equal("rate", fn_find(STR("RaTe"))->name);
	assert_null(fn_find(STR("rat")));
	assert_null(fn_find(STR("ratex")));
	assert_null(fn_find(STR("")));
	assert_null(fn_find(STR("zzz")));
}

static void test_suggest(void **state)
{
	(void)state;
	assert_string_equal("rate", fn_suggest(STR("rte"))->name);
	assert_string_equal("histogram_quantile", fn_suggest(STR("histogram_quantil"))->name);
	assert_string_equal("sum_over_time", fn_suggest(STR("Sum_Over_Tme"))->name);
	assert_null(fn_suggest(STR("qqqqqqqqqqqqqqqqqq")));
	assert_null(fn_suggest(STR("a_name_that_is_much_longer_than_that_of_any_function")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_a_case),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
