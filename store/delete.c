/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/delete.h"

#include <errno.h>
#include <string.h>

#include "store/flush.h"
#include "store/hidden.h"
#include "store/store_int.h"
#include "userspace/base/clock.h"
#include "userspace/base/util.h"

#define WAIT_MS   (30 * 1000u)    /* for scans that began long ago */
#define REMOVE_MS (3600 * 1000ll) /* a block is written anew once in that time at most */
#define LIST_MAX  10000u          /* tombstones */

/* ---- hiding --------------------------------------------------------------- */

static int check_selectors(const struct store_select *sel, struct err *e)
{
	struct selection prepared = { 0 };
	int r = selection_init(&prepared, sel->sets, sel->n_sets, &sel->enforced, e);

	selection_done(&prepared);
	return r;
}

/* The list on disk first: one whose number the manifest does not know yet is not there. */
static int publish(struct store *s, struct tombstones *fresh)
{
	uint64_t before = s->manifest.next_delete;
	struct view *view = view_deleted(s->view, fresh);
	int r = view ? tombstones_write(s->dir, fresh) : -ENOMEM;

	if (r == 0 && fresh->last + 1 != before) {
		s->manifest.next_delete = fresh->last + 1;
		r = manifest_write(s->dir, &s->manifest);
	}
	if (r < 0) {
		s->manifest.next_delete = before;
		view_unref(view);
		return r;
	}
	store_set_view(s, view);
	return 0;
}

static int hide(struct store *s, const struct store_select *sel, struct err *e)
{
	const struct tombstone more = { .org = sel->org,
		                        .min_ms = sel->min_ms,
		                        .max_ms = sel->max_ms,
		                        .made_ms = clock_unix_ms(),
		                        .sets = sel->sets,
		                        .n_sets = sel->n_sets,
		                        .enforced = sel->enforced };
	struct tombstones *fresh;
	int r;

	(void)pthread_mutex_lock(&s->blocks_lock);
	if (s->view->deleted->n >= LIST_MAX) {
		r = err_set(e, -EAGAIN, "%u deletes are waiting to be carried out", LIST_MAX);
	} else {
		fresh = tombstones_changed(s->view->deleted, NULL, NULL, &more);
		r = fresh ? publish(s, fresh) : -ENOMEM;
		tombstones_unref(fresh);
	}
	(void)pthread_mutex_unlock(&s->blocks_lock);
	return r;
}

/* How many series have something that would be hidden. */
static int count(struct store *s, const struct store_select *sel, uint64_t *ret, struct err *e)
{
	struct store_scan *scan;
	int r = store_scan_open(s, sel, &scan, e);

	if (r < 0)
		return r;
	*ret = store_scan_n(scan);
	store_scan_close(scan);
	return 0;
}

int store_delete(struct store *s, const struct store_select *sel, uint64_t *ret_series,
                 struct err *e)
{
	uint64_t n = 0;
	int r = store_org_is_valid(sel->org) ? check_selectors(sel, e) : -EINVAL;

	if (r == 0)
		r = count(s, sel, &n, e);
	if (r == 0 && n > 0) {
		r = flush_hold(s, WAIT_MS);
		if (r == -EAGAIN)
			(void)err_set(e, r, "queries that began long ago still run");
		if (r == 0) {
			r = hide(s, sel, e);
			flush_release(s);
		}
	}
	if (r == 0)
		*ret_series = n;
	return r;
}

/* ---- removing ------------------------------------------------------------- */

static bool block_may_have(const struct block *b, const struct tombstone *x)
{
	const struct block_org *org = block_find_org(b, x->org);

	return org && hidden_may_be(b, org, x);
}

/* Does the selector find anything there? A block that cannot say so is as if it had. */
static bool finds_something(struct block *b, const struct tombstones *t, struct str org)
{
	_cleanup_(block_reader_done) struct block_reader reader = { 0 };
	struct block_select block = { .b = b, .reader = &reader, .org = block_find_org(b, org) };
	struct hidden hidden;
	int r = hidden_init(&hidden, &block, t, atomic_load(&b->nothing_to), NULL);
	bool found = r < 0 || hidden.n > 0;

	hidden_done(&hidden);
	return found;
}

bool delete_is_due(struct block *b, const struct tombstones *t, int64_t now_ms, bool is_forced)
{
	uint64_t known = atomic_load(&b->nothing_to);
	bool found = false, all_seen = true;

	for (size_t i = 0; !found && i < t->n; i++) {
		const struct tombstone *x = &t->v[i];

		if (x->number <= known || !block_may_have(b, x))
			continue;
		if (is_forced || now_ms - x->made_ms >= REMOVE_MS)
			found = finds_something(b, t, x->org);
		else
			all_seen = false;
	}
	if (!found && all_seen)
		atomic_store(&b->nothing_to, t->last);
	return found;
}

static bool is_needed(const void *ctx, const struct tombstone *x)
{
	const struct view *v = ctx;

	for (size_t i = 0; i < v->n; i++) {
		if (x->number > atomic_load(&v->blocks[i]->nothing_to) &&
		    block_may_have(v->blocks[i], x))
			return true;
	}
	return false;
}

static bool all_needed(const struct view *v)
{
	for (size_t i = 0; i < v->deleted->n; i++) {
		if (!is_needed(v, &v->deleted->v[i]))
			return false;
	}
	return true;
}

int delete_forget(struct store *s)
{
	struct tombstones *fresh;
	int r = 0;

	(void)pthread_mutex_lock(&s->blocks_lock);
	if (!all_needed(s->view)) {
		fresh = tombstones_changed(s->view->deleted, is_needed, s->view, NULL);
		r = fresh ? publish(s, fresh) : -ENOMEM;
		tombstones_unref(fresh);
	}
	(void)pthread_mutex_unlock(&s->blocks_lock);
	return r;
}
