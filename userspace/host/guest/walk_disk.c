/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/diskstats, of virtio disks and their partitions.
 *
 * Two fields are not just read. Requests in flight: up to 6.9 the kernel looks at all requests that
 * have a tag, later each CPU counts. Time with requests in flight: the kernel brings it up to date
 * when somebody reads, so do we.
 *
 * Source: block/genhd.c (diskstats_show), block/blk-mq.c (blk_mq_in_flight, blk_mq_check_inflight),
 * block/blk-mq-tag.c (bt_iter), block/blk-core.c (update_io_ticks).
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define INODES_MAX      256u
#define HW_QUEUES_MAX   64u
#define TAG_WORDS_MAX   64u
#define STATS_BYTES_MAX 256u
#define GROUPS          4u /* reads, writes, discards, flushes */
#define NS_OF_MS        1000000u
#define NS_OF_SECOND    1000000000u
#define OP_MASK         0xffu /* REQ_OP_MASK of include/linux/blk_types.h */
#define LATE_TICKS      8u    /* fewer are not slept through, but late, and not there to readers */
#define XA_NODE         2u    /* low bits of an entry that is a node */
#define XA_NODE_MIN     4096u

static const char prefix[] = "vd";

struct stats { /* struct disk_stats, summed over CPUs */
	uint64_t ios[GROUPS], merges[GROUPS], sectors[GROUPS], ns[GROUPS];
	uint64_t busy_ticks;
	int64_t in_flight;
};

static uint64_t u64_of(const uint8_t *bytes, uint32_t at)
{
	uint64_t v;

	memcpy(&v, bytes + at, sizeof(v));
	return v;
}

static void add_array(uint64_t sums[GROUPS], const struct walk *w, const uint8_t *bytes,
                      enum profile_field array)
{
	for (uint32_t i = 0; i < GROUPS; i++)
		sums[i] += u64_of(bytes, w->p->fields[array].offset + i * 8);
}

/* The struct is read whole: every number in it is needed, but for the sizes of its arrays. */
static bool stats_fit(const struct walk *w)
{
	static const enum profile_field arrays[] = { F_STATS_NS, F_STATS_SECTORS, F_STATS_IOS,
		                                     F_STATS_MERGES };
	uint64_t bytes = (uint64_t)walk_value(w, V_DISK_STATS_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
		if (w->p->fields[arrays[i]].offset + GROUPS * 8 > bytes)
			return false;
	}
	return bytes <= STATS_BYTES_MAX && w->p->fields[F_STATS_TICKS].offset + 8 <= bytes &&
	       w->p->fields[F_STATS_IN_FLIGHT].offset + 16 <= bytes;
}

static void read_stats(struct walk *w, uint64_t bdev, struct stats *ret)
{
	uint64_t per_cpu = walk_get(w, bdev, F_BDEV_STATS);
	uint8_t bytes[STATS_BYTES_MAX];

	*ret = (struct stats){ 0 };
	WALK_EACH_CPU(cpu, w->possible)
	{
		if (walk_failed(w))
			return;
		walk_copy(w, walk_per_cpu(w, per_cpu, cpu), bytes,
		          (uint32_t)walk_value(w, V_DISK_STATS_BYTES));
		add_array(ret->ns, w, bytes, F_STATS_NS);
		add_array(ret->sectors, w, bytes, F_STATS_SECTORS);
		add_array(ret->ios, w, bytes, F_STATS_IOS);
		add_array(ret->merges, w, bytes, F_STATS_MERGES);
		ret->busy_ticks += u64_of(bytes, w->p->fields[F_STATS_TICKS].offset);
		ret->in_flight += (int64_t)u64_of(bytes, w->p->fields[F_STATS_IN_FLIGHT].offset);
		ret->in_flight +=
			(int64_t)u64_of(bytes, w->p->fields[F_STATS_IN_FLIGHT].offset + 8);
	}
}

/* ---- requests in flight, by their tags ------------------------------------------------------ */

struct tags {
	uint64_t queue, hw, requests; /* addresses */
	uint64_t bdev;                /* 0: of the whole disk */
};

