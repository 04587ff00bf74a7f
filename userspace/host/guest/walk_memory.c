/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /proc/meminfo.
 *
 * Source: fs/proc/meminfo.c, mm/show_mem.c (si_mem_available, si_meminfo), mm/swapfile.c
 * (si_swapinfo), block/bdev.c (nr_blockdev_pages).
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define PAGE_BYTES       4096
#define NODES_MAX        64u
#define ZONES_MAX        8u
#define BLOCK_INODES_MAX 256u
#define SWAP_AREAS_MAX   32u
#define SWAP_USED        1u /* SWP_USED, SWP_WRITEOK of include/linux/swap.h */
#define SWAP_WRITE_OK    2u
#define VMALLOC_4_BYTES  ((uint64_t)32 << 40) /* with 4 and with 5 levels of page tables */
#define VMALLOC_5_BYTES  ((uint64_t)12800 << 40)

/* Counters may be below zero for a moment: increments wait on other CPUs. */
static int64_t counter(struct walk *w, enum profile_symbol array, enum profile_value index)
{
	int64_t v =
		(int64_t)walk_u64(w, walk_symbol(w, array) + (uint64_t)walk_value(w, index) * 8);

	return MAX(v, (int64_t)0);
}

static int64_t node_counter(struct walk *w, enum profile_value index)
{
	return counter(w, S_NODE_STAT, index);
}

static int64_t lru(struct walk *w, enum profile_value list)
{
	uint64_t index = (uint64_t)(walk_value(w, V_LRU) + walk_value(w, list));

	return MAX((int64_t)walk_u64(w, walk_symbol(w, S_NODE_STAT) + index * 8), (int64_t)0);
}

/* ---- watermarks of all zones ---------------------------------------------------------------- */

static int64_t low_of_node(struct walk *w, uint64_t node)
{
	uint64_t zone = walk_place(w, node, F_NODE_ZONES);
	int64_t sum = 0, n = MIN(walk_value(w, V_ZONES), (int64_t)ZONES_MAX);

	for (int64_t i = 0; i < n && !walk_failed(w); i++) {
		uint64_t marks = walk_place(w, zone, F_ZONE_WATERMARKS);

		sum += (int64_t)walk_u64(w, marks + (uint64_t)walk_value(w, V_WATERMARK_LOW) * 8);
		sum += (int64_t)walk_get(w, zone, F_ZONE_BOOST);
		zone += (uint64_t)walk_value(w, V_ZONE_BYTES);
	}
	return sum;
}

static int64_t low_watermarks(struct walk *w)
{
	int64_t sum = 0;
	uint64_t online;

	if (!walk_has_symbol(w, S_NODE_DATA) || !walk_has_symbol(w, S_NODE_STATES)) {
		if (!walk_has_symbol(w, S_ONLY_NODE))
			mem_fail(w->m, -ENODATA);
		return low_of_node(w, walk_symbol(w, S_ONLY_NODE));
	}
	online = walk_u64(w, walk_symbol(w, S_NODE_STATES) +
	                             (uint64_t)(walk_value(w, V_NODE_ONLINE) *
	                                        walk_value(w, V_NODE_MASK_BYTES)));
	for (uint32_t i = 0; i < NODES_MAX && !walk_failed(w); i++) {
		if (online >> i & 1)
			sum += low_of_node(w, walk_u64(w, walk_symbol(w, S_NODE_DATA) + i * 8));
	}
	return sum;
}

/* si_mem_available() */
static int64_t available(struct walk *w, int64_t free)
{
	int64_t low = low_watermarks(w);
	int64_t cache = lru(w, V_LRU_ACTIVE_FILE) + lru(w, V_LRU_INACTIVE_FILE);
	int64_t reclaimable =
		node_counter(w, V_NODE_SLAB_RECLAIMABLE) + node_counter(w, V_NODE_MISC_RECLAIMABLE);
	int64_t sum = free - (int64_t)walk_u64(w, walk_symbol(w, S_TOTAL_RESERVE));

	sum += cache - MIN(cache / 2, low);
	sum += reclaimable - MIN(reclaimable / 2, low);
	return MAX(sum, (int64_t)0);
}

/* ---- buffers: the pages of block devices ---------------------------------------------------- */

static int64_t buffers(struct walk *w)
{
	uint64_t super = walk_u64(w, walk_symbol(w, S_BLOCK_SUPER)), inode;
	struct walk_list inodes =
		walk_list_begin(walk_place(w, super, F_SUPER_INODES),
	                        w->p->fields[F_INODE_SIBLING].offset, BLOCK_INODES_MAX);
	int64_t sum = 0;

	while ((inode = walk_list_next(w, &inodes)) != 0)
		sum += (int64_t)walk_get(w, walk_get(w, inode, F_INODE_MAPPING), F_MAPPING_PAGES);
	return sum;
}

