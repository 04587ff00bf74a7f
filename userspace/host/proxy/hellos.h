/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * ClientHellos that came in pieces, perhaps in another order than they were sent. A whole one in
 * a single piece, which is nearly all of them, is read where it lies and never gets in here.
 *
 * Bounded  HELLOS_MAX at once, of SNI_STREAM_BYTES each; the oldest makes room, and its connection
 *          stays without a name. That is counted.
 * Threads  None of its own; under the source's lock.
 */

#include <stddef.h>
#include <stdint.h>

#include "userspace/host/proxy/sni.h"

#define HELLOS_MAX 1024

struct hellos;

int hellos_new(struct hellos **ret);
void hellos_free(struct hellos *h);

/*
 * hellos_take() - @bytes of the stream of connection @cookie, from position @at on.
 *
 * Returns what sni_parse() does of all that is there by now: -EAGAIN wants more. -ENOMEM too.
 */
int hellos_take(struct hellos *h, uint64_t cookie, uint32_t at, const uint8_t *bytes, uint32_t n,
                char ret_name[SNI_NAME_CAP]);
void hellos_forget(struct hellos *h, uint64_t cookie); /* unknown is fine */

size_t hellos_count(const struct hellos *h);
uint64_t hellos_n_evicted(const struct hellos *h);
