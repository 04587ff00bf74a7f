/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/delivery/relabel.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/buf.h"
#include "userspace/base/cxx.h"
#include "userspace/base/num.h"
#include "userspace/base/util.h"

#define GROUPS_MAX      32
#define REGEX_BYTES_MAX ((size_t)1 << 20) /* of one automaton */
#define RULES_MAX       256u

static const char *const actions[] = { "replace",   "keep",      "drop",      "keepequal",
	                               "dropequal", "labelmap",  "labeldrop", "labelkeep",
	                               "lowercase", "uppercase", NULL };

static const struct conf_row rows[] = {
#define ROW(k, field, t, text, lo, hi, why)               \
	{ .key = (k),                                     \
	  .type = (t),                                    \
	  .offset = offsetof(struct relabel_conf, field), \
	  .default_text = (text),                         \
	  .min = (lo),                                    \
	  .max = (hi),                                    \
	  .names = (t) == CONF_ENUM ? actions : NULL,     \
	  .reloadable = true,                             \
	  .sentence = (why) },
#include "userspace/host/delivery/relabel_conf.def"
#undef ROW
};

const struct conf_schema relabel_conf_schema = { rows, ARRAY_SIZE(rows),
	                                         sizeof(struct relabel_conf), -1 };

struct rule {
	enum relabel_action action;
	struct str *sources;
	size_t n_sources;
	struct str separator, target, replacement;
	struct cxx_regex *regex;
	bool any; /* the expression is (.*): matches, and is group 1 as a whole */
};

struct relabel {
	struct arena texts;
	struct rule rules[RULES_MAX];
	size_t n;
};

void relabel_free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		cxx_regex_free(r->rules[i].regex);
	arena_done(&r->texts);
	free(r);
}

DEFINE_CLEANUP(struct relabel *, relabel_free);

/* ---- rules ---------------------------------------------------------------------------------- */

static bool is_label_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.len > 0 && s.len <= LABEL_NAME_MAX;
}

static bool wants_target(enum relabel_action a)
{
	return a == RELABEL_REPLACE || a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL ||
	       a == RELABEL_LOWERCASE || a == RELABEL_UPPERCASE;
}

static int bad_rule(size_t i, const char *what, const char *text, struct err *e)
{
	return err_set(e, -EINVAL, "relabel[%zu]: %s%.80s", i, what, text);
}

static int check_rule(const struct relabel_conf *c, size_t i, struct err *e)
{
	/*
	 * A target may be made of groups, as in "${1}_total": then it is checked when it is known.
	 */
	if (wants_target((enum relabel_action)c->action) && !strchr(c->target_label, '$') &&
	    !is_label_name(str_from(c->target_label)))
		return bad_rule(i, "target_label: expected a label's name, found ",
		                c->target_label[0] ? c->target_label : "nothing", e);
	if (!wants_target((enum relabel_action)c->action) && c->target_label[0])
		return bad_rule(i, "target_label: has no meaning for the action ",
		                actions[c->action], e);
	return 0;
}

static int compile(const struct relabel_conf *c, size_t i, struct rule *to, struct err *e)
{
	char why[160] = "";
	int r = cxx_regex_new(&to->regex, c->regex, strlen(c->regex), REGEX_BYTES_MAX, why,
	                      sizeof(why));

	if (r == -EINVAL)
		return bad_rule(i, "regex: ", why, e);
	if (r == 0 && cxx_regex_groups(to->regex) >= GROUPS_MAX)
		return bad_rule(i, "regex: too many groups", "", e);
	return r;
}

static int fill_rule(struct relabel *all, const struct relabel_conf *c, size_t i, struct err *e)
{
	struct rule *to = &all->rules[i];
	int r = check_rule(c, i, e);

	all->n = i + 1; /* what is compiled is freed, whatever comes */
	if (r == 0)
		r = compile(c, i, to, e);
	if (r < 0)
		return r;
	to->action = (enum relabel_action)c->action;
	to->any = strcmp(c->regex, "(.*)") == 0;
	to->separator = arena_str(&all->texts, str_from(c->separator));
	to->target = arena_str(&all->texts, str_from(c->target_label));
	to->replacement = arena_str(&all->texts, str_from(c->replacement));
	to->n_sources = c->source_labels.n;
	to->sources = ARENA_ARRAY(&all->texts, struct str, c->source_labels.n);
	for (size_t k = 0; to->sources && k < to->n_sources; k++)
		to->sources[k] = arena_str(&all->texts, str_from(c->source_labels.v[k]));
	return arena_error(&all->texts);
}

