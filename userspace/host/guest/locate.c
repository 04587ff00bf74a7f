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

static int read_proc(const struct locate_target *t, const char *name, struct buf *out,
                     struct err *e)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/%s", t->proc, (int)t->pid, name);
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

static int attach(struct guest **ret, const struct locate_target *t, const struct profile *p,
                  const struct layout *l, struct mem_cache *cache)
{
	struct mem m = { 0 };
	int r = mem_open_process(&m, t->pid, l->segs, l->n_segs, true);

	if (r == 0)
		r = guest_attach(ret, p, &m, cache, t->dead_gpa);
	if (r < 0)
		mem_close(&m);
	return r;
}

/* The guess that leaves the least of the memory unexplained. */
static int try_profile(struct guest **ret, const struct locate_target *t, const struct profile *p,
                       const struct layout *layouts, uint32_t n, struct mem_cache *cache)
{
	_cleanup_(guest_detachp) struct guest *best = NULL;
	int64_t best_slack = INT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		_cleanup_(guest_detachp) struct guest *g = NULL;
		int r = attach(&g, t, p, &layouts[i], cache);
		int64_t s;

		if (r == -ENOMEM || r == -EPERM || r == -EACCES)
			return r;
		s = r < 0 ? -1 : t->n_segs > 0 ? 0 : slack(g, &layouts[i], cache);
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

/* Plain private memory is read without looking first. What is not known is read with care. */
static int choose_access(const struct locate_target *t, struct guest *g, struct locate_access *ret)
{
	_cleanup_(buf_done) struct buf smaps = BUF_INIT;
	const struct mem *m = guest_mem(g);
	struct layout_access a = { .unknown = true };

	if (read_proc(t, "smaps", &smaps, NULL) == 0)
		a = layout_access_of_smaps(buf_str(&smaps), m->segs, m->n_segs);
	ret->careful = a.shared || a.blocks || a.unknown;
	ret->blocks = a.blocks;
	return ret->careful ? 0 : guest_reopen(g, t->pid, false);
}

/* KVM's word, or guesses. */
static int find_layouts(const struct locate_target *t, struct layout *out, uint32_t *ret_n,
                        struct err *e)
{
	_cleanup_(buf_done) struct buf maps = BUF_INIT;
	int r;

	if (t->n_segs > 0) {
		out[0].n_segs = t->n_segs;
		memcpy(out[0].segs, t->segs, t->n_segs * sizeof(t->segs[0]));
		*ret_n = 1;
		return 0;
	}
	r = read_proc(t, "maps", &maps, e);
	if (r < 0)
		return r;
	*ret_n = layouts_of_maps(buf_str(&maps), t->memory_bytes, out);
	if (*ret_n == 0)
		return err_set(e, -ENOENT, "process %d: no mapping is large enough for a guest",
		               (int)t->pid);
	return 0;
}

int locate_guest(struct guest **ret, const struct locate_target *t,
                 const struct profile *const *profiles, size_t n_profiles, struct mem_cache *cache,
                 struct locate_access *ret_access, struct err *e)
{
	_cleanup_free_ struct layout *layouts = mem_zalloc(LAYOUTS_MAX, sizeof(*layouts));
	_cleanup_(guest_detachp) struct guest *g = NULL;
	uint32_t n;
	int r = layouts ? find_layouts(t, layouts, &n, e) : -ENOMEM;

	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < n_profiles && r == -ENOENT; i++)
		r = try_profile(&g, t, profiles[i], layouts, n, cache);
	if (r == -ENOENT)
		return err_set(e, r, "process %d: none of the %zu known kernels runs in its guest",
		               (int)t->pid, n_profiles);
	if (r == 0)
		r = choose_access(t, g, ret_access);
	if (r < 0)
		return err_set(e, r, "process %d: its memory cannot be read: %s", (int)t->pid,
		               strerror(-r));
	*ret = TAKE_PTR(g);
	return 0;
}
