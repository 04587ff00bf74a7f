/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What is counted for one owner under one proxy_id. Plain numbers that only grow; the gauge
 * of concurrency is found out anew for every collection.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <stdint.h>

#include "bpf/proxy.h"
#include "userspace/host/histogram.h"

struct batch;
struct accounts;
struct owner;

/* Label proxy_id: flips when the proxy is started anew. */
enum proxy_colour {
	PROXY_BLUE,
	PROXY_GREEN,
	PROXY_COLOURS
};

extern const char *const proxy_colour_names[PROXY_COLOURS];

struct account {
	uint64_t connects, disconnects, in_bytes, out_bytes;
	uint64_t connect_fails[PROXY_FAILS];
	struct histogram connect; /* app: SYN to established */
	uint64_t concurrency;     /* app: at the last look */
};

/* The owner's account of that colour, made when there is none; NULL: no memory. */
struct account *account_of(struct owner *w, enum proxy_colour colour);
void accounts_free(struct accounts *a); /* NULL is fine */

/* What is found out anew by the next look. */
void accounts_reset_gauges(struct owner *w);

/*
 * Adds the series of all the owner's accounts to @out, which has begun it. Returns what batch_add()
 * does.
 */
int accounts_emit(const struct owner *w, struct batch *out);
