/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Delivers batches to the region by remote write 1.0. It has a thread of its own, so a region that
 * is slow or away never holds up collection; what waits is in the outbox.
 *
 *	answer                what happens to the samples of the request
 *	2xx                   delivered
 *	413                   the request is halved, down to one sample; that one as for 400
 *	400, 415, 422, ...    dropped and counted: sending them again cannot help
 *	401, 403, 404, 408,   sent again after a wait, as long as it takes: a token, an address or
 *	429, 5xx, none        a region that is mended later costs no sample
 *
 * Waits double from backoff_min to backoff_max, each shortened by a random quarter at most, so that
 * hosts do not come back all at once; a longer Retry-After is obeyed.
 *
 * Threads  All functions on the collector thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/err.h"

struct batch;
struct host_conf;
struct sender;

/* -EINVAL with @e when the token's file cannot be read. */
int sender_new(struct sender **ret, const struct host_conf *conf, struct err *e);

/*
 * sender_set_conf() - takes over the remote_write settings, and reads the token's file again.
 * On failure those from before stay.
 */
int sender_set_conf(struct sender *s, const struct host_conf *conf, struct err *e);

/* Takes over @b. With an empty remote_write.url it is freed. */
void sender_push(struct sender *s, struct batch *b);

/*
 * Whether the thread has been in one request for longer than any may take, as of @now_ns
 * (monotonic): then it hangs, and no watchdog should be told that all is well. Any thread.
 */
bool sender_is_stuck(const struct sender *s, uint64_t now_ns);

/* Sends what waits for at most @flush_ms (a request on its way: a second more), then frees @s. */
void sender_stop(struct sender *s, int64_t flush_ms); /* NULL is fine */
