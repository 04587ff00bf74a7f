/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A store on a disk that forgets what was not synced (simfs.h). The power goes at a random
 * operation, and sometimes again while the store recovers; or one operation fails, or one
 * allocation. Then everything that was acknowledged is there, and nothing else but what was being
 * done at that moment.
 *
 * CRASHES=10000 in the environment makes it as many: make check-crash.
 */
#include "tests/unit/unit.h"

#include "tests/unit/simfs.h"
#include "tests/unit/store_model.h"
#include "userspace/base/alloc.h"

#define DIR_NAME     "/s"
#define RETENTION_MS (400 * MODEL_DAY_MS)

/* What else a cell may be: the outcome of an operation that did not succeed. */
struct maybe {
	bool absent;
	uint8_t n;
	double values[6];
};

struct world {
	struct model m;
	struct maybe maybe[MODEL_ORGS][MODEL_SERIES][MODEL_TIMES];
	struct rng rng;
	struct store *s;
	bool has_failed; /* since the last settle() */
};

static struct world w;
static struct model seen;

/* ---- comparing ------------------------------------------------------------ */

static uint32_t series_of(const struct store_series *one)
{
	struct label labels[3];

	for (uint32_t k = 0; k < MODEL_SERIES; k++) {
		uint32_t n = model_labels(k, labels), i = 0;

		while (n == one->n_labels && i < n && str_eq(labels[i].value, one->labels[i].value))
			i++;
		if (n == one->n_labels && i == n)
			return k;
	}
	fail_msg("a series that nobody wrote");
	return 0;
}

static uint32_t time_of(int64_t ts_ms)
{
	for (uint32_t t = 0; t < MODEL_TIMES; t++) {
		if (model_time(&w.m, t) == ts_ms)
			return t;
	}
	fail_msg("a time that nobody wrote");
	return 0;
}

static void look_at_org(uint32_t org)
{
	const struct store_select sel = { .org = str_from(model_orgs[org]),
		                          .min_ms = INT64_MIN,
		                          .max_ms = INT64_MAX };
	struct store_scan *scan;
	struct store_series one;
	uint64_t n;

	assert_int_equal(0, store_scan_open(w.s, &sel, &scan, NULL));
	while (store_scan_next(scan, &one) == 0) {
		uint32_t k = series_of(&one);

		for (uint32_t i = 0; i < one.n; i++) {
			uint32_t t = time_of(one.ts_ms[i]);

			seen.has[org][k][t] = true;
			seen.v[org][k][t] = one.values[i];
		}
	}
	if (store_scan_warning(scan, &n))
		fail_msg("%s", store_scan_warning(scan, &n));
	store_scan_close(scan);
}

static bool is_same(double a, double b)
{
	return double_bits(a) == double_bits(b);
}

static bool is_possible(uint32_t org, uint32_t k, uint32_t t)
{
	const struct maybe *maybe = &w.maybe[org][k][t];
	bool has = w.m.has[org][k][t];

	if (!seen.has[org][k][t])
		return !has || maybe->absent;
	for (uint32_t i = 0; i < maybe->n; i++) {
		if (is_same(maybe->values[i], seen.v[org][k][t]))
			return true;
	}
	return has && is_same(w.m.v[org][k][t], seen.v[org][k][t]);
}

static void check(void)
{
	memset(&seen, 0, sizeof(seen));
	for (uint32_t org = 0; org < MODEL_ORGS; org++)
		look_at_org(org);
	for (uint32_t i = 0; i < MODEL_ORGS * MODEL_SERIES * MODEL_TIMES; i++) {
		uint32_t org = i / (MODEL_SERIES * MODEL_TIMES);
		uint32_t k = i / MODEL_TIMES % MODEL_SERIES, t = i % MODEL_TIMES;

		if (!is_possible(org, k, t))
			fail_msg("organisation %u, series %u, time %u: %s%g, but wanted %s%g", org,
			         k, t, seen.has[org][k][t] ? "" : "no ", seen.v[org][k][t],
			         w.m.has[org][k][t] ? "" : "no ", w.m.v[org][k][t]);
	}
}

/* What is there after a restart is what there is. */
static void settle(void)
{
	check();
	seen.now_ms = w.m.now_ms;
	w.m = seen;
	memset(w.maybe, 0, sizeof(w.maybe));
	w.has_failed = false;
}

/* ---- operations ----------------------------------------------------------- */

static void append(void)
{
	struct model before = w.m;
	uint32_t from = rng_below(&w.rng, MODEL_TIMES - 20), org = rng_below(&w.rng, MODEL_ORGS);
	uint32_t n = 1 + rng_below(&w.rng, 30);
	struct rng again = w.rng;

	if (model_append(&w.m, w.s, &w.rng, org, from, from + 20, n) == 0)
		return;
	w.has_failed = true;
	w.m = before;
	/* Each sample by itself may have come. */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = rng_below(&again, MODEL_SERIES), t = from + rng_below(&again, 20);
		double v = model_value(&again, k, t);
		struct maybe *maybe = &w.maybe[org][k][t];

		if (w.m.has[org][k][t])
			v = model_winner(w.m.v[org][k][t], v);
		assert_in_range(maybe->n, 0, ARRAY_SIZE(maybe->values) - 1);
		maybe->values[maybe->n++] = v;
	}
}