int relabel_new(struct relabel **ret, const struct conf_structs *rules, struct err *e)
{
	_cleanup_(relabel_freep) struct relabel *all = NULL;
	const struct relabel_conf *conf = rules->v;
	int r = 0;

	*ret = NULL;
	if (rules->n == 0)
		return 0;
	if (rules->n > RULES_MAX)
		return err_set(e, -EINVAL, "relabel: more than %u rules", RULES_MAX);
	all = mem_zalloc(1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < rules->n; i++)
		r = fill_rule(all, &conf[i], i, e);
	if (r == 0)
		*ret = TAKE_PTR(all);
	return r;
}

/* ---- labels --------------------------------------------------------------------------------- */

static struct str get(const struct relabel_labels *l, struct str name)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (str_eq(l->v[i].name, name))
			return l->v[i].value;
	}
	return STR_NULL;
}

static void remove_at(struct relabel_labels *l, uint32_t i)
{
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(l->v[0]));
	l->n--;
}

/* An empty value removes. False: there are too many. */
static bool set(struct relabel_labels *l, struct str name, struct str value)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (!str_eq(l->v[i].name, name))
			continue;
		l->v[i].value = value;
		if (value.len == 0)
			remove_at(l, i);
		return true;
	}
	if (value.len == 0)
		return true;
	if (l->n == LABELS_MAX)
		return false;
	l->v[l->n++] = (struct label){ name, value };
	return true;
}

/* ---- one rule ------------------------------------------------------------------------------- */

struct match {
	const struct rule *rule;
	struct str subject;
	int spans[2 * GROUPS_MAX];
	int n_spans;
};

static bool match(struct match *m, struct str subject)
{
	m->subject = subject;
	if (m->rule->any) {
		m->n_spans = 2;
		m->spans[0] = m->spans[2] = 0;
		m->spans[1] = m->spans[3] = (int)subject.len;
		return true;
	}
	m->n_spans = 1 + cxx_regex_groups(m->rule->regex);
	return cxx_regex_match_spans(m->rule->regex, subject.p ? subject.p : "", subject.len, 0,
	                             true, m->spans, m->n_spans);
}

static struct str group(const struct match *m, int i)
{
	if (i < 0 || i >= m->n_spans || m->spans[2 * i] < 0)
		return STR_NULL;
	return (struct str){ m->subject.p + m->spans[2 * i],
		             (size_t)(m->spans[2 * i + 1] - m->spans[2 * i]) };
}

/* A group by number or by name; an unknown one is empty, as Go expands it. */
static struct str named_group(const struct match *m, struct str name)
{
	uint64_t number;

	if (num_parse_u64(name, &number) == 0)
		return group(m, number < GROUPS_MAX ? (int)number : -1);
	for (int i = 1; i < m->n_spans && !m->rule->any; i++) {
		const char *have = cxx_regex_group_name(m->rule->regex, i);

		if (have && str_eqc(name, have))
			return group(m, i);
	}
	return STR_NULL;
}

static bool is_word(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* The reference behind a dollar sign at @at; *@ret_end is behind it. Empty: it is none. */
static struct str reference(struct str text, size_t at, size_t *ret_end)
{
	bool braces = at < text.len && text.p[at] == '{';
	size_t from = at + braces, end = from;

	while (end < text.len && is_word(text.p[end]))
		end++;
	*ret_end = end + braces;
	if (end == from || (braces && (end == text.len || text.p[end] != '}')))
		return STR_NULL;
	return (struct str){ text.p + from, end - from };
}

static void expand(const struct match *m, struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.len;) {
		size_t end = i + 1;

		if (text.p[i] != '$') {
			buf_putc(out, text.p[i]);
		} else if (end < text.len && text.p[end] == '$') {
			buf_putc(out, '$');
			end++;
		} else {
			struct str name = reference(text, i + 1, &end);

			if (name.len > 0)
				buf_put_str(out, named_group(m, name));
			else
				buf_put_str(out, (struct str){ text.p + i, (end = i + 1) - i });
		}
		i = end;
	}
}

/* Expanded into @arena. p is NULL when there is no memory. */
static struct str expanded(const struct match *m, struct str text, struct arena *arena)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT;

	if (!memchr(text.p ? text.p : "", '$', text.len))
		return text;
	out.max = LABEL_VALUE_MAX;
	expand(m, text, &out);
	if (out.err == -ENOMEM)
		return STR_NULL;
	char *copy = arena_strndup(arena, buf_str(&out));

	return (struct str){ copy, copy ? out.len : 0 };
}

static struct str changed_case(struct str text, bool upper, struct arena *arena)
{
	char *copy = arena_strndup(arena, text);

