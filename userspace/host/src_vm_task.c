/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source vm_task: CPU time of every VM: by mode (cpu_account.h), throttling, burst balance
 * (cpu_class.h) and peaks.
 *
 * Slots    A VM has a number below SLOTS_MAX, which the reader's records carry: no search.
 * Parking  A VM whose description changes goes away and comes back at once. It is the same
 *          process, so what was counted and saved up for it stays: a slot waits for its process
 *          to come back until the next collection is over.
 * Peaks    sample() compares what each VM used with the sample before; the kernel brings the
 *          running threads' counters up to date at every timer tick (1 to 10 ms).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/cpu_account.h"
#include "userspace/host/cpu_class.h"
#include "userspace/host/cpu_state.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/task_reader.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_age.h"
#include "userspace/host/vm_exit.h"

#define SLOTS_MAX     VM_TASK_VMS_MAX
#define SAVE_EVERY_NS (60ull * 1000000000)
#define WINDOW_MIN_NS (50ull * 1000000) /* shorter ones would show the kernel's ticks */

struct vm_slot {
	const struct vm *vm; /* borrowed; NULL: parked, or free when there is no account */
	pid_t pid;
	uint64_t start_ticks;
	uint32_t n_parked; /* collections since it was parked */
	bool ended;
	struct cpu_account *account;
	struct cpu_balance balance;
	uint64_t sampled_used_ns, sampled_ns; /* 0 = not yet */
	double peak_cpus;                     /* since the last collection; < 0 = no window yet */
};

struct source {
	const struct host_conf *conf;
	struct task_reader *reader;
	struct vm_slot *slots; /* [n_slots], the first ones of SLOTS_MAX */
	size_t n_slots, slots_cap;
	struct cpu_state saved; /* of a daemon before us, until their VMs come */
	uint64_t save_ns;
	bool save_failed;
};

/* ---- state over restarts ------------------------------------------------------------------- */

static void load_state(struct source *src)
{
	size_t n_bad = 0;
	int r = cpu_state_load(&src->saved, src->conf->state_dir, &n_bad);

	if (r < 0 || n_bad > 0)
		log_warn("vm_task: burst balances were not all read",
		         STRV("folder", src->conf->state_dir), U64("bad_lines", n_bad),
		         STRV("why", r < 0 ? strerror(-r) : ""));
}

static bool has_balance(const struct vm_slot *slot)
{
	return slot->account && !slot->ended && slot->balance.at_ns != 0;
}

static int gather_state(const struct source *src, struct cpu_state *all)
{
	int r = 0;

	for (size_t i = 0; i < src->n_slots && r == 0; i++) {
		const struct vm_slot *slot = &src->slots[i];
		const struct cpu_state_row row = { slot->pid, slot->start_ticks,
			                           slot->balance.at_ns, slot->balance.used_ns,
			                           slot->balance.ns };

		if (has_balance(slot))
			r = cpu_state_put(all, &row);
	}
	/* Those whose VMs were not found again yet. */
	for (size_t i = 0; i < src->saved.n && r == 0; i++)
		r = cpu_state_put(all, &src->saved.rows[i]);
	return r == -ENOSPC ? 0 : r;
}

static void save_state(struct source *src)
{
	_cleanup_(cpu_state_done) struct cpu_state all = { 0 };
	int r = gather_state(src, &all);

	if (r == 0 && all.n > 0)
		r = cpu_state_save(&all, src->conf->state_dir);
	if (r < 0 && !src->save_failed)
		log_warn("vm_task: burst balances are not kept",
		         STRV("folder", src->conf->state_dir), STRV("why", strerror(-r)));
	src->save_failed = r < 0;
	src->save_ns = clock_mono_ns() + SAVE_EVERY_NS;
}

/* ---- VMs ------------------------------------------------------------------------------------ */

static void slot_clear(struct vm_slot *slot)
{
	cpu_account_free(slot->account);
	*slot = (struct vm_slot){ 0 };
}

static void vm_task_free(struct source *src)
{
	if (!src)
		return;
	if (src->conf && src->n_slots > 0)
		save_state(src);
	for (size_t i = 0; i < src->n_slots; i++)
		slot_clear(&src->slots[i]);
	free(src->slots);
	cpu_state_done(&src->saved);
	task_reader_free(src->reader);
	free(src);
}

DEFINE_CLEANUP(struct source *, vm_task_free);

