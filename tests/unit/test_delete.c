/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deleting: what a selector names is gone at once, after a restart, and after merges, from memory
 * and from disk; nothing else is; what comes later stays. And the file of tombstones.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "store/tombstones.h"
#include "tests/unit/store_model.h"
#include "tests/unit/tempdir.h"
#include "userspace/base/file.h"

#define RETENTION_MS (400 * MODEL_DAY_MS)

static struct store *open_at(const char *dir)
{
	const struct store_conf conf = { .dir = dir,
		                         .retention_ms = RETENTION_MS,
		                         .is_manual = true };
	struct err e = ERR_INIT;
	struct store *s;

	if (store_open(&s, &conf, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

/* Is series @k of the model selected by host =~ @host? */
static bool model_has_host(uint32_t k, const char *host)
{
	struct label labels[3];

	(void)model_labels(k, labels);
	return strcmp(host, ".*") == 0 || str_eqc(labels[1].value, host);
}

static uint64_t delete_host(struct store *s, uint32_t org, const char *host, int64_t min_ms,
                            int64_t max_ms)
{
	const struct store_matcher m = { STORE_RE, STR("host"), str_from(host) };
	const struct store_match_set set = { &m, 1 };
	const struct store_select sel = { .org = str_from(model_orgs[org]),
		                          .sets = &set,
		                          .n_sets = 1,
		                          .min_ms = min_ms,
		                          .max_ms = max_ms };
	struct err e = ERR_INIT;
	uint64_t n;

	if (store_delete(s, &sel, &n, &e) < 0)
		fail_msg("%s", e.msg);
	return n;
}

static void delete_both(struct model *m, struct store *s, struct rng *rng)
{
	static const char *const hosts[] = { "a", "ab", "b", ".*" };
	const char *host = hosts[rng_below(rng, ARRAY_SIZE(hosts))];
	uint32_t org = rng_below(rng, MODEL_ORGS), a = rng_below(rng, MODEL_TIMES),
		 b = rng_below(rng, MODEL_TIMES);
	int64_t min_ms = model_time(m, MIN(a, b)), max_ms = model_time(m, MAX(a, b));

	if (rng_below(rng, 4) == 0) {
		min_ms = INT64_MIN;
		max_ms = INT64_MAX;
	}
	(void)delete_host(s, org, host, min_ms, max_ms);
	for (uint32_t k = 0; k < MODEL_SERIES; k++) {
		if (model_has_host(k, host))
			model_delete(m, org, k, min_ms, max_ms);
	}
}

static void do_something(struct model *m, struct store **s, const char *dir, struct rng *rng)
{
	uint32_t from = rng_below(rng, MODEL_TIMES - 20);

	switch (rng_below(rng, 16)) {
	case 0:
		assert_int_equal(0, store_merge(*s));
		break;
	case 1:
		store_maintain(*s);
		break;
	case 2:
		store_close(*s);
		*s = open_at(dir);
		break;
	case 3:
		assert_int_equal(0, store_flush(*s));
		break;
	case 4:
	case 5:
		delete_both(m, *s, rng);
		break;
	default:
		assert_int_equal(0, model_append(m, *s, rng, rng_below(rng, MODEL_ORGS), from,
		                                 from + 20, 1 + rng_below(rng, 64)));
	}
}

static void test_random_history(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 400; i++) {
		do_something(&m, &s, dir.path, &rng);
		if (i % 5 == 4)
			model_check(&m, s, &rng);
	}
	store_close(s);
	s = open_at(dir.path);
	model_check(&m, s, &rng);
	store_close(s);
}

static size_t n_tombstones(const char *dir)
{
	struct tombstones *t;
	struct err e = ERR_INIT;

	if (tombstones_read(dir, UINT64_MAX, &t, &e) < 0)
		fail_msg("%s", e.msg);
	size_t n = t->n;

	tombstones_unref(t);
	return n;
}

static void test_what_comes_later_stays(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
	assert_int_equal(0, model_append(&m, s, &rng, 1, 0, MODEL_TIMES, 64));
	uint64_t n = delete_host(s, 0, ".*", INT64_MIN, INT64_MAX);

	assert_in_range(n, 1, MODEL_SERIES);
	for (uint32_t k = 0; k < MODEL_SERIES; k++)
		model_delete(&m, 0, k, INT64_MIN, INT64_MAX);
	model_check(&m, s, &rng);
	assert_int_equal(0, delete_host(s, 0, ".*", INT64_MIN, INT64_MAX)); /* nothing is left */
	assert_int_equal(1, n_tombstones(dir.path));
	/* The same times again, in memory, in a block, and after a merge with the old one. */
	assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
	model_check(&m, s, &rng);
	assert_int_equal(0, store_flush(s));
	model_check(&m, s, &rng);
	assert_int_equal(0, store_merge(s));
	model_check(&m, s, &rng);
	store_close(s);
	assert_int_equal(0, n_tombstones(dir.path)); /* no block needs it */
}

static void test_scan_keeps_what_is_deleted(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	const struct store_select sel = { .org = STR("acme"),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);
	struct store_scan *scan;
	struct store_series one;
	uint64_t n = 0;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
	assert_int_equal(0, store_scan_open(s, &sel, &scan, NULL));
	assert_true(delete_host(s, 0, ".*", INT64_MIN, INT64_MAX) > 0);
	while (store_scan_next(scan, &one) == 0)
		n += one.n;
	assert_in_range(n, 40, 64); /* some came twice */
	store_scan_close(scan);
	store_close(s);
}

static void test_bounds_of_a_selector(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	const struct store_matcher all = { STORE_RE, STR("host"), STR(".*") };
	const struct store_matcher only = { STORE_EQ, STR("host"), STR("ab") };
	const struct store_matcher bad = { STORE_RE, STR("host"), STR("a(") };
	const struct store_match_set set = { &all, 1 };
	struct store_select sel = { .org = STR("acme"),
		                    .sets = &set,
		                    .n_sets = 1,
		                    .enforced = { &only, 1 },
		                    .min_ms = INT64_MIN,
		                    .max_ms = INT64_MAX };
	static struct model m;
	struct rng rng = unit_rng();
	struct store *s = open_at(dir.path);
	struct err e = ERR_INIT;
	uint64_t n;

	(void)state;
	m = (struct model){ .now_ms = clock_unix_ms() };
	for (int i = 0; i < 4; i++) {
		assert_int_equal(0, model_append(&m, s, &rng, 0, 0, MODEL_TIMES, 64));
		assert_int_equal(0, model_append(&m, s, &rng, 1, 0, MODEL_TIMES, 64));
	}
	assert_int_equal(0, store_delete(s, &sel, &n, &e));
	assert_int_equal(3, n);
	for (uint32_t k = 0; k < MODEL_SERIES; k++) {
		if (model_has_host(k, "ab"))
			model_delete(&m, 0, k, INT64_MIN, INT64_MAX);
	}
	model_check(&m, s, &rng); /* the enforced matcher held, the other organisation has all */
	sel.enforced.v = &bad;
	assert_int_equal(-EINVAL, store_delete(s, &sel, &n, &e));
	assert_non_null(strstr(e.msg, "bad regular expression"));
	sel.org = STR("No slug");
	assert_int_equal(-EINVAL, store_delete(s, &sel, &n, &e));
	model_check(&m, s, &rng);
	store_close(s);
}

/* ---- the file ------------------------------------------------------------- */

static void test_file_of_tombstones(void **state)
{
	_cleanup_(tempdir_done) struct tempdir dir = tempdir_make();
	_cleanup_(buf_done) struct buf bytes = BUF_INIT;
	const struct store_matcher m = { STORE_NRE, STR("l"), { "a\0b", 3 } };
	const struct store_match_set set = { &m, 1 };
	const struct tombstone more = { .org = STR("dev"),
		                        .min_ms = INT64_MIN,
		                        .max_ms = 7,
		                        .made_ms = 5,
		                        .sets = (struct store_match_set[]){ set },
		                        .n_sets = 1,
		                        .enforced = set };
	struct tombstones *none = tombstones_new(4), *one, *got;
	char path[4096];
	struct err e = ERR_INIT;

	(void)state;
	one = tombstones_changed(none, NULL, NULL, &more);
	assert_int_equal(0, tombstones_write(dir.path, one));
	assert_int_equal(0, tombstones_read(dir.path, 5, &got, &e));
	assert_int_equal(1, got->n);
	assert_int_equal(5, got->v[0].number);
	assert_int_equal(INT64_MIN, got->v[0].min_ms);
	assert_int_equal(7, got->v[0].max_ms);
	assert_str_equal(m.value, got->v[0].sets[0].v[0].value);
	assert_int_equal(STORE_NRE, got->v[0].enforced.v[0].op);
	tombstones_unref(got);
	assert_int_equal(0, tombstones_read(dir.path, 4, &got, &e));
	assert_int_equal(0, got->n); /* the manifest does not know it */
	tombstones_unref(got);
	(void)snprintf(path, sizeof(path), "%s/tombstones", dir.path);
	assert_int_equal(0, file_read(path, &bytes, 1 << 16));
	for (size_t i = 0; i < bytes.len * 2; i++) {
		size_t len = i < bytes.len ? bytes.len : i - bytes.len;
		char *copy = unit_memdup(bytes.p, len);

		if (i < bytes.len)
			copy[i] = (char)(copy[i] ^ 1);
		int r = tombstones_parse((struct str){ copy, len }, 5, &got, &e);

		assert_true(r == -EBADMSG || r == -EPROTO);
		free(copy);
	}
	tombstones_unref(none);
	tombstones_unref(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_history),
		cmocka_unit_test(test_what_comes_later_stays),
		cmocka_unit_test(test_scan_keeps_what_is_deleted),
		cmocka_unit_test(test_bounds_of_a_selector),
		cmocka_unit_test(test_file_of_tombstones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
