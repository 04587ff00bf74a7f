/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * State of one connection, kept with its socket and freed with it by the kernel: no table that
 * could fill up, nothing to look for that is gone. For kernel programs only.
 */

#include <linux/types.h>

#include "bpf/proxy.h"

struct conn {
	__u64 cookie;
	__u64 begun_ns; /* edge: established; app: SYN sent */
	__u64 connect_ns;
	__u64 in_base, out_base;         /* the kernel's byte counters at the beginning */
	__u64 in_reported, out_reported; /* of payload */
	__u8 role;                       /* enum proxy_role; 0: not ours */
	__u8 flags;                      /* enum proxy_flags */
	__u8 is_open;                    /* it was established */
};