/* ---- swap ----------------------------------------------------------------------------------- */

struct swap {
	int64_t total, free; /* pages */
};

/* What areas that are being switched off still hold counts as total and as free. */
static int64_t pages_leaving(struct walk *w)
{
	uint32_t n = MIN(walk_u32(w, walk_symbol(w, S_SWAP_N_AREAS)), SWAP_AREAS_MAX);
	int64_t sum = 0;

	for (uint32_t i = 0; i < n && !walk_failed(w); i++) {
		uint64_t area = walk_u64(w, walk_symbol(w, S_SWAP_AREAS) + i * 8);
		uint64_t flags = area ? walk_get(w, area, F_SWAP_FLAGS) : 0;

		if ((flags & SWAP_USED) && !(flags & SWAP_WRITE_OK))
			sum += (int64_t)walk_get(w, area, F_SWAP_IN_USE);
	}
	return sum;
}

static struct swap swap(struct walk *w)
{
	struct swap s = { 0 };
	int64_t leaving;

	if (!walk_has_symbol(w, S_SWAP_TOTAL) || !walk_has_symbol(w, S_SWAP_FREE))
		return s; /* a kernel without swap */
	leaving = walk_has_symbol(w, S_SWAP_AREAS) && walk_has_symbol(w, S_SWAP_N_AREAS)
	                  ? pages_leaving(w)
	                  : 0;
	s.total = (int64_t)walk_u64(w, walk_symbol(w, S_SWAP_TOTAL)) + leaving;
	s.free = (int64_t)walk_u64(w, walk_symbol(w, S_SWAP_FREE)) + leaving;
	return s;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int64_t vmalloc_used(struct walk *w)
{
	if (walk_has_symbol(w, S_VMALLOC_PAGES))
		return (int64_t)walk_u64(w, walk_symbol(w, S_VMALLOC_PAGES));
	if (w->p->values_there[V_NODE_VMALLOC])
		return node_counter(w, V_NODE_VMALLOC);
	mem_fail(w->m, -ENODATA);
	return 0;
}

/* The size of the area less one byte, in whole kB, as the kernel prints it. */
static uint64_t vmalloc_total_bytes(const struct walk *w)
{
	uint64_t bytes = w->s->five_levels ? VMALLOC_5_BYTES : VMALLOC_4_BYTES;

	return (bytes - 1) / 1024 * 1024;
}

static void set(struct walk *w, enum guest_memory field, int64_t pages)
{
	w->out->memory[field] = (uint64_t)pages * PAGE_BYTES;
}

void walk_memory(struct walk *w)
{
	int64_t free = counter(w, S_ZONE_STAT, V_ZONE_FREE), block = buffers(w);
	int64_t swap_cache =
		w->p->values_there[V_NODE_SWAP_CACHE] ? node_counter(w, V_NODE_SWAP_CACHE) : 0;
	struct swap s = swap(w);

	set(w, GUEST_MEM_TOTAL, (int64_t)walk_u64(w, walk_symbol(w, S_TOTAL_RAM)));
	set(w, GUEST_MEM_FREE, free);
	set(w, GUEST_MEM_AVAILABLE, available(w, free));
	set(w, GUEST_MEM_BUFFERS, block);
	set(w, GUEST_MEM_CACHED,
	    MAX(node_counter(w, V_NODE_FILE) - swap_cache - block, (int64_t)0));
	set(w, GUEST_MEM_SWAP_CACHED, swap_cache);
	set(w, GUEST_MEM_ACTIVE, lru(w, V_LRU_ACTIVE_ANON) + lru(w, V_LRU_ACTIVE_FILE));
	set(w, GUEST_MEM_INACTIVE, lru(w, V_LRU_INACTIVE_ANON) + lru(w, V_LRU_INACTIVE_FILE));
	set(w, GUEST_MEM_SWAP_TOTAL, s.total);
	set(w, GUEST_MEM_SWAP_FREE, s.free);
	set(w, GUEST_MEM_DIRTY, node_counter(w, V_NODE_DIRTY));
	set(w, GUEST_MEM_WRITEBACK, node_counter(w, V_NODE_WRITEBACK));
	set(w, GUEST_MEM_SHMEM, node_counter(w, V_NODE_SHMEM));
	set(w, GUEST_MEM_SLAB,
	    node_counter(w, V_NODE_SLAB_RECLAIMABLE) + node_counter(w, V_NODE_SLAB_UNRECLAIMABLE));
	set(w, GUEST_MEM_VMALLOC_USED, vmalloc_used(w));
	w->out->memory[GUEST_MEM_VMALLOC_TOTAL] = vmalloc_total_bytes(w);
}
