/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata of metrics: what is said is kept apart by organisation, survives a restart, and any
 * damage of the file costs what is behind it and nothing else.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "api/metadata.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/clock.h"
#include "userspace/base/file.h"

static uint64_t mono_s = 1000;

static int64_t unix_zero(void)
{
	return 0;
}

static uint64_t mono_set(void)
{
	return mono_s * 1000000000;
}

static const struct clock_ops still = { unix_zero, mono_set };

static struct metadata *open_at(const struct tempdir *d)
{
	struct metadata *m;
	struct err e = ERR_INIT;

	if (metadata_open(d->path, &m, &e) < 0)
		fail_msg("%s", e.msg);
	return m;
}

static int put(struct metadata *m, const char *org, const char *name, enum rw_type type,
               const char *help)
{
	const struct metadata_def d = { str_from(name), str_from(help), STR("s"), type };

	return metadata_put(m, str_from(org), &d);
}

static int print(void *ctx, const struct metadata_def *d)
{
	buf_printf(ctx, "%.*s/%s/%.*s ", STR_FMT(d->name), metadata_type_name(d->type),
	           STR_FMT(d->help));
	return 0;
}

static void expect(struct metadata *m, const char *org, const char *want)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(0, metadata_each(m, str_from(org), print, &out));
	assert_string_equal(want, buf_cstr(&out));
}

static size_t file_bytes(const struct tempdir *d, struct buf *out)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT;

	buf_printf(&path, "%s/metadata.log", d->path);
	buf_clear(out);
	assert_int_equal(0, file_read(buf_cstr(&path), out, 1 << 26));
	return out->len;
}

static void test_put_and_each(void **state)
{
	struct tempdir dir = tempdir_make();
	struct metadata *m = open_at(&dir);
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	(void)state;
	assert_int_equal(0, put(m, "acme", "b_total", RW_TYPE_COUNTER, "B."));
	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "A."));
	assert_int_equal(0, put(m, "other", "a", RW_TYPE_GAUGE, "A."));
	size_t bytes = file_bytes(&dir, &text);

	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "A."));
	assert_int_equal(bytes, file_bytes(&dir, &text)); /* nothing new was said */
	expect(m, "acme", "a/gauge/A. b_total/counter/B. ");
	expect(m, "other", "a/gauge/A. ");
	expect(m, "nobody", "");
	mono_s++;
	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "Better."));
	expect(m, "acme", "a/gauge/Better. a/gauge/A. b_total/counter/B. ");
	mono_s++;
	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "A."));
	expect(m, "acme", "a/gauge/A. a/gauge/Better. b_total/counter/B. ");

	assert_int_equal(-EINVAL, put(m, "acme", "", RW_TYPE_GAUGE, "A."));
	assert_int_equal(-EINVAL, put(m, "acme", "\xff", RW_TYPE_GAUGE, "A."));
	assert_int_equal(-EINVAL, put(m, "acme", "a", RW_TYPE_GAUGE, "\xff"));
	assert_int_equal(0, put(m, "third", "odd", (enum rw_type)99, ""));
	expect(m, "third", "odd/unknown/ ");
	metadata_close(m);
	tempdir_done(&dir);
}

static void test_long_texts(void **state)
{
	struct tempdir dir = tempdir_make();
	struct metadata *m = open_at(&dir);
	_cleanup_(buf_done) struct buf long_help = BUF_INIT, out = BUF_INIT;
	char name[METADATA_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(-EINVAL, put(m, "o", name, RW_TYPE_GAUGE, ""));
	/* Cut in front of the character that does not fit. */
	for (unsigned i = 0; i < METADATA_HELP_MAX - 1; i++)
		buf_putc(&long_help, 'h');
	buf_puts(&long_help, "\xe2\x82\xac and more");
	assert_int_equal(0, put(m, "o", "n", RW_TYPE_GAUGE, buf_cstr(&long_help)));
	assert_int_equal(0, metadata_each(m, STR("o"), print, &out));
	assert_int_equal(strlen("n/gauge/ ") + METADATA_HELP_MAX - 1, out.len);
	metadata_close(m);
	tempdir_done(&dir);
}

static void test_restart(void **state)
{
	struct tempdir dir = tempdir_make();
	struct metadata *m = open_at(&dir);
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	(void)state;
	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "Old."));
	assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "New."));
	assert_int_equal(0, put(m, "other", "a", RW_TYPE_GAUGE, "Old."));
	metadata_close(m);
	size_t bytes = file_bytes(&dir, &text);

	for (int i = 0; i < 3; i++) {
		m = open_at(&dir);
		expect(m, "acme", "a/gauge/New. a/gauge/Old. ");
		expect(m, "other", "a/gauge/Old. ");
		assert_int_equal(0, put(m, "acme", "a", RW_TYPE_GAUGE, "New."));
		metadata_close(m);
		assert_int_equal(bytes, file_bytes(&dir, &text));
	}
	m = open_at(&dir);
	assert_int_equal(0, put(m, "acme", "b", RW_TYPE_GAUGE, "B."));
	metadata_close(m);
	m = open_at(&dir);
	expect(m, "acme", "a/gauge/New. a/gauge/Old. b/gauge/B. ");
	metadata_close(m);
	tempdir_done(&dir);
}

