/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line to which a complaint about several settings together belongs. Such a complaint begins
 * with the key that is wrong, "discovery.org: …" or "proxies[1].unit: …", so its words are followed
 * into the document as far as they lead. A setting that the file leaves out has no line.
 */
#include "userspace/base/conf.h"

#include <string.h>

#include <yaml.h>

#include "userspace/base/num.h"

struct place {
	yaml_document_t *doc;
	const yaml_node_t *node;
	int line; /* 0: nothing was found so far */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static struct str next_word(struct str *text)
{
	size_t from = 0, len = 0;

	while (from < text->len && memchr(".: []", text->p[from], 5))
		from++;
	while (from + len < text->len && is_word(text->p[from + len]))
		len++;
	struct str word = { text->p + from, len };

	*text = str_skip(*text, from + len);
	return word;
}

static bool follow_key(struct place *at, struct str word)
{
	const yaml_node_t *map = at->node;

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = yaml_document_get_node(at->doc, p->key);

		if (key->type != YAML_SCALAR_NODE ||
		    !str_eq((struct str){ (const char *)key->data.scalar.value,
		                          key->data.scalar.length },
		            word))
			continue;
		at->line = (int)key->start_mark.line + 1;
		at->node = yaml_document_get_node(at->doc, p->value);
		return true;
	}
	return false;
}

static bool follow_index(struct place *at, struct str word)
{
	const yaml_node_t *seq = at->node;
	uint64_t i;

	if (num_parse_u64(word, &i) < 0 ||
	    i >= (uint64_t)(seq->data.sequence.items.top - seq->data.sequence.items.start))
		return false;
	at->node = yaml_document_get_node(at->doc, seq->data.sequence.items.start[i]);
	at->line = (int)at->node->start_mark.line + 1;
	return true;
}

static bool follow(struct place *at, struct str word)
{
	if (word.len == 0)
		return false;
	if (at->node->type == YAML_MAPPING_NODE)
		return follow_key(at, word);
	return at->node->type == YAML_SEQUENCE_NODE && follow_index(at, word);
}

static int find_line(struct str text, struct str words)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	struct place at = { .doc = &doc };

	if (!yaml_parser_initialize(&parser))
		return 0;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""),
	                             text.len);
	if (yaml_parser_load(&parser, &doc)) {
		at.node = yaml_document_get_root_node(&doc);
		while (at.node && follow(&at, next_word(&words)))
			;
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	return at.line;
}

int conf_complain(const char *name, struct str text, int code, const char *why, struct err *e)
{
	int line = find_line(text, str_from(why));

	if (line == 0)
		return err_set(e, code, "%.160s: %s", name, why);
	return err_set(e, code, "%.160s:%d: %s", name, line, why);
}
