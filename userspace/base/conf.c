/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table side of configuration: defaults, and single values from text. The file side is in
 * conf_yaml.c, the way back to text in conf_print.c.
 */
#include "userspace/base/conf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/conf_int.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

void *conf_field(const struct conf_row *row, void *cfg)
{
	return (char *)cfg + row->offset;
}

const void *conf_field_const(const struct conf_row *row, const void *cfg)
{
	return (const char *)cfg + row->offset;
}

static bool has_range(const struct conf_row *row)
{
	return row->min != 0 || row->max != 0;
}

static void as_text(const struct conf_row *row, double v, struct buf *out)
{
	if (row->type == CONF_DURATION)
		conf_put_duration(out, (int64_t)v);
	else if (row->type == CONF_SIZE)
		conf_put_size(out, (uint64_t)v);
	else
		buf_put_double(out, v);
}

void conf_expected(const struct conf_row *row, struct buf *out)
{
	static const char *const what[] = {
		[CONF_BOOL] = "true or false",
		[CONF_INT] = "an integer",
		[CONF_DURATION] = "a duration like 15s",
		[CONF_SIZE] = "a size like 256MiB",
		[CONF_DOUBLE] = "a number",
		[CONF_STRING] = "a string",
		[CONF_ENUM] = "one of ",
		[CONF_STRINGS] = "a list of strings",
		[CONF_STRUCTS] = "a list of mappings",
	};

	buf_puts(out, row->type == CONF_STRUCTS && row->sub->key_offset >= 0
	                      ? "a mapping of mappings"
	                      : what[row->type]);
	for (const char *const *name = row->names; row->type == CONF_ENUM && *name; name++)
		buf_printf(out, "%s%s", name == row->names ? "" : ", ", *name);
	if (has_range(row)) {
		buf_puts(out, " between ");
		as_text(row, row->min, out);
		buf_puts(out, " and ");
		as_text(row, row->max, out);
	}
}

static int refuse(const struct conf_row *row, struct str text, struct err *e)
{
	_cleanup_(buf_done) struct buf expected = BUF_INIT;

	conf_expected(row, &expected);
	return err_set(e, -EINVAL, "found \"%.*s\", expected %.*s", (int)MIN(text.len, (size_t)60),
	               text.len > 0 ? text.p : "", STR_FMT(buf_str(&expected)));
}

static int set_bool(bool *field, struct str text)
{
	if (!str_eqc(text, "true") && !str_eqc(text, "false"))
		return -EINVAL;
	*field = str_eqc(text, "true");
	return 0;
}

