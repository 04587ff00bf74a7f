/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Shared by bpf/proxy.bpf.c and userspace/host/proxy/: shapes of records and maps, nothing else. */

#include <linux/types.h>

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
		} close;
		__u64 words[6];
	};
};

_Static_assert(sizeof(struct proxy_rec) == 72, "one event, 72 bytes");

/* What the iterator writes of every connection that is open. */
struct proxy_conn_rec {
	__u64 cookie, at_ns;
	__u64 connect_ns;          /* PROXY_APP */
	__u64 in_bytes, out_bytes; /* since they were reported last */
	__u8 role, flags, pad[2];
	__u32 proxy;
	struct proxy_pair pair;
	__u32 pad2;
};

/* Written by user space while the programs run. */
struct proxy_settings {
	__u64 cgroup_id;     /* for the iterator, which sees everybody's sockets */
	__u32 all_listeners; /* every socket that is accepted is an edge socket */
	__u32 adopt;         /* the iterator takes over connections that have no state yet */
};

struct proxy_counters { /* of events that found no room, and of what else went wrong */
	__u64 lost_opens, lost_closes, lost_fails;
	__u64 no_memory; /* connections without state */
};