static bool is_in_flight(struct walk *w, const struct tags *t, uint64_t request, uint32_t tag)
{
	uint64_t part = walk_get(w, request, F_REQUEST_PART);
	uint64_t op = walk_get(w, request, F_REQUEST_OP) & OP_MASK;

	return walk_get(w, request, F_REQUEST_QUEUE) == t->queue &&
	       walk_get(w, request, F_REQUEST_TAG) == tag &&
	       walk_get(w, request, F_REQUEST_HW) == t->hw && part != 0 &&
	       (t->bdev == 0 || part == t->bdev) &&
	       walk_get(w, request, F_REQUEST_STATE) ==
	               (uint64_t)walk_value(w, V_REQUEST_IN_FLIGHT) &&
	       (walk_get(w, request, F_REQUEST_FLAGS) >>
	                (walk_value(w, V_REQUEST_COUNTS_BIT) & 31) &
	        1) &&
	       op != (uint64_t)walk_value(w, V_REQUEST_DRIVER_IN) &&
	       op != (uint64_t)walk_value(w, V_REQUEST_DRIVER_OUT);
}

static uint32_t count_word(struct walk *w, const struct tags *t, uint64_t set, uint32_t tag0,
                           uint32_t depth)
{
	uint32_t n = 0;

	for (; set != 0 && !walk_failed(w); set &= set - 1) {
		uint32_t tag = tag0 + (uint32_t)__builtin_ctzll(set);
		uint64_t request = tag < depth ? walk_u64(w, t->requests + tag * 8ull) : 0;

		n += request != 0 && is_in_flight(w, t, request, tag);
	}
	return n;
}

static uint32_t count_hw(struct walk *w, struct tags *t)
{
	uint64_t tags = walk_get(w, t->hw, F_HW_TAGS), map, words;
	uint32_t n_words, shift, depth, n = 0;

	if (tags == 0 || walk_failed(w))
		return 0;
	map = walk_place(w, tags, F_TAGS_MAP);
	words = walk_get(w, map, F_SBITMAP_WORDS);
	n_words = (uint32_t)walk_get(w, map, F_SBITMAP_N);
	shift = (uint32_t)walk_get(w, map, F_SBITMAP_SHIFT);
	depth = (uint32_t)walk_get(w, map, F_SBITMAP_DEPTH);
	t->requests = walk_get(w, tags, F_TAGS_REQUESTS);
	if (n_words > TAG_WORDS_MAX || shift > 6) {
		mem_fail(w->m, -ELOOP);
		return 0;
	}
	for (uint32_t i = 0; i < n_words && !walk_failed(w); i++) {
		uint64_t word = words + i * (uint64_t)walk_value(w, V_SBITMAP_WORD_BYTES);
		uint64_t set =
			walk_get(w, word, F_SBITMAP_SET) & ~walk_get(w, word, F_SBITMAP_CLEARED);

		n += count_word(w, t, set, i << shift, depth);
	}
	return n;
}

/* An entry of a small xarray: the head is the only entry, or a node of up to 64. */
static uint64_t xarray_at(struct walk *w, uint64_t array, uint32_t index)
{
	uint64_t head = walk_get(w, array, F_XARRAY_HEAD), node = head - XA_NODE;

	if ((head & 3) != XA_NODE || head < XA_NODE_MIN)
		return index == 0 ? head : 0;
	if (walk_get(w, node, F_XA_SHIFT) != 0) {
		mem_fail(w->m, -ELOOP);
		return 0;
	}
	return walk_u64(w, walk_place(w, node, F_XA_SLOTS) + index * 8);
}

static bool can_count_tags(const struct walk *w)
{
	static const enum profile_field needed[] = {
		F_QUEUE_HW,      F_QUEUE_N_HW,      F_XARRAY_HEAD,   F_XA_SHIFT,
		F_XA_SLOTS,      F_HW_TAGS,         F_TAGS_MAP,      F_TAGS_REQUESTS,
		F_SBITMAP_DEPTH, F_SBITMAP_SHIFT,   F_SBITMAP_N,     F_SBITMAP_WORDS,
		F_SBITMAP_SET,   F_SBITMAP_CLEARED, F_REQUEST_QUEUE, F_REQUEST_TAG,
		F_REQUEST_HW,    F_REQUEST_FLAGS,   F_REQUEST_OP,    F_REQUEST_PART,
		F_REQUEST_STATE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!walk_has(w, needed[i]))
			return false;
	}
	return true;
}

static int64_t count_tags(struct walk *w, uint64_t disk, uint64_t bdev, bool partition)
{
	struct tags t = { .queue = walk_get(w, disk, F_DISK_QUEUE), .bdev = partition ? bdev : 0 };
	uint32_t n_hw = (uint32_t)walk_get(w, t.queue, F_QUEUE_N_HW), n = 0;

	if (!can_count_tags(w))
		mem_fail(w->m, -ENODATA);
	if (n_hw > HW_QUEUES_MAX)
		mem_fail(w->m, -ELOOP);
	for (uint32_t i = 0; i < n_hw && !walk_failed(w); i++) {
		t.hw = xarray_at(w, walk_place(w, t.queue, F_QUEUE_HW), i);
		n += t.hw != 0 ? count_hw(w, &t) : 0;
	}
	return n;
}

