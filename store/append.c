/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing: a batch of series through the log into the head.
 *
 *	look_up   each key's series, mostly the one behind the last; a new key is resolved and its
 *	          series made
 *	take      samples that are out of range or above a limit are refused, the others noted
 *	encode    the batch's SAMPLES record, without any lock
 *	log       under the log's lock only what depends on the place in the log: registrations of
 *	          series that this chain has not seen, and a copy of the record
 *	add       samples into the head, once they are durable
 */
#include "store/store_int.h"

#include <errno.h>
#include <stdlib.h>

#include "store/maintain.h"
#include "store/wal_record.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/base/varint.h"

#define PREFETCH_AHEAD 16u

bool store_org_is_valid(struct str org)
{
	if (org.len == 0 || org.len > 63 || org.p[0] == '-' || org.p[0] == '_')
		return false;
	for (size_t i = 0; i < org.len; i++) {
		char c = org.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

const char *store_refusal_name(enum store_refusal why)
{
	static const char *const names[STORE_REFUSED_N] = {
		[STORE_REFUSED_TOO_OLD] = "too_old",
		[STORE_REFUSED_TOO_NEW] = "too_new",
		[STORE_REFUSED_NO_NAME] = "no_name",
		[STORE_REFUSED_LABELS] = "labels",
		[STORE_REFUSED_UTF8] = "utf8",
		[STORE_REFUSED_NAN] = "nan",
		[STORE_REFUSED_ORG] = "organisation",
		[STORE_REFUSED_SERIES] = "series",
		[STORE_REFUSED_NEW_SERIES] = "new_series",
		[STORE_REFUSED_RATE] = "rate",
	};

	return names[why];
}

/* One series of a batch with the samples that were not refused. */
struct entry {
	struct series *series; /* NULL: refused */
	const struct sample *samples;
	uint32_t n;
};

struct batch {
	struct store *s;
	const struct store_resolver *by;
	const struct series_keyed *in;
	size_t n;
	struct store_append_result *ret;
	struct entry *entries; /* [n], as @in */
	struct key_hash *hashes;
	struct sample *kept; /* those of series with refused ones; made when first needed */
	size_t n_kept, n_samples, n_in_samples;
	int64_t now_ms, min_ms, max_ms;
	uint64_t mono_ns;
	struct append_hint hint;
	struct buf record;
};

static void batch_done(struct batch *b)
{
	free(b->entries);
	free(b->hashes);
	free(b->kept);
	buf_done(&b->record);
	append_hint_done(&b->hint);
}

static int batch_init(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		b->n_in_samples += b->in[i].n_samples;
	b->entries = mem_zalloc(b->n, sizeof(*b->entries));
	b->hashes = mem_alloc(b->n * sizeof(*b->hashes));
	b->now_ms = clock_unix_ms();
	b->mono_ns = clock_mono_ns();
	b->min_ms = b->now_ms - b->s->conf.retention_ms;
	b->max_ms = b->now_ms + STORE_FUTURE_MS_MAX;
	b->hint.table = &b->s->head.times;
	return b->entries && b->hashes ? 0 : -ENOMEM;
}

/* @t is NULL as long as nobody knows whose series it is. */
static void refuse(struct batch *b, struct tenant *t, enum store_refusal why, uint64_t n,
                   const struct err *e)
{
	b->ret->refused[why] += n;
	if (t)
		atomic_fetch_add(&t->limits.refused[why], n);
	if (b->ret->first.code == 0 && e->code != 0)
		b->ret->first = *e;
}

/* ---- look_up -------------------------------------------------------------- */

static void look_up_known(struct batch *b)
{
	struct keys *k = &b->s->keys;
	uint64_t scope = hash_str(b->by->scope);
	size_t next = 0;

	for (size_t i = 0; i < b->n; i++)
		b->hashes[i] = keys_hash(k, scope, b->in[i].key);
	keys_lock(k);
	for (size_t i = 0; i < b->n; i++) {
		b->entries[i].series = keys_find(k, b->hashes[i], &next);
		__builtin_prefetch(b->entries[i].series, 1);
	}
	keys_unlock(k);
}

/* What the key means; 0 with *@ret NULL: refused, and counted. */
static int resolve(struct batch *b, const struct series_keyed *in, struct series **ret)
{
	struct label labels[STORE_RESOLVE_LABELS];
	enum store_refusal why = STORE_REFUSED_LABELS;
	struct err e = ERR_INIT;
	struct tenant *t = NULL;
	struct str org;
	uint32_t n;
	int r = b->by->resolve(b->by->ctx, in->key, labels, &n, &org, &e);

	if (r == 0) {
		t = head_tenant(&b->s->head, org, true);
		r = t ? head_series(&b->s->head, t, labels, n, ret, &why, &e) : -ENOMEM;
	} else if (r == -EPERM) {
		why = STORE_REFUSED_ORG;
	}
	if (r != -EINVAL && r != -EPERM)
		return r;
	refuse(b, t, why, in->n_samples, &e);
	*ret = NULL;
	return 0;
}

static int look_up(struct batch *b)
{
	int r = 0;

	look_up_known(b);
	for (size_t i = 0; i < b->n && r == 0; i++) {
		struct series **to = &b->entries[i].series;

		if (*to)
			continue;
		r = resolve(b, &b->in[i], to);
		if (r == 0 && *to)
			r = keys_put(&b->s->keys, b->hashes[i], *to, &b->hint.bytes);
	}
	return r;
}

/* ---- take ----------------------------------------------------------------- */

static bool is_good(const struct batch *b, const struct sample *x)
{
	return x->ts_ms >= b->min_ms && x->ts_ms <= b->max_ms &&
	       (!isnan(x->value) || is_stale_mark(x->value));
}

/* The limits of the series' organisation, when there are any: false = not now. */
static bool take_limits(struct batch *b, const struct series_keyed *in, const struct series *series)
{
	struct tenant *t = head_tenant_at(&b->s->head, series->tenant);
	struct limits *l = &t->limits;
	int64_t retention_ms = atomic_load(&l->retention_ms);
	struct err e = ERR_INIT;

	b->min_ms = b->now_ms - (retention_ms > 0 ? MIN(retention_ms, b->s->conf.retention_ms)
	                                          : b->s->conf.retention_ms);
	if (bucket_take(&l->samples, in->n_samples, b->mono_ns))
		return true;
	(void)err_set(&e, -EINVAL, "the organisation's limit of samples a second is reached");
	refuse(b, t, STORE_REFUSED_RATE, in->n_samples, &e);
	return false;
}

static void refuse_sample(struct batch *b, const struct series *series, const struct sample *x)
{
	struct tenant *t = head_tenant_at(&b->s->head, series->tenant);
	bool old = x->ts_ms < b->min_ms;
	struct err e = ERR_INIT;

	if (!old && x->ts_ms <= b->max_ms) { /* nothing to keep, nobody's fault */
		refuse(b, t, STORE_REFUSED_NAN, 1, &e);
		return;
	}
	(void)err_set(&e, -EINVAL,
	              old ? "a sample at %lld ms is older than the retention"
	                  : "a sample at %lld ms is more than two days ahead",
	              (long long)x->ts_ms);
	refuse(b, t, old ? STORE_REFUSED_TOO_OLD : STORE_REFUSED_TOO_NEW, 1, &e);
}

/* Some are refused: the others are copied together. */
static int keep_good(struct batch *b, const struct series_keyed *in, struct entry *to)
{
	if (!b->kept) {
		b->kept = mem_zalloc(b->n_in_samples, sizeof(*b->kept));
		if (!b->kept)
			return -ENOMEM;
	}
	to->samples = b->kept + b->n_kept;
	for (uint32_t i = 0; i < in->n_samples; i++) {
		if (is_good(b, &in->samples[i]))
			b->kept[b->n_kept + to->n++] = in->samples[i];
		else
			refuse_sample(b, to->series, &in->samples[i]);
	}
	b->n_kept += to->n;
	return 0;
}

static int take_series(struct batch *b, const struct series_keyed *in, struct entry *to)
{
	uint32_t n_good = 0;
	int r = 0;

	if (atomic_load_explicit(&b->s->has_limits, memory_order_relaxed) &&
	    !take_limits(b, in, to->series))
		return 0;
	for (uint32_t i = 0; i < in->n_samples; i++)
		n_good += is_good(b, &in->samples[i]);
	if (n_good == in->n_samples) {
		to->samples = in->samples;
		to->n = n_good;
	} else {
		r = keep_good(b, in, to);
	}
	b->n_samples += to->n;
	return r;
}

static int take(struct batch *b)
{
	int r = 0;

	for (size_t i = 0; i < b->n && r == 0; i++) {
		if (b->entries[i].series)
			r = take_series(b, &b->in[i], &b->entries[i]);
	}
	return r;
}

/* ---- encode --------------------------------------------------------------- */

static int encode(struct batch *b)
{
	struct wal_samples before = { 0 };

	wal_put_samples_head(&b->record, b->n_samples);
	uint8_t *p = buf_reserve(&b->record, b->n_samples * WAL_SAMPLE_BYTES_MAX);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->entries[i];

		for (uint32_t k = 0; k < e->n; k++)
			p = wal_put_sample(p, &before, e->series->number, &e->samples[k]);
	}
	b->record.len = (size_t)((char *)p - b->record.p);
	return 0;
}

/* ---- registrations: under the log's lock ---------------------------------- */

static bool needs_registration(const struct entry *e, uint32_t chain)
{
	return e->n > 0 && e->series->chain != chain;
}

/* The organisation and the labels of a series, as far as this chain does not know them. */
static void register_labels(struct tenant *t, const struct series *s, uint32_t chain,
                            struct buf *out)
{
	if (t->chain != chain)
		wal_put_org(out, t->number, tenant_org(t));
	t->chain = chain;
	for (uint32_t i = 0; i < s->more->n_labels; i++) {
		struct text *text = &t->texts.v[s->more->labels[i]];
		const struct label l = texts_label(&t->texts, s->more->labels[i]);

		if (text->chain != chain)
			wal_put_text(out, t->number, s->more->labels[i], &l);
		text->chain = chain;
	}
}

/* The entries [from, to), all of one tenant: first what they consist of, then they themselves. */
static void register_run(struct batch *b, struct tenant *t, size_t from, size_t to, uint32_t chain,
                         struct buf *out)
{
	struct wal_series before = { 0 };
	uint32_t n = 0;

	(void)pthread_rwlock_rdlock(&t->lock);
	for (size_t i = from; i < to; i++) {
		if (!needs_registration(&b->entries[i], chain))
			continue;
		register_labels(t, b->entries[i].series, chain, out);
		n++;
	}
	wal_put_series_head(out, t->number, n);
	for (size_t i = from; i < to; i++) {
		struct series *s = b->entries[i].series;

		if (!needs_registration(&b->entries[i], chain))
			continue;
		/* One that comes twice in a batch is registered twice: both say the same. */
		wal_put_series(out, &before, s->number, s->more->labels, s->more->n_labels);
	}
	for (size_t i = from; i < to; i++) {
		if (b->entries[i].n > 0)
			b->entries[i].series->chain = chain;
	}
	(void)pthread_rwlock_unlock(&t->lock);
}

/* What registering a series may take at most. */
static size_t registration_max(const struct tenant *t, const struct series *s, uint32_t chain)
{
	size_t bytes = 2 * VARINT64_BYTES_MAX + s->more->n_labels * VARINT64_BYTES_MAX;

	if (t->chain != chain)
		bytes += 3 * VARINT64_BYTES_MAX + sizeof(t->org);
	for (uint32_t i = 0; i < s->more->n_labels; i++) {
		const struct label l = texts_label(&t->texts, s->more->labels[i]);

		if (t->texts.v[s->more->labels[i]].chain != chain)
			bytes += 5 * VARINT64_BYTES_MAX + l.name.len + l.value.len;
	}
	return bytes;
}

static size_t registrations_max(struct batch *b, uint32_t chain)
{
	size_t bytes = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->entries[i];

		if (!needs_registration(e, chain))
			continue;
		struct tenant *t = head_tenant_at(&b->s->head, e->series->tenant);

		(void)pthread_rwlock_rdlock(&t->lock);
		bytes += registration_max(t, e->series, chain) + 3 * VARINT64_BYTES_MAX;
		(void)pthread_rwlock_unlock(&t->lock);
	}
	return bytes;
}

