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

	/* The reader multiplies doubles: it takes a factor of up to 53 bits without loss. */
	while (i + 1 < n && (v == 0 || v % units[i].scale != 0 || v / units[i].scale > 1ull << 53))
		i++;
	buf_put_u64(out, v / units[i].scale);
	buf_puts(out, units[i].name);
}

void conf_put_duration(struct buf *out, int64_t ms)
{
	static const struct unit units[] = {
		{ "y", 31536000000 }, { "d", 86400000 }, { "h", 3600000 },
		{ "m", 60000 },       { "s", 1000 },     { "ms", 1 },
	};

	put_scaled(out, (uint64_t)ms, units, ARRAY_SIZE(units));
}

void conf_put_size(struct buf *out, uint64_t bytes)
{
	static const struct unit units[] = {
		{ "TiB", 1ull << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 },
		{ "KiB", 1 << 10 },    { "B", 1 },
	};

	put_scaled(out, bytes, units, ARRAY_SIZE(units));
}

/*
 * Characters that YAML does not read back as they are: line breaks of Unicode, the byte order mark,
 * non-characters, and the controls U+0080 to U+009F. Returns the bytes of the one at @text, or 0.
 */
static size_t put_unicode_escape(struct buf *out, const char *text)
{
	static const struct {
		const char *bytes, *escape;
	} rows[] = {
		{ "\u2028", "\\L" },           { "\u2029", "\\P" },
		{ "\ufeff", "\\uFEFF" },       { "\xef\xbf\xbe", "\\uFFFE" },
		{ "\xef\xbf\xbf", "\\uFFFF" },
	};

	if (text[0] == '\xc2' && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0) {
		buf_printf(out, "\\x%02x", (unsigned char)text[1]);
		return 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strncmp(text, rows[i].bytes, 3) == 0) {
			buf_puts(out, rows[i].escape);
			return 3;
		}
	}
	return 0;
}

static void put_quoted(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	while (*text) {
		unsigned char c = (unsigned char)*text;
		size_t n = c >= 0x80 ? put_unicode_escape(out, text) : 0;

		if (n == 0 && (c == '"' || c == '\\'))
			buf_printf(out, "\\%c", c);
		else if (n == 0 && (c < ' ' || c == 0x7f))
			buf_printf(out, "\\x%02x", c);
		else if (n == 0)
			buf_putc(out, (char)c);
		text += n > 0 ? n : 1;
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
		conf_put_duration(out, *(const int64_t *)field);
		break;
	case CONF_SIZE:
		conf_put_size(out, *(const uint64_t *)field);
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

struct place {
	size_t depth;
	bool comments;
};

static void put_rows(struct buf *out, const struct conf_schema *schema, const void *cfg,
                     struct str prefix, struct place at);

static void put_structs(struct buf *out, const struct conf_row *row, const void *cfg, size_t depth)
{
	const struct conf_structs *list = conf_field_const(row, cfg);

	if (list->n == 0) {
		buf_puts(out, row->sub->key_offset >= 0 ? " {}\n" : " []\n");
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
		put_rows(out, row->sub, one, STR(""), (struct place){ depth + 2, false });
	}
}

static void put_row(struct buf *out, const struct conf_row *row, const void *cfg, struct str name,
                    struct place at)
{
	if (at.comments && row->sentence) {
		put_indent(out, at.depth);
		buf_printf(out, "# %s\n", row->sentence);
	}
	put_indent(out, at.depth);
	buf_put_str(out, name);
	buf_putc(out, ':');
	if (row->type == CONF_STRUCTS) {
		put_structs(out, row, cfg, at.depth);
		return;
	}
	buf_putc(out, ' ');
	put_value(out, row, cfg);
	buf_putc(out, '\n');
}

static size_t first_in_group(const struct conf_schema *schema, struct str group)
{
	size_t i = 0;

	while (!str_starts(str_from(schema->rows[i].key), group))
		i++;
	return i;
}

/*
 * The rows whose keys begin with @prefix. The rows of a group need not stand together in the table,
 * but must in the file: the first one of a group prints all.
 */
static void put_rows(struct buf *out, const struct conf_schema *schema, const void *cfg,
                     struct str prefix, struct place at)
{
	for (size_t i = 0; i < schema->n; i++) {
		struct str key = str_from(schema->rows[i].key), head, tail;

		if (!str_starts(key, prefix))
			continue;
		if (!str_cut(str_skip(key, prefix.len), '.', &head, &tail)) {
			put_row(out, &schema->rows[i], cfg, head, at);
			continue;
		}
		struct str group = { key.p, prefix.len + head.len + 1 };

		if (first_in_group(schema, group) != i)
			continue;
		put_indent(out, at.depth);
		buf_put_str(out, head);
		buf_puts(out, ":\n");
		put_rows(out, schema, cfg, group, (struct place){ at.depth + 1, at.comments });
	}
}

void conf_print(const struct conf_schema *schema, const void *cfg, struct buf *out)
{
	put_rows(out, schema, cfg, STR(""), (struct place){ 0, true });
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

static void document_default(const struct conf_row *row, struct buf *out)
{
	bool list = row->type == CONF_STRUCTS || row->type == CONF_STRINGS;

	if (row->default_text && row->default_text[0] != '\0')
		buf_printf(out, "`%s`", row->default_text);
	else
		buf_puts(out, list ? "none" : row->default_text ? "empty" : "required");
}

static void document_rows(const struct conf_schema *schema, const char *prefix, struct buf *out)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct conf_row *row = &schema->rows[i];

		buf_printf(out, "| `%s%s` | ", prefix, row->key);
		conf_expected(row, out);
		buf_puts(out, " | ");
		document_default(row, out);
		buf_printf(out, " | %s | ", row->reloadable ? "yes" : "no");
		buf_put_cell(out, row->sentence ? row->sentence : "");
		buf_puts(out, " |\n");
		if (row->type != CONF_STRUCTS)
			continue;
		_cleanup_(buf_done) struct buf inner = BUF_INIT;

		buf_printf(&inner, "%s%s%s", prefix, row->key,
		           row->sub->key_offset >= 0 ? ".<name>." : "[].");
		document_rows(row->sub, buf_cstr(&inner), out);
	}
}

void conf_document(const struct conf_schema *schema, struct buf *out)
{
	buf_puts(out, "| key | value | default | reload | meaning |\n|---|---|---|---|---|\n");
	document_rows(schema, "", out);
}
