/* SPDX-License-Identifier: BSD-2-Clause */
/* What changes or copies the store itself: series that are deleted, snapshots. */
#include "tests/unit/region_call.h"

#include <sys/stat.h>

struct fixture {
	struct region *region;
	struct tempdir dir;
};

#define T0 "1699999940000"
#define T1 "1699999970000"

static int setup(void **state)
{
	static const char *const orgs[] = { "dev", "acme" };
	struct fixture *f = calloc(1, sizeof(*f));
	const char *text =
		"a{x=\"1\"} 1 " T0 "\na{x=\"1\"} 2 " T1 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n";

	f->dir = tempdir_make();
	region_clock_stop();
	f->region = region_for_test(f->dir.path, orgs, ARRAY_SIZE(orgs), NULL);
	call_import(f->region, "/api/v1/import/prometheus", NULL, text);
	call_import(f->region, "/prometheus/acme/api/v1/import/prometheus", NULL, text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	region_close(f->region);
	clock_set(NULL);
	tempdir_done(&f->dir);
	free(f);
	return 0;
}

static int post(struct fixture *f, const char *target, const char *form, struct buf *out)
{
	const struct call c = { .method = HTTP_POST,
		                .target = target,
		                .type = form ? "application/x-www-form-urlencoded" : NULL,
		                .body = form ? str_from(form) : STR_NULL };

	return call(f->region, &c, out, NULL);
}

/* --- deleting --------------------------------------------------------------------------------- */

#define DELETE "/api/v1/admin/tsdb/delete_series"
#define ALL    "/api/v1/export?format=prometheus&match[]={__name__!=\"\"}"
#define BAD    "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\""

static void test_delete(void **state)
{
	/* Each step leaves what the next one begins with. */
	static const struct {
		const char *target, *form;
		int status;
		const char *answer, *left;
	} steps[] = {
		{ DELETE, NULL, 400, BAD "argument match[] is missing",
		  "a{x=\"1\"} 1 " T0 "\na{x=\"1\"} 2 " T1 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n" },
		{ DELETE "?match[]={", NULL, 400, BAD "argument match[]: ",
		  "a{x=\"1\"} 1 " T0 "\na{x=\"1\"} 2 " T1 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n" },
		{ DELETE "?match[]=a&start=2&end=1", NULL, 400, BAD "the range ends before",
		  "a{x=\"1\"} 1 " T0 "\na{x=\"1\"} 2 " T1 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n" },
		{ DELETE "?match[]=nosuch", NULL, 204, "",
		  "a{x=\"1\"} 1 " T0 "\na{x=\"1\"} 2 " T1 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n" },
		{ DELETE "?match[]=a&start=1699999960", NULL, 204, "",
		  "a{x=\"1\"} 1 " T0 "\na{x=\"2\"} 3 " T0 "\nb 4 " T0 "\n" },
		{ DELETE "?extra_label=x=2", "match[]=a&match[]=b", 204, "",
		  "a{x=\"1\"} 1 " T0 "\nb 4 " T0 "\n" },
		{ DELETE, "match[]=a&match[]=b", 204, "", "" },
	};
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT;
	const struct call all = { .target = ALL }, others = { .target = "/prometheus/acme" ALL };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		unit_note("%s %s", steps[i].target, steps[i].form ? steps[i].form : "");
		assert_int_equal(steps[i].status, post(f, steps[i].target, steps[i].form, &out));
		assert_int_equal(0,
		                 strncmp(steps[i].answer, buf_cstr(&out), strlen(steps[i].answer)));
		assert_int_equal(200, call(f->region, &all, &out, NULL));
		assert_string_equal(steps[i].left, buf_cstr(&out));
	}
	/* Written again it is there again; the other organisation has lost nothing. */
	call_import(f->region, "/api/v1/import/prometheus", NULL, "b 5 " T0 "\n");
	assert_int_equal(200, call(f->region, &all, &out, NULL));
	assert_string_equal("b 5 " T0 "\n", buf_cstr(&out));
	assert_int_equal(200, call(f->region, &others, &out, NULL));
	assert_string_equal(steps[0].left, buf_cstr(&out));
}

/* --- snapshots -------------------------------------------------------------------------------- */

/* The name in {"status":"ok","snapshot":"NAME"}. */
static const char *name_in(struct buf *out, const char *before)
{
	char *p = strstr((char *)(uintptr_t)buf_cstr(out), before);

	assert_non_null(p);
	p += strlen(before);
	p[strcspn(p, "\"")] = '\0';
	return p;
}

static bool is_folder(struct fixture *f, const char *name)
{
	char path[4096];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/snapshots/%s", f->dir.path, name);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void test_snapshots(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_done) struct buf out = BUF_INIT, target = BUF_INIT;
	const struct call list = { .target = "/snapshot/list" };
	char first[64], second[64];

	assert_int_equal(200, post(f, "/api/v1/admin/tsdb/snapshot", NULL, &out));
	(void)snprintf(first, sizeof(first), "%s", name_in(&out, "\"data\":{\"name\":\""));
	assert_int_equal(200, post(f, "/snapshot/create", NULL, &out));
	(void)snprintf(second, sizeof(second), "%s",
	               name_in(&out, "{\"status\":\"ok\",\"snapshot\":\""));
	assert_string_not_equal(first, second);
	assert_true(is_folder(f, first) && is_folder(f, second));
	assert_int_equal(200, call(f->region, &list, &out, NULL));
	assert_non_null(strstr(buf_cstr(&out), first));
	assert_non_null(strstr(buf_cstr(&out), second));

	assert_int_equal(400, post(f, "/snapshot/delete", NULL, &out));
	assert_int_equal(404, post(f, "/snapshot/delete?snapshot=../blocks", NULL, &out));
	buf_printf(&target, "/snapshot/delete?snapshot=%s", first);
	assert_int_equal(200, post(f, buf_cstr(&target), NULL, &out));
	assert_int_equal(404, post(f, buf_cstr(&target), NULL, &out));
	assert_true(!is_folder(f, first) && is_folder(f, second));
	assert_int_equal(200, post(f, "/snapshot/delete_all", NULL, &out));
	assert_int_equal(200, call(f->region, &list, &out, NULL));
	assert_string_equal("{\"status\":\"ok\",\"snapshots\":[]}\n", buf_cstr(&out));
	call_expect(f->region, "/snapshot/create", NULL, 405, "{\"status\":\"error\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_snapshots),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
