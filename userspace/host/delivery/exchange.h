/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * One request of one block to a destination, and what its answer means for the samples:
 *
 *	answer                 what happens
 *	2xx                    delivered; to a request of version 2.0 only with the header that
 *	                       says how much was written
 *	413                    sent again in halves, down to one series; that one as for 400
 *	400, 422, ...          dropped and counted: sending them again cannot help
 *	401, 403, 404, 408,    sent again after a wait, as long as it takes: a token, an address or
 *	429, 5xx, none         a receiver that is mended later costs no sample
 *	415, and others        the same in another form, until one was taken once (negotiation.h)
 *
 * Threads  An exchange belongs to one thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "userspace/base/buf.h"
#include "userspace/host/delivery/recode.h"
#include "userspace/host/delivery/settings.h"

enum outcome {
	OUTCOME_TAKEN,
	OUTCOME_AGAIN,
	OUTCOME_TOO_LARGE,
	OUTCOME_REFUSED,       /* all but answer.n_written samples */
	OUTCOME_NOT_UNDERSTOOD /* the form, as far as one can tell */
};

struct answer {
	enum outcome outcome;
	int64_t retry_after_s; /* -1: not said */
	int64_t n_written;     /* samples; -1: not said */
	size_t n_bytes;        /* of the body that was sent */
	bool says_taken;       /* 2xx, with or without what makes us believe it */
	char why[256];         /* for a log */
};

struct exchange;

int exchange_new(struct exchange **ret);
void exchange_free(struct exchange *x); /* NULL is fine */

/*
 * exchange_send() - series @from to @to of @block (see recode()). @is_proven: the form was taken
 * before, so what is refused is the samples' fault. @stop as in http_post().
 */
void exchange_send(struct exchange *x, struct settings *settings, struct str block,
                   struct recode_form form, bool is_proven, size_t from, size_t to,
                   const _Atomic int *stop, struct answer *ret);
