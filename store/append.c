/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing: a batch of series through the log into the head.
 *
 *	look_up   each key's series: one probe; a new key is resolved and its series made
 *	take      samples that are out of range are refused, the others noted
 *	encode    the batch's SAMPLES record, without any lock
 *	log       under the log's lock only what depends on the place in the log: registrations of
 *	          series that this segment has not seen, and a copy of the record
 *	add       samples into the head, once they are durable
 */
#include "store/store_int.h"

#include <errno.h>
#include <stdlib.h>

#include "store/wal_frame.h"
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
		[STORE_REFUSED_TOO_OLD] = "too_old",  [STORE_REFUSED_TOO_NEW] = "too_new",
		[STORE_REFUSED_NO_NAME] = "no_name",  [STORE_REFUSED_LABELS] = "labels",
		[STORE_REFUSED_UTF8] = "utf8",        [STORE_REFUSED_NAN] = "nan",
		[STORE_REFUSED_ORG] = "organisation",
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
	int64_t min_ms, max_ms, newest_ms, bytes;
	struct buf record;
};

static void batch_done(struct batch *b)
{
	free(b->entries);
	free(b->hashes);
	free(b->kept);
	buf_done(&b->record);
}

static int batch_init(struct batch *b)
{
	int64_t now_ms = clock_unix_ms();

	for (size_t i = 0; i < b->n; i++)
		b->n_in_samples += b->in[i].n_samples;
	b->entries = mem_zalloc(b->n, sizeof(*b->entries));
	b->hashes = mem_alloc(b->n * sizeof(*b->hashes));
	b->min_ms = now_ms - b->s->retention_ms;
	b->max_ms = now_ms + STORE_FUTURE_MS_MAX;
	b->newest_ms = INT64_MIN;
	return b->entries && b->hashes ? 0 : -ENOMEM;
}

static void refuse(struct batch *b, enum store_refusal why, uint64_t n, const struct err *e)
{
	b->ret->refused[why] += n;
	if (b->ret->first.code == 0)
		b->ret->first = *e;
}

/* ---- look_up -------------------------------------------------------------- */

static void look_up_known(struct batch *b)
{
	struct keys *k = &b->s->keys;
	uint64_t scope = hash_str(b->by->scope);

	for (size_t i = 0; i < b->n; i++)
		b->hashes[i] = keys_hash(k, scope, b->in[i].key);
	keys_lock(k);
	for (size_t i = 0; i < b->n; i++) {
		if (i + PREFETCH_AHEAD < b->n)
			keys_prefetch(k, b->hashes[i + PREFETCH_AHEAD]);
		b->entries[i].series = keys_find(k, b->hashes[i]);
		__builtin_prefetch(b->entries[i].series);
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
	refuse(b, why, in->n_samples, &e);
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
			r = keys_put(&b->s->keys, b->hashes[i], *to, &b->bytes);
	}
	return r;
}

/* ---- take ----------------------------------------------------------------- */

static bool is_good(const struct batch *b, const struct sample *x)
{
	return x->ts_ms >= b->min_ms && x->ts_ms <= b->max_ms &&
	       (!isnan(x->value) || is_stale_mark(x->value));
}

static void refuse_sample(struct batch *b, const struct sample *x)
{
	bool old = x->ts_ms < b->min_ms;
	struct err e = ERR_INIT;

	if (!old && x->ts_ms <= b->max_ms) { /* nothing to keep, nobody's fault */
		b->ret->refused[STORE_REFUSED_NAN]++;
		return;
	}
	(void)err_set(&e, -EINVAL,
	              old ? "a sample at %lld ms is older than the retention"
	                  : "a sample at %lld ms is more than two days ahead",
	              (long long)x->ts_ms);
	refuse(b, old ? STORE_REFUSED_TOO_OLD : STORE_REFUSED_TOO_NEW, 1, &e);
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
			refuse_sample(b, &in->samples[i]);
	}
	b->n_kept += to->n;
	return 0;
}

