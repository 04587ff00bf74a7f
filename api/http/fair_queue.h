/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Work of many parties for a few workers: each party's in the order it came, the parties in turn.
 * However much one of them asks for, another one's next piece of work waits for one piece of each.
 *
 * Admission  A piece of work that is pushed anew takes one of its party's open places when it is
 *            popped, and keeps it until fair_leave(): a long answer that is made piece by piece is
 *            pushed again with fair_push_more() and goes before what is new.
 * Limits     Waiting in all and by party; busy and open by party.
 * Threads    Any. A party is forgotten when nothing of it is left.
 */

#include <stdint.h>

#include "userspace/base/str.h"

struct fair_party;

struct fair_item { /* embedded in the work */
	struct fair_party *party;
	struct fair_item *next;
};

struct fair_limits {
	size_t waiting_max;          /* of all parties */
	size_t waiting_max_of_party; /* new work only */
	unsigned busy_max;           /* of one party: with workers */
	unsigned open_max;           /* of one party: admitted and not left */
};

struct fair_queue;

int fair_queue_new(struct fair_queue **ret, const struct fair_limits *limits); /* -ENOMEM */
void fair_queue_free(struct fair_queue *q); /* NULL is fine; what waits is the caller's */

/* -ENOSPC: too much waits; -EDQUOT: too much of this party; -EPIPE: closed; -ENOMEM. */
int fair_push(struct fair_queue *q, struct str party, struct fair_item *item);
/* Of an item that was popped and is not left; no limit counts. -EPIPE: closed. */
int fair_push_more(struct fair_queue *q, struct fair_item *item);

/* Waits for an item, whose party is then busy with it; -EPIPE when closed and drained. */
int fair_pop(struct fair_queue *q, struct fair_item **ret);

/* The worker that popped @item is done with it, for now or for good. */
void fair_idle(struct fair_queue *q, struct fair_item *item);
/* @item is over: not waiting, not busy. Once for each that was popped. */
void fair_leave(struct fair_queue *q, struct fair_item *item);

void fair_close(struct fair_queue *q); /* pops go on until nothing waits */

struct fair_stats {
	size_t waiting, parties;
};
void fair_get_stats(struct fair_queue *q, struct fair_stats *ret);
