/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The store itself; private to store.c, append.c and scan.c. */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/head.h"
#include "store/keys.h"
#include "store/store.h"
#include "store/wal.h"

#define FIRST_EPOCH 1u

struct store {
	char dir[PATH_MAX - 64];
	int lock_fd;
	int64_t retention_ms;
	uint64_t memory_max_bytes;
	struct head head;
	struct keys keys;
	struct wal *wal;
	/*
	 * Shared by every append, from its WAL frame to the last sample in the head; taken alone to
	 * begin an epoch, so that no append is cut in two.
	 */
	pthread_rwlock_t epoch_lock;
	uint32_t epoch;
	pthread_t janitor;
	pthread_mutex_t janitor_lock;
	pthread_cond_t janitor_wake;
	bool has_janitor, closing;
	_Atomic uint64_t n_samples; /* in the head */
	_Atomic uint64_t appends, accepted, refused[STORE_REFUSED_N];
};
