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
 *
 * fly_instance_guest_view says which, with the reason as its label.
 *
 * Another kernel  A reboot leaves the old kernel in memory, whole, often until the new one needs
 *                 the place. So when a guest's clock stands still, another kernel is looked for,
 *                 and takes over once its clock has moved: a paused guest keeps its own.
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
#include "userspace/host/guest/profile_dir.h"
#include "userspace/host/guest_emit.h"
#include "userspace/host/guest_exit.h"
#include "userspace/host/guest_finder.h"
#include "userspace/host/guest_guard.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/source.h"
#include "userspace/host/vm.h"
#include "userspace/host/vm_age.h"

#define SECOND_NS           1000000000ull
#define STARTING_NS         (60 * SECOND_NS)  /* a VM may take so long until its kernel is there */
#define RETRY_NS            (SECOND_NS / 2)   /* between looks for a kernel that should come */
#define RETRY_SELDOM_NS     (300 * SECOND_NS) /* for one that did not */
#define STILL_NS            (3 * SECOND_NS)   /* an idle guest's clock moves twice a second */
#define RETRY_STILL_NS      (10 * SECOND_NS)  /* between looks for another kernel */
#define SILENT_NS           (60 * SECOND_NS)  /* a guest whose clock stands still is not up */
#define FAMILIES_OF_THE_END (1u << GUEST_MAIN | 1u << GUEST_LOG | 1u << GUEST_OOM)

enum view {
	VIEW_STARTING,
	VIEW_READ,
	VIEW_NONE
};

enum why {
	WHY_STARTING,
	WHY_GOOD,
	WHY_NO_PROFILE,
	WHY_UNREADABLE,
	WHY_HANGS,
	WHY_STILL
};

static const char *const why_names[] = {
	"starting", "ok", "no_profile", "unreadable", "hangs", "stands_still",
};

/* A kernel in the VM's memory. */
struct reading {
	struct guest *guest; /* NULL: none */
	const struct profile *profile;
	struct locate_access access;
	uint64_t updated_ns, moved_ns; /* the guest's clock, and when it moved last */
};

struct slot {
	const struct vm *vm;
	enum view view;
	enum why why;
	struct reading now;   /* VIEW_READ */
	struct reading other; /* while the clock of that one stands still */
	struct guest_floor floor;
	struct guest_exit exit;
	uint64_t next_try_ns, lost_ns; /* lost: when the view was lost; 0 = never had */
	bool told;                     /* why there is no view */
};

struct source {
	struct finder *finder;
	struct guest_exits *exits;
	struct guest_guard *guard;
	struct mem_cache *cache;
	struct guest_sample *sample; /* scratch */
	struct slot **slots;
	size_t n, cap;
	size_t turn; /* who is looked for first in the next round */
};

static void reading_done(struct reading *r)
{
	guest_detach(r->guest);
	profile_unref(r->profile);
	*r = (struct reading){ 0 };
}

static void slot_free(struct source *src, struct slot *s)
{
	reading_done(&s->now);
	reading_done(&s->other);
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
	guest_guard_free(src->guard);
	finder_free(src->finder);
	free(src->slots);
	free(src->sample);
	free(src->cache);
	free(src);
}

DEFINE_CLEANUP(struct source *, guest_source_free);

