/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Where a monitor keeps its guest's memory, guessed from /proc/PID/maps: for monitors without KVM,
 * and hosts that do not let us ask KVM itself.
 *
 * A guess is a list of segments. Several are made, by what each monitor is known to do below and
 * above the 32-bit hole; which one is right shows when the guest's kernel is found and says where
 * its memory ends (locate.h).
 *
 *	QEMU              one mapping; the part above the hole follows the part below it: holes
 *	                  from 3 GiB (pc, microvm), 2 GiB (q35), 3.5 GiB (pc, small PCI hole)
 *	Firecracker, cloud-hypervisor   a mapping each below and above the hole, from 3 GiB
 *
 * Source: hw/i386/pc_piix.c, pc_q35.c, microvm.c of QEMU 7.2; src/vmm/src/arch/x86_64 of
 * Firecracker; arch/src/x86_64 of cloud-hypervisor.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/guest/mem.h"

#define LAYOUTS_MAX         32
#define LAYOUT_MAPPINGS_MAX 8 /* the largest; guest memory is among them */

struct layout {
	struct mem_seg segs[MEM_SEGS_MAX];
	uint32_t n_segs;
	bool shared;    /* a hole in it would be filled by reading it */
	bool from_file; /* a private mapping of a file: reading may wait for a disk */
};

struct layout_access {
	bool shared;  /* a hole in it would be filled by reading it */
	bool blocks;  /* a userfaultfd handler brings pages: reading waits for it */
	bool unknown; /* not all of it was found */
};

/*
 * layout_access_of_smaps() - what reading a guest's memory would do, by the text of
 * /proc/PID/smaps, which may be anything. Pure.
 */
struct layout_access layout_access_of_smaps(struct str smaps, const struct mem_seg *segs,
                                            uint32_t n_segs);

/*
 * layouts_of_maps() - guesses from the text of /proc/PID/maps into @out, at most LAYOUTS_MAX.
 *
 * @memory_bytes is what the VM was given, 0 when that is not known. Returns how many. @maps may be
 * anything. Pure.
 */
uint32_t layouts_of_maps(struct str maps, uint64_t memory_bytes, struct layout *out);
