/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one proxy does, seen where the kernel already acts on its packets.
 *
 * Scope    one object for each proxy, attached to its cgroup (v2): nobody else's packets run
 *          through it. Everything is read only, and every packet passes.
 * Hooks    sockops at the few moments of a connection's life; cgroup_skb for each segment, of
 *          which those without payload cost next to nothing; iter/tcp when user space polls.
 * State    in the socket's own storage (proxy_conn.h).
 * Keys     user space owns vm_addrs and listeners; what is inserted here is bounded: ports that
 *          this cgroup listens on, and requests that came before their connection was accepted.
 * Loss     a full ring loses the record, and counts it. What an open connection lost, the next
 *          poll finds again; bytes are never lost, for they are differences from what was reported.
 * Races    sockops and the iterator hold the socket's lock. cgroup_skb does not: see proxy_conn.h.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/kernel_types.h"
#include "bpf/proxy_events.h"
#include "bpf/proxy_http1.h"
#include "bpf/proxy_http2.h"
#include "bpf/proxy_tls.h"

#define AF_INET 2

#define ECONNREFUSED 111
#define ETIMEDOUT    110
#define ENETUNREACH  101
#define EHOSTUNREACH 113

#define CGROUP_DEPTH_MAX 16

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROXY_VMS_MAX);
	__type(key, struct proxy_addr);
	__type(value, __u32);
} vm_addrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROXY_LISTENERS_MAX);
	__type(key, struct proxy_endpoint);
	__type(value, __u32);
} listeners SEC(".maps");

/* Where the cgroup was found to listen, for adopted connections of a proxy without a list. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PROXY_PORTS_MAX);
	__type(key, __u16);
	__type(value, __u32);
} own_ports SEC(".maps");

/* ---- addresses ----------------------------------------------------------------------------- */

static __always_inline void put_v4(struct proxy_addr *a, __u32 ip)
{
	*(__u64 *)a->ip = 0;
	*(__u32 *)(a->ip + 8) = bpf_htonl(0xffff);
	*(__u32 *)(a->ip + 12) = ip;
}

/*
 * A context may only be read at constant offsets: without this the compiler merges two branches
 * into one read at an offset that it computes.
 */
#define CTX_U32(ctx, field)                                                               \
	({                                                                                \
		__u32 _v;                                                                 \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                     \
		             : "=r"(_v)                                                   \
		             : "r"(ctx), "i"(__builtin_offsetof(typeof(*(ctx)), field))); \
		_v;                                                                       \
	})

static __always_inline void put_pair(struct proxy_pair *p, struct bpf_sock_ops *ops)
{
	if (ops->family == AF_INET) {
		put_v4(&p->local, CTX_U32(ops, local_ip4));
		put_v4(&p->remote, CTX_U32(ops, remote_ip4));
	} else {
		__u32 *local = (__u32 *)p->local.ip, *remote = (__u32 *)p->remote.ip;

		local[0] = CTX_U32(ops, local_ip6[0]);
		local[1] = CTX_U32(ops, local_ip6[1]);
		local[2] = CTX_U32(ops, local_ip6[2]);
		local[3] = CTX_U32(ops, local_ip6[3]);
		remote[0] = CTX_U32(ops, remote_ip6[0]);
		remote[1] = CTX_U32(ops, remote_ip6[1]);
		remote[2] = CTX_U32(ops, remote_ip6[2]);
		remote[3] = CTX_U32(ops, remote_ip6[3]);
	}
	p->local_port = (__u16)ops->local_port;
	p->remote_port = (__u16)bpf_ntohl(ops->remote_port);
}

