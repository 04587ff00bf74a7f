/* SPDX-License-Identifier: BSD-2-Clause */
/* Label values from foreign bytes: always clean, never too long; slugs; templates. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/utf8.h"
#include "userspace/host/label_text.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void assert_copied(struct str src, const char *expected)
{
	_cleanup_free_ char *exact = unit_memdup(src.p, src.len);
	char dst[64];

	memset(dst, '!', sizeof(dst));
	label_text_copy(dst, sizeof(dst), (struct str){ exact, src.len });
	assert_string_equal(expected, dst);
	assert_int_equal(str_eqc(src, expected), label_text_is_clean(src, sizeof(dst)));
}

static void test_clean_text_is_copied(void **state)
{
	(void)state;
	assert_copied(STR(""), "");
	assert_copied(STR("web-1 (blue)"), "web-1 (blue)");
	/* The first and the last character of each length. */
	assert_copied(STR(" ~"), " ~");
	assert_copied(STR("\xc2\xa0\xdf\xbf"), "\xc2\xa0\xdf\xbf");
	assert_copied(STR("\xe0\xa0\x80\xef\xbf\xbf"), "\xe0\xa0\x80\xef\xbf\xbf");
	assert_copied(STR("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80");
	assert_copied(STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_control_characters_are_replaced(void **state)
{
	(void)state;
	assert_copied(STR("a\nb"), "a" BAD "b");
	assert_copied(STR("\0"), BAD);
	assert_copied(STR("\x1f\x7f"), BAD BAD);
	assert_copied(STR("\xc2\x80"), BAD BAD); /* C1: one mark for each byte */
	assert_copied(STR("\xc2\x9f."), BAD BAD ".");
}

static void test_bad_utf8_is_replaced(void **state)
{
	(void)state;
	assert_copied(STR("\x80"), BAD);
	assert_copied(STR("\xff\xfe"), BAD BAD);
	assert_copied(STR("\xc0\x80"), BAD BAD);                 /* overlong NUL */
	assert_copied(STR("\xc1\xbf"), BAD BAD);                 /* overlong DEL */
	assert_copied(STR("\xe0\x9f\xbf"), BAD BAD BAD);         /* overlong */
	assert_copied(STR("\xf0\x8f\xbf\xbf"), BAD BAD BAD BAD); /* overlong */
	assert_copied(STR("\xed\xa0\x80"), BAD BAD BAD);         /* surrogates */
	assert_copied(STR("\xed\xbf\xbf"), BAD BAD BAD);
	assert_copied(STR("\xf4\x90\x80\x80"), BAD BAD BAD BAD); /* above U+10FFFF */
	assert_copied(STR("\xf5\x80\x80\x80"), BAD BAD BAD BAD);
	assert_copied(STR("\xc3"), BAD); /* cut off */
	assert_copied(STR("\xe2\x82"), BAD BAD);
	assert_copied(STR("\xf0\x9f\x98"), BAD BAD BAD);
	assert_copied(STR("\xe2\x82x"), BAD BAD "x"); /* and the reader is in step again */
	assert_copied(STR("\xc3\xc3\xa9"), BAD "\xc3\xa9");
}

static void test_cut_at_a_character(void **state)
{
	char dst[8];

	(void)state;
	label_text_copy(dst, sizeof(dst), STR("abcdefghi"));
	assert_string_equal("abcdefg", dst);
	label_text_copy(dst, sizeof(dst), STR("abcdef\xc3\xa9"));
	assert_string_equal("abcdef", dst);
	label_text_copy(dst, sizeof(dst), STR("abcde\xc3\xa9"));
	assert_string_equal("abcde\xc3\xa9", dst);
	label_text_copy(dst, sizeof(dst), STR("abcdef\n")); /* no half replacement either */
	assert_string_equal("abcdef", dst);
	label_text_copy(dst, 1, STR("abc"));
	assert_string_equal("", dst);
	assert_true(label_text_is_clean(STR("abcdefg"), sizeof(dst)));
	assert_false(label_text_is_clean(STR("abcdefgh"), sizeof(dst)));
	assert_true(label_text_is_clean(STR_NULL, 1));
}

/* Whatever comes in, what comes out is clean, fits, and a second pass changes nothing. */
static void test_any_bytes(void **state)
{
	static const char pieces[] = "az\0\n\x7f\x80\xa0\xbf\xc2\xc3\xe0\xe2\xed\xf0\xf4\xff";
	struct rng rng = unit_rng();

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = rng_below(&rng, 24), cap = 1 + rng_below(&rng, 40);
		_cleanup_free_ char *src = malloc(len + 1), *dst = malloc(cap);
		char again[64];

		assert_non_null(src);
		assert_non_null(dst);
		for (size_t k = 0; k < len; k++)
			src[k] = pieces[rng_below(&rng, sizeof(pieces) - 1)];
		label_text_copy(dst, cap, (struct str){ src, len });
		assert_true(strlen(dst) < cap);
		assert_true(utf8_is_valid(str_from(dst)));
		assert_true(label_text_is_clean(str_from(dst), cap));
		label_text_copy(again, sizeof(again), str_from(dst));
		assert_string_equal(dst, again);
	}
}

static void test_slugs(void **state)
{
	char long63[] = "a23456789012345678901234567890123456789012345678901234567890123";

	(void)state;
	assert_int_equal(63, strlen(long63));
	assert_true(label_text_is_slug(STR("a")));
	assert_true(label_text_is_slug(STR("0")));
	assert_true(label_text_is_slug(STR("acme-corp_2")));
	assert_true(label_text_is_slug(str_from(long63)));
	assert_false(label_text_is_slug(STR_NULL));
	assert_false(label_text_is_slug(STR("-a")));
	assert_false(label_text_is_slug(STR("_a")));
	assert_false(label_text_is_slug(STR("Acme")));
	assert_false(label_text_is_slug(STR("a.b")));
	assert_false(label_text_is_slug(STR("a b")));
	assert_false(label_text_is_slug(STR("a\0")));
	assert_false(label_text_is_slug(STR("\xc3\xa9")));
	assert_false(label_text_is_slug(
		STR("a234567890123456789012345678901234567890123456789012345678901234")));
}

static void assert_slug(const char *src, const char *expected)
{
	char dst[64];

	label_text_slug(dst, sizeof(dst), str_from(src));
	assert_string_equal(expected, dst);
	assert_true(label_text_is_slug(str_from(dst)));
}

static void test_nearest_slug(void **state)
{
	char big[200], dst[64], tiny[4];

	(void)state;
	assert_slug("acme-corp_2", "acme-corp_2");
	assert_slug("Acme Corp", "acme-corp");
	assert_slug("a.b/c", "a-b-c");
	assert_slug("--_x-", "x-");
	assert_slug("", "x");
	assert_slug("!!!", "x");
	assert_slug("\xc3\xa9t\xc3\xa9", "t--");
	memset(big, 'Z', sizeof(big));
	label_text_slug(dst, sizeof(dst), (struct str){ big, sizeof(big) });
	assert_int_equal(63, strlen(dst));
	assert_true(label_text_is_slug(str_from(dst)));
	label_text_slug(tiny, sizeof(tiny), STR("abcdef"));
	assert_string_equal("abc", tiny);
}

static const struct label_var vars[] = {
	{ "name", STR_INIT("web\n1") },
	{ "pid", STR_INIT("42") },
	{ "empty", { NULL, 0 } },
	{ NULL, { NULL, 0 } },
};

static void assert_expands(const char *text, const char *expected)
{
	struct err e = ERR_INIT;
	char dst[64];

	assert_int_equal(0, label_template(text, vars, dst, sizeof(dst), &e));
	assert_string_equal(expected, dst);
}

static void assert_no_template(const char *text, const char *why)
{
	struct err e = ERR_INIT;
	char dst[64];

	assert_int_equal(-EINVAL, label_template(text, vars, dst, sizeof(dst), &e));
	assert_string_equal(why, e.msg);
	assert_int_equal(-EINVAL, label_template(text, vars, dst, sizeof(dst), NULL));
}

static void test_templates(void **state)
{
	(void)state;
	assert_expands("", "");
	assert_expands("plain", "plain");
	assert_expands("${pid}", "42");
	assert_expands("a${pid}b${pid}", "a42b42");
	assert_expands("${name}", "web" BAD "1");
	assert_expands("[${empty}]", "[]");
	assert_expands("$pid $ {pid} $", "$pid $ {pid} $");
	assert_expands("\t${pid}", BAD "42");
	assert_no_template("${nmae}", "unknown variable \"${nmae}\"");
	assert_no_template("a${}", "unknown variable \"${}\"");
	assert_no_template("a${pid", "\"${pid\" has no closing bracket");
	assert_no_template("${", "\"${\" has no closing bracket");
	assert_no_template("${${pid}}", "unknown variable \"${${pid}\"");
}

/* What a template makes is cut like everything else, however long the variable is. */
static void test_long_templates(void **state)
{
	_cleanup_free_ char *big = malloc(4000);
	char dst[16];

	(void)state;
	assert_non_null(big);
	memset(big, 'v', 4000);
	const struct label_var one[] = { { "v", { big, 4000 } }, { NULL, { NULL, 0 } } };

	assert_int_equal(0, label_template("x${v}y", one, dst, sizeof(dst), NULL));
	assert_string_equal("xvvvvvvvvvvvvvv", dst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_text_is_copied),
		cmocka_unit_test(test_control_characters_are_replaced),
		cmocka_unit_test(test_bad_utf8_is_replaced),
		cmocka_unit_test(test_cut_at_a_character),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_slugs),
		cmocka_unit_test(test_nearest_slug),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_long_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
