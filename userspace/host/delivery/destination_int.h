/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to destination*.c: what a destination is made of. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "userspace/base/beat.h"
#include "userspace/base/buf.h"
#include "userspace/base/rng.h"
#include "userspace/host/delivery/destination.h"
#include "userspace/host/delivery/destination_conf.h"
#include "userspace/host/delivery/negotiation.h"
#include "userspace/host/delivery/spool.h"

#define DESTINATION_WORKERS_MAX 8u

struct exchange;

struct worker {
	struct destination *d;
	pthread_t thread;
	uint32_t number;
	struct exchange *x;
	struct beat beat; /* of one request */
	struct buf block; /* the one that is being sent */
};

struct counters {
	_Atomic int64_t n_samples, n_taken, n_again, n_refused, n_bytes, last_success_s;
	_Atomic bool is_up;
	_Atomic(const char *) form; /* as labels; NULL: none was taken yet */
};

struct destination {
	char name[DESTINATION_NAME_MAX + 1];
	struct spool *spool;
	struct drops drops;
	struct counters counters;
	struct worker workers[DESTINATION_WORKERS_MAX];
	uint32_t n_workers;
	_Atomic int abort; /* for the requests under way */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t ended; /* a worker */
	uint32_t n_running;
	struct settings *settings;
	struct negotiation negotiation;
	struct rng rng;
	int64_t wait_ms; /* before the next attempt; 0: the last one went well */
	uint64_t not_before_ns;
	uint64_t failed_ns; /* since when; 0: all is well */
	bool is_probing;    /* the one request after a failure is under way */
	double credit;      /* samples of the backlog that may go now */
	uint64_t credit_ns; /* when it was counted */
	uint64_t giveup_ns; /* 0: not ending */
};