/* All the room first: nothing may fail behind a registration. */
static void build_frame(void *ctx, uint32_t chain, struct buf *out)
{
	struct batch *b = ctx;
	size_t from = 0, to, bytes = registrations_max(b, chain) + b->record.len;

	if (bytes > WAL_FRAME_BYTES_MAX)
		out->err = -ENOSPC;
	if (out->err != 0 || !buf_reserve(out, bytes))
		return;
	for (; from < b->n; from = to) {
		uint32_t tenant;

		to = from + 1;
		if (!needs_registration(&b->entries[from], chain))
			continue;
		tenant = b->entries[from].series->tenant;
		while (to < b->n &&
		       (b->entries[to].n == 0 || b->entries[to].series->tenant == tenant))
			to++;
		register_run(b, head_tenant_at(&b->s->head, tenant), from, to, chain, out);
	}
	buf_put_str(out, buf_str(&b->record));
}

/* ---- log, add ------------------------------------------------------------- */

/* Accepted samples, by organisation; neighbours mostly have the same. */
static void count_accepted(struct batch *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->entries[i];
		const struct entry *last = i + 1 == b->n ? NULL : &b->entries[i + 1];

		n += e->n;
		if (n == 0 || e->n == 0 ||
		    (last && last->n > 0 && last->series->tenant == e->series->tenant))
			continue;
		atomic_fetch_add(&head_tenant_at(&b->s->head, e->series->tenant)->limits.accepted,
		                 n);
		n = 0;
	}
	b->ret->accepted = b->n_samples;
}

