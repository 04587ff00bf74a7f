/* SPDX-License-Identifier: BSD-2-Clause */
/* From a struct back to text: --print-config, what a reload changes, and the reference table. */
#include <string.h>

#include "userspace/base/conf_int.h"
#include "userspace/base/util.h"

struct unit {
	const char *name;
	uint64_t scale;
};

/* With the largest unit that divides it, so that the text reads back to the same number. */
static void put_scaled(struct buf *out, uint64_t v, const struct unit *units, size_t n)
{
	size_t i = 0;

	while (i + 1 < n && (v == 0 || v % units[i].scale != 0))
		i++;
	buf_put_u64(out, v / units[i].scale);
	buf_puts(out, units[i].name);
}

static void put_duration(struct buf *out, int64_t ms)
{
	static const struct unit units[] = {
		{ "y", 31536000000 }, { "d", 86400000 }, { "h", 3600000 },
		{ "m", 60000 },       { "s", 1000 },     { "ms", 1 },
	};

	put_scaled(out, (uint64_t)ms, units, ARRAY_SIZE(units));
}

static void put_size(struct buf *out, uint64_t bytes)
{
	static const struct unit units[] = {
		{ "TiB", 1ull << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 },
		{ "KiB", 1 << 10 },    { "B", 1 },
	};

	put_scaled(out, bytes, units, ARRAY_SIZE(units));
}

static void put_quoted(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_putc(out, (char)c);
	}
	buf_putc(out, '"');
}

static void put_strings(struct buf *out, const struct conf_strings *list)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		buf_puts(out, i > 0 ? ", " : "");
		put_quoted(out, list->v[i]);
	}
	buf_putc(out, ']');
}

static void put_value(struct buf *out, const struct conf_row *row, const void *cfg)
{
	const void *field = conf_field_const(row, cfg);

	switch (row->type) {
	case CONF_BOOL:
		buf_puts(out, *(const bool *)field ? "true" : "false");
		break;
	case CONF_INT:
		buf_put_i64(out, *(const int64_t *)field);
		break;
	case CONF_DURATION:
		put_duration(out, *(const int64_t *)field);
		break;
	case CONF_SIZE:
		put_size(out, *(const uint64_t *)field);
		break;
	case CONF_DOUBLE:
		buf_put_double(out, *(const double *)field);
		break;
	case CONF_STRING:
		put_quoted(out, *(char *const *)field);
		break;
	case CONF_ENUM:
		buf_puts(out, row->names[*(const int *)field]);
		break;
	case CONF_STRINGS:
		put_strings(out, field);
		break;
	case CONF_STRUCTS:
		break; /* put_structs() */
	}
}

static void put_indent(struct buf *out, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		buf_puts(out, "  ");
}

static void put_schema(struct buf *out, const struct conf_schema *schema, const void *cfg,
                       size_t depth, bool comments);

static void put_structs(struct buf *out, const struct conf_row *row, const void *cfg, size_t depth)
{
	const struct conf_structs *list = conf_field_const(row, cfg);

	if (list->n == 0) {
		buf_puts(out, " []\n");
		return;
	}
	buf_putc(out, '\n');
	for (size_t i = 0; i < list->n; i++) {
		const char *one = (const char *)list->v + i * row->sub->struct_bytes;

		put_indent(out, depth + 1);
		if (row->sub->key_offset >= 0) {
			put_quoted(out, *(char *const *)(const void *)(one + row->sub->key_offset));
			buf_puts(out, ":\n");
		} else {
			buf_puts(out, "-\n");
		}
		put_schema(out, row->sub, one, depth + 2, false);
	}
}

/* Groups that the key shares with the row before need no heading; the others get one each. */
static size_t put_groups(struct buf *out, const char *key, const char *before, size_t depth)
{
	const char *dot;
	size_t from = 0;

	while ((dot = strchr(key + from, '.')) != NULL) {
		size_t len = (size_t)(dot - key) + 1;

		if (strncmp(key, before, len) != 0) {
			put_indent(out, depth);
			buf_put(out, key + from, len - 1 - from);
			buf_puts(out, ":\n");
		}
		from = len;
		depth++;
	}
	return depth;
}

static void put_schema(struct buf *out, const struct conf_schema *schema, const void *cfg,
                       size_t depth, bool comments)
{
	const char *before = "";

	for (size_t i = 0; i < schema->n; i++) {
		const struct conf_row *row = &schema->rows[i];
		size_t at = put_groups(out, row->key, before, depth);
		const char *last = strrchr(row->key, '.');

		if (comments) {
			put_indent(out, at);
			buf_printf(out, "# %s\n", row->sentence);
		}
		put_indent(out, at);
		buf_printf(out, "%s:", last ? last + 1 : row->key);
		if (row->type == CONF_STRUCTS) {
			put_structs(out, row, cfg, at);
		} else {
			buf_putc(out, ' ');
			put_value(out, row, cfg);
			buf_putc(out, '\n');
		}
		before = row->key;
	}
}

void conf_print(const struct conf_schema *schema, const void *cfg, struct buf *out)
{
	put_schema(out, schema, cfg, 0, true);
}

const char *conf_unreloadable_change(const struct conf_schema *schema, const void *a, const void *b)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct conf_row *row = &schema->rows[i];
		_cleanup_(buf_done) struct buf ta = BUF_INIT;
		_cleanup_(buf_done) struct buf tb = BUF_INIT;

		if (row->reloadable)
			continue;
		put_value(&ta, row, a);
		put_value(&tb, row, b);
		if (row->type == CONF_STRUCTS) {
			put_structs(&ta, row, a, 0);
			put_structs(&tb, row, b, 0);
		}
		if (ta.err < 0 || tb.err < 0 || !str_eq(buf_str(&ta), buf_str(&tb)))
			return row->key;
	}
	return NULL;
}

void conf_document(const struct conf_schema *schema, struct buf *out)
{
	buf_puts(out, "| key | value | default | reload | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < schema->n; i++) {
		const struct conf_row *row = &schema->rows[i];
		const char *none = row->type == CONF_STRUCTS ? "none" : "required";

		buf_printf(out, "| `%s` | ", row->key);
		conf_expected(row, out);
		buf_printf(out, " | %s%s%s | %s | %s |\n", row->default_text ? "`" : "",
		           row->default_text ? row->default_text : none,
		           row->default_text ? "`" : "", row->reloadable ? "yes" : "no",
		           row->sentence);
	}
}
