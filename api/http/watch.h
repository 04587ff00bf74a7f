/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * An eye on sockets while nobody reads them: clients that go away while their query runs, and
 * connections that take too long to say what they want.
 *
 * Threads  Any, and one of its own that does the looking. A socket is not closed while it is
 *          watched: del comes first.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct watch;

/* Connections without a whole request for longer than @request_timeout_ms are shut down. */
int watch_new(struct watch **ret, uint64_t request_timeout_ms);
void watch_free(struct watch *w); /* NULL is fine; nothing is watched any more */

/* --- clients: *@gone becomes true when the other end hangs up --------------------------------- */

struct watch_ticket {
	uint32_t slot, turn;
	bool valid;
};

/* What cannot be watched is not: the query then runs to its end. */
struct watch_ticket watch_client(struct watch *w, int fd, _Atomic bool *gone);
/* All of them count as gone: the server stops. */
void watch_all_gone(struct watch *w);
void watch_client_done(struct watch *w, int fd, struct watch_ticket ticket);

/* --- connections ------------------------------------------------------------------------------ */

struct watch_conn { /* embedded in what stands for the connection */
	int fd;
	_Atomic uint64_t since_ns; /* it waits for a request since then; 0 = it has one */
	struct watch_conn *prev, *next;
};

void watch_conn_add(struct watch *w, struct watch_conn *c, int fd);
void watch_conn_del(struct watch *w, struct watch_conn *c);
void watch_conn_has_request(struct watch_conn *c, bool has);
uint64_t watch_slow_closed(const struct watch *w); /* how many were shut down */
