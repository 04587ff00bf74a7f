/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Everything in memory: organisations, their series, and recent samples.
 *
 * Series    are numbered over all organisations; the number is what the log knows them by. Their
 *           memory comes in slabs, so those that came together are together. Numbers of series that
 *           are gone are used again.
 * Flush     writes the samples before the begin of an epoch to a block. They stay in memory, for
 *           queries, until the floor is raised over them; then they are dropped as soon as no scan
 *           reads them.
 * Room      Many appends or many scans' beginnings, but not both at a time, are in the head: so a
 *           scan sees the whole of a batch or nothing of it. See store/room.h.
 * Threads   the head's lock guards the list of tenants; a tenant's lock its tables
 *           (store/tenant.h); the numbers' lock the slabs; a series' lock its samples. None but the
 *           second is held while another is taken. Flush, floor,
 *           drop and collect: one thread at a time, which the store sees to.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "store/room.h"
#include "store/series.h"
#include "store/tenant.h"

#define SLAB_SERIES 1024u

struct head {
	pthread_rwlock_t lock;
	struct tenant **tenants; /* by number */
	uint32_t n_tenants;
	size_t tenants_cap;
	uint32_t *table; /* by organisation; number + 1 */
	size_t table_cap;
	pthread_mutex_t numbers_lock;
	struct series **slabs;
	size_t n_slabs, slabs_cap;
	uint32_t n_numbers; /* that were ever given */
	uint32_t *free_numbers;
	size_t n_free, free_cap;
	struct times_table times;
	struct room room;
	/* Scans by the parity of the floor that they began with. */
	_Atomic uint32_t n_scans[2];
	_Atomic uint32_t floor; /* how often it was raised */
	bool has_drop;          /* what is below the floor is still there */
	_Atomic int64_t bytes;  /* of memory */
	_Atomic uint64_t n_series;
	_Atomic uint64_t n_samples; /* in memory that no block has */
};

int head_init(struct head *h); /* -ENOMEM */
void head_done(struct head *h);

uint32_t head_n_tenants(struct head *h);
struct tenant *head_tenant_at(struct head *h, uint32_t i);

/* The tenant of @org; made when missing if @create. NULL with @create = out of memory. */
struct tenant *head_tenant(struct head *h, struct str org, bool create);

/*
 * head_series() - the series with these labels (any order), made when new.
 *
 * 0, -ENOMEM, or -EINVAL with reason and sentence when the labels, or one more series, are not
 * acceptable. The pointer stays good until head_collect().
 */
int head_series(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                struct series **ret, enum store_refusal *ret_why, struct err *e);

/* As head_series(), while a log is replayed: labels of the tenant's texts, and no limits. */
int head_series_known(struct head *h, struct tenant *t, const uint32_t *labels, uint32_t n,
                      struct series **ret);

/* ---- the life of flushed samples ------------------------------------------ */

/*
 * From now on scans begin behind what is flushed, if what they no longer read has been dropped
 * since the last time; else false. No append and no scan may begin meanwhile: inside the room.
 */
bool head_raise_floor(struct head *h);
/* Drops what is below the floor, if no scan that may read it is left. */
void head_drop(struct head *h);

/*
 * Forgets series that have no sample in memory and had no append since before @epoch. Nobody may
 * hold on to a series: no append is at work. Tenants that are being scanned are left for later.
 */
struct keys;
void head_collect(struct head *h, struct keys *keys, uint32_t epoch);