static __always_inline void put_sk_pair(struct proxy_pair *p, const struct sock_common *sk)
{
	if (sk->skc_family == AF_INET) {
		put_v4(&p->local, sk->skc_rcv_saddr);
		put_v4(&p->remote, sk->skc_daddr);
	} else {
		bpf_probe_read_kernel(&p->local, sizeof(p->local), &sk->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(&p->remote, sizeof(p->remote), &sk->skc_v6_daddr);
	}
	p->local_port = sk->skc_num;
	p->remote_port = bpf_ntohs(sk->skc_dport);
}

static bool is_listener(const struct proxy_pair *p)
{
	struct proxy_endpoint at = { .addr = p->local, .port = p->local_port };

	if (settings.all_listeners || bpf_map_lookup_elem(&listeners, &at))
		return true;
	at.addr = (struct proxy_addr){};
	return bpf_map_lookup_elem(&listeners, &at) != NULL;
}

/* ---- records ------------------------------------------------------------------------------- */

static void send_open(const struct conn *c, const struct proxy_pair *pair, __u64 now_ns)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_OPEN, now_ns);

	if (!rec)
		return;
	rec->open.pair = *pair;
	rec->open.pad = 0;
	rec->open.connect_ns = c->connect_ns;
	rec_submit(rec);
}

/* ---- bytes --------------------------------------------------------------------------------- */

enum { /* include/net/tcp_states.h */
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

static bool peer_has_finished(const struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags & (1ul << SOCK_DONE);
}

/* The kernel counts the peer's FIN as a byte. */
static __u64 payload_in(const struct conn *c, const struct tcp_sock *tp)
{
	return tp->bytes_received - c->in_base - peer_has_finished(tp);
}

/* And ours, once it is acknowledged. @state: before this transition. */
static __u64 payload_out(const struct conn *c, const struct tcp_sock *tp, int state)
{
	bool fin_sent = state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
	                state == TCP_LAST_ACK;

	return tp->bytes_acked - c->out_base - (fin_sent && tp->snd_una == tp->write_seq);
}

static void set_bases(struct conn *c, const struct tcp_sock *tp)
{
	c->first_in = tp->rcv_nxt;
	c->first_out = tp->write_seq;
	c->in_base = tp->bytes_received;
	c->out_base = tp->bytes_acked;
}

/* ---- life of a connection ------------------------------------------------------------------ */

static struct conn *conn_of(struct bpf_sock_ops *ops, __u64 flags)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&conns, sk, NULL, flags) : NULL;
}

static struct conn *conn_begin(struct bpf_sock_ops *ops, __u8 role)
{
	struct conn *c = conn_of(ops, BPF_SK_STORAGE_GET_F_CREATE);

	if (!c) {
		count(&counters.no_memory);
		return NULL;
	}
	c->role = role;
	c->cookie = bpf_get_socket_cookie(ops);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	return c;
}

static struct tcp_sock *tcp_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_skc_to_tcp_sock(sk) : NULL;
}

static void on_connect(struct bpf_sock_ops *ops)
{
	struct proxy_pair pair;
	struct conn *c;

	put_pair(&pair, ops);
	if (!bpf_map_lookup_elem(&vm_addrs, &pair.remote))
		return;
	c = conn_begin(ops, PROXY_APP);
	if (c)
		c->begun_ns = bpf_ktime_get_ns();
}

static void on_established(struct bpf_sock_ops *ops, struct conn *c, const struct proxy_pair *pair)
{
	struct tcp_sock *tp = tcp_of(ops);
	__u64 now_ns = bpf_ktime_get_ns();

	if (!tp)
		return;
	if (c->begun_ns)
		c->connect_ns = now_ns - c->begun_ns;
	else
		c->begun_ns = now_ns;
	c->is_open = 1;
	set_bases(c, tp);
	send_open(c, pair, now_ns);
}

static void on_active(struct bpf_sock_ops *ops)
{
	struct conn *c = conn_of(ops, 0);
	struct proxy_pair pair;

	put_pair(&pair, ops);
	if (!c && bpf_map_lookup_elem(&vm_addrs, &pair.remote)) {
		c = conn_begin(ops, PROXY_APP); /* the SYN went out before we were here */
		if (c)
			c->flags |= PROXY_UNTIMED;
	}
	if (c)
		on_established(ops, c, &pair);
}

