/* SPDX-License-Identifier: BSD-2-Clause */
/* Caveats as people read them; bodies are valid, so no step of a walk is checked again. */
#include <errno.h>
#include <string.h>

#include "userspace/base/json_text.h"
#include "userspace/wire/caveat_int.h"

static const char mask_letters[] = "rwcdC";

int caveat_mask_parse(struct str text, uint16_t *ret)
{
	uint16_t mask = 0;

	if (str_eqc(text, "*")) {
		*ret = CAVEAT_ALL;
		return 0;
	}
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] ? strchr(mask_letters, text.p[i]) : NULL;

		if (!at)
			return -EINVAL;
		mask = (uint16_t)(mask | 1u << (at - mask_letters));
	}
	*ret = mask;
	return 0;
}

void caveat_mask_format(uint16_t mask, char *dst)
{
	if (mask == CAVEAT_ALL)
		*dst++ = '*';
	for (unsigned i = 0; mask != CAVEAT_ALL && mask_letters[i]; i++) {
		if (mask & 1u << i)
			*dst++ = mask_letters[i];
	}
	*dst = '\0';
}

static void put_mask(struct buf *out, uint64_t mask)
{
	char text[CAVEAT_MASK_TEXT_MAX];

	caveat_mask_format((uint16_t)mask, text);
	json_put_str(out, str_from(text));
}

static uint64_t take_uint(struct msgpack *m)
{
	uint64_t v = 0;

	(void)msgpack_uint(m, &v);
	return v;
}

static uint32_t take_count(struct msgpack *m)
{
	uint32_t n = 0;

	(void)msgpack_array(m, &n);
	return n;
}

static void put_map(struct buf *out, struct msgpack *m, bool numbers)
{
	struct str text = STR_NULL;
	uint32_t n = 0;

	(void)msgpack_map(m, &n);
	buf_putc(out, '{');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		if (numbers) {
			buf_printf(out, "\"%llu\"", (unsigned long long)take_uint(m));
		} else {
			(void)msgpack_str(m, &text);
			json_put_str(out, text);
		}
		buf_putc(out, ':');
		put_mask(out, take_uint(m));
	}
	buf_putc(out, '}');
}

static void put_texts(struct buf *out, struct msgpack *m)
{
	struct str text = STR_NULL;
	uint32_t n = take_count(m);

	buf_putc(out, '[');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		(void)msgpack_str(m, &text);
		json_put_str(out, text);
	}
	buf_putc(out, ']');
}

static void put_hex(struct buf *out, struct str bytes)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < bytes.len; i++)
		buf_printf(out, "%02x", (unsigned char)bytes.p[i]);
	buf_putc(out, '"');
}

static void put_commands(struct buf *out, struct msgpack *m)
{
	uint32_t n = 0;
	bool exact = false;

	(void)msgpack_array(m, &n);
	buf_putc(out, '[');
	for (uint32_t i = 0; i < n; i++) {
		buf_puts(out, i > 0 ? ",{\"args\":" : "{\"args\":");
		(void)take_count(m);
		put_texts(out, m);
		(void)msgpack_bool(m, &exact);
		buf_puts(out, exact ? ",\"exact\":true}" : "}");
	}
	buf_putc(out, ']');
}

static void put_caveats(struct buf *out, struct msgpack *m)
{
	struct caveat c;
	uint32_t n = take_count(m);

	buf_putc(out, '[');
	for (uint32_t i = 0; i < n; i += 2) {
		if (i > 0)
			buf_putc(out, ',');
		if (caveat_take(m, &c))
			caveat_put_json(out, &c);
	}
	buf_putc(out, ']');
}

static void put_value(struct buf *out, char kind, struct msgpack *m)
{
	struct str text = STR_NULL;
	int64_t i = 0;

	switch (kind) {
	case 'u':
		buf_put_u64(out, take_uint(m));
		break;
	case 'm':
		put_mask(out, take_uint(m));
		break;
	case 'i':
		(void)msgpack_int(m, &i);
		buf_put_i64(out, i);
		break;
	case 's':
		(void)msgpack_str(m, &text);
		json_put_str(out, text);
		break;
	case 'b':
		(void)msgpack_bin(m, &text);
		put_hex(out, text);
		break;
	case 'U':
	case 'M':
		put_map(out, m, kind == 'U');
		break;
	case 'T':
		put_texts(out, m);
		break;
	case 'C':
		put_caveats(out, m);
		break;
	default:
		put_commands(out, m);
	}
}

static void put_struct(struct buf *out, const struct caveat_row *row, struct msgpack *m)
{
	struct str fields = str_from(row->fields), name;

	(void)take_count(m);
	buf_putc(out, '{');
	for (const char *kind = row->shape + 1; *kind != ']'; kind++) {
		(void)str_cut(fields, ' ', &name, &fields);
		if (kind > row->shape + 1)
			buf_putc(out, ',');
		json_put_str(out, name);
		buf_putc(out, ':');
		put_value(out, *kind, m);
	}
	buf_putc(out, '}');
}

void caveat_put_json(struct buf *out, const struct caveat *c)
{
	const struct caveat_row *row = caveat_row_of(c->type);
	struct msgpack m = msgpack_from(c->body);

	buf_puts(out, "{\"type\":");
	if (row)
		json_put_str(out, str_from(row->name));
	else
		buf_printf(out, "\"%llu\"", (unsigned long long)c->type);
	buf_puts(out, ",\"body\":");
	if (!row)
		put_hex(out, c->body);
	else if (row->shape[0] == '[')
		put_struct(out, row, &m);
	else
		put_value(out, row->shape[0], &m);
	buf_putc(out, '}');
}
