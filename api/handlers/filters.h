/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Which series a request is about: match[] selectors, the filters that a proxy in front adds to
 * everything, extra_label=NAME=VALUE (all must hold) and extra_filters[] (one of them must hold),
 * and the apps that the token reaches. They become data of the plan; no query text is edited.
 *
 * Of arguments named extra_… those in the URL win over those in the form: a proxy can set the URL
 * without reading the body.
 */

#include "api/http/http.h"
#include "store/store.h"

#define FILTER_SETS_MAX 1024u /* of match[] times extra_filters[] */

struct filters {
	struct store_match_set enforced;    /* the token's apps, extra_label */
	const struct store_match_set *sets; /* extra_filters[]: OR; none = everything */
	size_t n_sets;
};

/* All in the request's arena. -EINVAL with @e, -ENOSPC, -ENOMEM. */
int filters_parse(struct request *req, struct filters *ret, struct err *e);

/*
 * filters_select() - match[] (or match) and the filters as the sets of a store_select: the cross
 * product of the two ORs. Sets org, sets, n_sets and enforced of @sel only. @match_required:
 * -EINVAL when there is no match[].
 */
int filters_select(struct request *req, bool match_required, struct store_select *sel,
                   struct err *e);
