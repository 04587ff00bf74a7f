/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/room.h"

#include <stdbool.h>

void room_init(struct room *r)
{
	*r = (struct room){ .inside = PARTY_APPENDS };
	(void)pthread_mutex_init(&r->lock, NULL);
	for (unsigned p = 0; p < PARTY_N; p++)
		(void)pthread_cond_init(&r->changed[p], NULL);
}

void room_done(struct room *r)
{
	for (unsigned p = 0; p < PARTY_N; p++)
		(void)pthread_cond_destroy(&r->changed[p]);
	(void)pthread_mutex_destroy(&r->lock);
}

static bool somebody_waits(const struct room *r)
{
	for (unsigned p = 0; p < PARTY_N; p++) {
		if (r->n_waiting[p] > 0)
			return true;
	}
	return false;
}

/* The room is empty: the next party that waits, after the last one in turn, is let in. */
static void pass_on(struct room *r)
{
	for (unsigned i = 1; i <= PARTY_N; i++) {
		unsigned p = ((unsigned)r->inside + i) % PARTY_N;

		if (r->n_waiting[p] == 0)
			continue;
		r->inside = (enum party)p;
		r->n_admitted[p] = p == PARTY_ALONE ? 1 : r->n_waiting[p];
		r->n_waiting[p] -= r->n_admitted[p];
		(void)pthread_cond_broadcast(&r->changed[p]);
		return;
	}
}

static bool is_empty(const struct room *r)
{
	return r->n_inside == 0 && r->n_admitted[r->inside] == 0;
}

void room_enter(struct room *r, enum party p)
{
	(void)pthread_mutex_lock(&r->lock);
	bool may = is_empty(r) ? !somebody_waits(r)
	                       : r->inside == p && p != PARTY_ALONE && !somebody_waits(r);

	if (may) {
		r->inside = p;
	} else {
		r->n_waiting[p]++;
		if (is_empty(r))
			pass_on(r);
		while (r->inside != p || r->n_admitted[p] == 0)
			(void)pthread_cond_wait(&r->changed[p], &r->lock);
		r->n_admitted[p]--;
	}
	r->n_inside++;
	(void)pthread_mutex_unlock(&r->lock);
}

void room_leave(struct room *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->n_inside--;
	if (is_empty(r))
		pass_on(r);
	(void)pthread_mutex_unlock(&r->lock);
}
