/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VictoriaMetrics' blocks: bytes that it wrote itself, what we write read back bit by bit, and no
 * byte believed unseen.
 */
#include "tests/unit/unit.h"

#include <math.h>

#include "userspace/wire/vm_column.h"
#include "userspace/wire/vm_decimal.h"
#include "userspace/wire/vm_native.h"

/* --- a block of VictoriaMetrics 1.145: j1{a="b"} 1, +Inf, -Inf, 2.5 --------------------------- */

static const uint8_t theirs[] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x44, 0x23,
	0x0f, 0xc7, 0x00, 0x00, 0x00, 0x00, 0x07, 0x6a, 0x31, 0x01, 0x61, 0x01, 0x62,
	0x01, 0x00, 0x00, 0x00, 0x2e, 0x80, 0xb0, 0x83, 0xc5, 0x98, 0x68, 0xc0, 0xee,
	0x83, 0xc5, 0x98, 0x68, 0x14, 0x04, 0x01, 0x05, 0x06, 0x40, 0x05, 0xa0, 0x1f,
	0xcf, 0x0f, 0x00, 0x15, 0xea, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x01, 0x02, 0xcd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
};

static struct vm_native *reader(const void *bytes, size_t n, struct err *e, int *ret)
{
	struct vm_native *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	*ret = vm_native_begin(v, (struct str){ bytes, n }, e);
	return v;
}

static void reader_free(struct vm_native *v)
{
	vm_native_done(v);
	free(v);
}

static void test_theirs(void **state)
{
	struct err e = ERR_INIT;
	int r;
	struct vm_native *v = reader(theirs, sizeof(theirs), &e, &r);

	(void)state;
	assert_int_equal(0, r);
	assert_int_equal(0, vm_native_next(v, &e));
	assert_int_equal(2, v->n_labels);
	assert_true(str_eqc(v->labels[0].value, "j1"));
	assert_true(str_eqc(v->labels[1].name, "a") && str_eqc(v->labels[1].value, "b"));
	assert_int_equal(4, v->n_samples);
	assert_int_equal(1790000000000, v->samples[0].ts_ms);
	assert_int_equal(1790000004000, v->samples[3].ts_ms);
	assert_true(v->samples[0].value == 1.0 && v->samples[3].value == 2.5);
	assert_true(isinf(v->samples[1].value) && v->samples[1].value > 0);
	assert_true(isinf(v->samples[2].value) && v->samples[2].value < 0);
	assert_int_equal(1, vm_native_next(v, &e));
	reader_free(v);
}

/* --- values ----------------------------------------------------------------------------------- */

