/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/wire/vm_native.h"

#include <endian.h>

#include "userspace/base/util.h"
#include "userspace/base/varint.h"
#include "userspace/wire/vm_column.h"
#include "userspace/wire/vm_decimal.h"

#define ESCAPE         '\0'
#define END_OF_TEXT    '\1'
#define PART_BYTES_MAX (1u << 20) /* of a name, of the samples of a block */
#define PRECISION_FULL 64u

/* --- writing ---------------------------------------------------------------------------------- */

static void put_u32(struct buf *out, size_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	buf_put(out, &be, sizeof(be));
}

static void put_i64(struct buf *out, int64_t v)
{
	uint64_t be = htobe64(zigzag(v));

	buf_put(out, &be, sizeof(be));
}

static void put_varint(struct buf *out, int64_t v)
{
	buf_put_varint(out, zigzag(v));
}

static void put_bytes(struct buf *out, const struct buf *bytes)
{
	buf_put_varint(out, bytes->len);
	buf_put_str(out, buf_str(bytes));
	if (bytes->err < 0)
		out->err = bytes->err;
}

void vm_native_put_head(struct buf *out, int64_t min_ms, int64_t max_ms)
{
	put_i64(out, min_ms);
	put_i64(out, max_ms);
}

static void put_text(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] > 2) {
			buf_putc(out, s.p[i]);
		} else {
			buf_putc(out, ESCAPE);
			buf_putc(out, (char)('0' + s.p[i]));
		}
	}
	buf_putc(out, END_OF_TEXT);
}

/* A part has its length in front: room for it now, the number when the end is known. */
static size_t begin_part(struct buf *out)
{
	put_u32(out, 0);
	return out->len;
}

static void end_part(struct buf *out, size_t from)
{
	uint32_t be = htobe32((uint32_t)(out->len - from));

	if (out->err == 0)
		memcpy(out->p + from - sizeof(be), &be, sizeof(be));
}

static void put_name(struct buf *out, const struct label *labels, uint32_t n)
{
	size_t from = begin_part(out);

	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, LABEL_NAME))
			put_text(out, labels[i].value);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, LABEL_NAME))
			continue;
		put_text(out, labels[i].name);
		put_text(out, labels[i].value);
	}
	end_part(out, from);
}

uint32_t vm_native_put_block(struct buf *out, const struct label *labels, uint32_t n_labels,
                             const int64_t *ts_ms, const double *values, uint32_t n)
{
	_cleanup_(buf_done) struct buf times = BUF_INIT, mantissas = BUF_INIT;
	int64_t v[VM_BLOCK_SAMPLES];
	uint8_t time_kind, value_kind;
	int exp10;

	if (n == 0)
		return 0;
	n = vm_decimal_fit(values, MIN(n, VM_BLOCK_SAMPLES), v, &exp10);
	int r = vm_column_put(&times, ts_ms, n, &time_kind);

	if (r == 0)
		r = vm_column_put(&mantissas, v, n, &value_kind);
	if (r < 0) {
		out->err = r;
		return n;
	}
	put_name(out, labels, n_labels);
	size_t from = begin_part(out);

	put_varint(out, ts_ms[0]);
	put_varint(out, ts_ms[n - 1]);
	put_varint(out, v[0]);
	buf_put_varint(out, n);
	put_varint(out, exp10);
	buf_putc(out, (char)time_kind);
	buf_putc(out, (char)value_kind);
	buf_putc(out, PRECISION_FULL);
	put_bytes(out, &times);
	put_bytes(out, &mantissas);
	end_part(out, from);
	return n;
}

/* --- reading: the parts ----------------------------------------------------------------------- */

static int take_i64(struct str *s, int64_t *ret)
{
	uint64_t be;

	if (s->len < sizeof(be))
		return -EPROTO;
	memcpy(&be, s->p, sizeof(be));
	*s = str_skip(*s, sizeof(be));
	*ret = unzigzag(be64toh(be));
	return 0;
}

static int take_part(struct str *s, struct str *ret)
{
	uint32_t be, bytes;

	if (s->len < sizeof(be))
		return -EPROTO;
	memcpy(&be, s->p, sizeof(be));
	bytes = be32toh(be);
	*s = str_skip(*s, sizeof(be));
	if (bytes > PART_BYTES_MAX || bytes > s->len)
		return -EPROTO;
	*ret = (struct str){ s->p, bytes };
	*s = str_skip(*s, bytes);
	return 0;
}

static int take_number(struct str *s, uint64_t *ret)
{
	const uint8_t *p = (const uint8_t *)s->p;
	const uint8_t *behind = s->len > 0 ? varint_get(p, p + s->len, ret) : NULL;

	if (!behind)
		return -EBADMSG;
	*s = str_skip(*s, (size_t)(behind - p));
	return 0;
}

static int take_signed(struct str *s, int64_t *ret)
{
	uint64_t z;
	int r = take_number(s, &z);

	if (r == 0)
		*ret = unzigzag(z);
	return r;
}

static int take_byte(struct str *s, uint8_t *ret)
{
	if (s->len == 0)
		return -EBADMSG;
	*ret = (uint8_t)s->p[0];
	*s = str_skip(*s, 1);
	return 0;
}

static int take_bytes(struct str *s, struct str *ret)
{
	uint64_t bytes;

	if (take_number(s, &bytes) < 0 || bytes > s->len)
		return -EBADMSG;
	*ret = (struct str){ s->p, (size_t)bytes };
	*s = str_skip(*s, (size_t)bytes);
	return 0;
}