/* ---- one disk ------------------------------------------------------------------------------- */

/* Ticks since the time in flight was brought up to date, of a guest whose clock may sleep. */
static uint64_t ticks_since(struct walk *w, uint64_t bdev)
{
	uint64_t slept_ns = w->now_ns > w->updated_ns ? w->now_ns - w->updated_ns : 0;
	uint64_t slept = slept_ns / w->tick_ns;
	uint64_t now = walk_u64(w, walk_symbol(w, S_JIFFIES)) + (slept > LATE_TICKS ? slept : 0);
	int64_t since = (int64_t)(now - walk_get(w, bdev, F_BDEV_STAMP));

	return since > 0 ? (uint64_t)since : 0;
}

static uint64_t ms_of_ticks(const struct walk *w, uint64_t ticks)
{
	uint64_t hz = (NS_OF_SECOND + w->tick_ns / 2) / w->tick_ns;

	return ticks * 1000 / hz;
}

static void read_disk(struct walk *w, uint64_t disk, uint64_t bdev, bool partition,
                      struct guest_disk *out)
{
	struct stats s;

	read_stats(w, bdev, &s);
	if (walk_value(w, V_IN_FLIGHT_BY_TAGS))
		s.in_flight = count_tags(w, disk, bdev, partition);
	s.in_flight = MAX(s.in_flight, (int64_t)0);
	if (s.in_flight > 0)
		s.busy_ticks += ticks_since(w, bdev);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t *v = out->v + i * GUEST_DISK_WRITES;

		v[GUEST_DISK_READS] = s.ios[i];
		v[GUEST_DISK_READS_MERGED] = s.merges[i];
		v[GUEST_DISK_SECTORS_READ] = s.sectors[i];
		v[GUEST_DISK_READ_MS] = (uint32_t)(s.ns[i] / NS_OF_MS);
	}
	out->v[GUEST_DISK_IN_FLIGHT] = (uint32_t)s.in_flight;
	out->v[GUEST_DISK_BUSY_MS] = (uint32_t)ms_of_ticks(w, s.busy_ticks);
	out->v[GUEST_DISK_WEIGHTED_MS] =
		(uint32_t)((s.ns[0] + s.ns[1] + s.ns[2] + s.ns[3]) / NS_OF_MS);
}

/* "vda", "vda1": a partition's number follows the disk's name. */
static void name_disk(struct walk *w, uint64_t disk, uint64_t partition, struct guest_disk *out)
{
	uint32_t len;

	walk_text(w, walk_place(w, disk, F_DISK_NAME), out->name, sizeof(out->name));
	len = (uint32_t)strlen(out->name);
	for (uint64_t scale = 100; partition > 0 && scale > 0; scale /= 10) {
		if ((scale <= partition) && len + 1 < sizeof(out->name))
			out->name[len++] = (char)('0' + partition / scale % 10);
	}
	out->name[len] = '\0';
}

static void look_at(struct walk *w, uint64_t bdev)
{
	uint64_t disk = walk_get(w, bdev, F_BDEV_DISK);
	uint64_t partition = walk_get(w, bdev, F_BDEV_PARTITION) & 0xff;
	struct guest_disk *out = &w->out->disks[w->out->n_disks];

	if (disk == 0 || w->out->n_disks == GUEST_DISKS_MAX)
		return;
	if (partition > 0 && walk_get(w, bdev, F_BDEV_SECTORS) == 0)
		return;
	name_disk(w, disk, partition, out);
	if (memcmp(out->name, prefix, sizeof(prefix) - 1) != 0)
		return;
	read_disk(w, disk, bdev, partition > 0, out);
	w->out->n_disks++;
}

void walk_disks(struct walk *w)
{
	uint64_t super = walk_u64(w, walk_symbol(w, S_BLOCK_SUPER)), inode;
	struct walk_list inodes = walk_list_begin(walk_place(w, super, F_SUPER_INODES),
	                                          w->p->fields[F_INODE_SIBLING].offset, INODES_MAX);

	w->out->n_disks = 0;
	if (!stats_fit(w))
		mem_fail(w->m, -ENODATA);
	while ((inode = walk_list_next(w, &inodes)) != 0)
		look_at(w, inode - w->p->fields[F_BDEV_INODE].offset + w->p->fields[F_BDEV].offset);
}
