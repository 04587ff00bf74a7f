/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes what hosts full of micro-VMs send: remote-write requests (snappy block of protobuf), as
 * records of a little-endian u32 length and that many bytes. The same arguments give the same
 * file, so two servers can be fed alike.
 *
 *	rwgen VMS TICKS INTERVAL_MS START_MS SEED OUT [SERIES_PER_REQUEST]
 *
 * The series are those of the catalogue, about 118 for a VM, in families below: what they are
 * called, which labels they have and how their values move from tick to tick. All samples of one
 * host and tick have one time, a few milliseconds beside the grid.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "userspace/base/alloc.h"
#include "userspace/base/num.h"
#include "userspace/base/rng.h"
#include "userspace/base/sample.h"
#include "userspace/base/util.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/rwproto.h"

#define VMS_OF_HOST   50u
#define VMS_OF_APP    3u
#define JITTER_MS     20
#define LABELS_OF_ONE 8u
#define TEXT_BYTES    64u

/* How a value moves. @rate of the family is the mean, or the step, that the movement needs. */
enum motion {
	CONSTANT, /* is @rate */
	COUNTER,  /* grows by an exponentially distributed whole number */
	RARELY,   /* a counter that stands still 19 times of 20 */
	IDLE,     /* what the counters of the same CPU leave of 15 s, in 1/100 s */
	LEVEL,    /* goes up and down by multiples of @rate */
	LOAD,     /* two decimals, smoothed */
	PERCENT,  /* two decimals, seldom changed */
	IN_FLIGHT,
	BUCKET, /* cumulative histogram buckets of log-normal durations */
	BUCKET_SUM,
	BUCKET_COUNT
};

struct family {
	const char *name;              /* %s: the item */
	const char *label;             /* additional label, or NULL */
	const char *const *items;      /* its values, or what stands for %s; ends with NULL */
	const char *const *more_label; /* a label and its values: one series each; or NULL */
	double rate;
	enum motion motion;
	unsigned vms; /* one of so many VMs has it */
};

#define LIST(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

#define BUCKETS                                                                              \
	LIST("0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", \
	     "2.5", "5", "10", "+Inf")
#define N_BUCKETS 14

static const double bucket_ends[N_BUCKETS - 1] = { .001, .0025, .005, .01, .025, .05, .1,
	                                           .25,  .5,    1,    2.5, 5,    10 };

