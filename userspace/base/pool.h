/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Threads that help with work that is cut into many independent pieces. Whoever has such work does
 * pieces of it himself; threads of the pool that are idle take others. A pool of no threads, or
 * none at all, is fine: then all is done by the caller.
 *
 * Order    Pieces are begun in ascending order, and no more is promised: a result that must not
 *          depend on the number of threads is put together from those of the pieces, in order.
 * Threads  Any number of jobs may run at once; the oldest one is helped first. A piece must not
 *          wait for another one, and must not run a job of its own.
 */

#include <stddef.h>

struct pool;

/* -EAGAIN, -ENOMEM. */
int pool_new(struct pool **ret, unsigned n_threads);
void pool_free(struct pool *p);              /* after the last job; NULL is fine */
unsigned pool_threads(const struct pool *p); /* 0 for NULL */

/* Piece @i; no two pieces that run at the same time have the same @worker. */
typedef void (*pool_piece_f)(void *ctx, unsigned worker, size_t i);

/*
 * pool_run() - does pieces 0 .. @n - 1 and returns when all are done.
 *
 * At most @workers_max (at least 1) threads take part; the caller is worker 0.
 * Cost: two locks a thread, one atomic addition a piece.
 */
void pool_run(struct pool *p, unsigned workers_max, size_t n, pool_piece_f f, void *ctx);
