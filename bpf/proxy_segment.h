/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * One TCP segment as it passes: where its payload is, and its place in the stream. Segments here
 * may be as large as offloading makes them. Most of their bytes are not in the part of a packet
 * that programs may read directly, so everything behind the headers is loaded.
 */

#include <stdbool.h>

#include <linux/types.h>

struct seg {
	struct __sk_buff *skb;
	__u32 off; /* of the payload in the packet */
	__u32 seq, len;
	__u64 now_ns; /* 0: not asked for yet */
	bool is_egress;
};

/*
 * Loads @n bytes, 1 to the constant @max. The verifier of Linux 6.1 believes neither a test against
 * 0 nor one against @max that the compiler has moved; so the number is made to fit.
 */
static __always_inline int seg_load(const struct seg *s, __u32 at, void *dst, __u32 n,
                                    const __u32 max)
{
	const __u32 mask = max < 2 ? 0 : (__u32)((1ull << (32 - __builtin_clz(max - 1))) - 1);

	n -= 1;
	asm volatile("%0 &= %1" : "+r"(n) : "i"(mask));
	n += 1;
	if (n > max)
		return -1;
	return (int)bpf_skb_load_bytes(s->skb, s->off + at, dst, n);
}

/*
 * When the segment passed. What goes out bears the time at which TCP let it go, by the same clock
 * and for nothing.
 */
static __always_inline __u64 seg_now(struct seg *s)
{
	if (s->now_ns == 0 && s->is_egress)
		s->now_ns = s->skb->tstamp;
	if (s->now_ns == 0)
		s->now_ns = bpf_ktime_get_ns();
	return s->now_ns;
}

#define PROTO_TCP 6
#define TCP_FIN   0x01
#define TCP_RST   0x04

/*
 * False when there is nothing to look at: no TCP, or no payload and no end. *@ret_ends is 1 when
 * the segment is the last of its side, 2 when it is the last of both.
 */
static __always_inline bool seg_open(struct __sk_buff *skb, bool is_egress, struct seg *s,
                                     int *ret_ends)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 off, flags;

	if (p + 40 > end)
		return false;
	if (p[0] >> 4 == 4) {
		if (p[9] != PROTO_TCP)
			return false;
		off = (__u32)(p[0] & 15) * 4;
	} else {
		/*
		 * Behind extension headers there is TCP of which we see nothing; hardly anybody has
		 * them.
		 */
		if (p[6] != PROTO_TCP)
			return false;
		off = 40;
	}
	if (p + off + 20 > end)
		return false;
	p += off;
	off += (__u32)(p[12] >> 4) * 4;
	flags = p[13];
	s->skb = skb;
	s->off = off;
	s->len = skb->len - off;
	s->now_ns = 0;
	s->is_egress = is_egress;
	*ret_ends = flags & TCP_RST ? 2 : flags & TCP_FIN ? 1 : 0;
	if (s->len == 0 && *ret_ends == 0)
		return false;
	s->seq = (__u32)p[4] << 24 | (__u32)p[5] << 16 | (__u32)p[6] << 8 | p[7];
	return true;
}

/*
 * Whether @next, the position that is to be looked at, is at or behind the segment's first byte. If
 * it is before, bytes are missing: *@ret_lost says that TCP has had them, so they passed while we
 * did not look. A segment that has overtaken others is left alone until they have come.
 */
static __always_inline bool seg_is_due(const struct seg *s, __u32 next, bool *ret_lost)
{
	struct tcp_sock *tp;
	struct bpf_sock *sk;

	*ret_lost = false;
	if ((__s32)(s->seq - next) <= 0)
		return true;
	sk = s->skb->sk;
	tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	*ret_lost = tp && (__s32)(tp->rcv_nxt - s->seq) >= 0;
	return false;
}
