/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own view, without anything in the guest (guest/guest.h).
 *
 * A VM's view is, in this order as a rule:
 *
 *	STARTING  its kernel is not found yet. Sources that see the VM from the host are kept from
 *	          filling in: a counter of theirs would be followed by one of the guest's, lower or
 *	          higher, and every rate over it would be nonsense.
 *	READ      its kernel is known and read. A family that fails in one sample has no samples.
 *	NONE      no profile fits, or the memory cannot be read; the host's sources fill in what
 *	          they can. Looked at again from time to time, and when profiles come.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/err.h"
#include "userspace/base/log.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"
#include "userspace/host/guest/locate.h"
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/guest_emit.h"
#include "userspace/host/guest_exit.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_age.h"

#define SECOND_NS           1000000000ull
#define STARTING_NS         (60 * SECOND_NS)  /* a VM may take so long until its kernel is there */
#define RETRY_NS            (SECOND_NS / 2)   /* between looks for a kernel that should come */
#define RETRY_SELDOM_NS     (300 * SECOND_NS) /* for one that did not */
#define SILENT_NS           (60 * SECOND_NS)  /* a guest whose clock stands still is not up */
#define NO_PROFILE_WORDS    "no profile of its kernel"
#define FAMILIES_OF_THE_END (1u << GUEST_MAIN | 1u << GUEST_LOG | 1u << GUEST_OOM)

enum view {
	VIEW_STARTING,
	VIEW_READ,
	VIEW_NONE
};

struct slot {
	const struct vm *vm;
	enum view view;
	struct guest *guest; /* VIEW_READ */
	const struct profile *profile;
	struct guest_floor floor;
	struct guest_exit exit;
	uint64_t next_try_ns, lost_ns; /* lost: when the view was lost; 0 = never had */
	uint64_t updated_ns, moved_ns; /* the guest's clock, and when it moved last */
	bool told;                     /* why there is no view */
};

struct source {
	struct profile_dir *dir;
	struct guest_exits *exits;
	struct mem_cache *cache;
	struct guest_sample *sample; /* scratch */
	struct slot **slots;
	size_t n, cap;
};

static void slot_detach(struct slot *s)
{
	guest_detach(s->guest);
	profile_unref(s->profile);
	s->guest = NULL;
	s->profile = NULL;
}

static void slot_free(struct source *src, struct slot *s)
{
	slot_detach(s);
	guest_exit_done(src->exits, &s->exit);
	free(s);
}

static void guest_source_free(struct source *src)
{
	if (!src)
		return;
	for (size_t i = 0; i < src->n; i++)
		slot_free(src, src->slots[i]);
	guest_exits_free(src->exits);
	free(src->slots);
	free(src->sample);
	free(src->cache);
	profile_dir_free(src->dir);
	free(src);
}

DEFINE_CLEANUP(struct source *, guest_source_free);

static void on_bad_profile(void *ctx, const char *why)
{
	(void)ctx;
	log_warn("guest: a profile is bad", STRV("why", why));
}

static int guest_source_open(struct source **ret, const struct host_conf *conf, struct err *e)
{
	_cleanup_(guest_source_freep) struct source *src = mem_zalloc(1, sizeof(*src));

	int r;

	if (!src)
		return -ENOMEM;
	src->cache = mem_zalloc(1, sizeof(*src->cache));
	src->sample = mem_zalloc(1, sizeof(*src->sample));
	if (!src->cache || !src->sample || profile_dir_new(&src->dir, conf->guest_profiles) < 0)
		return -ENOMEM;
	r = guest_exits_new(&src->exits, conf, e);
	if (r < 0)
		return r;
	(void)profile_dir_refresh(src->dir, on_bad_profile, NULL);
	if (profile_dir_n(src->dir) == 0)
		log_info("guest: no profiles, so all VMs are only seen from the host",
		         STRV("folder", conf->guest_profiles));
	*ret = TAKE_PTR(src);
	return 0;
}