static int guest_source_open(struct source **ret, const struct host_conf *conf, struct err *e)
{
	_cleanup_(guest_source_freep) struct source *src = mem_zalloc(1, sizeof(*src));
	int r;

	if (!src)
		return -ENOMEM;
	src->cache = mem_zalloc(1, sizeof(*src->cache));
	src->sample = mem_zalloc(1, sizeof(*src->sample));
	if (!src->cache || !src->sample || guest_guard_new(&src->guard) < 0)
		return -ENOMEM;
	r = guest_exits_new(&src->exits, conf, e);
	if (r == 0)
		r = finder_new(&src->finder, conf);
	if (r < 0)
		return r;
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
	s->why = WHY_STARTING;
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

/* ---- samples -------------------------------------------------------------------------------- */

static void give_up(const struct source *src, struct slot *s, enum why why, const char *words)
{
	s->view = VIEW_NONE;
	s->why = why;
	if (!s->told && finder_has_profiles(src->finder))
		log_warn("guest: not read, only seen from the host",
		         STRV("instance", s->vm->instance), STRV("why", words));
	s->told = true;
}

/* Into the scratch. Who hangs is lost: its thread has it. */
static int sample(struct source *src, struct reading *r, uint32_t families, uint64_t now_ns)
{
	int res;

	if (!r->access.blocks)
		return guest_sample(r->guest, src->cache, families, now_ns, src->sample);
	res = guest_guard_sample(src->guard, r->guest, r->profile, families, now_ns, src->sample);
	if (res == -ETIMEDOUT)
		*r = (struct reading){ 0 };
	return res;
}

static void note_clock(struct reading *r, const struct guest_sample *sample, uint64_t now_ns)
{
	if (sample->updated_ns != r->updated_ns)
		r->moved_ns = now_ns;
	r->updated_ns = sample->updated_ns;
}

/* Rebooted in place, or another kernel took over. */
static void lose(struct source *src, struct slot *s, uint64_t now_ns)
{
	log_info("guest: its kernel is gone, looking for the next",
	         STRV("instance", s->vm->instance));
	reading_done(&s->now);
	reading_done(&s->other);
	guest_exit_forget(src->exits, &s->exit);
	s->view = VIEW_STARTING;
	s->why = WHY_STARTING;
	s->lost_ns = now_ns;
	s->next_try_ns = 0;
}

static void note_failure(struct source *src, struct slot *s, int r, uint64_t now_ns)
{
	if (r == -ESTALE) {
		lose(src, s, now_ns);
	} else if (r == -ETIMEDOUT) {
		guest_exit_forget(src->exits, &s->exit);
		s->next_try_ns = now_ns + RETRY_SELDOM_NS;
		give_up(src, s, WHY_HANGS, "a page of its memory does not come");
	} else {
		s->why = WHY_UNREADABLE;
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

static int find(struct source *src, const struct slot *s, uint64_t dead_gpa, uint64_t now_ns,
                struct reading *ret, struct err *e)
{
	struct reading found = { .moved_ns = now_ns };
	int r = finder_find(src->finder, s->vm, dead_gpa, src->cache, &found.guest, &found.access,
	                    e);

	if (r < 0)
		return r;
	found.profile = profile_ref(guest_profile(found.guest));
	guest_set_main(found.guest, s->vm->main_process);
	*ret = found;
	return 0;
}

static void take(struct slot *s, const struct reading *found)
{
	s->now = *found;
	s->floor = (struct guest_floor){ 0 };
	s->view = VIEW_READ;
	s->why = WHY_GOOD;
	s->told = false;
	log_info("guest: is read", STRV("instance", s->vm->instance),
	         STRV("kernel", s->now.profile->release));
}

static void try_attach(struct source *src, struct slot *s, uint64_t now_ns)
{
	struct err e = ERR_INIT;
	struct reading found;
	int r = find(src, s, NO_KERNEL, now_ns, &found, &e);

	if (r == 0) {
		take(s, &found);
		return;
	}
	if (r == -ENOENT && may_start(s, now_ns)) {
		s->next_try_ns = now_ns + RETRY_NS;
		return;
	}
	s->next_try_ns = now_ns + RETRY_SELDOM_NS;
	if (r == -ENOENT || r == -ENODATA)
		give_up(src, s, WHY_NO_PROFILE, "no profile of its kernel");
	else
		give_up(src, s, WHY_UNREADABLE, e.msg[0] ? e.msg : strerror(-r));
}

/*
 * Looking takes milliseconds, and after a start of the daemon all are looked for: so many as there
 * is time for, then others in the next round.
 */
static void look_for_kernels(struct source *src)
{
	finder_begin(src->finder, clock_mono_ns());
	for (size_t k = 0; k < src->n; k++) {
		struct slot *s = src->slots[(src->turn + k) % src->n];
		uint64_t now_ns = clock_mono_ns();

		if (!finder_may_go_on(src->finder, now_ns)) {
			src->turn = (src->turn + k) % src->n;
			return;
		}
		if (s->view != VIEW_READ && now_ns >= s->next_try_ns)
			try_attach(src, s, now_ns);
	}
}

static void look_at_profiles(struct source *src)
{
	if (!finder_refresh(src->finder))
		return;
	for (size_t i = 0; i < src->n; i++)
		src->slots[i]->next_try_ns = 0;
}

/* ---- another kernel ------------------------------------------------------------------------- */

static void look_for_another(struct source *src, struct slot *s, uint64_t now_ns)
{
	if (now_ns < s->next_try_ns)
		return;
	s->next_try_ns = now_ns + RETRY_STILL_NS;
	if (find(src, s, guest_text_gpa(s->now.guest), now_ns, &s->other, NULL) < 0)
		return;
	if (sample(src, &s->other, 0, now_ns) == 0)
		note_clock(&s->other, src->sample, now_ns);
	else
		reading_done(&s->other);
}

/* It is the one that runs when its clock has moved since it was found. */
static void look_at_other(struct source *src, struct slot *s, uint64_t now_ns)
{
	const uint64_t before_ns = s->other.updated_ns;

	if (sample(src, &s->other, 0, now_ns) < 0 || src->sample->updated_ns == before_ns) {
		reading_done(&s->other);
		return;
	}
	reading_done(&s->now);
	guest_exit_forget(src->exits, &s->exit);
	take(s, &s->other);
	s->other = (struct reading){ 0 };
	s->now.moved_ns = now_ns;
}

static void look_at_clock(struct source *src, struct slot *s, uint64_t now_ns)
{
	const bool still = now_ns - s->now.moved_ns > STILL_NS;

	s->why = still ? WHY_STILL : WHY_GOOD;
	if (!still)
		reading_done(&s->other);
	else if (s->other.guest)
		look_at_other(src, s, now_ns);
	else
		look_for_another(src, s, now_ns);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int emit(struct source *src, struct slot *s, uint64_t now_ns, struct batch *out)
{
	uint32_t families = guest_features_families(s->now.profile);
	int r = sample(src, &s->now, families, now_ns), res = 0;

	guest_emit_nothing(r < 0 ? families : families & ~src->sample->valid, out);
	if (r < 0) {
		note_failure(src, s, r, now_ns);
	} else {
		note_clock(&s->now, src->sample, now_ns);
		guest_exit_note(src->exits, &s->exit, src->sample);
		res = guest_emit(src->sample, &s->floor, out);
	}
	if (s->now.guest && now_ns - s->now.moved_ns > SILENT_NS)
		batch_change(out, FLY_INSTANCE_UP, 0);
	if (s->now.guest && r == 0)
		look_at_clock(src, s, now_ns);
	return res;
}

static int emit_view(const struct slot *s, struct batch *out)
{
	const char *extra[] = { why_names[s->why] };

	return batch_add(out, FLY_INSTANCE_GUEST_VIEW, extra, s->why == WHY_GOOD);
}

static int guest_source_collect(struct source *src, int64_t now_ms, struct batch *out,
                                struct err *e)
{
	int r = 0;

	(void)e;
	look_at_profiles(src);
	look_for_kernels(src);
	for (size_t i = 0; i < src->n && r == 0; i++) {
		struct slot *s = src->slots[i];

		r = batch_begin_vm(out, s->vm, now_ms);
		if (r == 0 && s->view == VIEW_READ)
			r = emit(src, s, clock_mono_ns(), out);
		else if (r == 0 && s->view == VIEW_STARTING)
			guest_emit_nothing(~0u, out);
		if (r == 0)
			r = emit_view(s, out);
	}
	return r;
}

/* An app may start and end between two ticks: where it is must be known by then. */
static void guest_source_look_soon(struct source *src)
{
	look_for_kernels(src);
	for (size_t i = 0; i < src->n; i++) {
		struct slot *s = src->slots[i];

		if (s->view == VIEW_READ && vm_age_ns(s->vm) <= VM_YOUNG_S * SECOND_NS &&
		    !s->now.access.blocks &&
		    sample(src, &s->now, FAMILIES_OF_THE_END, clock_mono_ns()) == 0)
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
