/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Private to the introspection: one sample in progress, and how the families read from it.
 *
 * Reads take kernel addresses, never fail visibly and give 0 after an error (mem.h); so a family is
 * a plain transcription of what the kernel does for /proc, and its loops end by walk_failed().
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "userspace/host/guest/guest.h"
#include "userspace/host/guest/mem.h"
#include "userspace/host/guest/profile.h"
#include "userspace/host/guest/space.h"

#define WALK_CPU_WORDS 4u /* of 64 CPUs */

struct walk {
	struct mem *m;
	const struct profile *p;
	const struct space *s;
	struct space_tlb tlb;
	uint64_t possible[WALK_CPU_WORDS], online[WALK_CPU_WORDS]; /* CPUs */
	uint64_t now_ns, updated_ns; /* the guest's monotonic clock: now, and when last updated */
	uint64_t tick_ns;            /* of a jiffy */
	const char *main_comm;       /* guest_set_main() */
	struct guest_sample *out;
};

static inline bool walk_failed(const struct walk *w)
{
	return mem_failed(w->m);
}

static inline bool walk_has(const struct walk *w, enum profile_field field)
{
	return w->p->fields[field].there;
}

static inline int64_t walk_value(const struct walk *w, enum profile_value value)
{
	return w->p->values[value];
}

static inline bool walk_has_symbol(const struct walk *w, enum profile_symbol symbol)
{
	return w->p->symbols_there[symbol];
}

/* Address of a variable; per-CPU ones: of @cpu's own. */
static inline uint64_t walk_symbol(const struct walk *w, enum profile_symbol symbol)
{
	return space_symbol(w->s, w->p, symbol);
}

uint64_t walk_per_cpu_symbol(struct walk *w, enum profile_symbol symbol, uint32_t cpu);
/* The same of a per-CPU pointer, as alloc_percpu() gives it. */
uint64_t walk_per_cpu(struct walk *w, uint64_t pointer, uint32_t cpu);

/* A number of 1, 2, 4 or 8 bytes, zero-extended. */
uint64_t walk_number(struct walk *w, uint64_t addr, uint32_t bytes);
static inline uint64_t walk_u64(struct walk *w, uint64_t addr)
{
	return walk_number(w, addr, 8);
}
static inline uint32_t walk_u32(struct walk *w, uint64_t addr)
{
	return (uint32_t)walk_number(w, addr, 4);
}

/* The member @field of the struct at @base: a FIELD or a FLAG. It must be there. */
uint64_t walk_get(struct walk *w, uint64_t base, enum profile_field field);
static inline uint64_t walk_place(const struct walk *w, uint64_t base, enum profile_field field)
{
	return base + w->p->fields[field].offset;
}

/* @n bytes, which may straddle pages. */
void walk_copy(struct walk *w, uint64_t addr, void *dst, uint32_t n);

/*
 * walk_text() - a text of at most @cap - 1 bytes, NUL-terminated in @dst.
 *
 * The guest chose it: what is not printable ASCII becomes '?'. Reads no further than its end.
 */
void walk_text(struct walk *w, uint64_t addr, char *dst, uint32_t cap);

/* The next CPU of @mask from @from on, or UINT32_MAX. */
uint32_t walk_next_cpu(const uint64_t mask[WALK_CPU_WORDS], uint32_t from);
#define WALK_EACH_CPU(cpu, mask)                                       \
	for (uint32_t cpu = walk_next_cpu(mask, 0); cpu != UINT32_MAX; \
	     cpu = walk_next_cpu(mask, cpu + 1))

/*
 * A list_head: calls for every entry whose node is in the ring that begins and ends at @head;
 * @offset is where the node is in the entry. Past @max entries the ring counts as broken.
 */
struct walk_list {
	uint64_t head, at;
	uint32_t offset, left;
};
struct walk_list walk_list_begin(uint64_t head, uint32_t offset, uint32_t max);
uint64_t walk_list_next(struct walk *w, struct walk_list *l); /* 0 at the end */

/* Opens the sample: CPU masks and clock. */
void walk_begin(struct walk *w);

/* One function for each family; each fills its part of w->out. */
void walk_memory(struct walk *w);
void walk_load(struct walk *w);
void walk_cpu(struct walk *w);
void walk_pressure(struct walk *w);
void walk_disks(struct walk *w);
void walk_nets(struct walk *w);
void walk_files(struct walk *w);
void walk_mounts(struct walk *w);
void walk_oom(struct walk *w);
void walk_main(struct walk *w);
void walk_log(struct walk *w);

/* What statfs(2) would say of the superblock at @super; false when that is not known. */
bool walk_statfs(struct walk *w, uint64_t super, struct guest_mount *out);

/* A struct percpu_counter: the parts of all CPUs that are online and the common one, at least 0. */
int64_t walk_counter_sum(struct walk *w, uint64_t counter);
