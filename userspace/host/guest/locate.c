/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/locate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/file.h"

#define MAPS_BYTES_MAX ((size_t)4 << 20)

DEFINE_CLEANUP(struct guest *, guest_detach);

static int read_maps(const struct locate_target *t, struct buf *out, struct err *e)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/maps", t->proc, (int)t->pid);
	r = file_read(path, out, MAPS_BYTES_MAX);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

/* How much of the last segment lies behind what the guest believes its memory to be; or -1. */
static int64_t slack(struct guest *g, const struct layout *l, struct mem_cache *cache)
{
	uint64_t end, seg_end = 0, seg_start = 0;

	for (uint32_t i = 0; i < l->n_segs; i++) {
		if (l->segs[i].gpa + l->segs[i].bytes > seg_end) {
			seg_start = l->segs[i].gpa;
			seg_end = seg_start + l->segs[i].bytes;
		}
	}
	if (guest_memory_end(g, cache, &end) < 0 || end <= seg_start || end > seg_end)
		return -1;
	return (int64_t)(seg_end - end);
}

/* The guess that leaves the least of the memory unexplained. */
static int try_profile(struct guest **ret, const struct locate_target *t, const struct profile *p,
                       const struct layout *layouts, uint32_t n, struct mem_cache *cache)
{
	_cleanup_(guest_detachp) struct guest *best = NULL;
	int64_t best_slack = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		_cleanup_(guest_detachp) struct guest *g = NULL;
		struct mem m = { 0 };
		int r = mem_open_process(&m, t->pid, layouts[i].segs, layouts[i].n_segs);

		if (r == 0)
			r = guest_attach(&g, p, &m, cache);
		if (r < 0)
			mem_close(&m);
		if (r == -ENOMEM)
			return r;
		int64_t s = r == 0 ? slack(g, &layouts[i], cache) : -1;

		if (s < 0 || s >= best_slack)
			continue;
		guest_detach(best);
		best = TAKE_PTR(g);
		best_slack = s;
	}
	if (!best)
		return -ENOENT;
	*ret = TAKE_PTR(best);
	return 0;
}

int locate_guest(struct guest **ret, const struct locate_target *t,
                 const struct profile *const *profiles, size_t n_profiles, struct mem_cache *cache,
                 struct err *e)
{
	_cleanup_(buf_done) struct buf maps = BUF_INIT;
	_cleanup_free_ struct layout *layouts = mem_zalloc(LAYOUTS_MAX, sizeof(*layouts));
	int r = layouts ? read_maps(t, &maps, e) : -ENOMEM;
	uint32_t n;

	if (r < 0)
		return r;
	n = layouts_of_maps(buf_str(&maps), t->memory_bytes, layouts);
	if (n == 0)
		return err_set(e, -ENOENT, "process %d: no mapping is large enough for a guest",
		               (int)t->pid);
	for (size_t i = 0; i < n_profiles; i++) {
		r = try_profile(ret, t, profiles[i], layouts, n, cache);
		if (r != -ENOENT)
			return r;
	}
	return err_set(e, -ENOENT, "process %d: none of the %zu known kernels runs in its guest",
	               (int)t->pid, n_profiles);
}
