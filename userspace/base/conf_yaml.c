/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file side of configuration: YAML (libyaml) into a struct, by the rows.
 *
 * Why not libcyaml (1.3.1, tried): its calls return "Invalid key" or "Unexpected event" and no
 * more. What was wrong goes to a log callback in several pieces, and the line there is that of the
 * mapping around an unknown key, or of the key before a duplicate. The rows are our schema.
 *
 * Two passes over the text: the first looks at its shape, event by event, and stops at what makes
 * the second one, libyaml's document, slow (measured: 100 KB of "[" take 17 s, quadratic) or big.
 *
 * Bounds   file size, depth, items of a collection. Anchors and aliases are refused: a few lines of
 *          them expand to any size.
 */
#include "userspace/base/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "userspace/base/alloc.h"
#include "userspace/base/conf_int.h"
#include "userspace/base/file.h"
#include "userspace/base/util.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define PATH_CAP       256
#define DEPTH_MAX      16

struct load {
	const char *name; /* of the file, for messages */
	yaml_document_t doc;
	struct err *e;
};

static void load_done(struct load *l)
{
	yaml_document_delete(&l->doc);
}

static int line_of(const yaml_node_t *node)
{
	return (int)node->start_mark.line + 1;
}

static struct str text_of(const yaml_node_t *node)
{
	return (struct str){ (const char *)node->data.scalar.value, node->data.scalar.length };
}

static yaml_node_t *node_at(struct load *l, int id)
{
	return yaml_document_get_node(&l->doc, id);
}

static int load_mapping(struct load *l, const struct conf_schema *schema, const yaml_node_t *map,
                        struct str prefix, void *cfg, bool *seen);

static bool is_quoted(const yaml_node_t *node)
{
	return node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* YAML's null, and the value that was forgotten; who means the text puts it in quotes. */
static bool is_nothing(const yaml_node_t *node)
{
	struct str text = text_of(node);

	return !is_quoted(node) && (text.len == 0 || str_eqc(text, "~") || str_eqc(text, "null"));
}

static const char *kind_of(const yaml_node_t *node)
{
	static const char *const kinds[] = { "nothing", "a scalar", "a list", "a mapping" };

	if (node->type != YAML_SCALAR_NODE)
		return kinds[node->type & 3];
	return is_nothing(node) ? "nothing" : is_quoted(node) ? "a quoted text" : "a scalar";
}

static int refuse(struct load *l, const struct conf_row *row, const yaml_node_t *node,
                  const char *found)
{
	_cleanup_(buf_done) struct buf expected = BUF_INIT;

	conf_expected(row, &expected);
	return err_set(l->e, -EINVAL, "%s:%d: key \"%s\": found %s, expected %.*s", l->name,
	               line_of(node), row->key, found, STR_FMT(buf_str(&expected)));
}

static int wrong_kind(struct load *l, const struct conf_row *row, const yaml_node_t *node)
{
	return refuse(l, row, node, kind_of(node));
}

static int set_scalar(struct load *l, const struct conf_row *row, const yaml_node_t *node,
                      void *cfg)
{
	bool plain = row->type == CONF_BOOL || row->type == CONF_INT || row->type == CONF_DOUBLE;
	struct err why = ERR_INIT;
	int r;

	if (is_nothing(node) || (plain && is_quoted(node)))
		return wrong_kind(l, row, node);
	r = conf_set(row, cfg, text_of(node), &why);
	if (r == -EINVAL)
		return err_set(l->e, r, "%s:%d: key \"%s\": %s", l->name, line_of(node), row->key,
		               why.msg);
	return r;
}

static int too_many(struct load *l, const yaml_node_t *node)
{
	return err_set(l->e, -EINVAL, "%s:%d: more than %d items", l->name, line_of(node),
	               CONF_ITEMS_MAX);
}

static int load_strings(struct load *l, const struct conf_row *row, const yaml_node_t *seq,
                        struct conf_strings *list)
{
	if (seq->data.sequence.items.top - seq->data.sequence.items.start > CONF_ITEMS_MAX)
		return too_many(l, seq);
	conf_strings_done(list); /* the file's list replaces the default's */
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
	     i++) {
		const yaml_node_t *node = node_at(l, *i);

		if (node->type != YAML_SCALAR_NODE || is_nothing(node))
			return wrong_kind(l, row, node);
		int r = conf_strings_add(list, text_of(node));

		if (r == -EINVAL)
			return refuse(l, row, node, "a NUL byte");
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_required(struct load *l, const struct conf_schema *schema, const bool *seen,
                          const yaml_node_t *map)
{
	for (size_t i = 0; i < schema->n; i++) {
		if (!schema->rows[i].default_text && !seen[i] &&
		    schema->rows[i].type != CONF_STRUCTS && schema->rows[i].type != CONF_STRINGS)
			return err_set(l->e, -EINVAL, "%s:%d: required key \"%s\" is missing",
			               l->name, line_of(map), schema->rows[i].key);
	}
	return 0;
}

static int load_struct(struct load *l, const struct conf_schema *schema, const yaml_node_t *map,
                       void *cfg)
{
	_cleanup_free_ bool *seen = mem_zalloc(schema->n, sizeof(*seen));
	int r;

	if (!seen)
		return -ENOMEM;
	r = load_mapping(l, schema, map, STR(""), cfg, seen);
	return r < 0 ? r : check_required(l, schema, seen, map);
}

static int load_structs_seq(struct load *l, const struct conf_row *row, const yaml_node_t *seq,
                            struct conf_structs *list)
{
	if (seq->data.sequence.items.top - seq->data.sequence.items.start > CONF_ITEMS_MAX)
		return too_many(l, seq);
	conf_structs_done(list, row->sub);
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
	     i++) {
		const yaml_node_t *node = node_at(l, *i);
		void *one;

		if (node->type != YAML_MAPPING_NODE)
			return wrong_kind(l, row, node);
		int r = conf_structs_add(list, row->sub, &one);

		if (r < 0)
			return r;
		r = load_struct(l, row->sub, node, one);
		if (r < 0)
			return r;
	}
	return 0;
}

static int duplicate_key(struct load *l, const yaml_node_t *map, const yaml_node_pair_t *at,
                         const yaml_node_t *key)
{
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < at; p++) {
		const yaml_node_t *other = node_at(l, p->key);

		if (str_eq(text_of(other), text_of(key)))
			return err_set(l->e, -EINVAL,
			               "%s:%d: key \"%.*s\" stands twice (first in line %d)",
			               l->name, line_of(key), STR_FMT(text_of(key)),
			               line_of(other));
	}
	return 0;
}

