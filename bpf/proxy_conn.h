/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * State of one connection, kept with its socket and freed with it by the kernel: no table that
 * could fill up, nothing to look for that is gone. For kernel programs only.
 *
 * Races    Two programs may run for one connection at once, on two CPUs: one for what comes in, one
 *          for what goes out. Each writes its own direction. Of HTTP/1, requests are counted by
 *          n_asked and answers by n_answered and n_done, each with one writer; a question is there
 *          before its number is.
 */

#include "bpf/proxy_globals.h"
#include "bpf/proxy_segment.h"

struct h1_dir;
static void h1_on_host(void *conn, const struct h1_dir *d);

#define H1_SUBPROGRAM  __noinline
#define TLS_SUBPROGRAM __noinline
#define H1_RULES       (&settings.checks)

#include "bpf/http1.h"
#include "bpf/http2.h"
#include "bpf/tls.h"

#define CONN_ASKED_MAX 4u /* requests of which the beginning is known at once; a power of two */

enum conn_proto {
	CONN_NEW,   /* nothing was sent yet */
	CONN_OTHER, /* no protocol of ours, or nothing left of it to see */
	CONN_ODD,   /* the client's first bytes were none of ours; the answer may tell */
	CONN_TLS,
	CONN_HTTP1,
	CONN_HTTP2,
};

struct conn_asked {
	__u64 at_ns;
	__u32 host;
	__u32 flags; /* enum h1_flags of the request, once its head has been seen */
};

struct conn_http1 {
	struct h1_dir request, response;
	struct conn_asked asked[CONN_ASKED_MAX];
	struct conn_asked current; /* the one that is being answered */
	struct proxy_tally tally;
	__u64 last_ns; /* of bytes of an answer */
	__u32 n_asked, n_answered, n_done;
	__u32 host_sent; /* hash of the name that user space knows already */
	__u16 status;    /* of the current answer */
	__u8 is_answering;
	__u8 is_last; /* the current answer says that it is the last one */
	__u8 is_tunnel;
};

struct conn_http2 {
	struct h2_dir client, server;
	__u32 skip; /* of the client's preface */
};

struct conn_tls {
	struct tls tls;
	__u64 begun_ns;
	__u32 hello_bytes; /* handed to user space */
};

struct conn {
	__u64 cookie;
	__u64 begun_ns; /* edge: established; app: SYN sent */
	__u64 connect_ns;
	__u64 odd_ns;                    /* CONN_ODD: the client's first bytes */
	__u64 in_base, out_base;         /* the kernel's byte counters at the beginning */
	__u64 in_reported, out_reported; /* of payload */
	__u32 first_in, first_out;       /* positions of the first byte of payload */
	__u8 role;                       /* enum proxy_role; 0: not ours */
	__u8 flags;                      /* enum proxy_flags */
	__u8 proto;                      /* enum conn_proto */
	__u8 is_open;                    /* it was established */
	union {
		struct conn_http1 h1;
		struct conn_http2 h2;
		struct conn_tls tls;
	};
};

/* With the kernel's own header of a storage it has to fit into 1 KiB, or it would take two. */
_Static_assert(sizeof(struct conn) <= 948, "one slab object of 1 KiB");
