/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rule of every caveat. Bodies are written in a small notation that note() turns into
 * MessagePack: numbers, 'text', "[a b]", "{key value key value}", true, false, x (one byte of bin).
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "userspace/wire/caveat.h"
#include "userspace/wire/msgpack.h"

static const char *note(const char *p, struct buf *out);

/* Up to the closing bracket, counted while it is written. */
static const char *note_many(const char *p, char close, struct buf *out)
{
	struct buf inner = BUF_INIT;
	uint32_t n = 0;

	for (; *p != close; n++) {
		p = note(p, &inner);
		p += strspn(p, " ");
	}
	if (close == ']')
		msgpack_put_array(out, n);
	else
		msgpack_put_map(out, n / 2);
	buf_put_str(out, buf_str(&inner));
	buf_done(&inner);
	return p + 1;
}

static const char *note(const char *p, struct buf *out)
{
	char *end;

	switch (*p) {
	case '[':
		return note_many(p + 1, ']', out);
	case '{':
		return note_many(p + 1, '}', out);
	case '\'':
		end = strchr(p + 1, '\'');
		msgpack_put_str(out, (struct str){ p + 1, (size_t)(end - p - 1) });
		return end + 1;
	case 't':
	case 'f':
		msgpack_put_bool(out, *p == 't');
		return p + (*p == 't' ? 4 : 5);
	case 'x':
		msgpack_put_bin(out, STR("x"));
		return p + 1;
	default:
		msgpack_put_int(out, strtoll(p, &end, 10));
		return end;
	}
}

static struct buf note_buf(const char *text)
{
	struct buf out = BUF_INIT;

	assert_int_equal('\0', *note(text, &out));
	return out;
}

#define ORG  7u
#define APP  17u
#define NOW  1000 /* seconds */
#define YES  CAVEAT_ALLOWS
#define NO   CAVEAT_PROHIBITS
#define ELSE CAVEAT_UNSPECIFIED

struct row {
	uint64_t type;
	const char *body;
	/* reading the organisation, reading the app, writing the app */
	enum caveat_verdict read_org, read_app, write_app;
};

