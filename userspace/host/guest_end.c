/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/host/pidns.h"

#include "guest_end.skel.h"

struct guest_end {
	struct guest_end_bpf *skel;
	struct ring_buffer *ring;
	guest_end_f fn;
	void *ctx;
};

void guest_end_close(struct guest_end *g)
{
	if (!g)
		return;
	ring_buffer__free(g->ring);
	guest_end_bpf__destroy(g->skel);
	free(g);
}

DEFINE_CLEANUP(struct guest_end *, guest_end_close);

static int on_record(void *ctx, void *data, size_t bytes)
{
	struct guest_end *g = ctx;

	if (bytes >= sizeof(struct guest_end_rec))
		g->fn(g->ctx, data);
	return 0;
}

/*
 * Whether sched_process_exit comes while the memory is there: since that is so, the tracepoint says
 * as well whether it is the last thread.
 */
static bool tracepoint_is_early(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t = NULL;
	int id = btf ? btf__find_by_name_kind(btf, "btf_trace_sched_process_exit", BTF_KIND_TYPEDEF)
	             : -1;
	bool early;

	if (id > 0)
		t = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type);
	if (t)
		t = btf__type_by_id(btf, t->type);
	early = t && btf_is_func_proto(t) && btf_vlen(t) == 3; /* context, task, last */
	btf__free(btf);
	return early;
}

static int load(struct guest_end *g, struct err *e)
{
	const bool early = tracepoint_is_early();
	int r;

	g->skel = guest_end_bpf__open();
	if (!g->skel)
		return err_set(e, neg_errno(), "guest_end: cannot be opened: %s", strerror(errno));
	g->skel->rodata->pidns_ino = pidns_ino_of_ours();
	(void)bpf_program__set_autoload(g->skel->progs.guest_end_exit, early);
	(void)bpf_program__set_autoload(g->skel->progs.guest_end_do_exit, !early);
	r = guest_end_bpf__load(g->skel);
	if (r < 0)
		return err_set(e, r, "guest_end: the kernel refused it: %s", strerror(-r));
	r = guest_end_bpf__attach(g->skel);
	if (r < 0)
		return err_set(e, r, "guest_end: cannot attach to ends of processes: %s",
		               strerror(-r));
	g->ring = ring_buffer__new(bpf_map__fd(g->skel->maps.guest_end_ring), on_record, g, NULL);
	if (!g->ring)
		return err_set(e, neg_errno(), "guest_end: no ring buffer: %s", strerror(errno));
	return 0;
}

int guest_end_open(struct guest_end **ret, guest_end_f fn, void *ctx, struct err *e)
{
	_cleanup_(guest_end_closep) struct guest_end *g = mem_zalloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->fn = fn;
	g->ctx = ctx;
	r = load(g, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

int guest_end_watch(struct guest_end *g, pid_t pid, const struct guest_end_where *where)
{
	__u32 key = (__u32)pid;

	return bpf_map_update_elem(bpf_map__fd(g->skel->maps.guest_end_wheres), &key, where,
	                           BPF_ANY);
}

void guest_end_unwatch(struct guest_end *g, pid_t pid)
{
	__u32 key = (__u32)pid;

	(void)bpf_map_delete_elem(bpf_map__fd(g->skel->maps.guest_end_wheres), &key);
}

void guest_end_take(struct guest_end *g)
{
	(void)ring_buffer__consume(g->ring);
}

uint64_t guest_end_lost(const struct guest_end *g)
{
	return __atomic_load_n(&g->skel->bss->lost, __ATOMIC_RELAXED);
}