	for (size_t i = 0; copy && i < text.len; i++) {
		if (upper && copy[i] >= 'a' && copy[i] <= 'z')
			copy[i] = (char)(copy[i] - 'a' + 'A');
		else if (!upper && copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] - 'A' + 'a');
	}
	return (struct str){ copy, copy ? text.len : 0 };
}

static struct str joined(const struct rule *r, const struct relabel_labels *l, struct arena *arena)
{
	size_t len = 0, at = 0;
	char *text;

	if (r->n_sources == 1)
		return get(l, r->sources[0]);
	for (size_t i = 0; i < r->n_sources; i++)
		len += get(l, r->sources[i]).len + (i > 0 ? r->separator.len : 0);
	text = arena_alloc(arena, len + 1);
	for (size_t i = 0; text && i < r->n_sources; i++) {
		struct str parts[] = { i > 0 ? r->separator : STR_NULL, get(l, r->sources[i]) };

		for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
			if (parts[k].len > 0)
				memcpy(text + at, parts[k].p, parts[k].len);
			at += parts[k].len;
		}
	}
	return (struct str){ text, text ? len : 0 };
}

static enum relabel_result replace(const struct rule *r, struct relabel_labels *l,
                                   struct str subject, struct arena *arena)
{
	struct match m = { .rule = r };
	struct str name, value;

	if (!match(&m, subject))
		return RELABEL_KEPT;
	name = expanded(&m, r->target, arena);
	value = expanded(&m, r->replacement, arena);
	if (arena_error(arena) < 0)
		return RELABEL_NO_MEMORY;
	if (!is_label_name(name)) /* made of groups that matched nothing of use */
		return RELABEL_KEPT;
	return set(l, name, value) ? RELABEL_KEPT : RELABEL_NO_NAME;
}

static enum relabel_result map_names(const struct rule *r, struct relabel_labels *l,
                                     struct arena *arena)
{
	struct match m = { .rule = r };
	const struct relabel_labels before = *l;

	for (uint32_t i = 0; i < before.n; i++) {
		if (!match(&m, before.v[i].name))
			continue;
		struct str name = expanded(&m, r->replacement, arena);

		if (arena_error(arena) < 0)
			return RELABEL_NO_MEMORY;
		if (is_label_name(name) && !set(l, name, before.v[i].value))
			return RELABEL_NO_NAME;
	}
	return RELABEL_KEPT;
}

static enum relabel_result filter_names(const struct rule *r, struct relabel_labels *l)
{
	struct match m = { .rule = r };
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		if (match(&m, l->v[i].name) == (r->action == RELABEL_LABELKEEP))
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
	return RELABEL_KEPT;
}

static enum relabel_result apply_one(const struct rule *r, struct relabel_labels *l,
                                     struct arena *arena)
{
	struct str subject = joined(r, l, arena);
	struct match m = { .rule = r };

	if (arena_error(arena) < 0)
		return RELABEL_NO_MEMORY;
	switch (r->action) {
	case RELABEL_REPLACE:
		return replace(r, l, subject, arena);
	case RELABEL_KEEP:
		return match(&m, subject) ? RELABEL_KEPT : RELABEL_DROPPED;
	case RELABEL_DROP:
		return match(&m, subject) ? RELABEL_DROPPED : RELABEL_KEPT;
	case RELABEL_KEEPEQUAL:
		return str_eq(subject, get(l, r->target)) ? RELABEL_KEPT : RELABEL_DROPPED;
	case RELABEL_DROPEQUAL:
		return str_eq(subject, get(l, r->target)) ? RELABEL_DROPPED : RELABEL_KEPT;
	case RELABEL_LABELMAP:
		return map_names(r, l, arena);
	case RELABEL_LABELDROP:
	case RELABEL_LABELKEEP:
		return filter_names(r, l);
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
		subject = changed_case(subject, r->action == RELABEL_UPPERCASE, arena);
		if (arena_error(arena) < 0)
			return RELABEL_NO_MEMORY;
		return set(l, r->target, subject) ? RELABEL_KEPT : RELABEL_NO_NAME;
	}
	return RELABEL_KEPT;
}

enum relabel_result relabel_apply(const struct relabel *r, struct relabel_labels *labels,
                                  struct arena *arena)
{
	for (size_t i = 0; i < r->n; i++) {
		enum relabel_result res = apply_one(&r->rules[i], labels, arena);

		if (res != RELABEL_KEPT)
			return res;
	}
	return get(labels, STR(LABEL_NAME)).len > 0 ? RELABEL_KEPT : RELABEL_NO_NAME;
}
