/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source run_delay, an opt-in: how long each vCPU waited for a host CPU, each time that it got one.
 *
 * Slots    A vCPU's thread has a number, its index among the kernel side's histograms, whose memory
 *          is mapped here: collecting makes no system call.
 * Marks    The kernel side counts for threads that carry a mark. When VMs came or went, the next
 *          collection goes over all threads once and brings the marks up to date; until that is
 *          done a thread that lost its VM may still count, so its slot is not given away before.
 * Parking  A VM whose description changes goes away and comes back at once: its threads keep what
 *          was counted. They wait for it until the next collection is over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/run_delay.h"
#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/histogram.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/pidns.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_exit.h"

#include "run_delay.skel.h"

#define HISTS_BYTES (RUN_DELAY_VCPUS_MAX * sizeof(struct wait_hist))

struct vcpu_slot {
	pid_t tid;            /* 0: free, or to be free once the marks are up to date */
	const struct vm *vm;  /* borrowed; NULL: parked */
	pid_t pid;            /* with start_ticks and tid, the identity of the thread */
	uint64_t start_ticks; /* of the process */
	uint16_t cpu_id;
	uint32_t n_parked; /* collections since it was parked */
	bool is_marked;    /* its thread may carry the mark */
};

struct source {
	struct run_delay_bpf *skel;
	struct wait_hist *hists; /* [RUN_DELAY_VCPUS_MAX], the map's memory */
	struct vcpu_slot *slots; /* [n_slots], the first ones */
	size_t n_slots, slots_cap;
	bool is_changed;
};

static void run_delay_free(struct source *src)
{
	if (!src)
		return;
	if (src->hists)
		(void)munmap(src->hists, HISTS_BYTES);
	run_delay_bpf__destroy(src->skel);
	free(src->slots);
	free(src);
}

DEFINE_CLEANUP(struct source *, run_delay_free);

static int load(struct source *src, struct err *e)
{
	void *hists;
	int r;

	src->skel = run_delay_bpf__open();
	if (!src->skel)
		return err_set(e, neg_errno(), "run_delay: cannot be opened: %s", strerror(errno));
	src->skel->rodata->pidns_ino = pidns_ino_of_ours();
	r = run_delay_bpf__load(src->skel);
	if (r < 0)
		return err_set(e, r, "run_delay: the kernel refused it: %s", strerror(-r));
	r = run_delay_bpf__attach(src->skel);
	if (r < 0)
		return err_set(e, r, "run_delay: cannot attach to sched_switch: %s", strerror(-r));
	hists = mmap(NULL, HISTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
	             bpf_map__fd(src->skel->maps.rd_hists), 0);
	if (hists == MAP_FAILED)
		return err_set(e, neg_errno(), "run_delay: no mapped histograms: %s",
		               strerror(errno));
	src->hists = hists;
	return 0;
}

static bool run_delay_is_chosen(const struct host_conf *conf)
{
	return conf->hist_run_delay;
}

static int run_delay_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	_cleanup_(run_delay_freep) struct source *src = mem_zalloc(1, sizeof(*src));
	int r = src ? load(src, e) : -ENOMEM;

	(void)conf;
	if (r < 0)
		return r;
	*ret_src = TAKE_PTR(src);
	return 0;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static struct vcpu_slot *find_parked(struct source *src, const struct vm *vm,
                                     const struct vm_vcpu *vcpu)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		struct vcpu_slot *s = &src->slots[i];

		if (s->tid == vcpu->tid && !s->vm && s->cpu_id == vcpu->cpu_id &&
		    s->pid == vm->pid && s->start_ticks == vm->start_ticks)
			return s;
	}
	return NULL;
}

static int find_free(struct source *src, struct vcpu_slot **ret)
{
	size_t i = 0;

	while (i < src->n_slots && (src->slots[i].tid != 0 || src->slots[i].is_marked))
		i++;
	if (i == RUN_DELAY_VCPUS_MAX)
		return -ENOSPC;
	if (i == src->n_slots) {
		if (MEM_GROW(src->slots, src->slots_cap, src->n_slots + 1) < 0)
			return -ENOMEM;
		src->n_slots++;
	}
	src->slots[i] = (struct vcpu_slot){ 0 };
	memset(&src->hists[i], 0, sizeof(src->hists[i]));
	*ret = &src->slots[i];
	return 0;
}

