/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The store itself; private to its parts, and to tests of them. */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/head.h"
#include "store/keys.h"
#include "store/maintain.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/view.h"
#include "store/wal.h"

struct store {
	char dir[PATH_MAX - 64];
	struct store_conf conf;
	int lock_fd;
	struct head head;
	struct keys keys;
	struct wal *wal;
	/*
	 * Shared by every append, from its log frame to the last sample in the head; taken alone to
	 * begin an epoch, so that no append is cut in two, and to forget series.
	 */
	pthread_rwlock_t epoch_lock;
	uint32_t epoch;
	/*
	 * Held by who changes the list of blocks, from reading it to publishing what comes of it:
	 * flush, merge, delete, retention.
	 */
	pthread_mutex_t blocks_lock;
	struct manifest manifest;
	pthread_mutex_t view_lock; /* a few instructions */
	struct view *view;
	/* Samples of this epoch and later ones are in the head; changed in the room. */
	_Atomic uint32_t floor_epoch;
	/* A flush that began an epoch and did not end: the next one begins none. */
	bool has_turned;
	uint64_t turned_wal;
	_Atomic uint64_t samples_turned; /* samples that no block has, and of earlier epochs */
	pthread_mutex_t flush_lock;      /* one flush at a time */
	pthread_mutex_t merge_lock;      /* one merge at a time; nobody else takes blocks away */
	/* Of maintain.c. */
	struct maintain_thread flusher, merger;
	_Atomic bool is_closing;
	_Atomic bool is_flush_wanted;
	uint64_t flushed_mono_ms, floor_mono_ms, idle_mono_ms; /* when each was done last */
	uint32_t idle_epoch;                                   /* the epoch then */
	_Atomic bool has_limits;                               /* of any organisation */
	_Atomic uint64_t appends, accepted, refused[STORE_REFUSED_N];
	_Atomic uint64_t flushes, flush_errors, flushed_samples;
	_Atomic uint64_t merges, merge_errors, merges_put_off, merged_samples, written_bytes;
	_Atomic uint64_t expired_blocks;
	_Atomic uint64_t bad_pages; /* of blocks that are gone */
};

struct view *store_view(struct store *s); /* a reference */
/* The reference to @fresh is taken over. blocks_lock is held. */
void store_set_view(struct store *s, struct view *fresh);

/*
 * Makes the change of the list of blocks durable, then visible: @gone leave, @fresh (their
 * reference is taken over when it succeeds) come. blocks_lock is held, and s->manifest has all else
 * already.
 */
int store_publish(struct store *s, struct block *const *gone, size_t n_gone,
                  struct block *const *fresh, size_t n_fresh);

/* Makes the names of new blocks' folders durable. */
int store_sync_blocks(struct store *s);

/* A number for a new block; used up even if nothing comes of it. blocks_lock is held. */
uint64_t store_block_number(struct store *s);
