/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's own metrics as samples: the same series and values that its /metrics shows. */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "userspace/base/metrics.h"
#include "userspace/host/batch.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/own_series.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rw2.h"

#define TS_MS 1700000000000

static char host_id[] = "h001", region[] = "ams";

static void put_more(struct buf *out, void *ctx)
{
	(void)ctx;
	metrics_put_family(out, "test_files", "gauge", "Files \\ of\nall kinds.");
	metrics_put(out, "test_files", "file=\"a \\\"b\\\" c\",host=\"other\"", 2.5);
	metrics_put(out, "test_files", "file=\"\xff\xfe\"", 1);
	metrics_put_family(out, "test_events_total", "counter", "Events.");
	metrics_put(out, "test_events_total", "", 7);
}

static struct batch *collect(struct own_series *own, const struct host_conf *conf)
{
	struct batch *b;

	assert_int_equal(0, batch_new(&b, 10000));
	assert_int_equal(0, own_series_add(own, conf, TS_MS, b));
	return b;
}

static int put_line(void *out, enum series_id id, const struct label *labels, uint32_t n_labels,
                    const struct sample *s)
{
	assert_int_equal(SERIES_N, id);
	promtext_write_sample(out, labels, n_labels, s->value, &s->ts_ms);
	return 0;
}

static size_t with_meta(const struct batch *b)
{
	struct rw2_meta meta;
	size_t n = 0;

	for (size_t i = 0; i < batch_n_samples(b); i++) {
		batch_sample_meta(b, i, &meta);
		n += meta.help.len > 0;
		if (str_eqc(meta.help, "Events."))
			assert_int_equal(RW_TYPE_COUNTER, meta.type);
	}
	return n;
}

static void test_what_metrics_shows(void **state)
{
	const struct host_conf conf = { .host_id = host_id,
		                        .region = region,
		                        .own_series_enabled = true };
	struct own_series own = { 0 };
	struct buf text = BUF_INIT;
	struct batch *b;

	(void)state;
	metrics_collector_add(put_more, NULL);
	b = collect(&own, &conf);
	assert_int_equal(0, batch_each(b, true, put_line, &text));
	assert_non_null(strstr(buf_cstr(&text),
	                       "test_files{file=\"a \\\"b\\\" c\",host=\"h001\",region=\"ams\"} "
	                       "2.5 1700000000000\n"));
	assert_non_null(
		strstr(buf_cstr(&text), "test_events_total{host=\"h001\",region=\"ams\"} 7"));
	assert_null(strstr(buf_cstr(&text), "\xff"));
	assert_null(strstr(buf_cstr(&text), "__org__"));
	assert_null(strstr(buf_cstr(&text), "other"));

	/* TYPE and HELP go along at first, and then not every time. */
	assert_int_equal(batch_n_samples(b), with_meta(b));
	batch_free(b);
	b = collect(&own, &conf);
	assert_int_equal(0, with_meta(b));
	assert_true(batch_n_samples(b) >= 2);
	batch_free(b);
	metrics_collector_del(put_more, NULL);
	buf_done(&text);
}

static void test_off(void **state)
{
	const struct host_conf conf = { .host_id = host_id, .region = region };
	struct own_series own = { 0 };
	struct batch *b = collect(&own, &conf);

	(void)state;
	assert_int_equal(0, batch_n_samples(b));
	batch_free(b);
}

/* A collection that is nearly full has some of them, and says so. */
static void test_no_room(void **state)
{
	const struct host_conf conf = { .host_id = host_id,
		                        .region = region,
		                        .own_series_enabled = true };
	struct own_series own = { 0 };
	struct batch *b;

	(void)state;
	metrics_collector_add(put_more, NULL);
	assert_int_equal(0, batch_new(&b, 1));
	assert_int_equal(-ENOSPC, own_series_add(&own, &conf, TS_MS, b));
	assert_int_equal(1, batch_n_samples(b));
	batch_free(b);
	metrics_collector_del(put_more, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_metrics_shows),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
