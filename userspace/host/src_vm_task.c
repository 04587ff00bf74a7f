/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source vm_task: the CPU time of every vCPU by mode, host-side steal, and throttling.
 *
 * Modes    The host sees how long a vCPU thread ran and how long it waited, not what the guest did
 *          with it. user = guest code, system = the VMM's and KVM's own work, steal = ready but not
 *          running, idle = the rest of the wall clock; the other six are 0. Under emulation
 *          (no KVM) all the thread's time is guest code.
 * Steal    run_delay contains throttled time, so that has to come off: what CFS bandwidth held back
 *          is the VM's own limit and not a busy host. Throttling is kept for the cgroup, delay for
 *          the thread; each thread bears its share of the interval's throttling by its delay.
 * Counters Everything is accumulated from differences that are never negative: a counter does not
 *          run backwards when the kernel's estimate of a share changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/err.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/source.h"
#include "userspace/host/task_reader.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_age.h"

#define GROUPS_MAX 64 /* cgroups that the threads of one VM are spread over */

enum mode {
	USER,
	NICE,
	SYSTEM,
	IDLE,
	IOWAIT,
	IRQ,
	SOFTIRQ,
	STEAL,
	GUEST,
	GUEST_NICE,
	MODES
};

static const char *const mode_names[MODES] = { "user", "nice",    "system", "idle",  "iowait",
	                                       "irq",  "softirq", "steal",  "guest", "guest_nice" };

/*
 * A counter of ours: what has been added up, and the kernel's reading that it was last
 * brought to.
 */
struct track {
	uint64_t sum_ns, last_ns;
};

struct vcpu_slot {
	pid_t tid;
	uint16_t cpu_id;
	bool seen; /* in this pass */
	struct vm_task_rec rec;
	struct track user, system, idle, delay;
	uint64_t steal_ns;
};

struct vm_slot {
	struct vm vm;
	struct vcpu_slot *vcpus; /* [vm.n_vcpus] */
	/* of this pass */
	uint64_t groups[GROUPS_MAX];
	uint32_t n_groups;
	uint64_t throttled_own_ns, throttled_parents_ns, delay_all_ns;
	struct track throttled, delay; /* over all threads */
};

struct source {
	struct task_reader *reader;
	struct vm_slot **vms;
	size_t n_vms, vms_cap;
};

/* How much the kernel's counter grew since the last look; a fall counts as nothing. */
static uint64_t track_delta(struct track *t, uint64_t now_ns)
{
	uint64_t delta = now_ns > t->last_ns ? now_ns - t->last_ns : 0;

	t->last_ns = now_ns;
	t->sum_ns += delta;
	return delta;
}

static void vm_task_free(struct source *src)
{
	if (!src)
		return;
	for (size_t i = 0; i < src->n_vms; i++) {
		free(src->vms[i]->vcpus);
		free(src->vms[i]);
	}
	free(src->vms);
	task_reader_free(src->reader);
	free(src);
}

DEFINE_CLEANUP(struct source *, vm_task_free);

static int vm_task_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	_cleanup_(vm_task_freep) struct source *src = mem_zalloc(1, sizeof(*src));
	struct err why = ERR_INIT;
	int r;

	(void)conf;
	if (!src)
		return -ENOMEM;
	r = task_reader_open(&src->reader, true, &why);
	if (r < 0)
		return err_set(e, r, "vm_task: %s", strerror(-r));
	if (!task_reader_uses_bpf(src->reader))
		log_warn("vm_task: fell back to /proc", STRV("reason", why.msg));
	*ret_src = TAKE_PTR(src);
	return 0;
}

static int vm_task_vm_added(struct source *src, const struct vm *vm)
{
	struct vm_slot *slot = mem_zalloc(1, sizeof(*slot));
	int r;

	if (!slot)
		return -ENOMEM;
	slot->vm = *vm;
	slot->vcpus = mem_zalloc(vm->n_vcpus, sizeof(*slot->vcpus));
	r = slot->vcpus && MEM_GROW(src->vms, src->vms_cap, src->n_vms + 1) == 0 ? 0 : -ENOMEM;
	if (r == 0)
		r = task_reader_watch(src->reader, vm->pid);
	if (r < 0) {
		free(slot->vcpus);
		free(slot);
		return r;
	}
	for (uint32_t i = 0; i < vm->n_vcpus; i++) {
		slot->vcpus[i].tid = vm->vcpus[i].tid;
		slot->vcpus[i].cpu_id = vm->vcpus[i].cpu_id;
	}
	src->vms[src->n_vms++] = slot;
	return 0;
}

static void vm_task_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->vm.id != vm->id)
			continue;
		task_reader_unwatch(src->reader, vm->pid);
		free(src->vms[i]->vcpus);
		free(src->vms[i]);
		src->vms[i] = src->vms[--src->n_vms];
		return;
	}
}

/* ---- one pass over the threads -------------------------------------------- */

static struct vm_slot *slot_of(struct source *src, __u32 tgid)
{
	for (size_t i = 0; i < src->n_vms; i++) {
		if (src->vms[i]->vm.pid == (pid_t)tgid)
			return src->vms[i];
	}
	return NULL;
}

/* Threads share a cgroup as a rule; each cgroup's throttling counts once. */
static void note_group(struct vm_slot *slot, const struct vm_task_rec *rec)
{
	for (uint32_t i = 0; i < slot->n_groups; i++) {
		if (slot->groups[i] == rec->group)
			return;
	}
	if (slot->n_groups == GROUPS_MAX)
		return;
	slot->groups[slot->n_groups++] = rec->group;
	slot->throttled_own_ns += rec->throttled_ns;
	slot->throttled_parents_ns = MAX(slot->throttled_parents_ns, rec->throttled_parents_ns);
}