static int want_mark(struct source *src, struct vcpu_slot *s)
{
	__u32 tid = (__u32)s->tid, slot = (__u32)(s - src->slots);

	s->is_marked = true;
	src->is_changed = true;
	return bpf_map_update_elem(bpf_map__fd(src->skel->maps.rd_vcpus), &tid, &slot, BPF_ANY);
}

static void release(struct source *src, struct vcpu_slot *s)
{
	__u32 tid = (__u32)s->tid;

	(void)bpf_map_delete_elem(bpf_map__fd(src->skel->maps.rd_vcpus), &tid);
	s->tid = 0;
	s->vm = NULL;
	src->is_changed = true;
}

static int add_vcpu(struct source *src, const struct vm *vm, const struct vm_vcpu *vcpu)
{
	struct vcpu_slot *s = find_parked(src, vm, vcpu);
	int r = 0;

	if (!s) {
		r = find_free(src, &s);
		if (r < 0)
			return r;
		s->tid = vcpu->tid;
		s->cpu_id = vcpu->cpu_id;
		s->pid = vm->pid;
		s->start_ticks = vm->start_ticks;
		r = want_mark(src, s);
	}
	s->vm = vm;
	s->n_parked = 0;
	if (r < 0)
		release(src, s);
	return r;
}

static int run_delay_vm_added(struct source *src, const struct vm *vm)
{
	int r = 0;

	for (uint32_t i = 0; i < vm->n_vcpus && r == 0; i++)
		r = add_vcpu(src, vm, &vm->vcpus[i]);
	return r;
}

static void run_delay_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		if (src->slots[i].vm && src->slots[i].vm->id == vm->id)
			src->slots[i].vm = NULL;
	}
}

static void drop_parked(struct source *src)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		struct vcpu_slot *s = &src->slots[i];

		if (s->tid != 0 && !s->vm && s->n_parked++ > 0)
			release(src, s);
	}
}

/* ---- marks ---------------------------------------------------------------------------------- */

/* Reading the iterator to its end is what runs it; it writes nothing. */
static int run_marks(const struct source *src)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(src->skel->links.run_delay_mark));
	char none[8];
	ssize_t n;

	if (fd < 0)
		return fd;
	do
		n = read(fd, none, sizeof(none));
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	return n < 0 ? neg_errno() : 0;
}

static int update_marks(struct source *src)
{
	int r = src->is_changed ? run_marks(src) : 0;

	if (r < 0 || !src->is_changed)
		return r;
	src->is_changed = false;
	for (size_t i = 0; i < src->n_slots; i++)
		src->slots[i].is_marked = src->slots[i].tid != 0;
	return 0;
}

/* ---- samples -------------------------------------------------------------------------------- */

static int emit(const struct source *src, size_t slot, int64_t now_ms, struct batch *out)
{
	const struct vcpu_slot *s = &src->slots[slot];
	struct histogram h = { 0 };
	char cpu_id[8];
	const char *extra[] = { cpu_id };
	int r = batch_begin_vm(out, s->vm, now_ms);

	(void)snprintf(cpu_id, sizeof(cpu_id), "%u", s->cpu_id);
	histogram_from_waits(&h, &src->hists[slot]);
	return r < 0 ? r
	             : batch_add_histogram(out, FLY_INSTANCE_CPU_RUN_DELAY_SECONDS_BUCKET, extra,
	                                   &h, &wait_bounds);
}

static int run_delay_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	int r = update_marks(src);

	if (r < 0)
		return err_set(e, r, "run_delay: cannot go over the tasks: %s", strerror(-r));
	for (size_t i = 0; i < src->n_slots && r == 0; i++) {
		if (src->slots[i].vm)
			r = emit(src, i, now_ms, out);
	}
	drop_parked(src);
	return r;
}

static void run_delay_vm_exited(struct source *src, const struct vm *vm, struct vm_exit *how,
                                int64_t now_ms, struct batch *out)
{
	(void)how;
	for (size_t i = 0; i < src->n_slots; i++) {
		if (src->slots[i].vm && src->slots[i].vm->id == vm->id)
			(void)emit(src, i, now_ms, out);
	}
}

const struct source_ops run_delay_source = {
	.name = "run_delay",
	.is_chosen = run_delay_is_chosen,
	.open = run_delay_open,
	.vm_added = run_delay_vm_added,
	.vm_exited = run_delay_vm_exited,
	.vm_gone = run_delay_vm_gone,
	.collect = run_delay_collect,
	.free = run_delay_free,
};