static int set_enum(const struct conf_row *row, int *field, struct str text)
{
	for (int i = 0; row->names[i]; i++) {
		if (str_eqc(text, row->names[i])) {
			*field = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_string(char **field, struct str text)
{
	char *copy;

	if (text.len > 0 && memchr(text.p, '\0', text.len))
		return -EINVAL;
	copy = mem_strndup(text.p, text.len);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* Numbers pass through a double for the range check only; the field keeps every bit. */
static int set_number(const struct conf_row *row, void *field, struct str text)
{
	uint64_t u = 0;
	int64_t i = 0;
	double d = 0;
	int r = row->type == CONF_SIZE     ? num_parse_size(text, &u)
	        : row->type == CONF_DOUBLE ? num_parse_double(text, &d)
	        : row->type == CONF_INT    ? num_parse_i64(text, &i)
	                                   : num_parse_duration_ms(text, &i);

	if (r < 0 || !isfinite(d))
		return -EINVAL;
	double v = row->type == CONF_SIZE ? (double)u : row->type == CONF_DOUBLE ? d : (double)i;

	if (has_range(row) && !(v >= row->min && v <= row->max))
		return -EINVAL;
	if (row->type == CONF_SIZE)
		*(uint64_t *)field = u;
	else if (row->type == CONF_DOUBLE)
		*(double *)field = d;
	else
		*(int64_t *)field = i;
	return 0;
}

int conf_set(const struct conf_row *row, void *cfg, struct str text, struct err *e)
{
	void *field = conf_field(row, cfg);
	int r = -EINVAL;

	switch (row->type) {
	case CONF_BOOL:
		r = set_bool(field, text);
		break;
	case CONF_ENUM:
		r = set_enum(row, field, text);
		break;
	case CONF_STRING:
		r = set_string(field, text);
		break;
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_DOUBLE:
		r = set_number(row, field, text);
		break;
	case CONF_STRINGS:
	case CONF_STRUCTS:
		break; /* never a scalar */
	}
	return r == -EINVAL ? refuse(row, text, e) : r;
}

int conf_set_key(const struct conf_schema *schema, void *cfg, const char *key, const char *text,
                 struct err *e)
{
	for (size_t i = 0; i < schema->n; i++) {
		if (strcmp(schema->rows[i].key, key) == 0)
			return conf_set(&schema->rows[i], cfg, str_from(text), e);
	}
	return err_set(e, -EINVAL, "there is no setting %s", key);
}

int conf_strings_add(struct conf_strings *list, struct str text)
{
	char **v = mem_realloc(list->v, list->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	list->v = v;
	v[list->n] = NULL;
	int r = set_string(&v[list->n], text);

	if (r == 0)
		list->n++;
	return r;
}

int conf_structs_add(struct conf_structs *list, const struct conf_schema *sub, void **ret)
{
	char *v = mem_realloc(list->v, list->n + 1, sub->struct_bytes);

	if (!v)
		return -ENOMEM;
	list->v = v;
	*ret = v + list->n * sub->struct_bytes;
	int r = conf_init(sub, *ret);

	if (r == 0)
		list->n++;
	return r;
}

void conf_strings_done(struct conf_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct conf_strings){ 0 };
}

void conf_structs_done(struct conf_structs *list, const struct conf_schema *sub)
{
	for (size_t i = 0; i < list->n; i++)
		conf_done(sub, (char *)list->v + i * sub->struct_bytes);
	free(list->v);
	*list = (struct conf_structs){ 0 };
}

/* "[a, b]" as in a file, the brackets may be left out; no quotes. */
static int set_default_list(struct conf_strings *list, struct str text)
{
	struct str item;

	if (str_starts(text, STR("[")) && text.p[text.len - 1] == ']')
		text = str_trim((struct str){ text.p + 1, text.len - 2 });
	while (text.len > 0) {
		(void)str_cut(text, ',', &item, &text);
		int r = conf_strings_add(list, str_trim(item));

		if (r < 0)
			return r;
	}
	return 0;
}

static int set_default(const struct conf_row *row, void *cfg)
{
	const char *text = row->default_text;

	if (row->type == CONF_STRUCTS)
		return text ? conf_default_structs(row, cfg) : 0;
	if (row->type == CONF_STRINGS)
		return text ? set_default_list(conf_field(row, cfg), str_from(text)) : 0;
	if (!text)
		return row->type == CONF_STRING ? set_string(conf_field(row, cfg), STR("")) : 0;
	return conf_set(row, cfg, str_from(text), NULL);
}

int conf_init(const struct conf_schema *schema, void *cfg)
{
	memset(cfg, 0, schema->struct_bytes);
	if (schema->key_offset >= 0 &&
	    set_string((char **)((char *)cfg + schema->key_offset), STR("")) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < schema->n; i++) {
		int r = set_default(&schema->rows[i], cfg);

		if (r < 0) {
			conf_done(schema, cfg);
			return r;
		}
	}
	return 0;
}

void conf_done(const struct conf_schema *schema, void *cfg)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct conf_row *row = &schema->rows[i];
		void *field = conf_field(row, cfg);

		if (row->type == CONF_STRING)
			free(*(char **)field);
		else if (row->type == CONF_STRINGS)
			conf_strings_done(field);
		else if (row->type == CONF_STRUCTS)
			conf_structs_done(field, row->sub);
	}
	if (schema->key_offset >= 0)
		free(*(char **)((char *)cfg + schema->key_offset));
	memset(cfg, 0, schema->struct_bytes);
}

/* Through its text: what conf_print() writes, conf_parse() reads. */
int conf_copy(const struct conf_schema *schema, const void *from, void *to)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r;

	conf_print(schema, from, &text);
	r = text.err < 0 ? text.err : conf_init(schema, to);
	if (r < 0)
		return r;
	r = conf_parse(schema, "copy", buf_str(&text), to, NULL);
	if (r < 0)
		conf_done(schema, to);
	return r;
}