/* Key and value of one pair, the key a word that did not occur before. */
static int pair_nodes(struct load *l, const yaml_node_t *map, const yaml_node_pair_t *p,
                      const yaml_node_t **ret_key, yaml_node_t **ret_value)
{
	*ret_key = node_at(l, p->key);
	*ret_value = node_at(l, p->value);
	if ((*ret_key)->type != YAML_SCALAR_NODE ||
	    memchr(text_of(*ret_key).p, '\0', text_of(*ret_key).len))
		return err_set(l->e, -EINVAL, "%s:%d: a key must be a plain word", l->name,
		               line_of(*ret_key));
	return duplicate_key(l, map, p, *ret_key);
}

static int set_key(const struct conf_schema *schema, void *one, struct str key)
{
	char **field = (char **)((char *)one + schema->key_offset);
	char *copy = mem_strndup(key.p, key.len);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* A mapping of mappings: the key goes into the struct's own field. */
static int load_structs_map(struct load *l, const struct conf_row *row, const yaml_node_t *map,
                            struct conf_structs *list)
{
	if (map->data.mapping.pairs.top - map->data.mapping.pairs.start > CONF_ITEMS_MAX)
		return too_many(l, map);
	conf_structs_done(list, row->sub);
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key;
		yaml_node_t *value;
		void *one;
		int r = pair_nodes(l, map, p, &key, &value);

		if (r < 0)
			return r;
		if (value->type != YAML_MAPPING_NODE)
			return wrong_kind(l, row, value);
		r = conf_structs_add(list, row->sub, &one);
		if (r < 0)
			return r;
		r = set_key(row->sub, one, text_of(key));
		if (r == 0)
			r = load_struct(l, row->sub, value, one);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_value(struct load *l, const struct conf_row *row, const yaml_node_t *node,
                      void *cfg)
{
	void *field = conf_field(row, cfg);

	bool keyed = row->type == CONF_STRUCTS && row->sub->key_offset >= 0;

	if (row->type == CONF_STRUCTS && !keyed && node->type == YAML_SEQUENCE_NODE)
		return load_structs_seq(l, row, node, field);
	if (keyed && node->type == YAML_MAPPING_NODE)
		return load_structs_map(l, row, node, field);
	if (row->type == CONF_STRINGS && node->type == YAML_SEQUENCE_NODE)
		return load_strings(l, row, node, field);
	if (row->type < CONF_STRINGS && node->type == YAML_SCALAR_NODE)
		return set_scalar(l, row, node, cfg);
	return wrong_kind(l, row, node);
}

/* Levenshtein distance, cut at small lengths: enough to say "did you mean". */
static size_t distance(struct str a, struct str b)
{
	size_t row[65];

	if (a.len > 64 || b.len > 64)
		return 64;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t swap = diagonal + (a.p[i - 1] != b.p[j - 1]);

			diagonal = row[j];
			size_t step = MIN(row[j], row[j - 1]) + 1;

			row[j] = MIN(step, swap);
		}
	}
	return row[b.len];
}

