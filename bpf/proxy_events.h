/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * Maps of bpf/proxy.bpf.c, and handing records to user space: which looks every 50 ms, so that no
 * record wakes it up; that would cost more than the record. A record without room is counted.
 */

#include "bpf/proxy_conn.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PROXY_RING_BYTES);
} proxy_ring SEC(".maps");

static __always_inline struct proxy_rec *rec_reserve(const struct conn *c, __u8 what, __u64 at_ns)
{
	struct proxy_rec *rec = bpf_ringbuf_reserve(&proxy_ring, sizeof(*rec), 0);

	if (!rec) {
		count(&counters.lost[what & (PROXY_WHATS - 1)]);
		return NULL;
	}
	rec->what = what;
	rec->role = c->role;
	rec->flags = c->flags;
	rec->why = 0;
	rec->proxy = proxy_index;
	rec->cookie = c->cookie;
	rec->at_ns = at_ns;
	return rec;
}

static __always_inline void rec_submit(void *rec)
{
	bpf_ringbuf_submit(rec, BPF_RB_NO_WAKEUP);
}

/* Header of a record with bytes; what is not named here the caller sets. */
static __always_inline void bytes_head(struct proxy_bytes_rec *rec, const struct conn *c, __u8 what,
                                       __u64 at_ns, __u32 at, __u32 len)
{
	rec->what = what;
	rec->role = c->role;
	rec->flags = c->flags;
	rec->by_server = 0;
	rec->proxy = proxy_index;
	rec->cookie = c->cookie;
	rec->at_ns = at_ns;
	rec->len = len;
	rec->at = at;
	rec->key = 0;
	rec->type = rec->type_flags = 0;
	rec->pad = 0;
	rec->frame_len = 0;
}
