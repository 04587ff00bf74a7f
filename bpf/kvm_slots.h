/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/kvm_slots.bpf.c and userspace/host/kvm_slots.c: shapes, and nothing else. */

#include <linux/types.h>

struct kvm_slot_rec { /* a piece of guest memory, in bytes */
	__u64 gpa, bytes, hva;
};
