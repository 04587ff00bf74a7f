/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/proxy.bpf.c and userspace/host/proxy/: shapes of records and maps, nothing else. */

#include <linux/types.h>

#include "bpf/h1_rules.h"
#include "bpf/latency_bounds.h"

#define PROXY_RING_BYTES    (4 << 20)
#define PROXY_VMS_MAX       65536 /* addresses of VMs */
#define PROXY_LISTENERS_MAX 4096
#define PROXY_PORTS_MAX     256

enum proxy_role {
	PROXY_EDGE = 1, /* accepted from a client */
	PROXY_APP,      /* connected to a VM */
};

enum proxy_what {
	PROXY_OPEN,         /* a connection is established */
	PROXY_CLOSE,        /* and ends */
	PROXY_CONNECT_FAIL, /* to a VM */
	PROXY_HANDSHAKE,    /* of TLS: over, or failed */
	PROXY_HELLO,        /* bytes of a ClientHello: struct proxy_bytes_rec */
	PROXY_REQUEST,      /* of HTTP/1: answered, or given up */
	PROXY_HOST,         /* the name that a client asks for: struct proxy_bytes_rec */
	PROXY_FRAME,        /* of HTTP/2 */
	PROXY_FIELDS,       /* bytes of HTTP/2 header fields: struct proxy_bytes_rec */
	PROXY_TALLY,        /* answers of HTTP/1, counted: struct proxy_tally_rec */
};

enum proxy_fail {
	PROXY_FAIL_OTHER,
	PROXY_FAIL_REFUSED,
	PROXY_FAIL_TIMEOUT,
	PROXY_FAIL_UNREACHABLE,
	PROXY_FAIL_GIVEN_UP, /* the proxy closed the socket before there was an answer */
	PROXY_FAILS
};

enum proxy_flags {
	PROXY_ADOPTED = 1 << 0,  /* it existed before the programs were attached */
	PROXY_UNTIMED = 1 << 1,  /* its beginning was not seen */
	PROXY_PEER_END = 1 << 2, /* the other side ended it */
	PROXY_ENDING = 1 << 3,   /* one side has said that it ends */
};

enum proxy_handshake { /* in flags of a HANDSHAKE */
	PROXY_HS_FAILED = 1 << 4,
	PROXY_HS_LATE = 1 << 5,    /* a failure behind a handshake that was counted as good */
	PROXY_HS_ABORTED = 1 << 6, /* the connection ended in the middle */
};

enum proxy_request {               /* in flags of a REQUEST */
	PROXY_RQ_CHECK = 1 << 4,   /* a health check */
	PROXY_RQ_CUT = 1 << 5,     /* the connection ended before the answer did */
	PROXY_RQ_NO_HEAD = 1 << 6, /* not even the request's head was complete */
	PROXY_RQ_UNASKED = 1 << 7, /* its request was not seen: it has no time */
};

/* IPv4 as ::ffff:a.b.c.d. */
struct proxy_addr {
	__u8 ip[16];
};

struct proxy_endpoint {         /* key of the listeners; padding must be zero */
	struct proxy_addr addr; /* all zeroes: any */
	__u16 port;             /* host order */
	__u16 pad;
};

struct proxy_pair { /* of one socket */
	struct proxy_addr local, remote;
	__u16 local_port, remote_port;
};

/*
 * Answers of one connection that are alike, counted in the kernel: a request that follows others on
 * its connection then needs no record of its own. Numbers grow while @epoch stays the same; user
 * space takes what was added since it looked last, at every poll and when the epoch or the
 * connection ends.
 */
#define PROXY_TALLY_MAX 60000u

struct proxy_tally {
	__u64 sum_ns;
	__u32 host; /* hash, as in a HOST record; 0: none */
	__u32 epoch;
	__u16 status, n;
	__u8 is_check;
	__u8 pad[3];
	__u16 buckets[LATENCY_BOUNDS_N + 1];
	__u16 pad2[2];
};