static int vm_task_open(struct source **ret_src, const struct host_conf *conf, struct err *e)
{
	_cleanup_(vm_task_freep) struct source *src = mem_zalloc(1, sizeof(*src));
	struct err why = ERR_INIT;
	int r;

	if (!src)
		return -ENOMEM;
	src->conf = conf;
	r = task_reader_open(&src->reader, true, &why);
	if (r < 0)
		return err_set(e, r, "vm_task: %s", strerror(-r));
	if (!task_reader_uses_bpf(src->reader))
		log_warn("vm_task: fell back to /proc", STRV("reason", why.msg));
	load_state(src);
	src->save_ns = clock_mono_ns() + SAVE_EVERY_NS;
	*ret_src = TAKE_PTR(src);
	return 0;
}

static void vm_task_set_conf(struct source *src, const struct host_conf *conf)
{
	src->conf = conf;
}

static struct vm_slot *find_parked(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		struct vm_slot *slot = &src->slots[i];

		if (slot->account && !slot->vm && !slot->ended && slot->pid == vm->pid &&
		    slot->start_ticks == vm->start_ticks)
			return slot;
	}
	return NULL;
}

static int find_free(struct source *src, struct vm_slot **ret)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		if (!src->slots[i].account) {
			*ret = &src->slots[i];
			return 0;
		}
	}
	if (src->n_slots == SLOTS_MAX)
		return -ENOSPC;
	if (MEM_GROW(src->slots, src->slots_cap, src->n_slots + 1) < 0)
		return -ENOMEM;
	*ret = &src->slots[src->n_slots++];
	**ret = (struct vm_slot){ 0 };
	return 0;
}

static void restore_balance(struct source *src, struct vm_slot *slot)
{
	struct cpu_state_row row;

	if (cpu_state_take(&src->saved, slot->pid, slot->start_ticks, &row))
		slot->balance = (struct cpu_balance){ .at_ns = row.at_ns,
			                              .used_ns = row.used_ns,
			                              .ns = row.balance_ns };
}

static int slot_fill(struct source *src, struct vm_slot *slot, const struct vm *vm)
{
	int r = cpu_account_new(&slot->account, vm);

	if (r < 0)
		return r;
	slot->pid = vm->pid;
	slot->start_ticks = vm->start_ticks;
	slot->peak_cpus = -1;
	restore_balance(src, slot);
	return 0;
}

static int vm_task_vm_added(struct source *src, const struct vm *vm)
{
	struct vm_slot *slot = find_parked(src, vm);
	int r = slot ? cpu_account_adopt(slot->account, vm) : find_free(src, &slot);

	if (r == 0 && !slot->account)
		r = slot_fill(src, slot, vm);
	if (r == 0)
		r = task_reader_watch(src->reader, vm->pid, (uint32_t)(slot - src->slots));
	if (r < 0) {
		if (slot)
			slot_clear(slot);
		return r;
	}
	slot->vm = vm;
	slot->n_parked = 0;
	return 0;
}

static struct vm_slot *slot_of(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		if (src->slots[i].vm && src->slots[i].vm->id == vm->id)
			return &src->slots[i];
	}
	return NULL;
}

static void vm_task_vm_gone(struct source *src, const struct vm *vm)
{
	struct vm_slot *slot = slot_of(src, vm);

	if (!slot)
		return;
	task_reader_unwatch(src->reader, vm->pid);
	slot->vm = NULL;
	if (slot->ended)
		slot_clear(slot);
}

/* ---- one pass over the threads -------------------------------------------------------------- */

static int on_record(void *ctx, const struct vm_task_rec *rec)
{
	struct source *src = ctx;

	if (rec->slot < src->n_slots && src->slots[rec->slot].vm)
		cpu_account_thread(src->slots[rec->slot].account, rec);
	return 0;
}

static uint64_t boottime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts); /* what start_ticks counts in */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t vcpus_of(const struct vm *vm)
{
	return vm->n_vcpus_spec > 0 ? vm->n_vcpus_spec : vm->n_vcpus;
}

static int emit_class(const struct source *src, struct vm_slot *slot, uint64_t now_ns,
                      struct batch *out)
{
	const char *name = slot->vm->cpu_class[0] ? slot->vm->cpu_class : src->conf->cpu_class;
	const struct cpu_class *c = cpu_class_find(&src->conf->cpu_classes, name);
	const uint32_t n = vcpus_of(slot->vm);
	double baseline = c ? cpu_class_baseline(c, n) : cpu_account_limit(slot->account);
	int r = baseline > 0 ? batch_add(out, FLY_INSTANCE_CPU_BASELINE, NULL, baseline) : 0;