static void on_passive(struct bpf_sock_ops *ops)
{
	struct proxy_pair pair;
	struct conn *c;

	put_pair(&pair, ops);
	if (!is_listener(&pair))
		return;
	c = conn_begin(ops, PROXY_EDGE);
	if (c)
		on_established(ops, c, &pair);
}

static __u8 fail_of(int error)
{
	switch (error) {
	case 0:
		return PROXY_FAIL_GIVEN_UP;
	case ECONNREFUSED:
		return PROXY_FAIL_REFUSED;
	case ETIMEDOUT:
		return PROXY_FAIL_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return PROXY_FAIL_UNREACHABLE;
	default:
		return PROXY_FAIL_OTHER;
	}
}

static void send_connect_fail(struct bpf_sock_ops *ops, const struct conn *c,
                              const struct tcp_sock *tp)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_CONNECT_FAIL, bpf_ktime_get_ns());

	if (!rec)
		return;
	rec->why = fail_of(tp->inet_conn.icsk_inet.sk.sk_err);
	put_pair(&rec->open.pair, ops);
	rec->open.pad = 0;
	rec->open.connect_ns = 0;
	rec_submit(rec);
}

static void put_tally(struct proxy_rec *rec, const struct conn *c)
{
	const struct proxy_tally *t = &c->h1.tally;
	bool has_one = c->proto == CONN_HTTP1 && t->n == 1;

	rec->close.sum_ns = has_one ? t->sum_ns : 0;
	rec->close.host = has_one ? t->host : 0;
	rec->close.epoch = has_one ? t->epoch : 0;
	rec->close.status = has_one ? t->status : 0;
	rec->close.n = has_one;
	rec->close.is_check = has_one && t->is_check;
}

static void send_close(struct conn *c, __u64 in_bytes, __u64 out_bytes, __u64 now_ns)
{
	struct proxy_rec *rec = rec_reserve(c, PROXY_CLOSE, now_ns);

	if (!rec)
		return;
	rec->close.in_bytes = in_bytes - c->in_reported;
	rec->close.out_bytes = out_bytes - c->out_reported;
	put_tally(rec, c);
	rec_submit(rec);
}

static void on_end(struct conn *c, const struct tcp_sock *tp, int before)
{
	__u64 now_ns = bpf_ktime_get_ns();

	if (c->proto == CONN_HTTP1) {
		h1_close(c, now_ns);
		if (c->h1.tally.n > 1)
			h1_flush(c);
	} else if (c->proto == CONN_TLS) {
		tls_close(c, now_ns);
	}
	send_close(c, payload_in(c, tp), payload_out(c, tp, before), now_ns);
	c->is_open = 0;
}

static void on_state(struct bpf_sock_ops *ops)
{
	int before = (int)ops->args[0], now = (int)ops->args[1];
	struct tcp_sock *tp;
	struct conn *c;

	if (now != TCP_CLOSE && now != TCP_CLOSE_WAIT)
		return;
	c = conn_of(ops, 0);
	tp = tcp_of(ops);
	if (!c || !tp)
		return;
	/* Reset by the peer, or its FIN came before ours. */
	if (now == TCP_CLOSE_WAIT ||
	    ((before == TCP_ESTABLISHED) && tp->inet_conn.icsk_inet.sk.sk_err != 0))
		c->flags |= PROXY_PEER_END;
	if (now != TCP_CLOSE)
		return;
	if (c->is_open)
		on_end(c, tp, before);
	else if (before == TCP_SYN_SENT)
		send_connect_fail(ops, c, tp);
}

SEC("sockops")
int proxy_sockops(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		on_connect(ops);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		on_active(ops);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_passive(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		on_state(ops);
		break;
	default:
		break;
	}
	return 1;
}

/* ---- segments ------------------------------------------------------------------------------ */

