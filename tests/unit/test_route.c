/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths: which route, which organisation, which argument; and what the table itself must hold. */
#include "api/route.h"
#include "tests/unit/unit.h"

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		const char *route; /* NULL = none */
		const char *org, *arg;
	} rows[] = {
		{ "/api/v1/query", "/api/v1/query", "", "" },
		{ "/api/v1/query/", "/api/v1/query", "", "" },
		{ "//api///v1//query", "/api/v1/query", "", "" },
		{ "/prometheus/api/v1/query", "/api/v1/query", "", "" },
		{ "/prometheus//api/v1/query", "/api/v1/query", "", "" },
		{ "/prometheus/dev/api/v1/query", "/api/v1/query", "dev", "" },
		{ "/prometheus/api/api/v1/query", "/api/v1/query", "api", "" },
		{ "/prometheus/a/b/api/v1/query", NULL, "", "" },
		{ "/dev/api/v1/query", NULL, "", "" },
		{ "/api/v1/label/job/values", "/api/v1/label/*/values", "", "job" },
		{ "/prometheus/o-1/api/v1/label/U__a_2e_b/values", "/api/v1/label/*/values", "o-1",
		  "U__a_2e_b" },
		{ "/api/v1/label//values", NULL, "", "" },
		{ "/api/v1/label/a/b/values", NULL, "", "" },
		{ "/api/v1/label/values", NULL, "", "" },
		{ "/api/v1/queryx", NULL, "", "" },
		{ "/api/v1", NULL, "", "" },
		{ "/API/v1/query", NULL, "", "" },
		{ "/api/v1/query%2f", NULL, "", "" },
		{ "/", NULL, "", "" },
		{ "", NULL, "", "" },
		{ "/prometheus", NULL, "", "" },
		{ "/prometheus/", NULL, "", "" },
		{ "/prometheus/health", "/health", "", "" },
		{ "/prometheus/dev/-/ready", "/-/ready", "dev", "" },
		{ "/-/healthy", "/-/healthy", "", "" },
		{ "api/v1/query", "/api/v1/query", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str path = unit_strdup(str_from(rows[i].path));
		struct str org = STR_NULL, arg = STR_NULL;
		const struct route *r = route_find(path, &org, &arg);

		unit_note("%s", rows[i].path);
		if (rows[i].route) {
			assert_non_null(r);
			assert_string_equal(rows[i].route, r->path);
			assert_str_equal(str_from(rows[i].org), org);
			assert_str_equal(str_from(rows[i].arg), arg);
		} else {
			assert_null(r);
		}
		free((void *)(uintptr_t)path.p);
	}
}

static void test_table(void **state)
{
	struct str org, arg;

	(void)state;
	for (size_t i = 0; i < routes_n; i++) {
		const struct route *r = &routes[i];
		char path[128];
		size_t n = 0;

		unit_note("%s", r->path);
		assert_non_null(r->handler);
		assert_int_equal('.', r->summary[strlen(r->summary) - 1]);
		assert_true(route_allow(r->methods)[0] != '\0');
		/* Each row is found by its own path: none hides another. */
		for (const char *p = r->path; *p; p++)
			path[n++] = *p == '*' ? 'x' : *p;
		assert_ptr_equal(r, route_find((struct str){ path, n }, &org, &arg));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
