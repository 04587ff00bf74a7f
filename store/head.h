/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Everything in memory: organisations, and in each the series by label set, and their index.
 *
 * Epoch    The head's time, counted in flushes: head_epoch() of a sample's arrival says which
 *          flush writes it to a block.
 * Threads  the head's lock guards the list of tenants; a tenant's lock guards its tables and index
 *          (readers share); a series' lock guards its samples. Taken in this order.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "store/index.h"
#include "store/series.h"

struct label_slot {
	uint64_t hash; /* of the canonical labels */
	struct series *series;
};

struct tenant {
	char org[64];
	pthread_rwlock_t lock;
	struct series **series; /* by id */
	size_t series_cap;
	struct label_slot *slots; /* open addressing */
	size_t n_slots, slots_cap;
	struct index index;
};

struct head {
	pthread_rwlock_t lock;
	struct tenant **tenants;
	size_t n_tenants, tenants_cap;
	_Atomic uint64_t next_ref;
	_Atomic int64_t bytes; /* of memory */
	_Atomic uint64_t n_series;
};

void head_init(struct head *h);
void head_done(struct head *h);

/* The tenant of @org; made when missing if @create. NULL with @create = out of memory. */
struct tenant *head_tenant(struct head *h, struct str org, bool create);

/*
 * The series with these labels (any order), made when new. 0, -ENOMEM, or -EINVAL with reason and
 * sentence when the labels are not acceptable. The pointer stays good as long as the head.
 */
int head_series(struct head *h, struct tenant *t, const struct label *labels, uint32_t n,
                struct series **ret, enum store_refusal *ret_why, struct err *e);

/* Frees the samples of epochs up to @epoch. */
void head_drop(struct head *h, uint32_t epoch);

/*
 * head_select() - series that match and have a sample in range, in key order, each with a
 * reference that the caller gives back (series_unref) before he frees the array.
 */
int head_select(struct head *h, const struct store_select *sel, struct epochs epochs,
                struct series ***ret, size_t *ret_n, struct err *e);
