/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What statfs(2) would say of a filesystem: ext4, xfs, btrfs on one device with one copy of its
 * data, and overlays of these, whose numbers are those of their upper layer.
 *
 * Source: statfs of each kind: fs/ext4/super.c, fs/xfs/xfs_super.c, fs/btrfs/super.c (btrfs_statfs,
 * btrfs_calc_avail_data_space), fs/overlayfs/super.c.
 */
#include <errno.h>

#include "userspace/base/util.h"
#include "userspace/host/guest/walk.h"

#define NAME_CAP         64
#define EXT4_MINIX_DF    0x80u /* EXT4_MOUNT_MINIX_DF of fs/ext4/ext4.h */
#define BTRFS_DATA       1u    /* BTRFS_BLOCK_GROUP_DATA, _METADATA of btrfs_tree.h */
#define BTRFS_METADATA   4u
#define BTRFS_SPACES_MAX 8u
#define BTRFS_GROUPS_MAX 256u
#define BTRFS_KINDS_MAX  16u
#define BTRFS_STRIPE     ((uint64_t)64 << 10)
#define BTRFS_RESERVED   ((uint64_t)1 << 20) /* at the begin of a device */
#define BTRFS_THRESHOLD  ((uint64_t)4 << 20)

/* Disks that stand for something else: files, memory. */
static bool is_on_a_disk(struct walk *w, uint64_t bdev)
{
	static const char *const others[] = { "loop", "ram", "zram" };
	char name[GUEST_NAME_CAP];

	if (bdev == 0)
		return false;
	walk_text(w, walk_place(w, walk_get(w, bdev, F_BDEV_DISK), F_DISK_NAME), name,
	          sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strncmp(name, others[i], strlen(others[i])) == 0)
			return false;
	}
	return true;
}

static bool read_ext4(struct walk *w, uint64_t super, struct guest_mount *out)
{
	uint64_t info = walk_get(w, super, F_SUPER_INFO), disk = walk_get(w, info, F_EXT4_SUPER);
	uint32_t bits = (uint32_t)walk_get(w, info, F_EXT4_CLUSTER_BITS) & 31;
	uint64_t blocks =
		walk_get(w, disk, F_EXT4_BLOCKS_HIGH) << 32 | walk_get(w, disk, F_EXT4_BLOCKS_LOW);
	uint64_t reserved =
		walk_get(w, disk, F_EXT4_ROOTS_HIGH) << 32 | walk_get(w, disk, F_EXT4_ROOTS_LOW);
	bool minix = (walk_get(w, info, F_EXT4_OPTIONS) & EXT4_MINIX_DF) != 0;
	int64_t free = walk_counter_sum(w, walk_place(w, info, F_EXT4_FREE)) -
	               walk_counter_sum(w, walk_place(w, info, F_EXT4_DIRTY));

	reserved += walk_get(w, info, F_EXT4_RESERVED) << bits;
	out->block_bytes = walk_get(w, super, F_SUPER_BLOCK_BYTES);
	out->blocks = blocks - (minix ? 0 : walk_get(w, info, F_EXT4_OVERHEAD) << bits);
	out->blocks_free = (uint64_t)MAX(free, (int64_t)0) << bits;
	out->blocks_avail = out->blocks_free < reserved ? 0 : out->blocks_free - reserved;
	return is_on_a_disk(w, walk_get(w, super, F_SUPER_BDEV));
}

static bool read_xfs(struct walk *w, uint64_t super, struct guest_mount *out)
{
	uint64_t info = walk_get(w, super, F_SUPER_INFO);
	uint64_t log = walk_get(w, info, F_XFS_LOG_START) ? walk_get(w, info, F_XFS_LOG_BLOCKS) : 0;
	int64_t free = walk_counter_sum(w, walk_place(w, info, F_XFS_FREE));

	free -= (int64_t)walk_get(w, info, F_XFS_SET_ASIDE) +
	        (int64_t)walk_get(w, info, F_XFS_TREE_BLOCKS);
	out->block_bytes = walk_get(w, info, F_XFS_BLOCK_BYTES);
	out->blocks = walk_get(w, info, F_XFS_BLOCKS) - log;
	out->blocks_free = out->blocks_avail = (uint64_t)MAX(free, (int64_t)0);
	return is_on_a_disk(w, walk_get(w, super, F_SUPER_BDEV));
}

