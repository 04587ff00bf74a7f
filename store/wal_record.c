/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal_record.h"

#include <errno.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/varint.h"

enum record_type {
	RECORD_SERIES = 1,
	RECORD_SAMPLES = 2
};

static void put_varint(struct buf *out, uint64_t v)
{
	uint8_t *p = buf_reserve(out, VARINT64_BYTES_MAX);

	if (p)
		out->len += (size_t)(varint_put(p, v) - p);
}

static void put_text(struct buf *out, struct str s)
{
	put_varint(out, s.len);
	buf_put_str(out, s);
}

void wal_put_series(struct buf *out, const struct wal_series *s)
{
	buf_putc(out, RECORD_SERIES);
	put_varint(out, s->ref);
	put_text(out, s->org);
	put_varint(out, s->n_labels);
	for (uint32_t i = 0; i < s->n_labels; i++) {
		put_text(out, s->labels[i].name);
		put_text(out, s->labels[i].value);
	}
}

void wal_put_samples(struct buf *out, uint64_t ref, const struct sample *v, uint32_t n)
{
	int64_t before = 0;

	buf_putc(out, RECORD_SAMPLES);
	put_varint(out, ref);
	put_varint(out, n);
	for (uint32_t i = 0; i < n; i++) {
		put_varint(out, zigzag((int64_t)((uint64_t)v[i].ts_ms - (uint64_t)before)));
		buf_put(out, &v[i].value, sizeof(v[i].value));
		before = v[i].ts_ms;
	}
}

struct reader {
	const uint8_t *p, *end;
};

static int get_varint(struct reader *r, uint64_t *ret)
{
	const uint8_t *p = varint_get(r->p, r->end, ret);

	if (!p)
		return -EBADMSG;
	r->p = p;
	return 0;
}

static int get_text(struct reader *r, struct str *ret)
{
	uint64_t len;

	if (get_varint(r, &len) < 0 || len > (uint64_t)(r->end - r->p))
		return -EBADMSG;
	*ret = (struct str){ (const char *)r->p, (size_t)len };
	r->p += len;
	return 0;
}

static int get_series(struct reader *r, const struct wal_record_ops *ops, void *ctx)
{
	struct label labels[LABELS_MAX];
	struct wal_series s = { .labels = labels };
	uint64_t n;

	if (get_varint(r, &s.ref) < 0 || get_text(r, &s.org) < 0 || get_varint(r, &n) < 0 ||
	    n == 0 || n > LABELS_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		if (get_text(r, &labels[i].name) < 0 || get_text(r, &labels[i].value) < 0)
			return -EBADMSG;
	}
	s.n_labels = (uint32_t)n;
	return ops->series(ctx, &s);
}

static int get_samples(struct reader *r, const struct wal_record_ops *ops, void *ctx)
{
	_cleanup_free_ struct sample *v = NULL;
	uint64_t ref, n, delta, before = 0;

	if (get_varint(r, &ref) < 0 || get_varint(r, &n) < 0 || n > (uint64_t)(r->end - r->p) / 9)
		return -EBADMSG; /* a sample takes nine bytes at least */
	v = mem_zalloc(n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (get_varint(r, &delta) < 0 || (size_t)(r->end - r->p) < sizeof(v[i].value))
			return -EBADMSG;
		before += (uint64_t)unzigzag(delta);
		v[i].ts_ms = (int64_t)before;
		memcpy(&v[i].value, r->p, sizeof(v[i].value));
		r->p += sizeof(v[i].value);
	}
	return ops->samples(ctx, ref, v, (uint32_t)n);
}

int wal_parse(struct str payload, const struct wal_record_ops *ops, void *ctx)
{
	struct reader r = { (const uint8_t *)payload.p, (const uint8_t *)payload.p + payload.len };
	int ret = 0;

	while (ret == 0 && r.p < r.end) {
		uint8_t type = *r.p++;

		if (type == RECORD_SERIES)
			ret = get_series(&r, ops, ctx);
		else if (type == RECORD_SAMPLES)
			ret = get_samples(&r, ops, ctx);
		else
			ret = -EBADMSG;
	}
	return ret;
}
