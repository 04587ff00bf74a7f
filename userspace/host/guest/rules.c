/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/guest/rules.h"

#include <string.h>

#include "userspace/base/num.h"
#include "userspace/base/str.h"
#include "userspace/base/util.h"

#define BANNER_HEAD   "Linux version "
#define VERSION(a, b) ((a)*1000 + (b))
#define VERSION_MAX   UINT32_MAX

static uint32_t leading_number(struct str *s)
{
	size_t n = 0;
	uint64_t v = 0;

	while (n < s->len && n < 4 && s->p[n] >= '0' && s->p[n] <= '9')
		v = v * 10 + (uint64_t)(s->p[n++] - '0');
	*s = str_skip(*s, n);
	return (uint32_t)v;
}

uint32_t rules_version(const char *banner)
{
	struct str s = str_from(banner);
	uint32_t major, minor;

	if (!str_starts(s, STR(BANNER_HEAD)))
		return 0;
	s = str_skip(s, strlen(BANNER_HEAD));
	major = leading_number(&s);
	if (major == 0 || s.len == 0 || s.p[0] != '.')
		return 0;
	s = str_skip(s, 1);
	minor = leading_number(&s);
	return minor < 1000 ? VERSION(major, minor) : 0;
}

/* ---- values that follow from types ---------------------------------------------------------- */

/* Up to 6.12 an unnamed struct of a seqcount and the timekeeper, later a struct tk_data. */
static bool timekeeper_at(const struct btf_types *types, int64_t *ret)
{
	struct btf_place place;
	uint32_t bytes;

	if (btf_types_find(types, "tk_data.timekeeper", &place) == 0) {
		*ret = place.offset_bytes;
		return true;
	}
	if (btf_types_size(types, "seqcount_raw_spinlock_t", &bytes) < 0)
		return false;
	*ret = (bytes + 7) / 8 * 8;
	return true;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct rule {
	enum profile_value id;
	uint32_t from, below; /* versions of the kernel */
	int64_t value;
	bool (*of_types)(const struct btf_types *types, int64_t *ret); /* instead of @value */
	const char *tested;                                            /* on kernels */
} rules[] = {
	{ V_TIMEKEEPER_AT, 0, VERSION_MAX, 0, timekeeper_at, "6.1, 6.12, 7.2" },
	/* Requests in flight were counted by looking at all of them; since then each CPU counts. */
	{ V_IN_FLIGHT_BY_TAGS, 0, VERSION(6, 10), 1, NULL, "6.1" },
	{ V_IN_FLIGHT_BY_TAGS, VERSION(6, 10), VERSION_MAX, 0, NULL, "6.12, 7.2" },
	/* RQF_IO_STAT of include/linux/blk-mq.h */
	{ V_REQUEST_COUNTS_BIT, 0, VERSION(6, 10), 13, NULL, "6.1" },
	/* /proc/sys/fs/file-nr: an approximate count, then the sum of all CPUs' parts. */
	{ V_FILES_EXACT, 0, VERSION(7, 0), 0, NULL, "6.1, 6.12" },
	{ V_FILES_EXACT, VERSION(7, 0), VERSION_MAX, 1, NULL, "7.2" },
};

void rules_apply(const struct btf_types *types, struct profile *p)
{
	uint32_t version = rules_version(p->banner);

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		int64_t value = rule->value;

		if (version < rule->from || version >= rule->below)
			continue;
		if (rule->of_types && !rule->of_types(types, &value))
			continue;
		p->values[rule->id] = value;
		p->values_there[rule->id] = true;
	}
}
