/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * A bounded queue of pointers between threads.
 *
 * Full     queue_push() refuses with -ENOSPC; queue_push_drop() makes room by taking the oldest
 *          out, for the caller to free and count. Nobody ever waits to push.
 * Close    Later pushes get -EPIPE; pops still drain what is there, then get -EPIPE.
 * Threads  Any number of pushers and poppers.
 */

#include <stddef.h>
#include <stdint.h>

struct queue;

int queue_new(struct queue **ret, size_t items_max);
void queue_free(struct queue *q); /* what is still in it is the caller's: pop it first */

int queue_push(struct queue *q, void *item);
int queue_push_drop(struct queue *q, void *item, void **ret_dropped); /* NULL if none was */

/* 0 and an item, -EAGAIN after @timeout_ms (0 = at once, < 0 = wait for ever), -EPIPE. */
int queue_pop(struct queue *q, int64_t timeout_ms, void **ret_item);

void queue_close(struct queue *q);
size_t queue_n(struct queue *q);
