/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/cpu_account.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"

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

struct cpu_account {
	bool kvm;
	struct vcpu_slot *vcpus;
	uint32_t n_vcpus;
	struct track throttled, delay, used; /* over all threads */
	double own_share;                    /* of the delay, that was not our own limit */
	double limit;
	/* of this pass */
	uint64_t groups[GROUPS_MAX];
	uint32_t n_groups;
	uint64_t throttled_own_ns, throttled_parents_ns, delay_all_ns, exec_all_ns, exec_ended_ns;
};

/* How much the kernel's counter grew since the last look; a fall counts as nothing. */
static uint64_t track_delta(struct track *t, uint64_t now_ns)
{
	uint64_t delta = now_ns > t->last_ns ? now_ns - t->last_ns : 0;

	t->last_ns = now_ns;
	t->sum_ns += delta;
	return delta;
}

static const struct vcpu_slot *find_vcpu(const struct cpu_account *a, pid_t tid, uint16_t cpu_id)
{
	for (uint32_t i = 0; i < a->n_vcpus; i++) {
		if (a->vcpus[i].tid == tid && a->vcpus[i].cpu_id == cpu_id)
			return &a->vcpus[i];
	}
	return NULL;
}

int cpu_account_adopt(struct cpu_account *a, const struct vm *vm)
{
	struct vcpu_slot *vcpus = mem_zalloc(MAX(vm->n_vcpus, 1u), sizeof(*vcpus));

	if (!vcpus)
		return -ENOMEM;
	for (uint32_t i = 0; i < vm->n_vcpus; i++) {
		const struct vcpu_slot *had = find_vcpu(a, vm->vcpus[i].tid, vm->vcpus[i].cpu_id);

		vcpus[i] = had ? *had
		               : (struct vcpu_slot){ .tid = vm->vcpus[i].tid,
			                             .cpu_id = vm->vcpus[i].cpu_id };
	}
	free(a->vcpus);
	a->vcpus = vcpus;
	a->n_vcpus = vm->n_vcpus;
	a->kvm = vm->kvm;
	return 0;
}

int cpu_account_new(struct cpu_account **ret, const struct vm *vm)
{
	struct cpu_account *a = mem_zalloc(1, sizeof(*a));
	int r = a ? cpu_account_adopt(a, vm) : -ENOMEM;

	if (r < 0) {
		free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void cpu_account_free(struct cpu_account *a)
{
	if (a)
		free(a->vcpus);
	free(a);
}

/* ---- one pass over the threads -------------------------------------------- */

void cpu_account_begin(struct cpu_account *a)
{
	a->n_groups = 0;
	a->throttled_own_ns = a->throttled_parents_ns = a->delay_all_ns = 0;
	a->exec_all_ns = a->exec_ended_ns = 0;
	a->limit = 0;
	for (uint32_t i = 0; i < a->n_vcpus; i++)
		a->vcpus[i].seen = false;
}

static void note_limit(struct cpu_account *a, const struct vm_task_rec *rec)
{
	double limit = rec->period_ns > 0 ? (double)rec->quota_ns / (double)rec->period_ns : 0;

	if (limit > 0 && (a->limit == 0 || limit < a->limit))
		a->limit = limit;
}

/* Threads share a cgroup as a rule; each cgroup's throttling counts once. */
static void note_group(struct cpu_account *a, const struct vm_task_rec *rec)
{
	for (uint32_t i = 0; i < a->n_groups; i++) {
		if (a->groups[i] == rec->group)
			return;
	}
	if (a->n_groups == GROUPS_MAX)
		return;
	a->groups[a->n_groups++] = rec->group;
	a->throttled_own_ns += rec->throttled_ns;
	a->throttled_parents_ns = MAX(a->throttled_parents_ns, rec->throttled_parents_ns);
	note_limit(a, rec);
}

void cpu_account_thread(struct cpu_account *a, const struct vm_task_rec *rec)
{
	note_group(a, rec);
	a->delay_all_ns += rec->run_delay_ns;
	a->exec_all_ns += rec->exec_ns;
	a->exec_ended_ns = MAX(a->exec_ended_ns, rec->exec_ended_ns);
	for (uint32_t i = 0; i < a->n_vcpus; i++) {
		if (a->vcpus[i].tid == (pid_t)rec->tid) {
			a->vcpus[i].rec = *rec;
			a->vcpus[i].seen = true;
		}
	}
}

/* ---- accounting ----------------------------------------------------------- */

/*
 * The kernel samples guest time in ticks but runtime exactly: take the share of the one
 * from the other.
 */
static uint64_t guest_ns(const struct cpu_account *a, const struct vm_task_rec *rec)
{
	uint64_t sampled = rec->utime_ns + rec->stime_ns;

	if (!a->kvm)
		return rec->exec_ns;
	if (sampled == 0)
		return 0;
	return (uint64_t)((double)rec->exec_ns *
	                  ((double)MIN(rec->gtime_ns, sampled) / (double)sampled));
}

static void account_vcpu(const struct cpu_account *a, struct vcpu_slot *v, uint64_t elapsed_ns)
{
	uint64_t guest = guest_ns(a, &v->rec);
	uint64_t busy = v->rec.exec_ns + v->rec.run_delay_ns;

	(void)track_delta(&v->user, guest);
	(void)track_delta(&v->system, v->rec.exec_ns - guest);
	(void)track_delta(&v->idle, elapsed_ns > busy ? elapsed_ns - busy : 0);
	v->steal_ns +=
		(uint64_t)((double)track_delta(&v->delay, v->rec.run_delay_ns) * a->own_share);
}

void cpu_account_end(struct cpu_account *a, uint64_t elapsed_ns)
{
	uint64_t throttled =
		track_delta(&a->throttled, a->throttled_own_ns + a->throttled_parents_ns);
	uint64_t delay = track_delta(&a->delay, a->delay_all_ns);

	a->own_share = delay > throttled ? (double)(delay - throttled) / (double)delay : 0;
	(void)track_delta(&a->used, a->exec_all_ns + a->exec_ended_ns);
	for (uint32_t i = 0; i < a->n_vcpus; i++) {
		if (a->vcpus[i].seen)
			account_vcpu(a, &a->vcpus[i], elapsed_ns);
	}
}

/* What was held back of the last moments is not known: it is taken to be as it was before. */
void cpu_account_finish(struct cpu_account *a, const struct vm_task_rec *recs, size_t n,
                        uint64_t elapsed_ns)
{
	cpu_account_begin(a);
	for (size_t i = 0; i < n; i++)
		cpu_account_thread(a, &recs[i]);
	(void)track_delta(&a->throttled, a->throttled_own_ns + a->throttled_parents_ns);
	for (uint32_t i = 0; i < a->n_vcpus; i++) {
		if (a->vcpus[i].seen)
			account_vcpu(a, &a->vcpus[i], elapsed_ns);
	}
}

uint64_t cpu_account_used_ns(const struct cpu_account *a)
{
	return a->used.sum_ns;
}

double cpu_account_limit(const struct cpu_account *a)
{
	return a->limit;
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

int cpu_account_emit(const struct cpu_account *a, bool with_throttle, struct batch *out)
{
	int r = 0;

	for (uint32_t i = 0; i < a->n_vcpus && r == 0; i++) {
		if (a->vcpus[i].seen)
			r = emit_vcpu(out, &a->vcpus[i]);
	}
	if (r == 0 && with_throttle && a->n_groups > 0)
		r = batch_add(out, FLY_INSTANCE_CPU_THROTTLE, NULL, (double)a->throttled.sum_ns);
	return r;
}
