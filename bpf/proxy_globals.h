/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* What user space sets and reads of bpf/proxy.bpf.c beside its maps. */

#include "bpf/proxy.h"

const volatile __u32 proxy_index = 0; /* of user space's list of proxies */

struct proxy_settings settings = {};
struct proxy_counters counters = {};

static void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}
