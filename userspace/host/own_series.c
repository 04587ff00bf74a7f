/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/own_series.h"

#include <errno.h>

#include "userspace/base/cleanup.h"
#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"
#include "userspace/base/utf8.h"
#include "userspace/host/batch.h"
#include "userspace/host/family.h"
#include "userspace/host/host_conf.h"
#include "userspace/wire/promtext.h"

#define OWNER_ID             (BATCH_OWNER_ID | 0x6f776e) /* of no VM, proxy or volume */
#define METADATA_INTERVAL_NS (600ull * 1000000000)

struct adding {
	struct batch *batch;
	bool with_metadata;
	struct family family;
};

static void adding_done(struct adding *a)
{
	family_done(&a->family);
}

static int on_metadata(void *ctx, struct str name, struct str type, struct str help)
{
	struct adding *a = ctx;

	if (a->with_metadata)
		family_say(&a->family, name, type, help);
	return 0;
}

/* A file's name is a label, and may be any bytes: no receiver would take them. */
static bool is_text(const struct promtext_sample *s)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (!utf8_is_valid(s->labels[i].value))
			return false;
	}
	return true;
}

static int on_sample(void *ctx, const struct promtext_sample *s)
{
	struct adding *a = ctx;
	const struct rw2_meta *meta = NULL;

	if (!is_text(s))
		return 0;
	if (a->with_metadata)
		meta = family_meta(&a->family, a->batch, s->labels[0].value);
	int r = batch_add_foreign(a->batch, s->labels, s->n_labels, s->value, NULL, meta);

	return r == -EINVAL ? 0 : r;
}

static int on_bad(void *ctx, uint64_t line, const struct err *e)
{
	(void)ctx;
	(void)line;
	(void)e;
	return 0;
}

int own_series_add(struct own_series *own, const struct host_conf *conf, int64_t ts_ms,
                   struct batch *b)
{
	static const struct promtext_ops ops = { .sample = on_sample,
		                                 .metadata = on_metadata,
		                                 .bad = on_bad };
	const struct batch_owner owner = { OWNER_ID, "", "", conf->host_id, "", conf->region };
	_cleanup_(adding_done) struct adding a = { .batch = b, .family = FAMILY_INIT };
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	const uint64_t now_ns = clock_mono_ns();
	int r;

	if (!conf->own_series_enabled)
		return 0;
	a.with_metadata = now_ns >= own->metadata_due_ns;
	metrics_write(&text);
	r = text.err < 0 ? text.err : batch_begin(b, &owner, ts_ms);
	if (r == 0)
		r = promtext_parse(buf_str(&text), &ops, &a);
	if (r == 0 && a.with_metadata)
		own->metadata_due_ns = now_ns + METADATA_INTERVAL_NS;
	return r;
}
