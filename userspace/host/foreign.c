/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/host/foreign.h"

#include <errno.h>

#include "userspace/base/util.h"

#define RESERVED STR("__")

/*
 * Among v[from .. n), which are sorted by name. Ascending input, which is nearly all, is appended.
 * There must be room.
 */
static int insert(struct label *v, uint32_t *n, uint32_t from, struct label one)
{
	uint32_t at = *n;
	int c = 1;

	while (at > from && (c = str_cmp(v[at - 1].name, one.name)) > 0)
		at--;
	if (at > from && c == 0)
		return -EINVAL;
	memmove(&v[at + 1], &v[at], (*n - at) * sizeof(v[0]));
	v[at] = one;
	++*n;
	return 0;
}

static bool is_ours(struct str name, const struct str standard[SERIES_STANDARD_N])
{
	if (str_starts(name, RESERVED))
		return true;
	for (uint32_t i = 0; i < SERIES_STANDARD_N; i++) {
		if (standard[i].len > 0 && str_eq(name, catalog_standard_label(i)))
			return true;
	}
	return false;
}

int foreign_own(const struct label *own, uint32_t n_own,
                const struct str standard[SERIES_STANDARD_N], struct label *ret)
{
	uint32_t n = 1;
	int r = 0;

	if (n_own == 0 || own[0].value.len == 0 || !str_eqc(own[0].name, LABEL_NAME))
		return -EINVAL;
	ret[0] = own[0];
	for (uint32_t i = 1; r == 0 && i < n_own; i++) {
		if (own[i].value.len > 0 && !is_ours(own[i].name, standard))
			r = insert(ret, &n, 1, own[i]);
	}
	return r < 0 ? r : (int)n;
}

struct merge {
	struct label v[LABELS_MAX];
	uint32_t n;
};

static int merge(struct merge *m, const struct label *own, uint32_t n_own, struct str org,
                 const struct str standard[SERIES_STANDARD_N])
{
	struct label clean[LABELS_MAX];
	int n = n_own > LABELS_MAX ? -ENOSPC : foreign_own(own, n_own, standard, clean), r = 0;

	if (n < 0)
		return n;
	m->n = 0;
	m->v[m->n++] = clean[0];
	if (org.len > 0)
		m->v[m->n++] = (struct label){ STR(LABEL_ORG), org };
	if (m->n + (uint32_t)n - 1 + SERIES_STANDARD_N > LABELS_MAX)
		return -ENOSPC;
	memcpy(&m->v[m->n], clean + 1, ((size_t)n - 1) * sizeof(clean[0]));
	const uint32_t from = m->n;

	m->n += (uint32_t)n - 1;
	for (uint32_t i = 0; r == 0 && i < SERIES_STANDARD_N; i++) {
		if (standard[i].len > 0)
			r = insert(m->v, &m->n, from,
			           (struct label){ catalog_standard_label(i), standard[i] });
	}
	return r;
}

/* One piece for the labels and all of their texts. */
static int copy(struct arena *a, const struct merge *m, struct foreign *ret)
{
	size_t bytes = m->n * sizeof(m->v[0]);
	struct label *labels;
	char *text;

	for (uint32_t i = 0; i < m->n; i++)
		bytes += m->v[i].name.len + m->v[i].value.len;
	labels = arena_alloc(a, bytes);
	if (!labels)
		return arena_error(a);
	text = (char *)(labels + m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct str parts[] = { m->v[i].name, m->v[i].value };
		struct str *to[] = { &labels[i].name, &labels[i].value };

		for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
			memcpy(text, parts[k].p, parts[k].len);
			*to[k] = (struct str){ text, parts[k].len };
			text += parts[k].len;
		}
	}
	ret->labels = labels;
	ret->n_labels = m->n;
	return 0;
}

int foreign_make(struct arena *a, const struct label *own, uint32_t n_own, struct str org,
                 const struct str standard[SERIES_STANDARD_N], struct foreign *ret)
{
	struct foreign f = { .has_org = org.len > 0 };
	struct merge m;
	int r = merge(&m, own, n_own, org, standard);

	if (r == 0)
		r = copy(a, &m, &f);
	if (r == 0)
		*ret = f;
	return r;
}