static int take_series(struct batch *b, const struct series_keyed *in, struct entry *to)
{
	uint32_t n_good = 0;
	int r = 0;

	for (uint32_t i = 0; i < in->n_samples; i++)
		n_good += is_good(b, &in->samples[i]);
	if (n_good == in->n_samples) {
		to->samples = in->samples;
		to->n = n_good;
	} else {
		r = keep_good(b, in, to);
	}
	for (uint32_t i = 0; i < to->n; i++)
		b->newest_ms = MAX(b->newest_ms, to->samples[i].ts_ms);
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

/* ---- encode, log, add ----------------------------------------------------- */

static int encode(struct batch *b)
{
	struct wal_samples before = { 0 };

	wal_put_samples_head(&b->record, b->n_samples);
	uint8_t *p = buf_reserve(&b->record, b->n_samples * WAL_SAMPLE_BYTES_MAX);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->entries[i];

		if (i + PREFETCH_AHEAD < b->n && b->entries[i + PREFETCH_AHEAD].series)
			__builtin_prefetch(b->entries[i + PREFETCH_AHEAD].series);
		for (uint32_t k = 0; k < e->n; k++)
			p = wal_put_sample(p, &before, e->series->ref, &e->samples[k]);
	}
	b->record.len = (size_t)((char *)p - b->record.p);
	return 0;
}

static struct wal_series registration(const struct series *s, struct label *labels)
{
	return (struct wal_series){ s->ref, str_from(s->tenant->org), labels,
		                    series_labels(s, labels) };
}

/* How much this segment does not know yet; exact to a few bytes a label. */
static size_t registrations_bytes(const struct batch *b, uint64_t segment)
{
	struct label labels[LABELS_MAX];
	size_t bytes = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->entries[i];

		if (e->n > 0 && e->series->segment != segment) {
			const struct wal_series ws = registration(e->series, labels);

			bytes += wal_series_bytes_max(&ws);
		}
	}
	return bytes;
}

/* Under the log's lock. All the room first: nothing may fail behind a registration. */
static void build_frame(void *ctx, uint64_t segment, struct buf *out)
{
	struct label labels[LABELS_MAX];
	struct batch *b = ctx;
	size_t bytes = registrations_bytes(b, segment) + b->record.len;

	if (bytes > WAL_FRAME_BYTES_MAX)
		out->err = -ENOSPC;
	if (out->err != 0 || !buf_reserve(out, bytes))
		return;
	for (size_t i = 0; i < b->n; i++) {
		struct entry *e = &b->entries[i];

		if (e->n == 0 || e->series->segment == segment)
			continue;
		const struct wal_series ws = registration(e->series, labels);

		wal_put_series(out, &ws);
		e->series->segment = segment;
	}
	buf_put_str(out, buf_str(&b->record));
}

static int add(struct batch *b)
{
	uint32_t epoch = b->s->epoch;
	int r = 0;

	for (size_t i = 0; i < b->n && r == 0; i++) {
		const struct entry *e = &b->entries[i];

		if (i + PREFETCH_AHEAD < b->n && b->entries[i + PREFETCH_AHEAD].series)
			__builtin_prefetch(b->entries[i + PREFETCH_AHEAD].series->open);
		for (uint32_t k = 0; k < e->n && r == 0; k++)
			r = series_append(e->series, &e->samples[k], epoch, &b->bytes);
	}
	return r;
}

static int log_and_add(struct batch *b)
{
	struct store *s = b->s;

	(void)pthread_rwlock_rdlock(&s->epoch_lock);
	int r = wal_append(s->wal, build_frame, b, b->newest_ms);

	if (r == 0)
		r = add(b);
	(void)pthread_rwlock_unlock(&s->epoch_lock);
	if (r == 0) {
		atomic_fetch_add(&s->n_samples, b->n_samples);
		b->ret->accepted = b->n_samples;
	}
	return r;
}

static int append(struct batch *b)
{
	int r = batch_init(b);

	if (r == 0)
		r = look_up(b);
	if (r == 0)
		r = take(b);
	if (r < 0 || b->n_samples == 0)
		return r;
	r = encode(b);
	return r == 0 ? log_and_add(b) : r;
}

int store_append_keyed(struct store *s, const struct store_resolver *by,
                       const struct series_keyed *v, size_t n, struct store_append_result *ret)
{
	_cleanup_(batch_done) struct batch b = {
		.s = s, .by = by, .in = v, .n = n, .ret = ret, .record = BUF_INIT
	};
	int r;

	*ret = (struct store_append_result){ .first = ERR_INIT };
	if (s->memory_max_bytes != 0 && atomic_load(&s->head.bytes) > (int64_t)s->memory_max_bytes)
		return -EAGAIN;
	r = append(&b);
	atomic_fetch_add(&s->head.bytes, b.bytes);
	atomic_fetch_add(&s->appends, 1);
	for (size_t i = 0; i < STORE_REFUSED_N; i++)
		atomic_fetch_add(&s->refused[i], ret->refused[i]);
	atomic_fetch_add(&s->accepted, ret->accepted);
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
