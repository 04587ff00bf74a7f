/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "store/wal_record.h"
#include "userspace/base/alloc.h"

#define NOT_KNOWN UINT32_MAX

/* What the numbers of one organisation's labels in the log are in memory. */
struct replay_org {
	struct tenant *tenant; /* NULL = not registered */
	uint32_t *texts;
	size_t n_texts, texts_cap;
};

static void forget(struct replay *r)
{
	for (size_t i = 0; i < r->n_orgs; i++)
		free(r->orgs[i].texts);
	free(r->orgs);
	free(r->series);
	r->orgs = NULL;
	r->series = NULL;
	r->n_orgs = r->orgs_cap = r->n_series = r->series_cap = 0;
}

void replay_done(struct replay *r)
{
	forget(r);
}

static int on_org(void *ctx, uint32_t number, struct str name)
{
	struct replay *r = ctx;
	struct tenant *t;

	if (!store_org_is_valid(name))
		return -EBADMSG;
	if (MEM_GROW(r->orgs, r->orgs_cap, number + 1ul) < 0)
		return -ENOMEM;
	for (; r->n_orgs <= number; r->n_orgs++)
		r->orgs[r->n_orgs] = (struct replay_org){ 0 };
	t = head_tenant(r->head, name, true);
	r->orgs[number].tenant = t;
	return t ? 0 : -ENOMEM;
}

static struct replay_org *known_org(struct replay *r, uint32_t number)
{
	return number < r->n_orgs && r->orgs[number].tenant ? &r->orgs[number] : NULL;
}

static int on_text(void *ctx, uint32_t org, uint32_t number, const struct label *l)
{
	struct replay_org *o = known_org(ctx, org);

	if (!o || l->name.len == 0 || l->value.len == 0)
		return -EBADMSG;
	if (MEM_GROW(o->texts, o->texts_cap, number + 1ul) < 0)
		return -ENOMEM;
	for (; o->n_texts <= number; o->n_texts++)
		o->texts[o->n_texts] = NOT_KNOWN;
	size_t before = o->tenant->texts.bytes;
	int r = texts_intern(&o->tenant->texts, l, &o->texts[number]);

	atomic_fetch_add(&((struct replay *)ctx)->head->bytes,
	                 (int64_t)(o->tenant->texts.bytes - before));
	return r;
}

static int on_series(void *ctx, uint32_t org, uint32_t number, const uint32_t *labels, uint32_t n)
{
	struct replay *r = ctx;
	struct replay_org *o = known_org(r, org);
	uint32_t known[LABELS_MAX];

	for (uint32_t i = 0; o && i < n; i++) {
		known[i] = labels[i] < o->n_texts ? o->texts[labels[i]] : NOT_KNOWN;
		if (known[i] == NOT_KNOWN)
			return -EBADMSG; /* its registration was in a damaged frame */
	}
	if (!o)
		return -EBADMSG;
	if (MEM_GROW(r->series, r->series_cap, number + 1ul) < 0)
		return -ENOMEM;
	for (; r->n_series <= number; r->n_series++)
		r->series[r->n_series] = NULL;
	return head_series_known(r->head, o->tenant, known, n, &r->series[number]);
}

static int on_sample(void *ctx, uint32_t number, const struct sample *x)
{
	struct replay *r = ctx;
	struct series *s = number < r->n_series ? r->series[number] : NULL;

	if (!s) {
		r->n_orphans++; /* its registration was in a damaged frame */
		return 0;
	}
	r->n_samples++;
	return series_append(s, x, r->hint);
}

int replay_frame(void *ctx, const struct wal_header *segment, struct str payload)
{
	static const struct wal_record_ops ops = { on_org, on_text, on_series, on_sample };
	struct replay *r = ctx;
	int ret;

	if (r->chain != segment->chain)
		forget(r);
	r->chain = segment->chain;
	ret = wal_parse(payload, &ops, r);
	if (ret == 0 && r->n_orphans > 0)
		ret = -EBADMSG; /* counted as damaged; what could be read is in */
	r->n_orphans = 0;
	return ret;
}