/* By the client's first bytes; the client is who opened the connection. */
static __always_inline void detect(struct conn *c, struct seg *s, __u32 client_seq,
                                   __u32 server_seq)
{
	__u8 first[16] = { 0 };
	__u32 n = s->len < sizeof(first) ? s->len : sizeof(first);

	if (s->seq != client_seq)
		return; /* overtaken: the first byte is still to come */
	if (n == 0 || seg_load(s, 0, first, n, sizeof(first)) != 0)
		return;
	if (c->role == PROXY_EDGE && first[0] == TLS_HANDSHAKE && (n < 2 || first[1] == 3)) {
		tls_init(c, s);
	} else if (h1_word(first) == H2_PREFACE_WORD) {
		h2_init(c, client_seq, server_seq);
	} else if (h1_may_be_request(first)) {
		h1_init(c, client_seq, server_seq);
	} else {
		c->odd_ns = seg_now(s);
		c->proto = CONN_ODD;
	}
}

/*
 * The server's answer to what was no request: if it is HTTP, the client had asked for it in some
 * way, and it counts as the answer to that.
 */
static __always_inline void answer_to_odd(struct conn *c, struct seg *s, __u64 begun_ns)
{
	__u8 first[8] = { 0 };

	if (s->len < 12 || seg_load(s, 0, first, sizeof(first), sizeof(first)) != 0 ||
	    !h1_is_response(h1_word(first))) {
		c->proto = CONN_OTHER;
		return;
	}
	c->h1 = (struct conn_http1){};
	h1_init(c, 0, s->seq);
	c->h1.request.phase = H1_LOST;
	c->h1.asked[0].at_ns = begun_ns;
	c->h1.n_asked = 1;
}

static __always_inline void from_client(struct conn *c, struct seg *s, __u32 server_seq,
                                        __u32 client_seq)
{
	if (c->proto == CONN_NEW)
		detect(c, s, client_seq, server_seq);
	if (c->proto == CONN_HTTP1)
		h1_requests(c, s);
	else if (c->proto == CONN_TLS)
		(void)tls_segment(c, s, 0);
	else if (c->proto == CONN_HTTP2)
		h2_segment(c, s, 0);
}

static __always_inline void from_server(struct conn *c, struct seg *s)
{
	if (c->proto == CONN_TLS && tls_segment(c, s, 1) & TLS_MET_PLAIN)
		answer_to_odd(c, s, c->tls.begun_ns);
	else if (c->proto == CONN_ODD)
		answer_to_odd(c, s, c->odd_ns);
	else if (c->proto == CONN_NEW)
		c->proto = CONN_OTHER; /* a server that speaks first */
	if (c->proto == CONN_HTTP1)
		h1_responses(c, s);
	else if (c->proto == CONN_HTTP2)
		h2_segment(c, s, 1);
}

static __always_inline struct conn *conn_of_skb(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_storage_get(&conns, sk, NULL, 0) : NULL;
}

SEC("cgroup_skb/ingress")
int proxy_ingress(struct __sk_buff *skb)
{
	struct conn *c;
	struct seg s;
	int ends;

	if (!seg_open(skb, false, &s, &ends))
		return 1;
	c = conn_of_skb(skb);
	if (!c || !c->is_open || s.len == 0)
		return 1;
	if (c->proto == CONN_OTHER)
		return 1;
	if (c->role == PROXY_EDGE)
		from_client(c, &s, c->first_out, c->first_in);
	else
		from_server(c, &s);
	return 1;
}

SEC("cgroup_skb/egress")
int proxy_egress(struct __sk_buff *skb)
{
	struct conn *c;
	struct seg s;
	int ends;

	if (!seg_open(skb, true, &s, &ends))
		return 1;
	c = conn_of_skb(skb);
	if (!c || !c->is_open || s.len == 0)
		return 1;
	if (c->proto == CONN_OTHER)
		return 1;
	if (c->role == PROXY_EDGE)
		from_server(c, &s);
	else
		from_client(c, &s, c->first_in, c->first_out);
	return 1;
}

