/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"
#include "userspace/host/guest/clock.h"
#include "userspace/host/guest/space.h"
#include "userspace/host/guest/walk.h"

#define TICK_NS_MIN    500000u /* HZ from 100 to 1000, and room */
#define TICK_NS_MAX    20000000u
#define RATING_TICKS   2u /* of the clocks that count ticks; all others go on between updates */
#define NODE_PAGES_MAX ((uint64_t)1 << 36)

struct guest {
	const struct profile *p;
	struct mem m;
	struct space s;
	struct envelope clock;
	uint64_t updated_ns, boot_offset_ns; /* as last read; 0 = never yet */
	bool counts_ticks;                   /* its clock stands still between updates */
	uint64_t fixed_now_ns;               /* guest_set_now(); 0 = by the envelope */
	char main_comm[GUEST_COMM_CAP];
};

#define NEEDS_1(need) (1u << (need))
static const struct family {
	const char *name;
	uint32_t needs; /* bit for each enum profile_need */
	void (*walk)(struct walk *w);
} families[GUEST_FAMILIES] = {
	[GUEST_MEMORY] = { "memory", NEEDS_1(NEED_MEMORY), walk_memory },
	[GUEST_PRESSURE] = { "pressure", NEEDS_1(NEED_PRESSURE), walk_pressure },
	[GUEST_LOAD] = { "load", NEEDS_1(NEED_LOAD), walk_load },
	[GUEST_CPU] = { "cpu", NEEDS_1(NEED_CPU), walk_cpu },
	[GUEST_DISK] = { "disk", NEEDS_1(NEED_DISK), walk_disks },
	[GUEST_NET] = { "net", NEEDS_1(NEED_NET) | NEEDS_1(NEED_VIRTIO_NET), walk_nets },
	[GUEST_FILES] = { "files", NEEDS_1(NEED_FILES), walk_files },
	[GUEST_MOUNTS] = { "mounts", NEEDS_1(NEED_MOUNTS), walk_mounts },
	[GUEST_OOM] = { "oom", NEEDS_1(NEED_OOM), walk_oom },
	[GUEST_MAIN] = { "main", NEEDS_1(NEED_TASKS) | NEEDS_1(NEED_MOUNTS), walk_main },
	[GUEST_LOG] = { "log", NEEDS_1(NEED_LOG), walk_log },
};

static const char *const memory_names[GUEST_MEM_N] = {
	"mem_total", "mem_free", "mem_available", "buffers",      "cached",        "swap_cached",
	"active",    "inactive", "swap_total",    "swap_free",    "dirty",         "writeback",
	"shmem",     "slab",     "vmalloc_total", "vmalloc_used", "vmalloc_chunk",
};

static const char *const mode_names[GUEST_MODES] = {
	"user", "nice",    "system", "idle",  "iowait",
	"irq",  "softirq", "steal",  "guest", "guest_nice",
};

const char *guest_family_name(enum guest_family family)
{
	return families[family].name;
}

const char *guest_memory_name(enum guest_memory field)
{
	return memory_names[field];
}

const char *guest_mode_name(enum guest_mode mode)
{
	return mode_names[mode];
}

const struct profile *guest_profile(const struct guest *g)
{
	return g->p;
}

void guest_set_now(struct guest *g, uint64_t mono_ns)
{
	g->fixed_now_ns = mono_ns;
}

void guest_set_main(struct guest *g, const char *comm)
{
	(void)snprintf(g->main_comm, sizeof(g->main_comm), "%s", comm);
}

void guest_record(struct guest *g, void (*record)(void *ctx, uint64_t pfn, const uint8_t *bytes),
                  void *ctx)
{
	g->m.record = record;
	g->m.record_ctx = ctx;
	g->m.n_list = 0;
	g->m.again.bytes = 0;
}

int guest_reopen(struct guest *g, int pid, bool careful)
{
	struct mem m = { 0 };
	int r = mem_open_process(&m, pid, g->m.segs, g->m.n_segs, careful);

	if (r < 0)
		return r;
	mem_close(&g->m);
	g->m = m;
	return 0;
}