/* Every cut and every flipped byte: it opens, it has only what was said, it takes more. */
static void test_damage(void **state)
{
	struct tempdir dir = tempdir_make();
	struct metadata *m = open_at(&dir);
	_cleanup_(buf_done) struct buf whole = BUF_INIT, path = BUF_INIT;

	(void)state;
	buf_printf(&path, "%s/metadata.log", dir.path);
	for (unsigned i = 0; i < 5; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(0, put(m, "acme", name, RW_TYPE_COUNTER, "Help."));
	}
	metadata_close(m);
	size_t bytes = file_bytes(&dir, &whole);

	for (size_t at = 0; at < 2 * bytes; at++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		size_t n = at < bytes ? at : bytes;
		char *copy = unit_memdup(whole.p, bytes);

		if (at >= bytes)
			copy[at - bytes] = (char)(copy[at - bytes] ^ 0x40);
		assert_int_equal(0, file_replace(buf_cstr(&path), copy, n, 0640));
		m = open_at(&dir);
		assert_int_equal(0, metadata_each(m, STR("acme"), print, &out));
		assert_int_equal(0, strncmp("m0/counter/Help. m1/counter/Help. m2/counter/Help. "
		                            "m3/counter/Help. m4/counter/Help. ",
		                            buf_cstr(&out), out.len));
		assert_int_equal(0, put(m, "acme", "zz", RW_TYPE_GAUGE, ""));
		metadata_close(m);
		m = open_at(&dir);
		buf_puts(&out, "zz/gauge/ ");
		expect(m, "acme", buf_cstr(&out));
		metadata_close(m);
		free(copy);
	}
	tempdir_done(&dir);
}

static void test_full(void **state)
{
	struct tempdir dir = tempdir_make();
	struct metadata *m = open_at(&dir);
	struct metadata_stats stats;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < METADATA_USES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(0, put(m, "acme", name, RW_TYPE_COUNTER, ""));
	}
	assert_int_equal(-ENOSPC, put(m, "acme", "one_more", RW_TYPE_COUNTER, ""));
	assert_int_equal(0, put(m, "other", "one_more", RW_TYPE_COUNTER, ""));
	mono_s += 3600;
	assert_int_equal(0, put(m, "acme", "m7", RW_TYPE_COUNTER, "")); /* still said */
	assert_int_equal(0, put(m, "acme", "one_more", RW_TYPE_COUNTER, ""));
	metadata_get_stats(m, &stats);
	assert_int_equal(METADATA_USES_MAX + 1, stats.uses);
	assert_int_equal(2, stats.orgs);
	assert_int_equal(1, stats.refused);
	metadata_close(m);
	m = open_at(&dir); /* what made room is in the file still, and there is no room for it */
	metadata_get_stats(m, &stats);
	assert_int_equal(METADATA_USES_MAX + 1, stats.uses);
	metadata_close(m);
	m = open_at(&dir);
	metadata_get_stats(m, &stats);
	assert_int_equal(METADATA_USES_MAX + 1, stats.uses);
	metadata_close(m);
	tempdir_done(&dir);
}

static void test_types(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RW_TYPES; i++)
		assert_int_equal(i,
		                 metadata_type_of(str_from(metadata_type_name((enum rw_type)i))));
	assert_int_equal(RW_TYPE_UNKNOWN, metadata_type_of(STR("untyped")));
}

static void test_bad_folder(void **state)
{
	struct metadata *m = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_true(metadata_open("/proc/nowhere", &m, &e) < 0);
	assert_non_null(strstr(e.msg, "/proc/nowhere/metadata.log"));
	assert_null(m);
}

static int setup(void **state)
{
	(void)state;
	clock_set(&still);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clock_set(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_and_each), cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_restart),      cmocka_unit_test(test_damage),
		cmocka_unit_test(test_full),         cmocka_unit_test(test_types),
		cmocka_unit_test(test_bad_folder),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
