/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/series_text.h"

#include <ctype.h>

#include "userspace/base/util.h"

struct str series_name(const struct label *labels, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eqc(labels[i].name, LABEL_NAME))
			return labels[i].value;
	}
	return STR_NULL;
}

static void put_quoted(struct buf *out, struct str s)
{
	size_t from = 0;

	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		const char *escape = s.p[i] == '"'    ? "\\\""
		                     : s.p[i] == '\\' ? "\\\\"
		                     : s.p[i] == '\n' ? "\\n"
		                                      : NULL;

		if (!escape)
			continue;
		buf_put(out, s.p + from, i - from);
		buf_puts(out, escape);
		from = i + 1;
	}
	buf_put_str(out, str_skip(s, from));
	buf_putc(out, '"');
}

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
	       (!first && c >= '0' && c <= '9');
}

/* One underscore for each character, not for each byte of it. */
static void put_underscored(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (((unsigned char)s.p[i] & 0xc0) == 0x80)
			continue;
		buf_putc(out, is_name_char(s.p[i], i == 0) ? s.p[i] : '_');
	}
}

void series_text_put_name(struct buf *out, enum name_scheme scheme, struct str name)
{
	if (scheme == NAMES_QUOTED)
		put_quoted(out, name);
	else if (scheme == NAMES_UNDERSCORES)
		put_underscored(out, name);
	else
		buf_put_str(out, name);
}

/* --- order ------------------------------------------------------------------------------------ */

/* The labels that come first; their first letter may be a capital. */
static const char *const first_labels[] = { "namespace",   "ns",     "datacenter", "dc",
	                                    "environment", "env",    "cluster",    "service",
	                                    "job",         "model",  "type",       "sensor_type",
	                                    "sensorType",  "db",     "instance",   "host",
	                                    "server",      "pod",    "node",       "device",
	                                    "tenant",      "client", "name",       "measurement" };

static unsigned rank_of(struct str name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(first_labels); i++) {
		const char *first = first_labels[i];

		if (name.len == strlen(first) && tolower((unsigned char)name.p[0]) == first[0] &&
		    memcmp(name.p + 1, first + 1, name.len - 1) == 0)
			return i;
	}
	return ARRAY_SIZE(first_labels);
}

#define ORDER_MAX 64 /* labels of a series; what is beyond stays in the order of the store */

/* Sorts by rank; those without one keep their order. */
static uint32_t sort_labels(const struct label *labels, uint32_t n, uint8_t order[ORDER_MAX])
{
	uint8_t rank[ORDER_MAX];
	uint32_t n_sorted = MIN(n, (uint32_t)ORDER_MAX);

	for (uint32_t i = 0; i < n_sorted; i++) {
		unsigned r = rank_of(labels[i].name);
		uint32_t k = i;

		for (; k > 0 && rank[k - 1] > r; k--) {
			rank[k] = rank[k - 1];
			order[k] = order[k - 1];
		}
		rank[k] = (uint8_t)r;
		order[k] = (uint8_t)i;
	}
	return n_sorted;
}

/* --- text ------------------------------------------------------------------------------------- */

/* A zero has no sign in text. */
void series_text_put_value(struct buf *out, double v)
{
	buf_put_double(out, v + 0.0);
}

void series_text_put(struct buf *out, enum name_scheme scheme, const struct label *labels,
                     uint32_t n)
{
	struct str name = series_name(labels, n);
	const char *before = scheme == NAMES_QUOTED ? "," : "{";
	bool open = scheme == NAMES_QUOTED;
	uint8_t order[ORDER_MAX];
	uint32_t n_sorted = sort_labels(labels, n, order);

	if (scheme == NAMES_QUOTED)
		buf_putc(out, '{');
	series_text_put_name(out, scheme, name);
	for (uint32_t i = 0; i < n; i++) {
		const struct label *l = &labels[i < n_sorted ? order[i] : i];

		if (str_eqc(l->name, LABEL_NAME))
			continue;
		buf_puts(out, before);
		before = ",";
		open = true;
		series_text_put_name(out, scheme, l->name);
		buf_putc(out, '=');
		put_quoted(out, l->value);
	}
	if (open)
		buf_putc(out, '}');
}