static int add(struct batch *b)
{
	int r = 0;

	room_enter(&b->s->head.room, PARTY_APPENDS);
	for (size_t i = 0; i < b->n && r == 0; i++) {
		const struct entry *e = &b->entries[i];

		if (i + PREFETCH_AHEAD < b->n && b->entries[i + PREFETCH_AHEAD].series) {
			__builtin_prefetch(b->entries[i + PREFETCH_AHEAD].series, 1);
			__builtin_prefetch(b->entries[i + PREFETCH_AHEAD].series->tail, 1);
		}
		for (uint32_t k = 0; k < e->n && r == 0; k++)
			r = series_append(e->series, &e->samples[k], &b->hint);
	}
	room_leave(&b->s->head.room);
	return r;
}

static int log_and_add(struct batch *b)
{
	int r = encode(b);

	if (r == 0)
		r = wal_append(b->s->wal, build_frame, b);
	if (r < 0)
		return r;
	b->hint.epoch = b->s->epoch;
	r = add(b);
	atomic_fetch_add(&b->s->head.n_samples, b->n_samples);
	if (r == 0)
		count_accepted(b);
	return r;
}

/* From finding its series to the last sample in the head: no epoch begins, no series goes. */
static int append_in_epoch(struct batch *b)
{
	int r;

	(void)pthread_rwlock_rdlock(&b->s->epoch_lock);
	r = look_up(b);
	if (r == 0)
		r = take(b);
	if (r == 0 && b->n_samples > 0)
		r = log_and_add(b);
	(void)pthread_rwlock_unlock(&b->s->epoch_lock);
	return r;
}