	if (r < 0 || !c || c->balance_max_ms == 0)
		return r;
	cpu_balance_step(&slot->balance, c, n, now_ns, cpu_account_used_ns(slot->account));
	r = batch_add(out, FLY_INSTANCE_CPU_BALANCE, NULL, slot->balance.ns);
	return r < 0 ? r
	             : batch_add(out, FLY_INSTANCE_CPU_SECONDS_TO_THROTTLE, NULL,
	                         cpu_balance_seconds_left(&slot->balance, c, n));
}

static int emit_peak(struct vm_slot *slot, struct batch *out)
{
	const uint32_t n = vcpus_of(slot->vm);
	double peak = slot->peak_cpus;

	slot->peak_cpus = -1;
	return peak < 0 || n == 0 ? 0 : batch_add(out, FLY_INSTANCE_CPU_PEAK_RATIO, NULL, peak / n);
}

static int emit_vm(const struct source *src, struct vm_slot *slot, int64_t now_ms, uint64_t now_ns,
                   struct batch *out)
{
	int r = batch_begin_vm(out, slot->vm, now_ms);

	cpu_account_end(slot->account, vm_age_ns(slot->vm));
	/* /proc knows nothing of bandwidth: no series then, rather than a 0 that is a guess. */
	if (r == 0)
		r = cpu_account_emit(slot->account, task_reader_uses_bpf(src->reader), out);
	if (r == 0)
		r = emit_class(src, slot, now_ns, out);
	return r < 0 ? r : emit_peak(slot, out);
}

static void drop_parked(struct source *src)
{
	for (size_t i = 0; i < src->n_slots; i++) {
		struct vm_slot *slot = &src->slots[i];

		if (slot->account && !slot->vm && slot->n_parked++ > 0)
			slot_clear(slot);
	}
}

static int vm_task_collect(struct source *src, int64_t now_ms, struct batch *out, struct err *e)
{
	int r;

	for (size_t i = 0; i < src->n_slots; i++) {
		if (src->slots[i].vm)
			cpu_account_begin(src->slots[i].account);
	}
	r = task_reader_read(src->reader, on_record, src);
	if (r < 0)
		return err_set(e, r, "cannot read the tasks: %s", strerror(-r));
	uint64_t now_ns = boottime_ns();

	for (size_t i = 0; i < src->n_slots && r == 0; i++) {
		if (src->slots[i].vm)
			r = emit_vm(src, &src->slots[i], now_ms, now_ns, out);
	}
	drop_parked(src);
	if (clock_mono_ns() >= src->save_ns)
		save_state(src);
	return r;
}

static void vm_task_vm_exited(struct source *src, const struct vm *vm, struct vm_exit *how,
                              int64_t now_ms, struct batch *out)
{
	struct vm_slot *slot = slot_of(src, vm);

	if (!slot)
		return;
	slot->ended = true;
	if (how->n_threads == 0)
		return;
	cpu_account_finish(slot->account, how->threads, how->n_threads, vm_age_ns(vm));
	if (batch_begin_vm(out, vm, now_ms) == 0)
		(void)cpu_account_emit(slot->account, task_reader_uses_bpf(src->reader), out);
}

/* ---- peaks ---------------------------------------------------------------------------------- */

static void sample_slot(const struct source *src, struct vm_slot *slot, uint64_t mono_ns)
{
	uint64_t used_ns = task_reader_used_ns(src->reader, (uint32_t)(slot - src->slots));
	uint64_t window_ns = mono_ns - slot->sampled_ns;

	if (slot->sampled_ns != 0 && window_ns < WINDOW_MIN_NS)
		return;
	if (slot->sampled_ns != 0)
		slot->peak_cpus = MAX(slot->peak_cpus, (double)(used_ns - slot->sampled_used_ns) /
		                                               (double)window_ns);
	slot->sampled_used_ns = used_ns;
	slot->sampled_ns = mono_ns;
}

static int vm_task_sample(struct source *src, uint64_t mono_ns)
{
	int r = task_reader_sample(src->reader);

	if (r < 0)
		return r == -ENOTSUP ? 0 : r;
	for (size_t i = 0; i < src->n_slots; i++) {
		if (src->slots[i].vm)
			sample_slot(src, &src->slots[i], mono_ns);
	}
	return 0;
}

const struct source_ops vm_task_source = {
	.name = "vm_task",
	.open = vm_task_open,
	.set_conf = vm_task_set_conf,
	.vm_added = vm_task_vm_added,
	.vm_exited = vm_task_vm_exited,
	.vm_gone = vm_task_vm_gone,
	.collect = vm_task_collect,
	.sample = vm_task_sample,
	.free = vm_task_free,
};