/* --- reading: the name ------------------------------------------------------------------------ */

/* @texts has room for the whole name: it does not move. */
static int take_text(struct str *name, struct buf *texts, struct str *ret)
{
	size_t from = texts->len;
	struct str text;

	if (!str_cut(*name, END_OF_TEXT, &text, name))
		return -EBADMSG;
	*ret = text;
	if (text.len == 0 || !memchr(text.p, ESCAPE, text.len))
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == ESCAPE) {
			c = ++i < text.len ? text.p[i] : '\0';
			if (c < '0' || c > '2')
				return -EBADMSG;
			c = (char)(c - '0');
		}
		buf_putc(texts, c);
	}
	*ret = (struct str){ texts->p + from, texts->len - from };
	return texts->err;
}

static int read_name(struct vm_native *v, struct str name)
{
	struct label *l = &v->labels[0];

	v->n_labels = 1;
	l->name = STR(LABEL_NAME);
	buf_clear(&v->texts);
	if (!buf_reserve(&v->texts, name.len + 1))
		return -ENOMEM;
	int r = take_text(&name, &v->texts, &l->value);

	while (r == 0 && name.len > 0) {
		if (v->n_labels == VM_NATIVE_LABELS_MAX)
			return -EBADMSG;
		l = &v->labels[v->n_labels++];
		r = take_text(&name, &v->texts, &l->name);
		if (r == 0)
			r = take_text(&name, &v->texts, &l->value);
	}
	return r;
}

/* --- reading: the samples --------------------------------------------------------------------- */

struct header {
	int64_t min_ms, max_ms, first, exp10;
	uint64_t n;
	uint8_t time_kind, value_kind, precision;
	struct str times, values;
};

static int read_header(struct str s, struct header *h)
{
	int r = take_signed(&s, &h->min_ms);

	if (r == 0)
		r = take_signed(&s, &h->max_ms);
	if (r == 0)
		r = take_signed(&s, &h->first);
	if (r == 0)
		r = take_number(&s, &h->n);
	if (r == 0)
		r = take_signed(&s, &h->exp10);
	if (r == 0)
		r = take_byte(&s, &h->time_kind);
	if (r == 0)
		r = take_byte(&s, &h->value_kind);
	if (r == 0)
		r = take_byte(&s, &h->precision);
	if (r == 0)
		r = take_bytes(&s, &h->times);
	if (r == 0)
		r = take_bytes(&s, &h->values);
	return r == 0 && s.len > 0 ? -EBADMSG : r;
}

static bool header_is_sound(const struct header *h)
{
	return h->n > 0 && h->n <= 2 * VM_BLOCK_SAMPLES && h->precision > 0 &&
	       h->precision <= PRECISION_FULL && h->min_ms <= h->max_ms && h->exp10 >= INT16_MIN &&
	       h->exp10 <= INT16_MAX;
}

/* With less than full precision the times may be off by a little: they are put in order. */
static int check_times(const struct header *h, int64_t *t)
{
	int64_t before = h->min_ms;

	for (uint64_t i = 0; i < h->n; i++) {
		int64_t sound = MAX(before, MIN(t[i], h->max_ms));

		if (t[i] != sound && h->precision == PRECISION_FULL)
			return -EBADMSG;
		before = t[i] = sound;
	}
	return 0;
}

static int read_samples(struct vm_native *v, struct str part)
{
	struct header h;
	int r = read_header(part, &h);

	v->n_samples = 0;
	if (r < 0)
		return r;
	if (!header_is_sound(&h))
		return -EBADMSG;
	uint32_t n = (uint32_t)h.n;

	r = vm_column_get(h.times, h.time_kind, h.min_ms, n, v->times, &v->scratch);
	if (r == 0)
		r = vm_column_get(h.values, h.value_kind, h.first, n, v->numbers, &v->scratch);
	if (r == 0)
		r = check_times(&h, v->times);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (v->times[i] >= v->min_ms && v->times[i] <= v->max_ms)
			v->samples[v->n_samples++] =
				(struct sample){ v->times[i],
				                 vm_decimal_value(v->numbers[i], (int)h.exp10) };
	}
	return r;
}

/* --- reading: the stream ---------------------------------------------------------------------- */

int vm_native_begin(struct vm_native *v, struct str stream, struct err *e)
{
	v->rest = stream;
	if (take_i64(&v->rest, &v->min_ms) < 0 || take_i64(&v->rest, &v->max_ms) < 0)
		return err_set(e, -EPROTO, "the stream does not begin with two times");
	return 0;
}

int vm_native_next(struct vm_native *v, struct err *e)
{
	struct str name, samples;

	if (v->rest.len == 0)
		return 1;
	v->n_blocks++;
	if (take_part(&v->rest, &name) < 0 || take_part(&v->rest, &samples) < 0)
		return err_set(e, -EPROTO, "block %llu is cut off or above %u bytes",
		               (unsigned long long)v->n_blocks, PART_BYTES_MAX);
	int r = read_name(v, name);

	if (r == -EBADMSG)
		return err_set(e, r, "the name of the series is damaged");
	if (r == 0)
		r = read_samples(v, samples);
	return r == -EBADMSG ? err_set(e, r, "the samples are damaged") : r;
}

void vm_native_done(struct vm_native *v)
{
	buf_done(&v->texts);
	buf_done(&v->scratch);
}