int guest_find_again(struct guest *g, struct mem_cache *cache)
{
	return space_find(&g->m, cache, g->p, NO_KERNEL, &g->s);
}

const struct mem *guest_mem(const struct guest *g)
{
	return &g->m;
}

const struct mem_counts *guest_counts(const struct guest *g)
{
	return &g->m.counts;
}

uint32_t guest_features_families(const struct profile *p)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < GUEST_FAMILIES; i++) {
		if ((p->features & families[i].needs) == families[i].needs)
			set |= 1u << i;
	}
	return set;
}

uint64_t guest_text_gpa(const struct guest *g)
{
	return space_text_gpa(&g->s);
}

int guest_attach(struct guest **ret, const struct profile *p, struct mem *m,
                 struct mem_cache *cache, uint64_t dead_gpa)
{
	struct space s;
	struct guest *g;
	int r = space_find(m, cache, p, dead_gpa, &s);

	if (r < 0)
		return r;
	g = mem_zalloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->p = p;
	g->s = s;
	g->m = *m;
	*m = (struct mem){ 0 };
	*ret = g;
	return 0;
}

int guest_for_tests(struct guest **ret, const struct profile *p, const struct mem *m)
{
	struct guest *g = mem_zalloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->p = p;
	g->m = *m;
	*ret = g;
	return 0;
}

void guest_detach(struct guest *g)
{
	if (g)
		mem_close(&g->m);
	free(g);
}

int guest_memory_end(struct guest *g, struct mem_cache *cache, uint64_t *ret_gpa)
{
	struct walk w = { .m = &g->m, .p = g->p, .s = &g->s };
	uint64_t node, end;
	bool good;

	mem_begin(&g->m, cache);
	node = walk_has_symbol(&w, S_NODE_DATA) ? walk_u64(&w, walk_symbol(&w, S_NODE_DATA))
	                                        : walk_symbol(&w, S_ONLY_NODE);
	end = walk_get(&w, node, F_NODE_START) + walk_get(&w, node, F_NODE_SPANNED);
	good = walk_get(&w, node, F_NODE_ID) == 0 && end < NODE_PAGES_MAX && !walk_failed(&w);
	mem_end(&g->m);
	if (!good)
		return -EBADMSG;
	*ret_gpa = end * MEM_PAGE_BYTES;
	return 0;
}

/* ---- the clock ------------------------------------------------------------------------------ */

struct timekeeper {
	uint32_t seq;
	uint64_t updated_ns, boot_offset_ns, clock;
};

static void read_timekeeper(struct walk *w, struct timekeeper *ret)
{
	uint64_t core = walk_symbol(w, S_TIMEKEEPER);
	uint64_t tk = core + (uint64_t)walk_value(w, V_TIMEKEEPER_AT);

	ret->seq = walk_u32(w, core);
	ret->updated_ns = walk_get(w, tk, F_TK_MONO_NS) + (walk_get(w, tk, F_TK_MONO_FRACTION) >>
	                                                   (walk_get(w, tk, F_TK_SHIFT) & 63));
	ret->clock = walk_get(w, tk, F_TK_CLOCK);
	ret->boot_offset_ns = walk_get(w, tk, F_TK_BOOT_OFFSET_NS);
}

static bool is_settled(struct walk *w)
{
	uint64_t core = walk_symbol(w, S_TIMEKEEPER);
	uint32_t bytes = (uint32_t)walk_value(w, V_TIMEKEEPER_AT) +
	                 w->p->fields[F_TK_BOOT_OFFSET_NS].offset + 8;

	return mem_is_settled(w->m, space_gpa(w->s, &w->tlb, w->m, core), bytes);
}

/*
 * Two readings of the memory itself with the same even sequence count: a torn one could be a
 * second ahead, and the envelope would keep that.
 */
static bool read_clock(struct walk *w, struct timekeeper *ret)
{
	struct timekeeper again;

	read_timekeeper(w, ret);
	if (ret->seq % 2 == 0 && is_settled(w))
		return true;
	for (int attempt = 0; attempt < 3 && !walk_failed(w); attempt++) {
		read_timekeeper(w, ret);
		mem_forget(w->m);
		read_timekeeper(w, &again);
		if (ret->seq == again.seq && ret->seq % 2 == 0)
			return !walk_failed(w);
		mem_forget(w->m);
	}
	return false;
}