static int append(struct batch *b)
{
	int r = batch_init(b);

	return r == 0 ? append_in_epoch(b) : r;
}

/* Above the limit nothing is taken; a flush makes room. */
static bool is_full(struct store *s)
{
	uint64_t bytes =
		(uint64_t)atomic_load(&s->head.bytes) + (uint64_t)atomic_load(&s->head.times.bytes);

	return s->conf.memory_max_bytes != 0 && bytes > s->conf.memory_max_bytes;
}

int store_append_keyed(struct store *s, const struct store_resolver *by,
                       const struct series_keyed *v, size_t n, struct store_append_result *ret)
{
	_cleanup_(batch_done) struct batch b = {
		.s = s, .by = by, .in = v, .n = n, .ret = ret, .record = BUF_INIT
	};
	int r;

	*ret = (struct store_append_result){ .first = ERR_INIT };
	if (is_full(s)) {
		maintain_wake(s);
		return -EAGAIN;
	}
	r = append(&b);
	atomic_fetch_add(&s->head.bytes, b.hint.bytes);
	atomic_fetch_add(&s->appends, 1);
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		atomic_fetch_add(&s->refused[i], ret->refused[i]);
	atomic_fetch_add(&s->accepted, ret->accepted);
	maintain_note_append(s);
	return r;
}

