/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Which form of remote write a destination takes. The best one is tried first; one that is not
 * understood leads to the next, and one that was taken stays, until it is not understood any more,
 * or for an hour when there are better ones: receivers are upgraded.
 *
 * Threads  One owner, or a lock of the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/delivery/recode.h"

struct negotiation {
	enum destination_protocol protocol;
	enum destination_compression compression;
	unsigned at;       /* row of the forms */
	bool is_proven;    /* was taken */
	uint64_t since_ns; /* it is tried; monotonic */
};

void negotiation_start(struct negotiation *n, enum destination_protocol protocol,
                       enum destination_compression compression, uint64_t now_ns);
struct recode_form negotiation_form(struct negotiation *n, uint64_t now_ns);

/* What metrics call it: version="2.0",compression="zstd". */
const char *negotiation_labels(struct recode_form form);

/*
 * The form was taken, or refused for reasons of its own. Of a form that is no longer used: nothing.
 */
void negotiation_taken(struct negotiation *n, struct recode_form form);
/* False: there is none further to try, so the samples are at fault. */
bool negotiation_not_understood(struct negotiation *n, struct recode_form form, uint64_t now_ns);
