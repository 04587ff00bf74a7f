/* SPDX-License-Identifier: BSD-2-Clause */
/* What an organisation may store, by its access file: above it is refused, others feel nothing. */
#include "tests/unit/region_call.h"

#include <sodium.h>

#include "api/auth/access.h"
#include "api/org_limits.h"

#define IMPORT "/api/v1/import/prometheus"
#define AT     " 1699999940000\n"

static void add_token(struct buf *out, const char *name, const char *org, const char *scopes)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(hash) + 1];

	(void)crypto_hash_sha256(hash, (const uint8_t *)name, strlen(name));
	(void)sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	buf_printf(out, "  %s: {sha256: %s, organisation: \"%s\", scopes: [%s]}\n", name, hex, org,
	           scopes);
}

static void write_access(const struct tempdir *dir, const char *orgs)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;

	buf_printf(&text, "organisations: {%s}\ntokens:\n", orgs);
	add_token(&text, "a", "a", "read, write");
	add_token(&text, "b", "b", "read, write");
	add_token(&text, "operator", "*", "admin");
	tempdir_write(dir, "access.yml", buf_cstr(&text), 0600);
}

/* Stores exposition text; the answer must have @status and hold @want. */
static void expect(struct region *r, const char *token, const char *text, int status,
                   const char *want)
{
	const struct call c = {
		.method = HTTP_POST, .target = IMPORT, .token = token, .body = str_from(text)
	};
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	struct response meta;
	int got = call(r, &c, &out, &meta);

	if (got != status || !strstr(buf_cstr(&out), want))
		fail_msg("%s\n    want %d %s\n    got  %d %s", text, status, want, got,
		         buf_cstr(&out));
	assert_true((got == 503) == (response_get_header(&meta, "Retry-After") != NULL));
}

static void expect_metric(struct region *r, const char *line)
{
	const struct call c = { .target = "/metrics", .token = "Bearer operator" };
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	assert_int_equal(200, call(r, &c, &out, NULL));
	if (!strstr(buf_cstr(&out), line))
		fail_msg("no %s in /metrics", line);
}

static void test_limits(void **state)
{
	struct tempdir dir = tempdir_make(), access = tempdir_make();
	struct access *fresh;
	struct err e = ERR_INIT;

	(void)state;
	write_access(&access, "a: {series_max: 2, retention: 1d}, b: {}");
	region_clock_stop();
	struct region *r = region_for_test(dir.path, NULL, 0, access.path);

	expect(r, "Bearer a", "x{n=\"1\"} 1" AT "x{n=\"2\"} 1" AT "x{n=\"3\"} 1" AT, 400,
	       "1 of 3 samples were refused");
	expect(r, "Bearer a", "x{n=\"1\"} 1 1699900000000\n", 400, "1 of 1 samples were refused");
	expect(r, "Bearer b", "x{n=\"1\"} 1" AT "x{n=\"2\"} 1" AT "x{n=\"3\"} 1" AT, 204, "");
	expect(r, "Bearer b", "x{n=\"1\"} 1 1699900000000\n", 204, "");
	expect_metric(r, "periscope_region_organisation_series{organisation=\"a\"} 2\n");
	expect_metric(r, "periscope_region_organisation_series_max{organisation=\"a\"} 2\n");
	expect_metric(r, "periscope_region_organisation_series_max{organisation=\"b\"} 0\n");
	expect_metric(
		r, "periscope_region_organisation_samples_refused_total{organisation=\"a\"} 2\n");

	/* Read again: a may store more, but not as fast; what is too fast is to be sent again. */
	write_access(&access, "a: {samples_per_second_max: 1}");
	assert_int_equal(0, access_load(access.path, &fresh, &e));
	org_limits_apply(r, r->access, fresh);
	access_unref(r->access);
	r->access = fresh;
	expect(r, "Bearer a", "x{n=\"3\"} 1" AT, 204, "");
	_cleanup_(buf_done) struct buf many = BUF_INIT;

	for (int i = 0; i < 1000; i++)
		buf_printf(&many, "x{n=\"3\"} %d %lld\n", i, 1699999000000ll + i);
	expect(r, "Bearer a", buf_cstr(&many), 503, "send them again later");
	region_close(r);
	clock_set(NULL);
	tempdir_done(&dir);
	tempdir_done(&access);
}

static void test_bad_limits(void **state)
{
	static const char *const bad[] = { "a: {series_max: -1}", "a: {series_max: many}",
		                           "a: {retention: 1 day}", "a: {samples: 1}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tempdir access = tempdir_make();
		struct access *a;
		struct err e = ERR_INIT;

		write_access(&access, bad[i]);
		unit_note("%s", bad[i]);
		assert_int_equal(-EINVAL, access_load(access.path, &a, &e));
		assert_non_null(strstr(e.msg, "access.yml"));
		tempdir_done(&access);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
