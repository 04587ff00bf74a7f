/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What the store does by itself: flushes, when replaying the log would take too long, memory is
 * short, or enough time has passed; then merges, retention, and forgetting series.
 *
 * Threads  one of its own; none in a manual store, where store_maintain() does the same.
 */

struct store;

int maintain_start(struct store *s);
void maintain_stop(struct store *s); /* waits until it has ended what it is at */

/* Looks at the flush thresholds; a few loads. */
void maintain_note_append(struct store *s);
/* Memory is full: flush now. */
void maintain_wake(struct store *s);

/* One round of everything that is due. */
void maintain_round(struct store *s);
