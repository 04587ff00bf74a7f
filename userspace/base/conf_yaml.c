/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file side of configuration: YAML (libyaml) into a struct, by the rows.
 *
 * Why not libcyaml: its schema cannot say "duplicate key" and its messages name no line of a
 * key that it rejected, which is what a person with a broken file needs. The rows are our schema.
 *
 * Bounds   file size, nodes of the document, items of a collection, and depth (each level of the
 *          file is a level of the table). An alias may be expanded to any size; none is accepted.
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

struct load {
	const char *name; /* of the file, for messages */
	yaml_document_t doc;
	bool *visited; /* [nodes]: a node met twice is an alias */
	size_t n_nodes;
	struct err *e;
};

static void load_done(struct load *l)
{
	yaml_document_delete(&l->doc);
	free(l->visited);
}

static int line_of(const yaml_node_t *node)
{
	return (int)node->start_mark.line + 1;
}

static struct str text_of(const yaml_node_t *node)
{
	return (struct str){ (const char *)node->data.scalar.value, node->data.scalar.length };
}

/* The node, once: a second visit means an alias. */
static yaml_node_t *visit(struct load *l, int id)
{
	yaml_node_t *node = yaml_document_get_node(&l->doc, id);

	if (!node || (size_t)id > l->n_nodes || l->visited[id - 1]) {
		(void)err_set(l->e, -EINVAL, "%s: aliases (*name) are not accepted", l->name);
		return NULL;
	}
	l->visited[id - 1] = true;
	return node;
}

static int load_mapping(struct load *l, const struct conf_schema *schema, const yaml_node_t *map,
                        struct str prefix, void *cfg, bool *seen);

static int set_scalar(struct load *l, const struct conf_row *row, const yaml_node_t *node,
                      void *cfg)
{
	struct err why = ERR_INIT;
	int r = conf_set(row, cfg, text_of(node), &why);

	if (r == -EINVAL)
		return err_set(l->e, r, "%s:%d: key \"%s\": %s", l->name, line_of(node), row->key,
		               why.msg);
	return r;
}

static int wrong_kind(struct load *l, const struct conf_row *row, const yaml_node_t *node)
{
	static const char *const kinds[] = { "nothing", "a scalar", "a list", "a mapping" };
	_cleanup_(buf_done) struct buf expected = { .max = 120 };

	conf_expected(row, &expected);
	return err_set(l->e, -EINVAL, "%s:%d: key \"%s\": found %s, expected %.*s", l->name,
	               line_of(node), row->key, kinds[node->type & 3], STR_FMT(buf_str(&expected)));
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
		const yaml_node_t *node = visit(l, *i);

		if (!node)
			return -EINVAL;
		if (node->type != YAML_SCALAR_NODE)
			return wrong_kind(l, row, node);
		int r = conf_strings_add(list, text_of(node));

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
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
	     i++) {
		const yaml_node_t *node = visit(l, *i);
		void *one;

		if (!node)
			return -EINVAL;
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
		const yaml_node_t *other = yaml_document_get_node(&l->doc, p->key);

		if (str_eq(text_of(other), text_of(key)))
			return err_set(l->e, -EINVAL,
			               "%s:%d: key \"%.*s\" stands twice (first in line %d)",
			               l->name, line_of(key), STR_FMT(text_of(key)),
			               line_of(other));
	}
	return 0;
}

/* Key and value of one pair, both visited, the key a scalar that did not occur before. */
static int pair_nodes(struct load *l, const yaml_node_t *map, const yaml_node_pair_t *p,
                      const yaml_node_t **ret_key, yaml_node_t **ret_value)
{
	*ret_key = visit(l, p->key);
	*ret_value = *ret_key ? visit(l, p->value) : NULL;
	if (!*ret_value)
		return -EINVAL;
	if ((*ret_key)->type != YAML_SCALAR_NODE)
		return err_set(l->e, -EINVAL, "%s:%d: a key must be a plain word", l->name,
		               line_of(*ret_key));
	return duplicate_key(l, map, p, *ret_key);
}

/* A mapping of mappings: the key goes into the struct's own field. */
static int load_structs_map(struct load *l, const struct conf_row *row, const yaml_node_t *map,
                            struct conf_structs *list)
{
	if (map->data.mapping.pairs.top - map->data.mapping.pairs.start > CONF_ITEMS_MAX)
		return too_many(l, map);
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
		char **name = (char **)((char *)one + row->sub->key_offset);
		char *copy = mem_strndup(text_of(key).p, text_of(key).len);

		if (!copy)
			return -ENOMEM;
		free(*name);
		*name = copy;
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

	if (row->type == CONF_STRUCTS && node->type == YAML_SEQUENCE_NODE)
		return load_structs_seq(l, row, node, field);
	if (row->type == CONF_STRUCTS && node->type == YAML_MAPPING_NODE &&
	    row->sub->key_offset >= 0)
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

static int parse_document(struct load *l, struct str text)
{
	yaml_parser_t parser;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""),
	                             text.len);
	if (!yaml_parser_load(&parser, &l->doc))
		r = err_set(l->e, parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL,
		            "%s:%d: %s%s%s", l->name, (int)parser.problem_mark.line + 1,
		            parser.problem ? parser.problem : "not YAML",
		            parser.context ? ", " : "", parser.context ? parser.context : "");
	yaml_parser_delete(&parser);
	return r;
}

static int load_document(struct load *l, const struct conf_schema *schema, struct str text,
                         void *cfg)
{
	int r = parse_document(l, text);

	if (r < 0)
		return r;
	l->n_nodes = (size_t)(l->doc.nodes.top - l->doc.nodes.start);
	l->visited = mem_zalloc(l->n_nodes, sizeof(*l->visited));
	if (!l->visited)
		return -ENOMEM;
	yaml_node_t none = { .type = YAML_MAPPING_NODE }; /* an empty file sets nothing */
	yaml_node_t *root = yaml_document_get_root_node(&l->doc);

	if (root && root->type != YAML_MAPPING_NODE)
		return err_set(l->e, -EINVAL, "%s:%d: expected a mapping of settings", l->name,
		               line_of(root));
	return load_struct(l, schema, root ? root : &none, cfg);
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