/* ---- btrfs ---------------------------------------------------------------------------------- */

struct room { /* bytes, summed over a filesystem's kinds of space */
	uint64_t used, free_data, free_meta;
	bool mixed; /* one kind for data and metadata */
	bool good;  /* of a shape that is understood */
};

/* Free space in block groups that are read-only for the moment, which nobody can have. */
static uint64_t free_read_only(struct walk *w, uint64_t info)
{
	struct walk_list groups =
		walk_list_begin(walk_place(w, info, F_BTRFS_RO_GROUPS),
	                        w->p->fields[F_BTRFS_RO_SIBLING].offset, BTRFS_GROUPS_MAX);
	uint64_t group, sum = 0;

	while ((group = walk_list_next(w, &groups)) != 0) {
		if (walk_get(w, group, F_BTRFS_GROUP_RO) != 0)
			sum += walk_get(w, group, F_BTRFS_GROUP_LENGTH) -
			       walk_get(w, group, F_BTRFS_GROUP_USED);
	}
	return sum;
}

/* Data of which there is one copy; copies and stripes divide all numbers by their own factors. */
static bool is_single(struct walk *w, uint64_t info)
{
	uint64_t lists = walk_place(w, info, F_BTRFS_GROUPS);

	for (int64_t i = 0; i < MIN(walk_value(w, V_BTRFS_KINDS), (int64_t)BTRFS_KINDS_MAX); i++) {
		uint64_t head = lists + (uint64_t)i * 16; /* struct list_head */

		if (i != walk_value(w, V_BTRFS_SINGLE) && walk_u64(w, head) != head)
			return false;
	}
	return true;
}

static void add_space(struct walk *w, uint64_t info, struct room *s)
{
	uint64_t flags = walk_get(w, info, F_BTRFS_SPACE_FLAGS);
	uint64_t used = walk_get(w, info, F_BTRFS_DISK_USED);
	uint64_t free = walk_get(w, info, F_BTRFS_DISK_TOTAL) - used;

	s->used += used;
	if (flags & BTRFS_DATA) {
		s->good = s->good && is_single(w, info);
		s->free_data += free - free_read_only(w, info);
		s->mixed = s->mixed || (flags & BTRFS_METADATA);
	} else if (flags & BTRFS_METADATA) {
		s->free_meta += free;
	}
}

static struct room read_space(struct walk *w, uint64_t info)
{
	struct walk_list spaces =
		walk_list_begin(walk_place(w, info, F_BTRFS_SPACES),
	                        w->p->fields[F_BTRFS_SPACE_SIBLING].offset, BTRFS_SPACES_MAX);
	struct room s = { .good = true };
	uint64_t space;

	while ((space = walk_list_next(w, &spaces)) != 0)
		add_space(w, space, &s);
	return s;
}

/* What the device could still be divided into. */
static uint64_t unallocated(struct walk *w, uint64_t device)
{
	uint64_t total = walk_get(w, device, F_BTRFS_DEVICE_TOTAL);
	uint64_t used = walk_get(w, device, F_BTRFS_DEVICE_USED);
	uint64_t free = (total - MIN(used, total)) / BTRFS_STRIPE * BTRFS_STRIPE;

	return free <= BTRFS_RESERVED + BTRFS_STRIPE ? 0 : free - BTRFS_RESERVED;
}

