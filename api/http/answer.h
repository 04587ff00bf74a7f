/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to the server: see answer.c. */

#include "api/http/exchange.h"

#define SEND_BLOCK_BYTES ((size_t)64 << 10)

/* On whatever thread made the answer: packs what is there of it. */
void answer_pack(struct exchange *x);
/* On a worker: the next piece of the stream takes the place of the one that was sent. */
void answer_refill(struct exchange *x);
/* On the network thread: the answer may be sent. */
enum MHD_Result answer_queue(struct exchange *x);

/* exchange.c: pushes the suspended exchange for answer_refill(). -EPIPE when the server stops. */
int exchange_queue_more(struct exchange *x);
