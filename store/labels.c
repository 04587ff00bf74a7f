/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/labels.h"

#include <errno.h>

#include "userspace/base/utf8.h"
#include "userspace/base/util.h"

#define SHOWN_BYTES ((size_t)40) /* of a text in a message */

static int refuse(enum store_refusal *ret_why, enum store_refusal why)
{
	*ret_why = why;
	return -EINVAL;
}

static int shown(struct str s)
{
	return (int)MIN(s.len, SHOWN_BYTES);
}

static int check_label(const struct label *l, const struct label_limits *limits,
                       enum store_refusal *ret_why, struct err *e)
{
	if (l->name.len == 0 || l->name.len > limits->name_bytes_max)
		return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
		               "a label name has %zu bytes; 1 to %u are accepted", l->name.len,
		               limits->name_bytes_max);
	if (memchr(l->name.p, '\0', l->name.len))
		return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
		               "a label name has a zero byte");
	if (l->value.len > limits->value_bytes_max)
		return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
		               "the value of label \"%.*s\" has %zu bytes; at most %u are accepted",
		               shown(l->name), l->name.p, l->value.len, limits->value_bytes_max);
	if (!utf8_is_valid(l->name) || !utf8_is_valid(l->value))
		return err_set(e, refuse(ret_why, STORE_REFUSED_UTF8),
		               "label \"%.*s\" is not UTF-8", shown(l->name), l->name.p);
	return 0;
}

static bool is_metric_name(const struct label *l)
{
	return str_eqc(l->name, LABEL_NAME);
}

static int cmp_names(const struct label *a, const struct label *b)
{
	bool a_first = is_metric_name(a), b_first = is_metric_name(b);

	return a_first != b_first ? (a_first ? -1 : 1) : str_cmp(a->name, b->name);
}

/* Insertion sort: writers send sorted labels, and then it is one pass. */
static void insert_sorted(struct label *to, uint32_t n, const struct label *l)
{
	uint32_t i = n;

	while (i > 0 && cmp_names(&to[i - 1], l) > 0) {
		to[i] = to[i - 1];
		i--;
	}
	to[i] = *l;
}

static int check_set(const struct label *v, uint32_t n, enum store_refusal *ret_why, struct err *e)
{
	for (uint32_t i = 1; i < n; i++) {
		if (str_eq(v[i - 1].name, v[i].name))
			return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
			               "label \"%.*s\" is given twice", shown(v[i].name),
			               v[i].name.p);
	}
	if (n > 0 && is_metric_name(&v[0]))
		return 0;
	return err_set(e, refuse(ret_why, STORE_REFUSED_NO_NAME), "a series has no metric name");
}

int labels_canonical(const struct label *labels, uint32_t n, const struct label_limits *limits,
                     struct label *ret, uint32_t *ret_n, enum store_refusal *ret_why, struct err *e)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		int r = check_label(&labels[i], limits, ret_why, e);

		if (r < 0)
			return r;
		if (labels[i].value.len == 0)
			continue;
		if (kept == limits->labels_max)
			return err_set(e, refuse(ret_why, STORE_REFUSED_LABELS),
			               "a series has more than %u labels", limits->labels_max);
		insert_sorted(ret, kept++, &labels[i]);
	}
	*ret_n = kept;
	return check_set(ret, kept, ret_why, e);
}

void labels_sort_name_in(struct label *labels, uint32_t n)
{
	struct label name;
	uint32_t i = 0;

	if (n == 0 || !is_metric_name(&labels[0]))
		return;
	name = labels[0];
	for (; i + 1 < n && str_cmp(labels[i + 1].name, name.name) < 0; i++)
		labels[i] = labels[i + 1];
	labels[i] = name;
}