/* The kernel gives nothing when metadata is full, though data might fit. */
static bool is_exhausted(struct walk *w, uint64_t reserve, const struct room *s)
{
	uint64_t space = walk_get(w, reserve, F_BTRFS_RESERVE_SPACE);

	return !s->mixed && space != 0 && walk_get(w, space, F_BTRFS_SPACE_FULL) != 0 &&
	       (s->free_meta < BTRFS_THRESHOLD ||
	        s->free_meta - BTRFS_THRESHOLD < walk_get(w, reserve, F_BTRFS_RESERVE_SIZE));
}

/* On one device, with one copy of the data; others are left out. */
static bool read_btrfs(struct walk *w, uint64_t super, struct guest_mount *out)
{
	uint64_t info = walk_get(w, super, F_SUPER_INFO);
	uint64_t devices = walk_get(w, info, F_BTRFS_DEVICES);
	uint64_t device = walk_get(w, devices, F_BTRFS_LATEST);
	uint64_t reserve = walk_place(w, info, F_BTRFS_RESERVE);
	uint64_t block = walk_get(w, info, F_BTRFS_SECTOR_BYTES), reserved;
	struct room s = read_space(w, info);

	if (!s.good || walk_get(w, devices, F_BTRFS_N_DEVICES) != 1 || block == 0 || device == 0)
		return false;
	reserved = walk_get(w, reserve, F_BTRFS_RESERVE_SIZE) / block;
	out->block_bytes = block;
	out->blocks = walk_get(w, walk_get(w, info, F_BTRFS_SUPER), F_BTRFS_TOTAL) / block;
	out->blocks_free = out->blocks - s.used / block;
	out->blocks_free -= MIN(reserved, out->blocks_free);
	out->blocks_avail = (s.free_data + unallocated(w, device)) / block;
	if (is_exhausted(w, reserve, &s))
		out->blocks_avail = 0;
	return is_on_a_disk(w, walk_get(w, device, F_BTRFS_DEVICE_BDEV));
}

/* ---- all kinds ------------------------------------------------------------------------------ */

static const struct kind {
	const char *name;
	enum profile_need need;
	bool (*read)(struct walk *w, uint64_t super, struct guest_mount *out);
} kinds[] = {
	{ "ext4", NEED_EXT4, read_ext4 },
	{ "ext3", NEED_EXT4, read_ext4 }, /* by the same driver */
	{ "xfs", NEED_XFS, read_xfs },
	{ "btrfs", NEED_BTRFS, read_btrfs },
};

static void name_of(struct walk *w, uint64_t super, char dst[NAME_CAP])
{
	walk_text(w, walk_get(w, walk_get(w, super, F_SUPER_TYPE), F_FS_TYPE_NAME), dst, NAME_CAP);
}

/* The filesystem that an overlay writes to; without one, the uppermost that it reads. */
static uint64_t below_overlay(struct walk *w, uint64_t super)
{
	uint64_t layers = walk_get(w, walk_get(w, super, F_SUPER_INFO), F_OVERLAY_LAYERS);
	uint64_t vfs = walk_get(w, layers, F_OVERLAY_LAYER_MOUNT);

	if (vfs == 0)
		vfs = walk_get(w, layers + (uint64_t)walk_value(w, V_OVERLAY_LAYER_BYTES),
		               F_OVERLAY_LAYER_MOUNT);
	return vfs ? walk_get(w, vfs, F_VFS_SUPER) : 0;
}

bool walk_statfs(struct walk *w, uint64_t super, struct guest_mount *out)
{
	char name[NAME_CAP];

	name_of(w, super, name);
	if (strcmp(name, "overlay") == 0 && profile_has(w->p, NEED_OVERLAY)) {
		super = below_overlay(w, super);
		if (super == 0)
			return false;
		name_of(w, super, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(name, kinds[i].name) != 0 || !profile_has(w->p, kinds[i].need))
			continue;
		return kinds[i].read(w, super, out);
	}
	return false;
}
