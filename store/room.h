/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A room in which there may be many of one party, but never both: appends putting a batch into the
 * head, and scans fixing what they will read. So a scan has all of a batch or nothing of it,
 * appends do not wait for each other, and neither do scans. A third party is alone: who changes
 * what both rely on.
 *
 * Fairness  Who finds the other party inside, or waiting since before, waits; a party that has let
 *           everybody in who waited leaves to the other. Each is inside for a millisecond at most.
 */

#include <pthread.h>
#include <stdint.h>

enum party {
	PARTY_APPENDS,
	PARTY_SCANS,
	PARTY_ALONE,
	PARTY_N
};

struct room {
	pthread_mutex_t lock;
	pthread_cond_t changed[PARTY_N];
	enum party inside; /* whose turn it is */
	uint32_t n_inside;
	uint32_t n_waiting[PARTY_N];
	uint32_t n_admitted[PARTY_N]; /* of those who waited: may enter yet */
};

void room_init(struct room *r);
void room_done(struct room *r);
void room_enter(struct room *r, enum party p);
void room_leave(struct room *r);
