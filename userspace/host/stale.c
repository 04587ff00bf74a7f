/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open-addressed set of 64-bit series hashes. Two different series of one host share a hash with
 * a probability of about n^2 / 2^65 (1e-9 for 150,000 series); the price would be one missing mark.
 */
#include "userspace/host/stale.h"

#include <errno.h>

#include "userspace/base/alloc.h"
#include "userspace/base/cleanup.h"
#include "userspace/host/batch.h"

struct hash_set {
	uint64_t *slots; /* 0 = empty */
	size_t mask;
};

static uint64_t *slot_of(const struct hash_set *s, uint64_t hash)
{
	size_t at = (size_t)hash & s->mask;

	while (s->slots[at] != 0 && s->slots[at] != hash)
		at = (at + 1) & s->mask;
	return &s->slots[at];
}

static int collect_hashes(const struct batch *b, struct hash_set *s)
{
	size_t n_slots = 64, n = batch_n_samples(b);

	while (n_slots < n * 2)
		n_slots *= 2;
	s->slots = mem_zalloc(n_slots, sizeof(*s->slots));
	if (!s->slots)
		return -ENOMEM;
	s->mask = n_slots - 1;
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = batch_series_hash(b, i);

		*slot_of(s, hash) = hash;
	}
	return 0;
}

static void set_done(const struct hash_set *s)
{
	free(s->slots);
}

int64_t stale_mark_ended(struct batch *now, const struct batch *before, int64_t ts_ms)
{
	_cleanup_(set_done) struct hash_set have = { 0 };
	int64_t n_added = 0;

	if (!before)
		return 0;
	int r = collect_hashes(now, &have);

	if (r < 0)
		return r;
	for (size_t i = 0; i < batch_n_samples(before); i++) {
		if (batch_sample_is_stale(before, i) ||
		    *slot_of(&have, batch_series_hash(before, i)) != 0)
			continue;
		if (batch_add_stale(now, before, i, ts_ms) == 0)
			n_added++;
	}
	return n_added;
}

int64_t stale_mark_vm(struct batch *now, const struct batch *before, uint64_t vm_id, int64_t ts_ms)
{
	_cleanup_(set_done) struct hash_set have = { 0 };
	int64_t n_added = 0;

	if (!before)
		return 0;
	int r = collect_hashes(now, &have);

	if (r < 0)
		return r;
	for (size_t i = 0; i < batch_n_samples(before); i++) {
		if (batch_sample_vm_id(before, i) == vm_id && !batch_sample_is_stale(before, i) &&
		    *slot_of(&have, batch_series_hash(before, i)) == 0 &&
		    batch_add_stale(now, before, i, ts_ms) == 0)
			n_added++;
	}
	return n_added;
}