static int unknown_key(struct load *l, const struct conf_schema *schema, const yaml_node_t *key,
                       struct str path)
{
	size_t best = 3;
	const char *near = NULL;

	for (size_t i = 0; i < schema->n; i++) {
		size_t d = distance(path, str_from(schema->rows[i].key));

		if (d < best) {
			best = d;
			near = schema->rows[i].key;
		}
	}
	return err_set(l->e, -EINVAL, "%s:%d: unknown key \"%.*s\"%s%s%s", l->name, line_of(key),
	               (int)MIN(path.len, (size_t)80), path.p, near ? ", did you mean \"" : "",
	               near ? near : "", near ? "\"?" : "");
}

/* Is @path, followed by a dot, the beginning of any row's key? */
static bool is_group(const struct conf_schema *schema, struct str path)
{
	for (size_t i = 0; i < schema->n; i++) {
		struct str key = str_from(schema->rows[i].key);

		if (str_starts(key, path) && key.len > path.len && key.p[path.len] == '.')
			return true;
	}
	return false;
}

static int load_pair(struct load *l, const struct conf_schema *schema, const yaml_node_t *key,
                     yaml_node_t *value, struct str prefix, void *cfg, bool *seen)
{
	_cleanup_(buf_done) struct buf path = { .max = PATH_CAP };

	/* "wal.sync: x" beside "wal: {sync: y}" would be a duplicate that nobody sees. */
	if (memchr(text_of(key).p, '.', text_of(key).len))
		return err_set(l->e, -EINVAL,
		               "%s:%d: key \"%.*s\": found a dot, expected nested mappings",
		               l->name, line_of(key), (int)MIN(text_of(key).len, (size_t)80),
		               text_of(key).p);
	if (prefix.len > 0)
		buf_printf(&path, "%.*s.", STR_FMT(prefix));
	buf_put_str(&path, text_of(key));
	if (path.err == -ENOMEM)
		return -ENOMEM;
	for (size_t i = 0; i < schema->n; i++) {
		if (str_eqc(buf_str(&path), schema->rows[i].key)) {
			seen[i] = true;
			return load_value(l, &schema->rows[i], value, cfg);
		}
	}
	if (path.err < 0 || !is_group(schema, buf_str(&path)))
		return unknown_key(l, schema, key, buf_str(&path));
	if (value->type != YAML_MAPPING_NODE)
		return err_set(l->e, -EINVAL, "%s:%d: key \"%.*s\": expected a mapping of settings",
		               l->name, line_of(value), STR_FMT(buf_str(&path)));
	return load_mapping(l, schema, value, buf_str(&path), cfg, seen);
}

/* Depth is bounded by the table: a group is entered only when a row's key goes on below it. */
static int load_mapping(struct load *l, const struct conf_schema *schema, const yaml_node_t *map,
                        struct str prefix, void *cfg, bool *seen)
{
	if (map->data.mapping.pairs.top - map->data.mapping.pairs.start > CONF_ITEMS_MAX)
		return too_many(l, map);
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key;
		yaml_node_t *value;
		int r = pair_nodes(l, map, p, &key, &value);