/* HZ is what the clock of jiffies counts in: 1024000000 >> 8 is 4 ms. */
static uint64_t read_tick_ns(struct walk *w)
{
	uint64_t clock = walk_symbol(w, S_TICK_CLOCK);

	return walk_get(w, clock, F_CLOCKSOURCE_MULT) >>
	       (walk_get(w, clock, F_CLOCKSOURCE_SHIFT) & 31);
}

/*
 * The guest's time, now and when it was last updated. The host's clock is looked at after the
 * guest's was read: whoever loses the CPU in between finds the guest behind, which later samples
 * mend, and never ahead, which they would keep.
 */
static void note_clock(struct guest *g, struct walk *w, const struct timekeeper *tk)
{
	g->counts_ticks = walk_get(w, tk->clock, F_CLOCKSOURCE_RATING) <= RATING_TICKS;
	if (walk_failed(w))
		return;
	envelope_add(&g->clock, tk->updated_ns, clock_mono_ns());
	g->updated_ns = tk->updated_ns;
	g->boot_offset_ns = tk->boot_offset_ns;
}

/*
 * A vCPU that lost its CPU in the middle of an update of the clock leaves it unsettled for as long
 * as that takes: then it is what it was, and has gone on as the host's has.
 */
static int read_time(struct guest *g, struct walk *w, uint64_t host_ns)
{
	struct timekeeper tk = { 0 };

	if (read_clock(w, &tk))
		note_clock(g, w, &tk);
	else if (!mem_failed(&g->m) && g->updated_ns == 0)
		return -EBADMSG;
	w->updated_ns = g->updated_ns;
	w->now_ns = g->counts_ticks ? g->updated_ns : envelope_now(&g->clock, host_ns);
	if (g->fixed_now_ns != 0)
		w->now_ns = g->fixed_now_ns;
	return mem_failed(&g->m) ? -EFAULT : 0;
}

static int open_sample(struct guest *g, struct walk *w, uint64_t host_ns)
{
	int r;

	if (!space_is_same(&g->s, &g->m, g->p))
		return mem_failed(&g->m) ? -EFAULT : -ESTALE;
	walk_begin(w);
	r = read_time(g, w, host_ns);
	if (r < 0)
		return r;
	w->tick_ns = read_tick_ns(w);
	if (walk_failed(w) || w->tick_ns < TICK_NS_MIN || w->tick_ns > TICK_NS_MAX)
		return -EBADMSG;
	w->out->mono_ns = w->now_ns;
	w->out->boot_ns = w->now_ns + g->boot_offset_ns;
	w->out->updated_ns = w->updated_ns;
	return 0;
}

/* ---- families ------------------------------------------------------------------------------- */

/* A list that was changed under our eyes is whole again a moment later. */
static bool read_family(struct guest *g, struct walk *w, const struct family *f)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		mem_clear_error(&g->m);
		if (attempt > 0) {
			mem_forget(&g->m);
			memset(&w->tlb, 0, sizeof(w->tlb));
		}
		f->walk(w);
		if (!walk_failed(w))
			return true;
	}
	return false;
}

static void read_families(struct guest *g, struct walk *w, uint32_t wanted)
{
	wanted &= guest_features_families(g->p);
	for (uint32_t i = 0; i < GUEST_FAMILIES; i++) {
		if ((wanted >> i & 1) && read_family(g, w, &families[i]))
			w->out->valid |= 1u << i;
	}
}

int guest_sample(struct guest *g, struct mem_cache *cache, uint32_t wanted, uint64_t host_ns,
                 struct guest_sample *ret)
{
	struct walk w = {
		.m = &g->m, .p = g->p, .s = &g->s, .main_comm = g->main_comm, .out = ret
	};
	int r;

	*ret = (struct guest_sample){ 0 };
	mem_begin(&g->m, cache);
	r = open_sample(g, &w, host_ns);
	if (r == 0)
		read_families(g, &w, wanted);
	mem_end(&g->m);
	return r;
}
