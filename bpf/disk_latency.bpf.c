/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long each read and write of a VM's disk took on its host.
 *
 * Hook     block_rq_complete, where a request ends: the kernel has noted when it began, so there is
 *          no table of requests in flight. Devices that hand their I/O on to others without making
 *          requests (device-mapper) show it as bios only: block_bio_queue and block_bio_complete,
 *          attached when a VM has such a disk.
 *          Budget: a look-up for each request or bio of the host; for a VM's disk one bucket, and
 *          for a bio an entry in a table.
 * Counts   A request counts when all of it is done, as /proc/diskstats counts it. A write that
 *          carries a flush ends three times, and only the last is its end. A bio counts as the VMM
 *          issued it, into however many it was split.
 * Not here flushes alone, discards, and commands that are neither reads nor writes.
 * Keys     user space owns dl_disks. Bios are keyed by address, which is theirs until they end; one
 *          whose end was not seen (while nothing was attached) is pushed out in time.
 * Races    CPUs add to one histogram: atomically.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/disk_latency.h"
#include "bpf/kernel_types.h"

/* Bit of request.rq_flags, an intermediate end; numbered by kernel. Set before loading. */
const volatile __u32 flush_seq_flag = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, DISK_LATENCY_DISKS_MAX);
	__type(key, __u32); /* DISK_LATENCY_DEV() */
	__type(value, struct disk_latency);
} dl_disks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, DISK_LATENCY_BIOS_MAX);
	__type(key, __u64); /* address of the bio */
	__type(value, struct disk_latency_bio);
} dl_bios SEC(".maps");

__u64 untimed = 0; /* requests whose begin the kernel has not noted */

/* -1: of no interest. */
static __always_inline int op_of(__u32 flags)
{
	switch (flags & REQ_OP_MASK) {
	case REQ_OP_READ:
		return DISK_LATENCY_READ;
	case REQ_OP_WRITE:
	case REQ_OP_ZONE_APPEND:
	case REQ_OP_WRITE_ZEROES:
		return DISK_LATENCY_WRITE;
	default:
		return -1;
	}
}

static __always_inline void observe(struct disk_latency *d, __u32 op, __u64 start_ns)
{
	__u64 ns = bpf_ktime_get_ns() - start_ns;
	struct wait_hist *h = &d->ops[op & 1];

	__sync_fetch_and_add(&h->buckets[wait_bucket(ns)], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
}

/* Of the partition, if the I/O came by one. Without statistics a request has no part. */
static __always_inline __u32 dev_of_request(struct request *rq)
{
	struct block_device *part = rq->part;

	return part ? part->bd_dev : rq->q->disk->part0->bd_dev;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(disk_rq_complete, struct request *rq, int error, unsigned int n_bytes)
{
	__u32 dev;
	int op = op_of(rq->cmd_flags);
	struct disk_latency *d;

	if (op < 0 || rq->rq_flags & flush_seq_flag || n_bytes < rq->__data_len)
		return 0;
	dev = dev_of_request(rq);
	d = bpf_map_lookup_elem(&dl_disks, &dev);
	if (!d || d->by_bio)
		return 0;
	if (rq->start_time_ns == 0) {
		__sync_fetch_and_add(&untimed, 1);
		return 0;
	}
	observe(d, (__u32)op, rq->start_time_ns);
	return 0;
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(disk_bio_queue, struct bio *bio)
{
	struct disk_latency_bio rec = { .dev = bio->bi_bdev->bd_dev };
	struct disk_latency *d = bpf_map_lookup_elem(&dl_disks, &rec.dev);
	__u64 key = (__u64)bio;
	int op = op_of(bio->bi_opf);

	if (!d || !d->by_bio || op < 0 || bio->bi_iter.bi_size == 0)
		return 0;
	rec.op = (__u32)op;
	rec.start_ns = bpf_ktime_get_ns();
	(void)bpf_map_update_elem(&dl_bios, &key, &rec, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_bio_complete")
int BPF_PROG(disk_bio_complete, struct request_queue *q, struct bio *bio)
{
	__u64 key = (__u64)bio;
	struct disk_latency_bio *rec = bpf_map_lookup_elem(&dl_bios, &key), was;
	struct disk_latency *d;

	if (!rec)
		return 0;
	was = *rec;
	(void)bpf_map_delete_elem(&dl_bios, &key);
	d = bpf_map_lookup_elem(&dl_disks, &was.dev);
	if (d)
		observe(d, was.op, was.start_ns);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
