/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The open connections, by the cookie of their socket: what the kernel's records do not carry along
 * each time. Bounded: a connection that finds no room is counted and lives on without an entry; its
 * bytes still count, for nobody.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNS_MAX 1048576u /* 64 bytes each, when there are so many */

struct http2;
struct proxy_tally;

struct pconn {
	uint64_t cookie; /* never 0 */
	uint64_t begun_ns;
	uint64_t in_pending, out_pending; /* bytes, while it is not known whose they are */
	struct http2 *http2;              /* NULL: it speaks none, as far as we know */
	struct proxy_tally *tally;        /* what of it has been counted; NULL: nothing */
	uint32_t owner;                   /* a reference */
	uint32_t pass;                    /* in which it was last seen by the iterator */
	uint16_t proxy;
	uint16_t servername; /* that it asked for, of its account; 0: none */
	uint8_t role;        /* enum proxy_role */
	uint8_t colour;      /* enum proxy_colour */
	bool is_pending;     /* its owner may still be found out */
	bool is_adopted;
};

struct conns;

int conns_new(struct conns **ret);
void conns_free(struct conns *t);

struct pconn *conns_find(const struct conns *t, uint64_t cookie); /* NULL: unknown */
/* A new entry, all zero but the cookie; NULL with no memory or no room. Moves all others. */
struct pconn *conns_add(struct conns *t, uint64_t cookie);
void conns_remove(struct conns *t, struct pconn *c); /* moves others */

/* Calls @fn for every entry, which may say that the entry is to be removed. */
typedef bool (*conns_f)(void *ctx, struct pconn *c);
void conns_sweep(struct conns *t, conns_f fn, void *ctx);

size_t conns_count(const struct conns *t);
size_t conns_bytes(const struct conns *t);
