/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Private to metadata*.c: what is in memory, and the frames of the file. */

#include <pthread.h>
#include <stdatomic.h>

#include "api/metadata.h"
#include "userspace/base/buf.h"

struct def {
	struct metadata_def v; /* texts behind the struct */
	uint64_t hash;
	uint32_t number; /* in the file */
};

struct use { /* by one organisation */
	struct def *def;
	_Atomic uint32_t seen_s; /* since the start of the process' clock */
};

struct org {
	struct str name;    /* behind the struct */
	struct use **slots; /* open-addressed, by the definition */
	size_t n, cap;      /* a power of two, or 0 */
};

struct table { /* open-addressed pointers, by hash */
	void **slots;
	size_t n, cap;
};

struct metadata {
	pthread_rwlock_t lock;
	struct table defs, orgs;
	uint32_t next_number;
	size_t bytes, uses;
	_Atomic uint64_t refused;
	char *path;
	int fd; /* -1 = nothing is written: the disk has failed */
};

/*
 * Adds what is new of (@org, @d), and to @frames what says so. Alone: the lock is held for writing.
 * -ENOSPC, -ENOMEM.
 */
int metadata_add(struct metadata *m, struct str org, const struct metadata_def *d,
                 struct buf *frames);

/* metadata_log.c */
void metadata_put_def(struct buf *out, const struct metadata_def *d);
void metadata_put_use(struct buf *out, struct str org, uint32_t number);
void metadata_append(struct metadata *m, const struct buf *frames);