/* clang-format off */
static const struct family families[] = {
	{ "fly_instance_up", NULL, NULL, NULL, 1, CONSTANT, 1 },
	{ "fly_instance_memory_mem_total", NULL, NULL, NULL, 268435456, CONSTANT, 1 },
	{ "fly_instance_memory_%s", NULL,
	  LIST("swap_cached", "swap_total", "swap_free", "vmalloc_total", "vmalloc_chunk"),
	  NULL, 0, CONSTANT, 1 },
	{ "fly_instance_memory_%s", NULL,
	  LIST("mem_free", "mem_available", "buffers", "cached", "active", "inactive"),
	  NULL, 4096 * 20, LEVEL, 1 },
	{ "fly_instance_memory_%s", NULL, LIST("dirty", "writeback", "slab", "shmem", "vmalloc_used"),
	  NULL, 4096 * 80, LEVEL, 1 },
	{ "fly_instance_load_average", "minutes", LIST("1", "5", "15"), NULL, 0.5, LOAD, 1 },
	{ "fly_instance_cpu", "mode", LIST("user"), LIST("cpu_id", "0"), 90, COUNTER, 1 },
	{ "fly_instance_cpu", "mode", LIST("system"), LIST("cpu_id", "0"), 30, COUNTER, 1 },
	{ "fly_instance_cpu", "mode", LIST("iowait", "softirq", "steal"), LIST("cpu_id", "0"), 3,
	  COUNTER, 1 },
	{ "fly_instance_cpu", "mode", LIST("nice", "irq", "guest", "guest_nice"), LIST("cpu_id", "0"), 0,
	  CONSTANT, 1 },
	{ "fly_instance_cpu", "mode", LIST("idle"), LIST("cpu_id", "0"), 1500, IDLE, 1 },
	{ "fly_instance_cpu", "mode", LIST("user", "system"), LIST("cpu_id", "1"), 60, COUNTER, 4 },
	{ "fly_instance_cpu", "mode", LIST("iowait", "softirq", "steal"), LIST("cpu_id", "1"), 3,
	  COUNTER, 4 },
	{ "fly_instance_cpu", "mode", LIST("nice", "irq", "guest", "guest_nice"), LIST("cpu_id", "1"), 0,
	  CONSTANT, 4 },
	{ "fly_instance_cpu", "mode", LIST("idle"), LIST("cpu_id", "1"), 1500, IDLE, 4 },
	{ "fly_instance_cpu", "mode", LIST("user", "system", "iowait", "softirq", "steal"),
	  LIST("cpu_id", "2", "3"), 40, COUNTER, 16 },
	{ "fly_instance_cpu_baseline", NULL, NULL, NULL, 0.0625, CONSTANT, 1 },
	{ "fly_instance_cpu_balance", NULL, NULL, NULL, 1, LEVEL, 1 },
	{ "fly_instance_cpu_throttle", NULL, NULL, NULL, 20, RARELY, 1 },
	{ "fly_instance_disk_%s", NULL, LIST("reads_completed", "reads_merged", "sectors_read"),
	  LIST("device", "vdb"), 40, RARELY, 1 },
	{ "fly_instance_disk_%s", NULL,
	  LIST("time_reading", "writes_completed", "writes_merged", "time_writing", "time_io",
	       "time_io_weighted"), LIST("device", "vdb"), 40, COUNTER, 1 },
	{ "fly_instance_disk_%s", NULL, LIST("sectors_written"), LIST("device", "vdb"), 900, COUNTER, 1 },
	{ "fly_instance_disk_%s", NULL, LIST("io_in_progress"), LIST("device", "vdb"), 2, IN_FLIGHT, 1 },
	{ "fly_instance_disk_%s", NULL, LIST("reads_completed", "reads_merged", "sectors_read"),
	  LIST("device", "vdc"), 40, RARELY, 2 },
	{ "fly_instance_disk_%s", NULL,
	  LIST("time_reading", "writes_completed", "writes_merged", "sectors_written", "time_writing",
	       "time_io", "time_io_weighted"), LIST("device", "vdc"), 40, COUNTER, 2 },
	{ "fly_instance_disk_%s", NULL, LIST("io_in_progress"), LIST("device", "vdc"), 2, IN_FLIGHT, 2 },
	{ "fly_instance_net_%s", NULL, LIST("recv_bytes", "sent_bytes"), LIST("device", "eth0"), 250000,
	  COUNTER, 1 },
	{ "fly_instance_net_%s", NULL, LIST("recv_packets", "sent_packets"), LIST("device", "eth0"), 400,
	  COUNTER, 1 },
	{ "fly_instance_net_%s", NULL,
	  LIST("recv_errs", "recv_drop", "recv_fifo", "recv_frame", "recv_compressed", "recv_multicast",
	       "sent_errs", "sent_drop", "sent_fifo", "sent_colls", "sent_carrier", "sent_compressed"),
	  LIST("device", "eth0"), 0, CONSTANT, 1 },
	{ "fly_instance_filefd_allocated", NULL, NULL, NULL, 32, LEVEL, 1 },
	{ "fly_instance_filefd_maximum", NULL, NULL, NULL, 9223372036854775807.0, CONSTANT, 1 },
	{ "fly_instance_filesystem_blocks", NULL, NULL, LIST("mount", "/"), 2064208, CONSTANT, 1 },
	{ "fly_instance_filesystem_block_size", NULL, NULL, LIST("mount", "/"), 4096, CONSTANT, 1 },
	{ "fly_instance_filesystem_blocks_%s", NULL, LIST("free", "avail"), LIST("mount", "/"), 3, LEVEL,
	  1 },
	{ "fly_instance_filesystem_blocks", NULL, NULL, LIST("mount", "/data"), 2064208, CONSTANT, 2 },
	{ "fly_instance_filesystem_block_size", NULL, NULL, LIST("mount", "/data"), 4096, CONSTANT, 2 },
	{ "fly_instance_filesystem_blocks_%s", NULL, LIST("free", "avail"), LIST("mount", "/data"), 3,
	  LEVEL, 2 },
	{ "fly_volume_size_bytes", NULL, NULL, NULL, 10737418240.0, CONSTANT, 2 },
	{ "fly_volume_used_pct", NULL, NULL, NULL, 40, PERCENT, 2 },
	{ "fly_app_concurrency", NULL, NULL, NULL, 4, IN_FLIGHT, 1 },
	{ "fly_app_http_responses_count", "status", LIST("200"), NULL, 120, COUNTER, 1 },
	{ "fly_app_http_responses_count", "status", LIST("302", "404", "500"), NULL, 3, RARELY, 1 },
	{ "fly_app_http_response_time_seconds_bucket", "le", BUCKETS, NULL, 130, BUCKET, 1 },
	{ "fly_app_http_response_time_seconds_sum", NULL, NULL, NULL, 0, BUCKET_SUM, 1 },
	{ "fly_app_http_response_time_seconds_count", NULL, NULL, NULL, 0, BUCKET_COUNT, 1 },
	{ "fly_app_connect_time_seconds_bucket", "le", BUCKETS, NULL, 20, BUCKET, 1 },
	{ "fly_app_connect_time_seconds_sum", NULL, NULL, NULL, 0, BUCKET_SUM, 1 },
	{ "fly_app_connect_time_seconds_count", NULL, NULL, NULL, 0, BUCKET_COUNT, 1 },
	{ "fly_app_tcp_%s_count", NULL, LIST("connects", "disconnects"), NULL, 20, COUNTER, 1 },
};
/* clang-format on */

