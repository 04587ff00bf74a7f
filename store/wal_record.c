/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal_record.h"

#include <errno.h>
#include <string.h>

#include "store/decimal.h"
#include "userspace/base/varint.h"

#define VALUE_BITS 7u /* the double's own bits follow; smaller ones are digits of a decimal */

enum record_type {
	RECORD_SERIES = 1,
	RECORD_SAMPLES = 2
};

static void put_text(struct buf *out, struct str s)
{
	buf_put_varint(out, s.len);
	buf_put_str(out, s);
}

void wal_put_series(struct buf *out, const struct wal_series *s)
{
	buf_putc(out, RECORD_SERIES);
	buf_put_varint(out, s->ref);
	put_text(out, s->org);
	buf_put_varint(out, s->n_labels);
	for (uint32_t i = 0; i < s->n_labels; i++) {
		put_text(out, s->labels[i].name);
		put_text(out, s->labels[i].value);
	}
}

size_t wal_series_bytes_max(const struct wal_series *s)
{
	size_t bytes = 1 + 3 * VARINT64_BYTES_MAX + s->org.len;

	for (uint32_t i = 0; i < s->n_labels; i++)
		bytes += 2 * VARINT64_BYTES_MAX + s->labels[i].name.len + s->labels[i].value.len;
	return bytes;
}

void wal_put_samples_head(struct buf *out, uint64_t n_samples)
{
	buf_putc(out, RECORD_SAMPLES);
	buf_put_varint(out, n_samples);
}

/* Decimals are measured from nothing: a lost frame must not falsify what comes behind it. */
static uint8_t *put_value(uint8_t *p, double v)
{
	int64_t mantissa;
	unsigned digits = decimal_digits(v, 0, DECIMAL_DIGITS_SHORT, &mantissa);

	if (digits <= DECIMAL_DIGITS_SHORT)
		return varint_put(p, zigzag(mantissa) << 3 | digits);
	*p++ = VALUE_BITS;
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

uint8_t *wal_put_sample(uint8_t *p, struct wal_samples *before, uint64_t ref,
                        const struct sample *x)
{
	uint64_t step = (uint64_t)x->ts_ms - (uint64_t)before->ts_ms;

	p = varint_put(p, zigzag((int64_t)(ref - before->ref)) << 1 | (step != 0));
	if (step != 0)
		p = varint_put(p, zigzag((int64_t)step));
	*before = (struct wal_samples){ ref, x->ts_ms };
	return put_value(p, x->value);
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

static int get_value(struct reader *r, double *ret)
{
	uint64_t v;

	if (get_varint(r, &v) < 0)
		return -EBADMSG;
	if (v != VALUE_BITS) {
		if ((v & 7) > DECIMAL_DIGITS_SHORT)
			return -EBADMSG;
		*ret = decimal_value(unzigzag(v >> 3), v & 7);
		return 0;
	}
	if ((size_t)(r->end - r->p) < sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, r->p, sizeof(*ret));
	r->p += sizeof(*ret);
	return 0;
}

static int get_sample(struct reader *r, struct wal_samples *before, struct sample *ret)
{
	uint64_t head, step = 0;

	if (get_varint(r, &head) < 0 || ((head & 1) != 0 && get_varint(r, &step) < 0))
		return -EBADMSG;
	before->ref += (uint64_t)unzigzag(head >> 1);
	before->ts_ms = (int64_t)((uint64_t)before->ts_ms + (uint64_t)unzigzag(step));
	ret->ts_ms = before->ts_ms;
	return get_value(r, &ret->value);
}

static int get_samples(struct reader *r, const struct wal_record_ops *ops, void *ctx)
{
	struct wal_samples before = { 0 };
	struct sample x;
	uint64_t n;
	int ret = get_varint(r, &n);

	for (uint64_t i = 0; ret == 0 && i < n; i++) { /* each takes a byte at least */
		ret = get_sample(r, &before, &x);
		if (ret == 0)
			ret = ops->sample(ctx, before.ref, &x);
	}
	return ret;
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
