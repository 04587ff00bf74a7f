/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The store itself; private to store.c and scan.c. */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/head.h"
#include "store/store.h"
#include "store/wal.h"

struct store {
	char dir[PATH_MAX - 64];
	int lock_fd;
	int64_t retention_ms;
	uint64_t memory_max_bytes;
	struct head head;
	struct wal *wal;
	pthread_t janitor;
	pthread_mutex_t janitor_lock;
	pthread_cond_t janitor_wake;
	bool has_janitor, closing;
	_Atomic uint64_t appends, accepted, refused[STORE_REFUSED_N];
};