struct series {
	const struct family *family;
	struct label labels[LABELS_OF_ONE];
	uint32_t n_labels, vm, item;
	double value;
};

struct fleet {
	struct rng rng;
	struct series *series;
	size_t n, cap;
	/* What the series of one CPU, or of one histogram, share within a tick. */
	double cpu_used, bucket[N_BUCKETS], bucket_sum;
	uint64_t n_samples;
};

static void must(bool ok)
{
	if (ok)
		return;
	(void)fprintf(stderr, "rwgen: out of memory, or the file cannot be written\n");
	exit(1);
}

static double uniform(struct rng *rng)
{
	return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

static double exponential(struct rng *rng, double mean)
{
	return floor(-mean * log(1 - uniform(rng)));
}

static struct str text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct str text(const char *fmt, ...)
{
	char *p = mem_alloc(TEXT_BYTES);
	va_list ap;

	must(p != NULL);
	va_start(ap, fmt);
	int n = vsnprintf(p, TEXT_BYTES, fmt, ap);

	va_end(ap);
	must(n >= 0 && n < (int)TEXT_BYTES);
	return (struct str){ p, (size_t)n };
}

/* ---- the series ----------------------------------------------------------- */

static void put_label(struct series *s, struct str name, struct str value)
{
	uint32_t i = s->n_labels++;

	for (; i > 0 && str_cmp(s->labels[i - 1].name, name) > 0; i--)
		s->labels[i] = s->labels[i - 1];
	s->labels[i] = (struct label){ name, value };
}

/* The labels that all series of one VM have. */
struct vm {
	uint32_t number;
	struct str app, region, host, instance;
};

static struct vm vm_make(struct rng *rng, uint32_t i)
{
	static const char *const regions[] = { "ams", "iad", "fra", "nrt", "syd", "gru" };

	return (struct vm){
		.number = i,
		.app = text("app-%04u", i / VMS_OF_APP),
		.region = str_from(regions[i % ARRAY_SIZE(regions)]),
		.host = text("%04x", i / VMS_OF_HOST * 7919 % 65536),
		.instance = text("%08x%06x", (unsigned)(rng_u64(rng) & UINT32_MAX), i),
	};
}

/* The name of a family with its item in the place of %s. */
static struct str name_of(const struct family *f, const char *item)
{
	const char *at = strstr(f->name, "%s");

	return at && item ? text("%.*s%s%s", (int)(at - f->name), f->name, item, at + 2)
	                  : str_from(f->name);
}

static void add(struct fleet *fleet, const struct vm *vm, const struct family *f, uint32_t item,
                const char *more_value)
{
	const char *text_of_item = f->items ? f->items[item] : NULL;

	must(MEM_GROW(fleet->series, fleet->cap, fleet->n + 1) == 0);
	struct series *s = &fleet->series[fleet->n++];

	*s = (struct series){ .family = f, .vm = vm->number, .item = item };
	put_label(s, STR("__name__"), name_of(f, text_of_item));
	put_label(s, STR("app"), vm->app);
	put_label(s, STR("region"), vm->region);
	put_label(s, STR("host"), vm->host);
	put_label(s, STR("instance"), vm->instance);
	if (f->label)
		put_label(s, str_from(f->label), str_from(text_of_item));
	if (more_value)
		put_label(s, str_from(f->more_label[0]), str_from(more_value));
}

static void add_family(struct fleet *fleet, const struct vm *vm, const struct family *f)
{
	for (uint32_t k = 1; !f->more_label || f->more_label[k]; k++) {
		const char *more = f->more_label ? f->more_label[k] : NULL;

		for (uint32_t i = 0; f->items ? f->items[i] != NULL : i == 0; i++)
			add(fleet, vm, f, i, more);
		if (!f->more_label)
			break;
	}
}

static void add_vm(struct fleet *fleet, uint32_t i)
{
	const struct vm vm = vm_make(&fleet->rng, i);

	for (size_t k = 0; k < ARRAY_SIZE(families); k++) {
		if (i % families[k].vms == 0)
			add_family(fleet, &vm, &families[k]);
	}
}

/* ---- the values ----------------------------------------------------------- */

/* One tick of a histogram: its increments, cumulative over the buckets. */
static void draw_histogram(struct fleet *fleet, double mean)
{
	double n = exponential(&fleet->rng, mean);

	memset(fleet->bucket, 0, sizeof(fleet->bucket));
	fleet->bucket_sum = 0;
	for (double i = 0; i < n; i++) {
		double normal = sqrt(-2 * log(1 - uniform(&fleet->rng))) *
		                cos(2 * M_PI * uniform(&fleet->rng));
		double seconds = 0.004 * exp(1.2 * normal);
		size_t b = 0;

		while (b < N_BUCKETS - 1 && seconds > bucket_ends[b])
			b++;
		fleet->bucket[b]++;
		fleet->bucket_sum += seconds;
	}
	for (size_t b = 1; b < N_BUCKETS; b++)
		fleet->bucket[b] += fleet->bucket[b - 1];
}

static double two_decimals(double v)
{
	return round(v * 100) / 100;
}

static double move_level(struct rng *rng, double v, double step, bool first)
{
	if (first)
		return step * 20000;
	if (uniform(rng) < 0.7)
		v += step * (floor(uniform(rng) * 9) - 4);
	return MAX(v, 0.0);
}

static double move_counter(struct fleet *fleet, const struct family *f, double v)
{
	double grown = exponential(&fleet->rng, f->rate);

	fleet->cpu_used += grown;
	return v + grown;
}

static double move_idle(struct fleet *fleet, const struct family *f, double v)
{
	double left = f->rate - fleet->cpu_used;

	fleet->cpu_used = 0;
	return v + MAX(left, 0.0);
}

static double move(struct fleet *fleet, const struct series *s, bool first)
{
	const struct family *f = s->family;
	struct rng *rng = &fleet->rng;
	double v = s->value;

	switch (f->motion) {
	case CONSTANT:
		return f->rate;
	case COUNTER:
		return move_counter(fleet, f, v);
	case RARELY:
		return uniform(rng) < 0.05 ? v + 1 + exponential(rng, f->rate) : v;
	case IDLE:
		return move_idle(fleet, f, v);
	case LEVEL:
		return move_level(rng, v, f->rate, first);
	case LOAD:
		return two_decimals(v * 0.9 + f->rate * uniform(rng) * 0.2);
	case PERCENT:
		v = first ? f->rate : v;
		return uniform(rng) < 0.2 ? two_decimals(v + uniform(rng) * 0.02) : v;
	case IN_FLIGHT:
		return exponential(rng, f->rate);
	case BUCKET:
		if (s->item == 0)
			draw_histogram(fleet, f->rate);
		return v + fleet->bucket[s->item];
	case BUCKET_SUM:
		return v + fleet->bucket_sum;
	case BUCKET_COUNT:
		return v + fleet->bucket[N_BUCKETS - 1];
	}
	return v;
}

/* ---- the file ------------------------------------------------------------- */

static void write_request(FILE *out, struct buf *body, struct buf *packed)
{
	must(body->err == 0 && coding_pack(CODING_SNAPPY, buf_str(body), packed) == 0);
	uint32_t bytes = (uint32_t)packed->len;

	must(fwrite(&bytes, sizeof(bytes), 1, out) == 1);
	must(fwrite(packed->p, 1, packed->len, out) == packed->len);
	buf_clear(body);
}

static void write_tick(struct fleet *fleet, FILE *out, int64_t ts_ms, bool first,
                       size_t series_per_request)
{
	_cleanup_(buf_done) struct buf body = BUF_INIT;
	_cleanup_(buf_done) struct buf packed = BUF_INIT;
	struct sample sample = { ts_ms, 0 };
	size_t n = 0;

	for (size_t i = 0; i < fleet->n; i++) {
		struct series *s = &fleet->series[i];

		if (s->vm % VMS_OF_HOST == 0 && (i == 0 || s[-1].vm != s->vm))
			sample.ts_ms = ts_ms + (int64_t)(uniform(&fleet->rng) * JITTER_MS);
		s->value = sample.value = move(fleet, s, first);
		rw_encode_series(&body, s->labels, s->n_labels, &sample, 1);
		fleet->n_samples++;
		if (++n < series_per_request && i + 1 < fleet->n)
			continue;
		write_request(out, &body, &packed);
		n = 0;
	}
}

static int64_t number(const char *what)
{
	int64_t v;

	if (num_parse_i64(str_from(what), &v) == 0 && v >= 0)
		return v;
	(void)fprintf(stderr, "rwgen: %s is not a number\n", what);
	exit(2);
}

int main(int argc, char **argv)
{
	struct fleet fleet = { 0 };

	if (argc != 7 && argc != 8) {
		(void)fprintf(stderr, "usage: rwgen VMS TICKS INTERVAL_MS START_MS SEED OUT"
		                      " [SERIES_PER_REQUEST]\n");
		return 2;
	}
	fleet.rng.s = (uint64_t)number(argv[5]);
	int64_t ticks = number(argv[2]), interval_ms = number(argv[3]), start_ms = number(argv[4]);
	size_t per_request = argc > 7 ? (size_t)number(argv[7]) : 2000;
	FILE *out = fopen(argv[6], "wb");

	must(out != NULL);
	for (uint32_t i = 0; i < number(argv[1]); i++)
		add_vm(&fleet, i);
	for (int64_t t = 0; t < ticks; t++)
		write_tick(&fleet, out, start_ms + t * interval_ms, t == 0, per_request);
	must(fclose(out) == 0);
	(void)printf("series %zu samples %llu\n", fleet.n, (unsigned long long)fleet.n_samples);
	return 0;
}
