/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/series: the label sets that match. */
#include "api/handlers/handlers.h"
#include "api/handlers/lookup.h"
#include "api/json_out.h"

struct series_answer {
	struct lookup lookup;
	uint64_t answer_max;
};

static int put_series(void *ctx, const struct label *labels, uint32_t n_labels)
{
	struct series_answer *a = ctx;
	struct lookup *l = &a->lookup;
	int r = lookup_item(l);

	if (r < 0)
		return r;
	if (l->n > a->answer_max)
		return err_set(
			&l->e, -ENOSPC,
			"more than %llu series match (labels.answer_max); ask for fewer, or set"
			" a limit",
			(unsigned long long)a->answer_max);
	json_put_labels(l->out, labels, n_labels);
	return l->out->err;
}

int h_series(struct region *region, struct request *req, struct response *resp)
{
	struct series_answer a;
	struct region_conf conf;
	int status = lookup_begin(&a.lookup, region, req, resp, true);

	if (status != 0)
		return status;
	region_settings(region, &conf);
	a.answer_max = (uint64_t)conf.labels_answer_max;
	int r = store_series_each(region->store, &a.lookup.sel, put_series, &a, &a.lookup.e);

	return lookup_end(&a.lookup, resp, r);
}