/* ---- series with labels: their key is the labels, each with its length ----- */

static void put_text(struct buf *out, struct str text)
{
	uint64_t len = text.len;

	buf_put(out, &len, sizeof(len));
	buf_put_str(out, text);
}

static bool take_text(struct str *from, struct str *ret)
{
	uint64_t len;

	if (from->len < sizeof(len))
		return false;
	memcpy(&len, from->p, sizeof(len));
	*ret = (struct str){ from->p + sizeof(len), (size_t)len };
	*from = str_skip(*from, sizeof(len) + (size_t)len);
	return true;
}

static int resolve_labels(void *ctx, struct str key, struct label *labels, uint32_t *ret_n,
                          struct str *ret_org, struct err *e)
{
	uint32_t n = 0;

	for (; key.len > 0; n++) {
		if (n == STORE_RESOLVE_LABELS)
			return err_set(e, -EINVAL, "a series has more than %u labels", LABELS_MAX);
		if (!take_text(&key, &labels[n].name) || !take_text(&key, &labels[n].value))
			return -EINVAL;
	}
	*ret_n = n;
	*ret_org = *(const struct str *)ctx;
	return 0;
}

static int make_keys(const struct series_in *series, size_t n, struct series_keyed *keyed,
                     struct buf *text)
{
	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < series[i].n_labels; k++) {
			put_text(text, series[i].labels[k].name);
			put_text(text, series[i].labels[k].value);
		}
		/* For now the end; the text may move until it is complete. */
		keyed[i] = (struct series_keyed){ { NULL, text->len },
			                          series[i].samples,
			                          series[i].n_samples };
	}
	if (text->err != 0)
		return text->err;
	for (size_t i = n; i-- > 0;) {
		size_t begin = i > 0 ? keyed[i - 1].key.len : 0;

		keyed[i].key = (struct str){ text->p + begin, keyed[i].key.len - begin };
	}
	return 0;
}

int store_append(struct store *s, struct str org, const struct series_in *series, size_t n,
                 struct store_append_result *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT, scope = BUF_INIT;
	_cleanup_free_ struct series_keyed *keyed = mem_zalloc(n, sizeof(*keyed));
	struct store_resolver by = { .resolve = resolve_labels, .ctx = &org };

	*ret = (struct store_append_result){ .first = ERR_INIT };
	if (!store_org_is_valid(org))
		return -EINVAL;
	buf_puts(&scope, "labels of ");
	buf_put_str(&scope, org);
	if (!keyed || scope.err != 0 || make_keys(series, n, keyed, &text) < 0)
		return -ENOMEM;
	by.scope = buf_str(&scope);
	return store_append_keyed(s, &by, keyed, n, ret);
}
