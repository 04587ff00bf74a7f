/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the store does by itself.
 *
 *	flusher  flushes, when replaying the log would take too long, memory is short, or enough
 *	         time has passed; drops flushed samples from memory; forgets series
 *	merger   merges and retention, at a lower priority
 *
 * Threads  these two; none in a manual store, where store_maintain() does the same.
 */

#include <pthread.h>
#include <stdbool.h>

struct store;

struct maintain_thread {
	pthread_t thread;
	pthread_mutex_t lock; /* of is_awaited */
	pthread_cond_t wake;
	bool is_there, is_awaited;
};

void maintain_init(struct store *s);
void maintain_done(struct store *s);
int maintain_start(struct store *s);
void maintain_stop(struct store *s); /* waits until they have ended what they are at */

/* Looks at the flush thresholds; a few loads. */
void maintain_note_append(struct store *s);
/* Memory is full: flush now. */
void maintain_wake(struct store *s);

/* One round of everything that is due. */
void maintain_round(struct store *s);
