/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Where a guest kernel lies in its memory, and from its addresses to physical ones: KASLR, 4 and 5
 * levels of page tables. The kernel's own table is walked, so PTI makes no difference.
 *
 * Source: arch/x86/include/asm/page_64.h, Documentation/arch/x86/x86_64/mm.rst.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/host/guest/mem.h"
#include "userspace/host/guest/profile.h"

struct space {
	uint64_t slide;       /* address at run time = link-time address + slide */
	uint64_t phys_base;   /* physical = address - START_KERNEL + phys_base, in the image */
	uint64_t text, end;   /* of the image, at run time */
	uint64_t page_offset; /* start of the direct map */
	uint64_t table_gpa;   /* top page table */
	bool five_levels;
};

#define SPACE_TLB_N 64u
#define NO_KERNEL   UINT64_MAX

struct space_tlb { /* of one sample; zeroed is empty */
	struct {
		uint64_t page, gpa; /* page 0: empty, no kernel address is there */
	} entries[SPACE_TLB_N];
};

/*
 * space_find() - looks for the kernel of @p in the guest's memory.
 *
 * Every 2 MiB may be its start: its banner must be where the profile says, and the kernel's own
 * page table must lead from the banner's address back to it, which tells the running kernel from
 * copies of its image. A kernel that another one took over from (kexec) may look as if it still
 * ran: @dead_gpa is where the text of one is that does not, or NO_KERNEL. Leaves no sample open.
 * Returns 0, or -ENOENT: not there, or not booted yet.
 * Cost: a vectored read for every 2 GiB of memory, 0.5 to 4 ms.
 */
int space_find(struct mem *m, struct mem_cache *cache, const struct profile *p, uint64_t dead_gpa,
               struct space *ret);
uint64_t space_text_gpa(const struct space *s);

/* True while the banner is where it was: no other kernel was booted. Within a sample. */
bool space_is_same(const struct space *s, struct mem *m, const struct profile *p);

/* The physical address of @addr; fails @m with -EFAULT when it has none. */
uint64_t space_gpa(const struct space *s, struct space_tlb *tlb, struct mem *m, uint64_t addr);

static inline uint64_t space_symbol(const struct space *s, const struct profile *p,
                                    enum profile_symbol symbol)
{
	return p->symbols[symbol] + s->slide;
}
