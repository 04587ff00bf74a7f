/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/wal_record.h"

#include <errno.h>
#include <string.h>

#include "store/cursor.h"
#include "store/decimal.h"

#define VALUE_BITS  7u /* the double's own bits follow; smaller ones are digits of a decimal */
#define LABELS_BITS 7u /* of the head of a series */

enum record_type {
	RECORD_ORG = 1,
	RECORD_TEXT,
	RECORD_SERIES,
	RECORD_SAMPLES
};

/* ---- writing -------------------------------------------------------------- */

static void put_text(struct buf *out, struct str s)
{
	buf_put_varint(out, s.len);
	buf_put_str(out, s);
}

void wal_put_org(struct buf *out, uint32_t org, struct str name)
{
	buf_putc(out, RECORD_ORG);
	buf_put_varint(out, org);
	put_text(out, name);
}

void wal_put_text(struct buf *out, uint32_t org, uint32_t text, const struct label *l)
{
	buf_putc(out, RECORD_TEXT);
	buf_put_varint(out, org);
	buf_put_varint(out, text);
	put_text(out, l->name);
	put_text(out, l->value);
}

void wal_put_series_head(struct buf *out, uint32_t org, uint32_t n_series)
{
	buf_putc(out, RECORD_SERIES);
	buf_put_varint(out, org);
	buf_put_varint(out, n_series);
}

void wal_put_series(struct buf *out, struct wal_series *before, uint32_t number,
                    const uint32_t *labels, uint32_t n_labels)
{
	uint32_t shared = 0;

	while (shared < n_labels && shared < before->n_labels &&
	       labels[shared] == before->labels[shared])
		shared++;
	buf_put_varint(out, zigzag((int64_t)number - before->number));
	buf_put_varint(out, (uint64_t)shared << LABELS_BITS | n_labels);
	for (uint32_t i = shared; i < n_labels; i++) {
		int64_t from = i < before->n_labels ? before->labels[i] : 0;

		buf_put_varint(out, zigzag(labels[i] - from));
	}
	before->number = number;
	before->n_labels = n_labels;
	memcpy(before->labels, labels, n_labels * sizeof(*labels));
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

uint8_t *wal_put_sample(uint8_t *p, struct wal_samples *before, uint32_t series,
                        const struct sample *x)
{
	uint64_t step = (uint64_t)x->ts_ms - (uint64_t)before->ts_ms;

	p = varint_put(p, zigzag((int64_t)series - before->series) << 1 | (step != 0));
	if (step != 0)
		p = varint_put(p, zigzag((int64_t)step));
	*before = (struct wal_samples){ series, x->ts_ms };
	return put_value(p, x->value);
}

/* ---- reading -------------------------------------------------------------- */

static uint32_t take_number(struct cursor *c)
{
	return (uint32_t)cursor_upto(c, WAL_NUMBERS_MAX);
}

static int parse_org(struct cursor *c, const struct wal_record_ops *ops, void *ctx)
{
	uint32_t org = take_number(c);
	struct str name = cursor_text(c);

	return c->bad ? -EBADMSG : ops->org(ctx, org, name);
}

static int parse_text(struct cursor *c, const struct wal_record_ops *ops, void *ctx)
{
	uint32_t org = take_number(c), text = take_number(c);
	struct label l = { .name = cursor_text(c) };

	l.value = cursor_text(c);
	return c->bad ? -EBADMSG : ops->text(ctx, org, text, &l);
}

/* Adds a distance; a number out of range spoils the cursor. */
static uint32_t step(struct cursor *c, int64_t from)
{
	uint64_t to = (uint64_t)from + (uint64_t)cursor_signed(c);

	if (to <= WAL_NUMBERS_MAX)
		return (uint32_t)to;
	cursor_spoil(c);
	return 0;
}

static void take_series(struct cursor *c, struct wal_series *s)
{
	s->number = step(c, s->number);
	uint64_t head = cursor_varint(c), shared = head >> LABELS_BITS;
	uint32_t n = (uint32_t)head & ((1u << LABELS_BITS) - 1), n_before = s->n_labels;

	if (n == 0 || n > LABELS_MAX || shared > n || shared > n_before) {
		cursor_spoil(c);
		return;
	}
	for (uint32_t i = (uint32_t)shared; i < n; i++)
		s->labels[i] = step(c, i < n_before ? s->labels[i] : 0);
	s->n_labels = n;
}

static int parse_series(struct cursor *c, const struct wal_record_ops *ops, void *ctx)
{
	struct wal_series s = { 0 };
	uint32_t org = take_number(c);
	uint64_t n = cursor_upto(c, cursor_left(c)); /* each takes two bytes at least */
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		take_series(c, &s);
		r = c->bad ? -EBADMSG : ops->series(ctx, org, s.number, s.labels, s.n_labels);
	}
	return c->bad ? -EBADMSG : r;
}

static double take_value(struct cursor *c)
{
	uint64_t v = cursor_varint(c);
	struct str bits;
	double value = 0;

	if ((v & 7) <= DECIMAL_DIGITS_SHORT)
		return decimal_value(unzigzag(v >> 3), v & 7);
	bits = cursor_bytes(c, sizeof(value));
	if (v != VALUE_BITS)
		cursor_spoil(c);
	else if (!c->bad)
		memcpy(&value, bits.p, sizeof(value));
	return value;
}

static int parse_samples(struct cursor *c, const struct wal_record_ops *ops, void *ctx)
{
	uint64_t n = cursor_upto(c, cursor_left(c)), ts_ms = 0; /* two bytes at least, too */
	uint32_t series = 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		uint64_t head = cursor_varint(c);
		uint64_t number = series + (uint64_t)unzigzag(head >> 1);

		if (head & 1)
			ts_ms += (uint64_t)cursor_signed(c);
		const struct sample x = { (int64_t)ts_ms, take_value(c) };

		if (c->bad || number > WAL_NUMBERS_MAX)
			return -EBADMSG;
		series = (uint32_t)number;
		r = ops->sample(ctx, series, &x);
	}
	return c->bad ? -EBADMSG : r;
}

int wal_parse(struct str payload, const struct wal_record_ops *ops, void *ctx)
{
	struct cursor c = cursor_of(payload);
	int r = 0;

	while (r == 0 && !cursor_at_end(&c)) {
		switch (*c.p++) {
		case RECORD_ORG:
			r = parse_org(&c, ops, ctx);
			break;
		case RECORD_TEXT:
			r = parse_text(&c, ops, ctx);
			break;
		case RECORD_SERIES:
			r = parse_series(&c, ops, ctx);
			break;
		case RECORD_SAMPLES:
			r = parse_samples(&c, ops, ctx);
			break;
		default:
			r = -EBADMSG;
		}
	}
	return r;
}
