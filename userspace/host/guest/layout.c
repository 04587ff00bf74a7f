/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/layout.h"

#include <string.h>

#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define GIB         ((uint64_t)1 << 30)
#define HIGH_GPA    (4 * GIB)
#define MAPPING_MIN ((uint64_t)16 << 20) /* no kernel of ours boots in less */
#define MONITOR_LOW (3 * GIB)            /* Firecracker, cloud-hypervisor */

static const uint64_t qemu_lows[] = { 3 * GIB, 2 * GIB, 3 * GIB + GIB / 2, HIGH_GPA };

struct mapping {
	uint64_t start, bytes;
	bool shared, from_file;
};

/* ---- /proc/PID/maps ------------------------------------------------------------------------- */

/* "7f1b2c000000-7f1b38000000 rw-p 00000000 00:00 0          [name]" */
static bool parse_mapping(struct str line, struct mapping *ret)
{
	struct str first, last, perms, offset, device, inode;
	uint64_t start, end, file;

	if (!str_cut(line, '-', &first, &line) || !str_cut(line, ' ', &last, &line) ||
	    !str_cut(line, ' ', &perms, &line) || !str_cut(line, ' ', &offset, &line) ||
	    !str_cut(line, ' ', &device, &line))
		return false;
	(void)str_cut(line, ' ', &inode, &line);
	if (num_parse_hex(first, &start) < 0 || num_parse_hex(last, &end) < 0 || end <= start ||
	    num_parse_u64(inode, &file) < 0)
		return false;
	if (!str_starts(perms, STR("rw-")) || perms.len != 4)
		return false;
	struct str name = str_trim(line);

	if (str_starts(name, STR("["))) /* heap, stack, ... */
		return false;
	*ret = (struct mapping){ .start = start,
		                 .bytes = end - start,
		                 .shared = perms.p[3] == 's',
		                 .from_file = file != 0 && perms.p[3] == 'p' };
	return ret->start % MEM_PAGE_BYTES == 0 && ret->bytes % MEM_PAGE_BYTES == 0;
}

/* Keeps the largest, by size. */
static uint32_t insert(struct mapping *all, uint32_t n, const struct mapping *one)
{
	uint32_t at = n;

	while (at > 0 && all[at - 1].bytes < one->bytes)
		at--;
	if (at == LAYOUT_MAPPINGS_MAX)
		return n;
	n = MIN(n + 1, (uint32_t)LAYOUT_MAPPINGS_MAX);
	memmove(&all[at + 1], &all[at], (n - 1 - at) * sizeof(*all));
	all[at] = *one;
	return n;
}

static uint32_t largest_mappings(struct str maps, struct mapping all[LAYOUT_MAPPINGS_MAX])
{
	struct mapping one;
	struct str line;
	uint32_t n = 0;

	while (maps.len > 0) {
		(void)str_cut(maps, '\n', &line, &maps);
		if (parse_mapping(line, &one) && one.bytes >= MAPPING_MIN)
			n = insert(all, n, &one);
	}
	return n;
}

/* ---- guesses -------------------------------------------------------------------------------- */

static void add(struct layout *out, uint32_t *n, const struct layout *l)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (out[i].n_segs == l->n_segs &&
		    memcmp(out[i].segs, l->segs, l->n_segs * sizeof(l->segs[0])) == 0)
			return;
	}
	if (*n < LAYOUTS_MAX)
		out[(*n)++] = *l;
}

static void add_seg(struct layout *l, uint64_t gpa, uint64_t bytes, uint64_t hva)
{
	if (bytes > 0)
		l->segs[l->n_segs++] = (struct mem_seg){ gpa, bytes, hva };
}

/* One piece of the monitor's memory, cut at @low. */
static void add_whole(struct layout *out, uint32_t *n, const struct mapping *m, uint64_t start,
                      uint64_t bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(qemu_lows); i++) {
		struct layout l = { .shared = m->shared, .from_file = m->from_file };
		uint64_t low = MIN(bytes, qemu_lows[i]);

		add_seg(&l, 0, low, start);
		add_seg(&l, HIGH_GPA, bytes - low, start + low);
		add(out, n, &l);
	}
}

