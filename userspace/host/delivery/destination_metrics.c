/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a destination tells about itself. Nothing here waits: a disk that hangs is when one looks.
 */
#include "userspace/host/delivery/destination_int.h"

#include <stdio.h>

#include "userspace/base/metrics.h"
#include "userspace/base/util.h"

struct reading {
	struct counters *counters;
	struct spool_stats queue;
};

static double read_samples(const struct reading *r)
{
	return (double)atomic_load(&r->counters->n_samples);
}

static double read_bytes(const struct reading *r)
{
	return (double)atomic_load(&r->counters->n_bytes);
}

static double read_last_success(const struct reading *r)
{
	return (double)atomic_load(&r->counters->last_success_s);
}

static double read_up(const struct reading *r)
{
	return atomic_load(&r->counters->is_up);
}

static double read_queue_samples(const struct reading *r)
{
	return (double)r->queue.n_samples;
}

static double read_queue_blocks(const struct reading *r)
{
	return (double)r->queue.n_blocks;
}

static double read_queue_file_bytes(const struct reading *r)
{
	return (double)r->queue.file_bytes;
}

static double read_queue_memory_bytes(const struct reading *r)
{
	return (double)r->queue.memory_bytes;
}

static double read_queue_oldest(const struct reading *r)
{
	return (double)r->queue.oldest_ms / 1000;
}

static double read_queue_disk(const struct reading *r)
{
	return r->queue.disk_works;
}

static const struct {
	const char *name, *type, *help;
	double (*read)(const struct reading *r);
} families[] = {
	{ "periscope_host_samples_sent_total", "counter", "Samples that the destination took.",
	  read_samples },
	{ "periscope_host_remote_write_bytes_total", "counter",
	  "Bytes of bodies that the destination took.", read_bytes },
	{ "periscope_host_remote_write_last_success_timestamp_seconds", "gauge",
	  "When the destination took samples last; 0 = not yet.", read_last_success },
	{ "periscope_host_remote_write_up", "gauge",
	  "1 when the destination took the last request, 0 when it did not.", read_up },
	{ "periscope_host_queue_samples", "gauge", "Samples collected and not delivered yet.",
	  read_queue_samples },
	{ "periscope_host_queue_blocks", "gauge", "Blocks that these samples are in.",
	  read_queue_blocks },
	{ "periscope_host_queue_file_bytes", "gauge", "Disk space of the queue.",
	  read_queue_file_bytes },
	{ "periscope_host_queue_memory_bytes", "gauge",
	  "Blocks in memory, while the disk takes none.", read_queue_memory_bytes },
	{ "periscope_host_queue_oldest_seconds", "gauge",
	  "Age of the oldest sample that waits: the lag of delivery.", read_queue_oldest },
	{ "periscope_host_queue_disk_up", "gauge", "1 while the queue's disk takes samples.",
	  read_queue_disk },
};

static void put_requests(struct buf *out, struct destination *d)
{
	const struct {
		const char *result;
		int64_t n;
	} rows[] = {
		{ "taken", atomic_load(&d->counters.n_taken) },
		{ "retried", atomic_load(&d->counters.n_again) },
		{ "refused", atomic_load(&d->counters.n_refused) },
	};
	char labels[128];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(labels, sizeof(labels), "destination=\"%s\",result=\"%s\"", d->name,
		               rows[i].result);
		metrics_put(out, "periscope_host_remote_write_requests_total", labels,
		            (double)rows[i].n);
	}
}

static void put_forms(struct buf *out, struct destination *const *all, size_t n)
{
	char labels[128];

	metrics_put_family(out, "periscope_host_remote_write_form", "gauge",
	                   "1 for the version and compression that the destination took last.");
	for (size_t i = 0; i < n; i++) {
		const char *form = atomic_load(&all[i]->counters.form);

		(void)snprintf(labels, sizeof(labels), "destination=\"%s\",%s", all[i]->name,
		               form ? form : "");
		if (form)
			metrics_put(out, "periscope_host_remote_write_form", labels, 1);
	}
}

static void put_family(struct buf *out, size_t f, struct destination *const *all, size_t n)
{
	char labels[96];

	metrics_put_family(out, families[f].name, families[f].type, families[f].help);
	for (size_t i = 0; i < n; i++) {
		struct reading r = { .counters = &all[i]->counters };

		spool_stats(all[i]->spool, &r.queue);
		(void)snprintf(labels, sizeof(labels), "destination=\"%s\"", all[i]->name);
		metrics_put(out, families[f].name, labels, families[f].read(&r));
	}
}

void destination_put_metrics(struct buf *out, struct destination *const *all, size_t n)
{
	for (size_t f = 0; n > 0 && f < ARRAY_SIZE(families); f++)
		put_family(out, f, all, n);
	if (n > 0)
		metrics_put_family(out, "periscope_host_remote_write_requests_total", "counter",
		                   "Blocks sent to the destination, by result.");
	for (size_t i = 0; i < n; i++)
		put_requests(out, all[i]);
	if (n > 0)
		put_forms(out, all, n);
	drops_put_family(out);
	drops_put(out, &drops_common, NULL);
	for (size_t i = 0; i < n; i++)
		drops_put(out, &all[i]->drops, all[i]->name);
}