/* ---- looking at all of them ---------------------------------------------------------------- */

/* Ours or one below it. */
static bool is_in_cgroup(const struct sock *sk)
{
	struct cgroup *cg = sk->sk_cgrp_data.cgroup, *at = NULL;

	for (int i = 0; cg && i < CGROUP_DEPTH_MAX && i <= cg->level; i++) {
		void *slot = (void *)cg + bpf_core_field_offset(struct cgroup, ancestors) +
		             i * sizeof(at);

		bpf_probe_read_kernel(&at, sizeof(at), slot);
		if (at && BPF_CORE_READ(at, kn, id) == settings.cgroup_id)
			return true;
	}
	return false;
}

static __u8 role_of(const struct proxy_pair *pair)
{
	if (bpf_map_lookup_elem(&vm_addrs, &pair->remote))
		return PROXY_APP;
	if (!settings.all_listeners)
		return is_listener(pair) ? PROXY_EDGE : 0;
	return bpf_map_lookup_elem(&own_ports, &pair->local_port) ? PROXY_EDGE : 0;
}

static struct conn *adopt(struct sock *sk, struct tcp_sock *tp)
{
	struct proxy_pair pair;
	struct conn *c;
	__u8 role;

	put_sk_pair(&pair, &sk->__sk_common);
	role = role_of(&pair);
	if (role == 0)
		return NULL;
	c = bpf_sk_storage_get(&conns, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c)
		return NULL;
	c->role = role;
	c->flags = PROXY_ADOPTED | PROXY_UNTIMED;
	c->is_open = 1;
	c->cookie = bpf_get_socket_cookie(sk);
	set_bases(c, tp);
	return c;
}

static void note_listener(const struct sock *sk)
{
	__u16 port = sk->__sk_common.skc_num;
	__u32 one = 1;

	if (settings.adopt && is_in_cgroup(sk))
		bpf_map_update_elem(&own_ports, &port, &one, BPF_ANY);
}

static void report(struct bpf_iter__tcp *ctx, struct conn *c, struct tcp_sock *tp, int state)
{
	__u64 in_bytes = payload_in(c, tp), out_bytes = payload_out(c, tp, state);
	struct proxy_conn_rec rec = {
		.cookie = c->cookie,
		.at_ns = bpf_ktime_get_ns(),
		.connect_ns = c->connect_ns,
		.in_bytes = in_bytes - c->in_reported,
		.out_bytes = out_bytes - c->out_reported,
		.role = c->role,
		.flags = c->flags,
		.proxy = proxy_index,
	};

	if (c->proto == CONN_HTTP1) {
		rec.is_http = 1;
		rec.n_in_flight = c->h1.n_asked - c->h1.n_done;
		rec.tally = c->h1.tally;
	} else if (c->proto == CONN_HTTP2) {
		rec.is_http = 2;
	}

	if (state != TCP_ESTABLISHED)
		rec.flags |= PROXY_ENDING;
	put_sk_pair(&rec.pair, &tp->inet_conn.icsk_inet.sk.__sk_common);
	/* A full buffer makes the kernel call us again for this socket, with room. */
	if (bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec)) < 0)
		return;
	c->in_reported = in_bytes;
	c->out_reported = out_bytes;
}

SEC("iter/tcp")
int proxy_iter(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tp = common ? bpf_skc_to_tcp_sock(common) : NULL;
	struct sock *sk = (struct sock *)tp;
	struct conn *c;
	int state;

	if (!tp)
		return 0;
	state = sk->__sk_common.skc_state;
	if (state == TCP_LISTEN) {
		note_listener(sk);
		return 0;
	}
	c = bpf_sk_storage_get(&conns, sk, NULL, 0);
	if (!c && settings.adopt && (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT) &&
	    is_in_cgroup(sk))
		c = adopt(sk, tp);
	if (c && c->is_open)
		report(ctx, c, tp, state);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