static void delete (void)
{
	uint32_t org = rng_below(&w.rng, MODEL_ORGS), a = rng_below(&w.rng, MODEL_TIMES);
	int64_t min_ms = model_time(&w.m, a), max_ms = model_time(&w.m, MODEL_TIMES - 1);
	const struct store_select sel = { .org = str_from(model_orgs[org]),
		                          .min_ms = min_ms,
		                          .max_ms = max_ms };
	uint64_t n_series;
	int r = store_delete(w.s, &sel, &n_series, NULL);

	w.has_failed |= r < 0;
	for (uint32_t k = 0; k < MODEL_SERIES; k++) {
		if (r == 0)
			model_delete(&w.m, org, k, min_ms, max_ms);
		for (uint32_t t = a; r < 0 && t < MODEL_TIMES; t++)
			w.maybe[org][k][t].absent = true;
	}
}

static void do_something(void)
{
	switch (rng_below(&w.rng, 10)) {
	case 0:
	case 1:
		w.has_failed |= store_flush(w.s) < 0;
		break;
	case 2:
		w.has_failed |= store_merge(w.s) < 0;
		break;
	case 3:
		delete ();
		break;
	default:
		append();
	}
}

/* ---- life ----------------------------------------------------------------- */

static int try_open(void)
{
	const struct store_conf conf = { .dir = DIR_NAME,
		                         .retention_ms = RETENTION_MS,
		                         .is_manual = true };

	return store_open(&w.s, &conf, NULL);
}

static void begin(void)
{
	vfs_set(&simfs_vfs);
	simfs_clear();
	w = (struct world){ .rng = unit_rng() };
	w.m.now_ms = clock_unix_ms();
	assert_int_equal(0, try_open());
}

static void end(void)
{
	store_close(w.s);
	simfs_clear();
	vfs_set(NULL);
}

static void power_cut(void)
{
	simfs.is_off = true;
	store_close(w.s);
	simfs_power_cut(&w.rng);
	simfs_boot();
}

/* And again, while it recovers. */
static void recover(void)
{
	while (rng_below(&w.rng, 3) == 0) {
		simfs.off_at = simfs.n_operations + rng_below(&w.rng, 12);
		if (try_open() < 0)
			w.s = NULL;
		power_cut();
	}
	assert_int_equal(0, try_open());
}

static unsigned n_crashes(void)
{
	const char *text = getenv("CRASHES");

	return text ? (unsigned)strtoul(text, NULL, 10) : 300;
}

static void test_power_cuts(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < n_crashes(); i++) {
		simfs.off_at = simfs.n_operations + 1 + rng_below(&w.rng, 80);
		while (!simfs.is_off && !w.has_failed)
			do_something();
		power_cut();
		recover();
		settle();
		if (i % 50 == 49) { /* or the disk would fill */
			end();
			simfs_clear();
			struct rng rng = w.rng;

			begin();
			w.rng = rng;
		}
	}
	end();
}

/* ---- one failure ---------------------------------------------------------- */

/* The same history each time, and its n-th operation fails; behind it the store goes on. */
static void go_on_after_failure(void)
{
	check(); /* with what is in memory */
	assert_int_equal(0, store_flush(w.s));
	check();
	store_close(w.s);
	assert_int_equal(0, try_open());
	settle();
	append();
	assert_false(w.has_failed);
	check();
}

static void do_until_failure(void)
{
	for (int i = 0; i < 25 && !w.has_failed; i++)
		do_something();
}

static void test_one_operation_fails(void **state)
{
	static const int codes[] = { -EIO, -ENOSPC };
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n += 1 + n / 40) {
		begin();
		simfs.fail_at = n;
		simfs.fail_code = codes[n % 2];
		do_until_failure();
		failed = simfs.fail_at == 0;
		simfs.fail_at = 0;
		go_on_after_failure();
		end();
		assert_in_range(n, 1, 2000);
	}
}

/* Every one of the first few hundred, then fewer: there are some ten thousand. */
static void test_one_allocation_fails(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n += 1 + n / 60) {
		begin();
		alloc_fail_at(n);
		do_until_failure();
		alloc_fail_at(0);
		/* One that is not reached, or that only costs something that can be done later. */
		failed = w.has_failed || n < 100;
		go_on_after_failure();
		end();
		assert_in_range(n, 1, 1000000);
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	for (uint64_t room = 0; room < 60000; room += 1500) {
		begin();
		simfs.bytes_max = simfs_used() + room;
		do_until_failure();
		check();
		simfs.bytes_max = 0;
		assert_int_equal(0, store_flush(w.s));
		store_close(w.s);
		assert_int_equal(0, try_open());
		settle();
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_one_operation_fails),
		cmocka_unit_test(test_one_allocation_fails),
		cmocka_unit_test(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