		if (r == 0)
			r = load_pair(l, schema, key, value, prefix, cfg, seen);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The reader below the scanner counts bytes, not lines. */
static int error_line(const yaml_parser_t *parser, struct str text)
{
	int line = 1;

	if (parser->error != YAML_READER_ERROR)
		return (int)parser->problem_mark.line + 1;
	for (size_t i = 0; i < MIN(parser->problem_offset, text.len); i++)
		line += text.p[i] == '\n';
	return line;
}

static int yaml_error(struct load *l, const yaml_parser_t *parser, struct str text)
{
	return err_set(l->e, parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL,
	               "%s:%d: %s%s%s", l->name, error_line(parser, text),
	               parser->problem ? parser->problem : "not YAML", parser->context ? ", " : "",
	               parser->context ? parser->context : "");
}

static int parser_open(yaml_parser_t *ret, struct str text)
{
	if (!yaml_parser_initialize(ret))
		return -ENOMEM;
	yaml_parser_set_encoding(ret, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(ret, (const unsigned char *)(text.p ? text.p : ""), text.len);
	return 0;
}

struct shape {
	int depth, documents;
};

static bool has_anchor(const yaml_event_t *ev)
{
	return ev->type == YAML_ALIAS_EVENT ||
	       (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor) ||
	       (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor) ||
	       (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor);
}

static int check_event(struct load *l, const yaml_event_t *ev, struct shape *s)
{
	int line = (int)ev->start_mark.line + 1;

	s->documents += ev->type == YAML_DOCUMENT_START_EVENT;
	s->depth += ev->type == YAML_SEQUENCE_START_EVENT || ev->type == YAML_MAPPING_START_EVENT;
	s->depth -= ev->type == YAML_SEQUENCE_END_EVENT || ev->type == YAML_MAPPING_END_EVENT;
	if (s->documents > 1) /* else it would be ignored in silence */
		return err_set(l->e, -EINVAL, "%s:%d: found a second document, expected one",
		               l->name, line);
	if (s->depth > DEPTH_MAX)
		return err_set(l->e, -EINVAL, "%s:%d: nested deeper than %d levels", l->name, line,
		               DEPTH_MAX);
	if (has_anchor(ev))
		return err_set(l->e, -EINVAL,
		               "%s:%d: anchors (&name) and aliases (*name) are not accepted",
		               l->name, line);
	return 0;
}

static int check_shape(struct load *l, struct str text)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	struct shape shape = { 0 };
	yaml_parser_t parser;
	int r = parser_open(&parser, text);

	if (r < 0)
		return r;
	while (r == 0 && type != YAML_STREAM_END_EVENT) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			r = yaml_error(l, &parser, text);
			break;
		}
		type = ev.type;
		r = check_event(l, &ev, &shape);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	return r;
}

static int parse_document(struct load *l, struct str text)
{
	yaml_parser_t parser;
	int r = check_shape(l, text);

	if (r == 0)
		r = parser_open(&parser, text);
	if (r < 0)
		return r;
	if (!yaml_parser_load(&parser, &l->doc))
		r = yaml_error(l, &parser, text);
	yaml_parser_delete(&parser);
	return r;
}

static int load_document(struct load *l, const struct conf_schema *schema, struct str text,
                         void *cfg)
{
	int r = parse_document(l, text);

	if (r < 0)
		return r;
	yaml_node_t none = { .type = YAML_MAPPING_NODE }; /* an empty file sets nothing */
	yaml_node_t *root = yaml_document_get_root_node(&l->doc);

	if (root && root->type != YAML_MAPPING_NODE)
		return err_set(l->e, -EINVAL, "%s:%d: expected a mapping of settings", l->name,
		               line_of(root));
	return load_struct(l, schema, root ? root : &none, cfg);
}

int conf_default_structs(const struct conf_row *row, void *cfg)
{
	_cleanup_(load_done) struct load l = { .name = row->key };
	int r = parse_document(&l, str_from(row->default_text));

	return r < 0 ? r : load_value(&l, row, yaml_document_get_root_node(&l.doc), cfg);
}

/* A message quotes the file, and must stay one line for a log or a terminal. */
static void make_one_line(struct err *e)
{
	for (char *p = e ? e->msg : NULL; p && *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

int conf_parse(const struct conf_schema *schema, const char *name, struct str text, void *cfg,
               struct err *e)
{
	_cleanup_(load_done) struct load l = { .name = name, .e = e };
	_cleanup_free_ void *fresh = mem_zalloc(1, schema->struct_bytes);

	if (!fresh)
		return -ENOMEM;
	if (text.len > FILE_BYTES_MAX)
		return err_set(e, -EINVAL, "%s: larger than %zu bytes", name, FILE_BYTES_MAX);
	int r = conf_init(schema, fresh);

	if (r == 0)
		r = load_document(&l, schema, text, fresh);
	if (r < 0) {
		make_one_line(e);
		conf_done(schema, fresh);
		return r;
	}
	conf_done(schema, cfg);
	memcpy(cfg, fresh, schema->struct_bytes);
	return 0;
}

int conf_load(const struct conf_schema *schema, const char *path, void *cfg, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read(path, &text, FILE_BYTES_MAX);

	if (r < 0)
		return err_set(e, r, "cannot read %s: %s", path, strerror(-r));
	return conf_parse(schema, path, buf_str(&text), cfg, e);
}