static int guest_source_vm_added(struct source *src, const struct vm *vm)
{
	struct slot *s = mem_zalloc(1, sizeof(*s));

	if (!s || MEM_GROW(src->slots, src->cap, src->n + 1) < 0 ||
	    guest_exit_begin(src->exits, &s->exit, vm) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->vm = vm;
	src->slots[src->n++] = s;
	return 0;
}

static void guest_source_vm_gone(struct source *src, const struct vm *vm)
{
	for (size_t i = 0; i < src->n; i++) {
		if (src->slots[i]->vm->id != vm->id)
			continue;
		slot_free(src, src->slots[i]);
		src->slots[i] = src->slots[--src->n];
		return;
	}
}

/* ---- finding the kernel --------------------------------------------------------------------- */

/* Whether its kernel may still come: it boots, or boots again. */
static bool may_start(const struct slot *s, uint64_t now_ns)
{
	if (s->lost_ns > 0)
		return now_ns - s->lost_ns < STARTING_NS;
	return vm_age_ns(s->vm) < STARTING_NS;
}

static void give_up(const struct source *src, struct slot *s, const char *why)
{
	s->view = VIEW_NONE;
	if (!s->told && profile_dir_n(src->dir) > 0)
		log_warn("guest: not read, only seen from the host",
		         STRV("instance", s->vm->instance), STRV("why", why));
	s->told = true;
}

static void take(struct slot *s, struct guest *g, uint64_t now_ns)
{
	guest_set_main(g, s->vm->main_process);
	s->guest = g;
	s->profile = profile_ref(guest_profile(g));
	s->view = VIEW_READ;
	s->updated_ns = 0;
	s->moved_ns = now_ns;
	s->told = false;
	log_info("guest: is read", STRV("instance", s->vm->instance),
	         STRV("kernel", s->profile->release));
}

static int locate(struct source *src, const struct slot *s, struct guest **ret, struct err *e)
{
	const struct locate_target target = { "/proc", s->vm->pid, s->vm->memory_bytes };
	const struct profile *profiles[PROFILE_DIR_MAX];
	size_t n =
		profile_dir_find(src->dir, s->vm->kernel_profile, profiles, ARRAY_SIZE(profiles));

	if (n == 0)
		return err_set(e, -ENODATA, NO_PROFILE_WORDS);
	return locate_guest(ret, &target, profiles, n, src->cache, e);
}

static void try_attach(struct source *src, struct slot *s, uint64_t now_ns)
{
	struct err e = ERR_INIT;
	struct guest *g;
	int r;

	if (now_ns < s->next_try_ns)
		return;
	r = locate(src, s, &g, &e);
	if (r == 0) {
		take(s, g, now_ns);
		return;
	}
	if (r == -ENOENT && may_start(s, now_ns)) {
		s->next_try_ns = now_ns + RETRY_NS;
		return;
	}
	s->next_try_ns = now_ns + RETRY_SELDOM_NS;
	give_up(src, s, r == -ENOENT ? NO_PROFILE_WORDS : e.msg[0] ? e.msg : strerror(-r));
}

static void look_at_profiles(struct source *src)
{
	if (!profile_dir_refresh(src->dir, on_bad_profile, NULL))
		return;
	for (size_t i = 0; i < src->n; i++)
		src->slots[i]->next_try_ns = 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void note_life(struct slot *s, const struct guest_sample *sample, uint64_t now_ns)
{
	if (sample->updated_ns != s->updated_ns)
		s->moved_ns = now_ns;
	s->updated_ns = sample->updated_ns;
}

static int emit(struct source *src, struct slot *s, uint64_t now_ns, struct batch *out)
{
	uint32_t families = guest_features_families(s->profile);
	int r = guest_sample(s->guest, src->cache, families, now_ns, src->sample);

	if (r == -ESTALE) { /* rebooted in place, or another kernel took over */
		log_info("guest: its kernel is gone, looking for the next",
		         STRV("instance", s->vm->instance));
		slot_detach(s);
		guest_exit_forget(src->exits, &s->exit);
		s->view = VIEW_STARTING;
		s->lost_ns = now_ns;
		s->next_try_ns = 0;
	}
	guest_emit_nothing(families & ~src->sample->valid, out);
	if (r < 0)
		return 0;
	guest_exit_note(src->exits, &s->exit, src->sample);
	note_life(s, src->sample, now_ns);
	if (now_ns - s->moved_ns > SILENT_NS)
		batch_change(out, FLY_INSTANCE_UP, 0);
	return guest_emit(src->sample, &s->floor, out);
}

static int guest_source_collect(struct source *src, int64_t now_ms, struct batch *out,
                                struct err *e)
{
	int r = 0;

	(void)e;
	look_at_profiles(src);
	for (size_t i = 0; i < src->n && r == 0; i++) {
		struct slot *s = src->slots[i];
		uint64_t now_ns = clock_mono_ns();

		if (s->view != VIEW_READ)
			try_attach(src, s, now_ns);
		if (s->view == VIEW_NONE)
			continue;
		r = batch_begin_vm(out, s->vm, now_ms);
		if (r == 0 && s->view == VIEW_READ)
			r = emit(src, s, now_ns, out);
		else if (r == 0)
			guest_emit_nothing(~0u, out);
	}
	return r;
}

/* An app may start and end between two ticks: where it is must be known by then. */
static void guest_source_look_soon(struct source *src)
{
	for (size_t i = 0; i < src->n; i++) {
		struct slot *s = src->slots[i];
		uint64_t now_ns = clock_mono_ns();

		if (vm_age_ns(s->vm) > VM_YOUNG_S * SECOND_NS)
			continue;
		if (s->view == VIEW_STARTING)
			try_attach(src, s, now_ns);
		if (s->view == VIEW_READ && guest_sample(s->guest, src->cache, FAMILIES_OF_THE_END,
		                                         now_ns, src->sample) == 0)
			guest_exit_note(src->exits, &s->exit, src->sample);
	}
}

/* What the host saw of a VM must not end what the guest has counted. */
static void guest_source_vm_exited(struct source *src, const struct vm *vm, struct vm_exit *how,
                                   int64_t now_ms, struct batch *out)
{
	for (size_t i = 0; i < src->n; i++) {
		struct slot *s = src->slots[i];

		if (s->vm->id != vm->id)
			continue;
		guest_exit_conclude(src->exits, &s->exit, how);
		if (s->view != VIEW_NONE && batch_begin_vm(out, vm, now_ms) == 0)
			guest_emit_nothing(~0u, out);
		return;
	}
}

const struct source_ops guest_source = {
	.name = "guest",
	.open = guest_source_open,
	.vm_added = guest_source_vm_added,
	.vm_exited = guest_source_vm_exited,
	.vm_gone = guest_source_vm_gone,
	.collect = guest_source_collect,
	.look_soon = guest_source_look_soon,
	.free = guest_source_free,
};