static void test_decimals(void **state)
{
	static const struct {
		double in[4];
		uint32_t n, fit;
		int64_t v[4];
		int exp10;
	} sets[] = {
		{ { 1, 2.5, 100, 0 }, 4, 4, { 10, 25, 1000, 0 }, -1 },
		{ { 1000, 20000, 0 }, 3, 3, { 1, 20, 0 }, 3 },
		{ { INFINITY, -INFINITY, 7 }, 3, 3, { INT64_MAX, INT64_MIN, 7 }, 0 },
		{ { 1e300, 1e-300 }, 2, 1, { 1 }, 300 },
		{ { 0.1, 12345678901234567e5 }, 2, 1, { 1 }, -1 },
		{ { -0.25, 5e-324, 1 }, 3, 1, { -25 }, -2 },
		{ { 0, -0.0 }, 2, 2, { 0, 0 }, 0 },
		{ { 1.7976931348623157e308 }, 1, 1, { 17976931348623157 }, 292 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int64_t v[4];
		int exp10;
		uint32_t fit = vm_decimal_fit(sets[i].in, sets[i].n, v, &exp10);

		unit_note("set %zu", i);
		assert_int_equal(sets[i].fit, fit);
		assert_int_equal(sets[i].exp10, exp10);
		for (uint32_t k = 0; k < fit; k++) {
			assert_int_equal(sets[i].v[k], v[k]);
			assert_true(vm_decimal_value(v[k], exp10) == sets[i].in[k]);
		}
	}
	assert_true(is_stale_mark(vm_decimal_value(INT64_MAX - 1, 5)));
}

static double random_value(struct rng *rng, uint32_t kind)
{
	switch (kind) {
	case 0:
		return (double)rng_below(rng, 1000);
	case 1:
		return (double)rng_below(rng, 1000000) / 1000;
	case 2:
		return rng_below(rng, 20) == 0 ? stale_mark() : 1;
	default: {
		double any = double_from_bits(rng_u64(rng));

		return isnan(any) ? INFINITY : any + 0.0;
	}
	}
}

/* --- there and back --------------------------------------------------------------------------- */

static uint32_t random_series(struct rng *rng, int64_t *ts, double *values)
{
	uint32_t n = 1 + rng_below(rng, rng_below(rng, 4) ? 50 : 2 * VM_BLOCK_SAMPLES);
	uint32_t kind = rng_below(rng, 4), step = 1 + rng_below(rng, 30000);

	ts[0] = (int64_t)rng_below(rng, 2000000000) * 1000;
	for (uint32_t i = 0; i < n; i++) {
		ts[i] = i == 0 ? ts[0] : ts[i - 1] + step + (kind ? rng_below(rng, 3) : 0);
		values[i] = random_value(rng, kind);
	}
	return n;
}

static void test_round_trip(void **state)
{
	static const struct label labels[] = { { STR_INIT("__name__"), STR_INIT("m\0\1\2") },
		                               { STR_INIT("a"), STR_INIT("") },
		                               { STR_INIT("b\1"), STR_INIT("x") } };
	static int64_t ts[2 * VM_BLOCK_SAMPLES + 1];
	static double values[2 * VM_BLOCK_SAMPLES + 1];
	struct rng rng = unit_rng();

	(void)state;
	for (int round = 0; round < 300; round++) {
		_cleanup_(buf_done) struct buf out = BUF_INIT;
		uint32_t n = random_series(&rng, ts, values), at = 0;
		struct err e = ERR_INIT;
		int r;

		vm_native_put_head(&out, 0, INT64_MAX);
		while (at < n)
			at += vm_native_put_block(&out, labels, 3, ts + at, values + at, n - at);
		assert_int_equal(0, out.err);
		char *copy = unit_memdup(out.p, out.len);
		struct vm_native *v = reader(copy, out.len, &e, &r);

		for (at = 0; (r = vm_native_next(v, &e)) == 0; at += v->n_samples) {
			assert_int_equal(3, v->n_labels);
			for (uint32_t i = 0; i < 3; i++)
				assert_true(str_eq(labels[i].name, v->labels[i].name) &&
				            str_eq(labels[i].value, v->labels[i].value));
			for (uint32_t i = 0; i < v->n_samples; i++) {
				assert_int_equal(ts[at + i], v->samples[i].ts_ms);
				assert_true(double_bits(values[at + i]) ==
				            double_bits(v->samples[i].value));
			}
		}
		assert_int_equal(1, r);
		assert_int_equal(n, at);
		reader_free(v);
		free(copy);
	}
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Every byte changed in every bit: an error or other samples, but in order and within the times. */
static void test_flips(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < sizeof(theirs) * 8; bit++) {
		uint8_t *copy = unit_memdup(theirs, sizeof(theirs));
		struct err e = ERR_INIT;
		int r;

		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct vm_native *v = reader(copy, sizeof(theirs), &e, &r);

		r = vm_native_next(v, &e);
		assert_true(r == 0 || r == -EBADMSG || r == -EPROTO);
		assert_true(r == 0 || e.msg[0] != '\0');
		for (uint32_t i = 0; r == 0 && i < v->n_samples; i++)
			assert_true(v->samples[i].ts_ms >= v->min_ms &&
			            v->samples[i].ts_ms <= v->max_ms &&
			            (i == 0 || v->samples[i - 1].ts_ms <= v->samples[i].ts_ms));
		reader_free(v);
		free(copy);
	}
}

static void test_cuts(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(theirs); n++) {
		uint8_t *copy = unit_memdup(theirs, n);
		struct err e = ERR_INIT;
		int r;
		struct vm_native *v = reader(copy, n, &e, &r);

		if (n < 16) {
			assert_int_equal(-EPROTO, r);
		} else {
			assert_int_equal(0, r);
			assert_int_equal(n == 16 ? 1 : -EPROTO, vm_native_next(v, &e));
		}
		reader_free(v);
		free(copy);
	}
}

static void test_bad_columns(void **state)
{
	static const struct {
		uint8_t kind;
		uint32_t n;
		uint8_t len, bytes[4];
	} rows[] = {
		{ VM_CONST, 0, 0, { 0 } },
		{ VM_CONST, 2, 1, { 0 } },
		{ VM_DELTA_CONST, 2, 0, { 0 } },
		{ VM_DELTA_CONST, 2, 2, { 1, 1 } },
		{ VM_DELTA_CONST, 2, 1, { 0x80 } },
		{ VM_DELTA, 1, 0, { 0 } },
		{ VM_DELTA, 3, 1, { 1 } },
		{ VM_DELTA, 2, 2, { 1, 1 } },
		{ VM_DELTA2, 2, 0, { 0 } },
		{ VM_ZSTD_DELTA, 2, 3, { 1, 2, 3 } },
		{ VM_ZSTD_DELTA2, 2, 0, { 0 } },
		{ 0, 1, 0, { 0 } },
		{ 7, 1, 0, { 0 } },
	};
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	int64_t v[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *copy = unit_memdup(rows[i].bytes, rows[i].len);

		unit_note("row %zu", i);
		assert_int_equal(-EBADMSG, vm_column_get((struct str){ copy, rows[i].len },
		                                         rows[i].kind, 5, rows[i].n, v, &scratch));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_theirs),     cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_flips),
		cmocka_unit_test(test_cuts),       cmocka_unit_test(test_bad_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