/* clang-format off */
static const struct row rows[] = {
	{ CAVEAT_ORGANIZATION, "[7 31]", YES, YES, YES },
	{ CAVEAT_ORGANIZATION, "[7 1]", YES, YES, NO },
	{ CAVEAT_ORGANIZATION, "[7 2]", NO, NO, YES },
	{ CAVEAT_ORGANIZATION, "[7 0]", NO, NO, NO },
	{ CAVEAT_ORGANIZATION, "[0 1]", YES, YES, NO },
	{ CAVEAT_ORGANIZATION, "[8 31]", NO, NO, NO },
	{ CAVEAT_APPS, "[{17 1}]", ELSE, YES, NO },
	{ CAVEAT_APPS, "[{17 31 18 0}]", ELSE, YES, YES },
	{ CAVEAT_APPS, "[{18 31}]", ELSE, NO, NO },
	{ CAVEAT_APPS, "[{0 1}]", ELSE, YES, NO },
	{ CAVEAT_APPS, "[{0 31 17 31}]", NO, NO, NO },
	{ CAVEAT_APPS, "[{}]", ELSE, NO, NO },
	{ CAVEAT_VOLUMES, "[{'vol_1' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_MACHINES, "[{'' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_CLUSTERS, "[{'a' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_STORAGE_OBJECTS, "[{'https://x/' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_FEATURE_SET, "[{'wg' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_MACHINE_FEATURE_SET, "[{'a' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_APP_FEATURE_SET, "[{'a' 31}]", ELSE, ELSE, ELSE },
	{ CAVEAT_VALIDITY_WINDOW, "[1000 1000]", YES, YES, YES },
	{ CAVEAT_VALIDITY_WINDOW, "[0 999]", NO, NO, NO },
	{ CAVEAT_VALIDITY_WINDOW, "[1001 2000]", NO, NO, NO },
	{ CAVEAT_VALIDITY_WINDOW, "[-5 9223372036854775807]", YES, YES, YES },
	{ CAVEAT_VALIDITY_WINDOW, "[5 -5]", NO, NO, NO },
	{ CAVEAT_MUTATIONS, "[['addApp']]", ELSE, ELSE, ELSE },
	{ CAVEAT_COMMANDS, "[[['ls' '-l'] true]]", ELSE, ELSE, ELSE },
	{ CAVEAT_CONFINE_USER, "[1]", NO, NO, NO },
	{ CAVEAT_CONFINE_ORGANIZATION, "[7]", NO, NO, NO },
	{ CAVEAT_CONFINE_GOOGLE_HD, "'x.com'", NO, NO, NO },
	{ CAVEAT_CONFINE_GITHUB_ORG, "5", NO, NO, NO },
	{ CAVEAT_MAX_VALIDITY, "60", NO, NO, NO },
	{ CAVEAT_IS_USER, "[1]", YES, YES, YES },
	{ CAVEAT_THIRD_PARTY, "['a' x x]", NO, NO, NO },
	{ CAVEAT_BIND_TO_PARENT, "x", NO, NO, NO },
	{ CAVEAT_FROM_MACHINE, "['148e']", NO, NO, NO },
	{ CAVEAT_FLY_SRC, "['o' 'a' 'i']", NO, NO, NO },
	{ CAVEAT_IS_MEMBER, "[]", YES, YES, YES },
	{ CAVEAT_ALLOWED_ROLES, "1", YES, YES, YES },
	{ CAVEAT_ALLOWED_ROLES, "2", NO, NO, NO },
	{ CAVEAT_ALLOWED_ROLES, "4294967295", YES, YES, YES },
	{ CAVEAT_ACTION, "1", YES, YES, NO },
	{ CAVEAT_ACTION, "2", NO, NO, YES },
	{ CAVEAT_ACTION, "65535", YES, YES, YES },
	{ CAVEAT_FLYIO_USER_ID, "5", NO, NO, NO },
	/* 13 = IfPresent: the apps of "ifs" when an app is named, the mask of "else" when none is */
	{ CAVEAT_IF_PRESENT, "[[3 [{17 31}]] 1]", YES, YES, YES },
	{ CAVEAT_IF_PRESENT, "[[3 [{17 1}]] 0]", NO, YES, NO },
	{ CAVEAT_IF_PRESENT, "[[3 [{18 31}]] 1]", YES, NO, NO },
	{ CAVEAT_IF_PRESENT, "[[] 1]", YES, YES, NO },
	{ CAVEAT_IF_PRESENT, "[[2 [{'v' 31}] 7 [{'m' 31}]] 1]", YES, YES, NO },
	{ CAVEAT_IF_PRESENT, "[[3 [{17 31}] 7 [{'m' 31}]] 1]", YES, YES, YES },
	{ CAVEAT_IF_PRESENT, "[[3 [{17 31}] 0 [8 31]] 31]", NO, NO, NO },
	{ CAVEAT_IF_PRESENT, "[[13 [[3 [{17 31}]] 1]] 0]", YES, YES, YES },
	{ CAVEAT_IF_PRESENT, "[[99 1] 31]", NO, NO, NO },
	/* deprecated, reserved and future types */
	{ 1, "1", NO, NO, NO },
	{ 17, "[]", NO, NO, NO },
	{ 32, "[]", NO, NO, NO },
	{ 1ull << 48, "'anything'", NO, NO, NO },
};

/* Not the body of their type. */
static const struct {
	uint64_t type;
	const char *body;
} bad[] = {
	{ CAVEAT_ORGANIZATION, "[7]" },
	{ CAVEAT_ORGANIZATION, "[7 31 1]" },
	{ CAVEAT_ORGANIZATION, "7" },
	{ CAVEAT_ORGANIZATION, "['7' 31]" },
	{ CAVEAT_ORGANIZATION, "[-7 31]" },
	{ CAVEAT_ORGANIZATION, "[7 65536]" },
	{ CAVEAT_APPS, "{17 1}" },
	{ CAVEAT_APPS, "[{18 1 17 1}]" },
	{ CAVEAT_APPS, "[{17 1 17 1}]" },
	{ CAVEAT_APPS, "[{'17' 1}]" },
	{ CAVEAT_VOLUMES, "[{17 1}]" },
	{ CAVEAT_VOLUMES, "[{'b' 1 'a' 1}]" },
	{ CAVEAT_VALIDITY_WINDOW, "[1]" },
	{ CAVEAT_VALIDITY_WINDOW, "['1' 2]" },
	{ CAVEAT_MUTATIONS, "[[1]]" },
	{ CAVEAT_COMMANDS, "[[['ls']]]" },
	{ CAVEAT_COMMANDS, "[[['ls'] 1]]" },
	{ CAVEAT_THIRD_PARTY, "['a' 'b' 'c']" },
	{ CAVEAT_BIND_TO_PARENT, "'x'" },
	{ CAVEAT_IS_MEMBER, "[1]" },
	{ CAVEAT_IF_PRESENT, "[[3] 1]" },
	{ CAVEAT_IF_PRESENT, "[[3 [{'a' 1}]] 1]" },
	{ CAVEAT_IF_PRESENT, "[[3 [{17 31}]]]" },
	{ CAVEAT_IF_PRESENT, "[[13 [[13 [[13 [[13 [[] 1]] 1]] 1]] 1]] 1]" },
	{ CAVEAT_ACTION, "[1]" },
};
/* clang-format on */

static enum caveat_verdict check(const struct caveat *c, bool has_app, uint16_t action)
{
	struct caveat_access a = { ORG, has_app, has_app ? APP : 0, action, NOW * 1000 };
	struct err why = ERR_INIT;
	enum caveat_verdict v = caveat_check(c, &a, &why);

	/* Whoever is refused is told why. */
	assert_true((v == CAVEAT_ALLOWS) == (why.msg[0] == '\0'));
	return v;
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct buf body = note_buf(row->body);
		struct str exact = unit_strdup(buf_str(&body));
		struct caveat c = { row->type, STR_NULL, exact };

		unit_note("%llu %s", (unsigned long long)row->type, row->body);
		assert_true(caveat_is_valid(c.type, c.body));
		assert_int_equal(row->read_org, check(&c, false, CAVEAT_READ));
		assert_int_equal(row->read_app, check(&c, true, CAVEAT_READ));
		assert_int_equal(row->write_app, check(&c, true, CAVEAT_WRITE));
		free((void *)(uintptr_t)exact.p);
		buf_done(&body);
	}
}

static void test_bad_bodies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf body = note_buf(bad[i].body);
		struct str exact = unit_strdup(buf_str(&body));

		unit_note("%llu %s", (unsigned long long)bad[i].type, bad[i].body);
		assert_false(caveat_is_valid(bad[i].type, exact));
		free((void *)(uintptr_t)exact.p);
		buf_done(&body);
	}
	assert_false(caveat_is_valid(CAVEAT_ACTION, STR("\x01\x01")));
	assert_false(caveat_is_valid(CAVEAT_ACTION, STR("")));
	assert_false(caveat_is_valid(CAVEAT_ACTION, STR("\xcc\x01")));
}

/* Every type of the table has a rule above: a new row needs a line there. */
static void test_every_type(void **state)
{
	(void)state;
	for (uint64_t type = 0; type < 1000; type++) {
		bool seen = false;

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			seen = seen || rows[i].type == type;
		if (caveat_name(type) && !seen && type != CAVEAT_GITHUB_USER_ID &&
		    type != CAVEAT_GOOGLE_USER_ID)
			fail_msg("%s is not tested", caveat_name(type));
	}
}

static void test_half_a_second_late(void **state)
{
	struct buf body = note_buf("[0 1000]");
	struct caveat c = { CAVEAT_VALIDITY_WINDOW, STR_NULL, buf_str(&body) };
	struct caveat_access a = { .org_id = ORG, .action = CAVEAT_READ, .now_ms = 1000001 };
	struct err why = ERR_INIT;

	(void)state;
	assert_int_equal(CAVEAT_PROHIBITS, caveat_check(&c, &a, &why));
	buf_done(&body);
}

static void test_set(void **state)
{
	struct buf org = note_buf("[7 31]"), apps = note_buf("[{17 1}]"), none = note_buf("[]"),
		   other = note_buf("[8 31]"), id = note_buf("5");
	const struct caveat v[] = {
		{ CAVEAT_FLYIO_USER_ID, STR_NULL, buf_str(&id) },
		{ CAVEAT_IS_MEMBER, STR_NULL, buf_str(&none) },
		{ CAVEAT_ORGANIZATION, STR_NULL, buf_str(&org) },
		{ CAVEAT_APPS, STR_NULL, buf_str(&apps) },
		{ CAVEAT_ORGANIZATION, STR_NULL, buf_str(&other) },
	};
	struct caveat_access a = { ORG, false, 0, CAVEAT_READ, NOW * 1000 };
	struct caveat_set set = { v, 3 };
	struct err why = ERR_INIT;
	uint64_t org_id;

	(void)state;
	assert_int_equal(CAVEAT_ALLOWS, caveat_set_check(&set, &a, &why));
	assert_true(caveat_set_org(&set, &org_id));
	assert_true(org_id == ORG);
	set.n = 4;
	assert_int_equal(CAVEAT_UNSPECIFIED, caveat_set_check(&set, &a, &why));
	assert_string_equal("it is for certain apps only", why.msg);
	set.n = 5;
	assert_int_equal(CAVEAT_PROHIBITS, caveat_set_check(&set, &a, &why));
	assert_string_equal("it is for organisation 8", why.msg);
	set = (struct caveat_set){ v, 2 };
	assert_false(caveat_set_org(&set, &org_id));
	buf_done(&org);
	buf_done(&apps);
	buf_done(&none);
	buf_done(&other);
	buf_done(&id);
}

static void test_json(void **state)
{
	static const struct {
		uint64_t type;
		const char *body, *json;
	} cases[] = {
		/* clang-format off */
		{ 0, "[9876 2]", "{'type':'Organization','body':{'id':9876,'mask':'w'}}" },
		{ 3, "[{456 31 1234 2}]", "{'type':'Apps','body':{'apps':{'456':'rwcdC','1234':'w'}}}" },
		{ 2, "[{'v/' 1}]", "{'type':'Volumes','body':{'volumes':{'v/':'r'}}}" },
		{ 4, "[-1 5]", "{'type':'ValidityWindow','body':{'not_before':-1,'not_after':5}}" },
		{ 13, "[[3 [{17 65535}] 22 []] 0]",
		  "{'type':'IfPresent','body':{'ifs':[{'type':'Apps','body':{'apps':{'17':'*'}}},"
		  "{'type':'IsMember','body':{}}],'else':''}}" },
		{ 26, "3", "{'type':'Action','body':'rw'}" },
		{ 27, "[[['ls' '-l'] false] [['w'] true]]",
		  "{'type':'Commands','body':[{'args':['ls','-l']},{'args':['w'],'exact':true}]}" },
		{ 12, "x", "{'type':'BindToParentToken','body':'78'}" },
		{ 300, "[1]", "{'type':'300','body':'9101'}" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf body = note_buf(cases[i].body), out = BUF_INIT;
		struct caveat c = { cases[i].type, STR_NULL, buf_str(&body) };

		unit_note("%s", cases[i].json);
		caveat_put_json(&out, &c);
		for (size_t k = 0; k < out.len; k++)
			out.p[k] = out.p[k] == '"' ? '\'' : out.p[k];
		assert_str_equal(str_from(cases[i].json), buf_str(&out));
		buf_done(&body);
		buf_done(&out);
	}
}

static void test_masks(void **state)
{
	char text[CAVEAT_MASK_TEXT_MAX];
	uint16_t mask;

	(void)state;
	assert_int_equal(0, caveat_mask_parse(STR("Crw"), &mask));
	assert_int_equal(CAVEAT_READ | CAVEAT_WRITE | CAVEAT_CONTROL, mask);
	caveat_mask_format(mask, text);
	assert_string_equal("rwC", text);
	assert_int_equal(0, caveat_mask_parse(STR("*"), &mask));
	assert_int_equal(CAVEAT_ALL, mask);
	caveat_mask_format(mask, text);
	assert_string_equal("*", text);
	assert_int_equal(-EINVAL, caveat_mask_parse(STR("rx"), &mask));
	assert_int_equal(0, caveat_mask_parse(STR(""), &mask));
	assert_int_equal(0, mask);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),      cmocka_unit_test(test_bad_bodies),
		cmocka_unit_test(test_every_type), cmocka_unit_test(test_half_a_second_late),
		cmocka_unit_test(test_set),        cmocka_unit_test(test_json),
		cmocka_unit_test(test_masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