/* Memory may begin or end within a mapping: the kernel merges neighbours. */
static void add_mapping(struct layout *out, uint32_t *n, const struct mapping *m,
                        uint64_t memory_bytes)
{
	if (memory_bytes > 0 && memory_bytes < m->bytes) {
		add_whole(out, n, m, m->start, memory_bytes);
		add_whole(out, n, m, m->start + m->bytes - memory_bytes, memory_bytes);
	} else {
		add_whole(out, n, m, m->start, m->bytes);
	}
}

static void add_pair(struct layout *out, uint32_t *n, const struct mapping *low,
                     const struct mapping *high)
{
	struct layout l = { .shared = low->shared || high->shared,
		            .from_file = low->from_file || high->from_file };

	add_seg(&l, 0, low->bytes, low->start);
	add_seg(&l, HIGH_GPA, high->bytes, high->start);
	add(out, n, &l);
}

uint32_t layouts_of_maps(struct str maps, uint64_t memory_bytes, struct layout *out)
{
	struct mapping all[LAYOUT_MAPPINGS_MAX + 1];
	uint32_t n_maps = largest_mappings(maps, all), n = 0;

	memory_bytes = memory_bytes / MEM_PAGE_BYTES * MEM_PAGE_BYTES;
	for (uint32_t i = 0; i < n_maps; i++) {
		for (uint32_t k = 0; k < n_maps; k++) {
			if (k != i && all[i].bytes == MONITOR_LOW)
				add_pair(out, &n, &all[i], &all[k]);
		}
	}
	for (uint32_t i = 0; i < n_maps; i++) {
		if (all[i].bytes >= memory_bytes)
			add_mapping(out, &n, &all[i], memory_bytes);
	}
	return n;
}

/* ---- how it may be read --------------------------------------------------------------------- */

/* "VmFlags: rd wr mr mw me ac um sd": two letters each. */
static bool has_flag(struct str flags, struct str wanted)
{
	struct str word;

	while (flags.len > 0) {
		(void)str_cut(flags, ' ', &word, &flags);
		if (str_eq(str_trim(word), wanted))
			return true;
	}
	return false;
}

/* The header of a mapping: as in maps, whatever its rights. */
static bool parse_head(struct str line, struct mapping *ret)
{
	struct str first, last, perms;
	uint64_t start, end;

	if (!str_cut(line, '-', &first, &line) || !str_cut(line, ' ', &last, &line) ||
	    !str_cut(line, ' ', &perms, &line) || perms.len != 4 ||
	    num_parse_hex(first, &start) < 0 || num_parse_hex(last, &end) < 0 || end <= start)
		return false;
	*ret = (struct mapping){ .start = start,
		                 .bytes = end - start,
		                 .shared = perms.p[3] == 's' };
	return true;
}

static uint64_t common_bytes(const struct mapping *m, const struct mem_seg *segs, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t start = MAX(m->start, segs[i].hva);
		uint64_t end = MIN(m->start + m->bytes, segs[i].hva + segs[i].bytes);

		sum += end > start ? end - start : 0;
	}
	return sum;
}

struct layout_access layout_access_of_smaps(struct str smaps, const struct mem_seg *segs,
                                            uint32_t n_segs)
{
	const struct str flags = STR("VmFlags:");
	struct layout_access a = { 0 };
	struct mapping m = { 0 };
	uint64_t want = 0, seen = 0;
	struct str line;

	for (uint32_t i = 0; i < n_segs; i++)
		want += segs[i].bytes;
	while (smaps.len > 0) {
		(void)str_cut(smaps, '\n', &line, &smaps);
		if (parse_head(line, &m) || !str_starts(line, flags))
			continue;
		uint64_t common = common_bytes(&m, segs, n_segs);

		seen += common;
		a.shared |= common > 0 && m.shared;
		a.blocks |= common > 0 && has_flag(str_skip(line, flags.len), STR("um"));
		m = (struct mapping){ 0 };
	}
	a.unknown = seen < want;
	return a;
}
