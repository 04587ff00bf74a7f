/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/scrape/series_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/wire/rwproto.h"

#define SLOTS_MIN      16u
#define TEXT_BYTES_MAX ((size_t)UINT32_MAX)

void series_set_done(struct series_set *s)
{
	free(s->slots);
	buf_done(&s->text);
	*s = SERIES_SET_INIT;
}

size_t series_set_n(const struct series_set *s)
{
	return s->n;
}

size_t series_set_memory_bytes(const struct series_set *s)
{
	return s->n_slots * sizeof(*s->slots) + s->text.cap;
}

void series_set_begin(struct series_set *s)
{
	s->round++;
}

void series_set_abandon(struct series_set *s)
{
	s->abandoned = s->round;
	s->round++;
}

/* Names and values apart: the hash of a="bc" is not that of ab="c". */
static uint64_t hash_labels(const struct label *labels, uint32_t n)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < n; i++) {
		hash = hash_bytes(labels[i].name.p, labels[i].name.len, hash + 1);
		hash = hash_bytes(labels[i].value.p, labels[i].value.len, hash + 2);
	}
	return hash ? hash : 1;
}

/*
 * Two series of one endpoint share a hash with a probability of n^2 / 2^65; the price would be a
 * series that counts as sent twice.
 */
static struct series_entry *slot_of(const struct series_set *s, uint64_t hash)
{
	size_t mask = s->n_slots - 1, at = (size_t)hash & mask;

	while (s->slots[at].hash != 0 && s->slots[at].hash != hash)
		at = (at + 1) & mask;
	return &s->slots[at];
}

static int resize(struct series_set *s, size_t n_slots)
{
	struct series_entry *old = s->slots, *slots = mem_zalloc(n_slots, sizeof(*slots));
	size_t n_old = s->n_slots;

	if (!slots)
		return -ENOMEM;
	s->slots = slots;
	s->n_slots = n_slots;
	for (size_t i = 0; i < n_old; i++) {
		if (old[i].hash != 0)
			*slot_of(s, old[i].hash) = old[i];
	}
	free(old);
	return 0;
}

/* The labels, with their length in front. */
static int put_text(struct series_set *s, const struct label *labels, uint32_t n, uint32_t *ret_at)
{
	size_t at = s->text.len;
	uint32_t len = 0;

	buf_put(&s->text, &len, sizeof(len));
	rw_encode_labels(&s->text, labels, n);
	if (s->text.err < 0 || s->text.len > TEXT_BYTES_MAX) {
		s->text.err = 0;
		s->text.len = at;
		return -ENOMEM;
	}
	len = (uint32_t)(s->text.len - at - sizeof(len));
	memcpy(s->text.p + at, &len, sizeof(len));
	*ret_at = (uint32_t)at;
	return 0;
}

static struct str get_text(const struct series_set *s, const struct series_entry *e)
{
	uint32_t len;

	memcpy(&len, s->text.p + e->at, sizeof(len));
	return (struct str){ s->text.p + e->at + sizeof(len), len };
}

int series_set_add(struct series_set *s, const struct label *labels, uint32_t n)
{
	uint64_t hash = hash_labels(labels, n);
	struct series_entry *e, fresh = { .hash = hash, .born = s->round, .round = s->round };
	int r = 0;

	if (s->n_slots < (s->n + 1) * 2)
		r = resize(s, MAX(s->n_slots * 2, (size_t)SLOTS_MIN));
	if (r < 0)
		return r;
	e = slot_of(s, hash);
	if (e->hash != 0) {
		bool twice = e->round == s->round;

		e->round = s->round;
		return twice ? SERIES_TWICE : SERIES_KNOWN;
	}
	r = put_text(s, labels, n, &fresh.at);
	if (r < 0)
		return r;
	*e = fresh;
	s->n++;
	return SERIES_NEW;
}

static int tell(const struct series_set *s, const struct series_entry *e, series_set_f fn,
                void *ctx)
{
	struct label labels[LABELS_MAX];
	uint32_t n = 0;
	int r = rw_labels(get_text(s, e), labels, LABELS_MAX, &n, NULL);

	return r < 0 ? r : fn(ctx, labels, n);
}

/* What is left, moved together, in a table and a text of its size. */
static int compact(struct series_set *s, size_t n_left)
{
	size_t n_slots = SLOTS_MIN;
	struct series_set fresh = { .round = s->round, .n = n_left };

	while (n_slots < (n_left + 1) * 2)
		n_slots *= 2;
	if (resize(&fresh, n_slots) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_slots; i++) {
		struct series_entry e = s->slots[i];

		if (e.hash == 0 || e.round != s->round)
			continue;
		struct str text = get_text(s, &e);
		uint32_t at = (uint32_t)fresh.text.len;

		buf_put(&fresh.text, text.p - sizeof(uint32_t), text.len + sizeof(uint32_t));
		e.at = at;
		*slot_of(&fresh, e.hash) = e;
	}
	if (fresh.text.err < 0) {
		series_set_done(&fresh);
		return -ENOMEM;
	}
	series_set_done(s);
	*s = fresh;
	return 0;
}

int series_set_end(struct series_set *s, series_set_f fn, void *ctx)
{
	size_t n_left = 0;
	int r = 0;

	for (size_t i = 0; i < s->n_slots; i++) {
		if (s->slots[i].hash == 0)
			continue;
		if (s->slots[i].round == s->round) {
			n_left++;
			continue;
		}
		if (s->slots[i].born == s->abandoned)
			continue;
		int one = tell(s, &s->slots[i], fn, ctx);

		r = r < 0 ? r : one;
	}
	s->abandoned = 0;
	/*
	 * Without memory to move what is left, all is forgotten: better than marks again and again.
	 */
	if (n_left < s->n && compact(s, n_left) < 0)
		series_set_done(s);
	return r;
}