static int on_record(void *ctx, const struct vm_task_rec *rec)
{
	struct vm_slot *slot = slot_of(ctx, rec->tgid);

	if (!slot)
		return 0;
	note_group(slot, rec);
	slot->delay_all_ns += rec->run_delay_ns;
	for (uint32_t i = 0; i < slot->vm.n_vcpus; i++) {
		if (slot->vcpus[i].tid == (pid_t)rec->tid) {
			slot->vcpus[i].rec = *rec;
			slot->vcpus[i].seen = true;
		}
	}
	return 0;
}

static void begin_pass(struct vm_slot *slot)
{
	slot->n_groups = 0;
	slot->throttled_own_ns = slot->throttled_parents_ns = slot->delay_all_ns = 0;
	for (uint32_t i = 0; i < slot->vm.n_vcpus; i++)
		slot->vcpus[i].seen = false;
}

/* ---- accounting ----------------------------------------------------------- */

/*
 * The kernel samples guest time in ticks but runtime exactly: take the share of the one
 * from the other.
 */
static uint64_t guest_ns(const struct vm *vm, const struct vm_task_rec *rec)
{
	uint64_t sampled = rec->utime_ns + rec->stime_ns;

	if (!vm->kvm)
		return rec->exec_ns;
	if (sampled == 0)
		return 0;
	return (uint64_t)((double)rec->exec_ns *
	                  ((double)MIN(rec->gtime_ns, sampled) / (double)sampled));
}

static void account_vcpu(struct vm_slot *slot, struct vcpu_slot *v, double own_share,
                         uint64_t elapsed_ns)
{
	uint64_t guest = guest_ns(&slot->vm, &v->rec);
	uint64_t busy = v->rec.exec_ns + v->rec.run_delay_ns;

	(void)track_delta(&v->user, guest);
	(void)track_delta(&v->system, v->rec.exec_ns - guest);
	(void)track_delta(&v->idle, elapsed_ns > busy ? elapsed_ns - busy : 0);
	v->steal_ns += (uint64_t)((double)track_delta(&v->delay, v->rec.run_delay_ns) * own_share);
}

static void account_vm(struct vm_slot *slot)
{
	uint64_t throttled =
		track_delta(&slot->throttled, slot->throttled_own_ns + slot->throttled_parents_ns);
	uint64_t delay = track_delta(&slot->delay, slot->delay_all_ns);
	/* The part of the delay that was not our own limit. */
	double own_share = delay > throttled ? (double)(delay - throttled) / (double)delay : 0;
	uint64_t elapsed_ns = vm_age_ns(&slot->vm);

	for (uint32_t i = 0; i < slot->vm.n_vcpus; i++) {
		if (slot->vcpus[i].seen)
			account_vcpu(slot, &slot->vcpus[i], own_share, elapsed_ns);
	}
}

static int emit_vcpu(struct batch *out, const struct vcpu_slot *v)
{
	const uint64_t by_mode[MODES] = { [USER] = v->user.sum_ns,
		                          [SYSTEM] = v->system.sum_ns,
		                          [IDLE] = v->idle.sum_ns,
		                          [STEAL] = v->steal_ns };
	char cpu_id[8];
	int r = 0;

	(void)snprintf(cpu_id, sizeof(cpu_id), "%u", v->cpu_id);
	for (int m = 0; m < MODES && r == 0; m++) {
		const char *extra[] = { cpu_id, mode_names[m] };

		r = batch_add(out, FLY_INSTANCE_CPU, extra, (double)by_mode[m]);
	}
	if (r == 0) {
		const char *extra[] = { cpu_id };

		r = batch_add(out, FLY_INSTANCE_CPU_STEAL_HOST_SECONDS, extra, (double)v->steal_ns);
	}
	return r;
}

static int emit_vm(const struct source *src, const struct vm_slot *slot, int64_t now_ms,
                   struct batch *out)
{
	int r = batch_begin_vm(out, &slot->vm, now_ms);

	for (uint32_t i = 0; i < slot->vm.n_vcpus && r == 0; i++) {
		if (slot->vcpus[i].seen)
			r = emit_vcpu(out, &slot->vcpus[i]);
	}
	/*
	 * /proc knows nothing of bandwidth: then there is no series, rather than a 0 that is a
	 * guess.
	 */
	if (r == 0 && task_reader_uses_bpf(src->reader) && slot->n_groups > 0)
		r = batch_add(out, FLY_INSTANCE_CPU_THROTTLE, NULL, (double)slot->throttled.sum_ns);
	return r;
}

static int vm_task_collect(struct source *src, int64_t now_ms, struct batch *out)
{
	int r;

	for (size_t i = 0; i < src->n_vms; i++)
		begin_pass(src->vms[i]);
	r = task_reader_read(src->reader, on_record, src);
	for (size_t i = 0; i < src->n_vms && r == 0; i++) {
		account_vm(src->vms[i]);
		r = emit_vm(src, src->vms[i], now_ms, out);
	}
	return r;
}

const struct source_ops vm_task_source = {
	.name = "vm_task",
	.open = vm_task_open,
	.vm_added = vm_task_vm_added,
	.vm_gone = vm_task_vm_gone,
	.collect = vm_task_collect,
	.free = vm_task_free,
};
