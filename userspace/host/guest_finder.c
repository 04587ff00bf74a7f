/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest_finder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/kvm_slots.h"
#include "userspace/host/vm.h"

struct finder {
	struct profile_dir *dir;
	struct kvm_slots *kvm; /* NULL: not needed yet, or not to be had */
	bool kvm_tried;
	uint64_t until_ns; /* of this round */
};

DEFINE_CLEANUP(struct finder *, finder_free);

void finder_free(struct finder *f)
{
	if (!f)
		return;
	profile_dir_free(f->dir);
	kvm_slots_close(f->kvm);
	free(f);
}

static void on_bad_profile(void *ctx, const char *why)
{
	(void)ctx;
	log_warn("guest: a profile is bad", STRV("why", why));
}

int finder_new(struct finder **ret, const struct host_conf *conf)
{
	_cleanup_(finder_freep) struct finder *f = mem_zalloc(1, sizeof(*f));

	if (!f || profile_dir_new(&f->dir, conf->guest_profiles) < 0)
		return -ENOMEM;
	(void)profile_dir_refresh(f->dir, on_bad_profile, NULL);
	if (!finder_has_profiles(f))
		log_info("guest: no profiles, so all VMs are only seen from the host",
		         STRV("folder", conf->guest_profiles));
	*ret = TAKE_PTR(f);
	return 0;
}

bool finder_refresh(struct finder *f)
{
	return profile_dir_refresh(f->dir, on_bad_profile, NULL);
}

bool finder_has_profiles(const struct finder *f)
{
	return profile_dir_n(f->dir) > 0;
}

void finder_begin(struct finder *f, uint64_t now_ns)
{
	f->until_ns = now_ns + FINDER_ROUND_MS * 1000000ull;
}

bool finder_may_go_on(const struct finder *f, uint64_t now_ns)
{
	return now_ns < f->until_ns;
}

/* Its types are there once KVM is, which a VM that uses it proves. */
static void open_kvm(struct finder *f)
{
	struct err e = ERR_INIT;
	int r;

	if (f->kvm_tried)
		return;
	f->kvm_tried = true;
	r = kvm_slots_open(&f->kvm, &e);
	if (r < 0)
		log_warn("guest: KVM is not asked where memory is, it is guessed",
		         STRV("why", e.msg[0] ? e.msg : strerror(-r)));
}

static void ask_kvm(struct finder *f, const struct vm *vm, struct locate_target *t)
{
	if (!vm->kvm)
		return;
	open_kvm(f);
	if (f->kvm)
		(void)kvm_slots_read(f->kvm, vm->pid, t->segs, &t->n_segs, NULL);
}

int finder_find(struct finder *f, const struct vm *vm, uint64_t dead_gpa, struct mem_cache *cache,
                struct guest **ret, struct locate_access *ret_access, struct err *e)
{
	struct locate_target target = { .proc = "/proc",
		                        .pid = vm->pid,
		                        .memory_bytes = vm->memory_bytes,
		                        .dead_gpa = dead_gpa };
	const struct profile *profiles[PROFILE_DIR_MAX];
	size_t n = profile_dir_find(f->dir, vm->kernel_profile, profiles, ARRAY_SIZE(profiles));
	int r;

	if (n == 0)
		return -ENODATA;
	ask_kvm(f, vm, &target);
	r = locate_guest(ret, &target, profiles, n, cache, ret_access, e);
	if (r != -ENOENT || target.n_segs == 0)
		return r;
	target.n_segs = 0; /* what KVM says did not help */
	return locate_guest(ret, &target, profiles, n, cache, ret_access, e);
}
