/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/family.h"

#include <string.h>

#include "userspace/base/utf8.h"
#include "userspace/base/util.h"
#include "userspace/host/batch.h"

#define HELP_MAX 1024u

static const struct {
	const char *name;
	enum rw_type type;
} types[] = {
	{ "counter", RW_TYPE_COUNTER },     { "gauge", RW_TYPE_GAUGE },
	{ "histogram", RW_TYPE_HISTOGRAM }, { "gaugehistogram", RW_TYPE_GAUGEHISTOGRAM },
	{ "summary", RW_TYPE_SUMMARY },     { "info", RW_TYPE_INFO },
	{ "stateset", RW_TYPE_STATESET },
};

void family_done(struct family *f)
{
	buf_done(&f->help);
}

/* Whether lines about @name can be kept; the family is then the one of that name. */
static bool turn_to(struct family *f, struct str name)
{
	if (name.len > sizeof(f->name))
		return false;
	if (name.len == f->name_len && memcmp(name.p, f->name, name.len) == 0)
		return true;
	memcpy(f->name, name.p, name.len);
	f->name_len = name.len;
	f->type = RW_TYPE_UNKNOWN;
	f->unit = STR_NULL;
	f->kept = NULL;
	buf_clear(&f->help);
	return true;
}

/* As much of @text as may be kept, whole characters. */
static size_t cut(struct str text)
{
	size_t n = MIN(text.len, (size_t)HELP_MAX);

	while (n < text.len && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void family_say(struct family *f, struct str name, struct str type, struct str help)
{
	if (!turn_to(f, name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (str_eqc(type, types[i].name))
			f->type = types[i].type;
	}
	if (help.len > 0 && utf8_is_valid(help)) {
		buf_clear(&f->help);
		buf_put(&f->help, help.p, cut(help));
	}
}

void family_say_unit(struct family *f, struct str name, struct str unit)
{
	if (!turn_to(f, name) || unit.len > sizeof(f->unit_text) || !utf8_is_valid(unit))
		return;
	memcpy(f->unit_text, unit.p, unit.len);
	f->unit = (struct str){ f->unit_text, unit.len };
}

static bool is_member(const struct family *f, struct str name)
{
	static const char *const endings[] = { "",       "_total",   "_bucket", "_sum",
		                               "_count", "_created", "_info" };

	if (f->name_len == 0 || !str_starts(name, (struct str){ f->name, f->name_len }))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		if (str_eqc(str_skip(name, f->name_len), endings[i]))
			return true;
	}
	return false;
}

const struct rw2_meta *family_meta(struct family *f, struct batch *b, struct str name)
{
	const struct rw2_meta meta = { f->type, buf_str(&f->help), f->unit };

	if (!is_member(f, name))
		return NULL;
	if (!f->kept)
		f->kept = batch_keep_meta(b, &meta);
	return f->kept;
}