_Static_assert(sizeof(struct proxy_tally) == 64, "no holes");

/* One event: of a fixed size, so that it is cheap to reserve. */
struct proxy_rec {
	__u8 what;    /* enum proxy_what */
	__u8 role;    /* enum proxy_role */
	__u8 flags;   /* enum proxy_flags */
	__u8 why;     /* CONNECT_FAIL: enum proxy_fail */
	__u32 proxy;  /* index of user space */
	__u64 cookie; /* of the socket: its name in all records */
	__u64 at_ns;  /* CLOCK_MONOTONIC */
	union {
		struct {
			struct proxy_pair pair;
			__u32 pad;
			__u64 connect_ns; /* PROXY_APP: SYN to established */
		} open;
		struct {
			__u64 in_bytes, out_bytes; /* since they were reported last */
			/* A tally of one answer, which most connections end with; n 0: none. */
			__u64 sum_ns;
			__u32 host, epoch;
			__u16 status, n;
			__u8 is_check;
		} close;
		struct {
			__u64 begun_ns;
			__u8 is_13, resumed, by_server, alert;
		} handshake;
		struct {
			__u64 begun_ns;
			__u32 host;   /* hash, as in a HOST record; 0: none */
			__u16 status; /* 0: no answer */
		} request;
		struct {
			__u32 stream;
			__u8 type, flags; /* as in the frame */
			__u8 by_server, is_end;
		} frame;
		__u64 words[6];
	};
};

_Static_assert(sizeof(struct proxy_rec) == 72, "one event, 72 bytes");

struct proxy_tally_rec {
	__u8 what, role, flags, pad;
	__u32 proxy;
	__u64 cookie, at_ns;
	struct proxy_tally tally;
};

#define PROXY_BYTES_SHORT 640u
#define PROXY_BYTES_LONG  2048u

/* A record with bytes of the connection; there are two sizes of it, for the same reason. */
struct proxy_bytes_rec {
	__u8 what, role, flags, by_server;
	__u32 proxy;
	__u64 cookie, at_ns;
	__u32 len;             /* of bytes that count */
	__u32 at;              /* HELLO: position in the stream; FIELDS: in the frame's content */
	__u32 key;             /* HOST: the name's hash; FIELDS: the stream */
	__u8 type, type_flags; /* FIELDS: of the frame */
	__u16 pad;
	__u32 frame_len; /* FIELDS: of the whole content */
	__u8 bytes[];
};

/* What the iterator writes of every connection that is open. */
struct proxy_conn_rec {
	__u64 cookie, at_ns;
	__u64 connect_ns;          /* PROXY_APP */
	__u64 in_bytes, out_bytes; /* since they were reported last */
	__u8 role, flags;
	__u8 is_http; /* 1 or 2: its version; then its requests are in flight, not the connection */
	__u8 pad;
	__u32 proxy;
	__u32 n_in_flight; /* of HTTP/1 */
	struct proxy_pair pair;
	struct proxy_tally tally; /* of HTTP/1 */
};

/* Written by user space while the programs run. */
struct proxy_settings {
	__u64 cgroup_id;     /* for the iterator, which sees everybody's sockets */
	__u32 all_listeners; /* every socket that is accepted is an edge socket */
	__u32 adopt;         /* the iterator takes over connections that have no state yet */
	struct h1_rules checks;
};

/* What found no room in the ring, by enum proxy_what, and what else went wrong. */
#define PROXY_WHATS 16

struct proxy_counters {
	__u64 lost[PROXY_WHATS];
	__u64 lost_answers; /* of tallies among them */
	__u64 no_memory;    /* connections without state */
	__u64 gaps;         /* segments behind which we had to look for the next message */
	__u64 bad;          /* connections that began like a protocol and went on like none */
	__u64 unread;       /* pipelined requests on which the server closed the connection */
	__u64 overwritten;  /* requests whose beginning was forgotten: more at once than we keep */
};
