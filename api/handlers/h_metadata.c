/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/metadata: what senders said about metrics. */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/handlers/names.h"
#include "api/json_out.h"
#include "api/metadata.h"
#include "api/reply.h"

struct metadata_answer {
	struct buf *out;
	struct str metric;               /* empty = all */
	struct names names;              /* that the token may see; NULL v = all */
	struct str last;                 /* name written last */
	int64_t limit, limit_per_metric; /* <= 0 = none */
	int64_t n, n_of_metric;
};

static bool is_wanted(const struct metadata_answer *a, struct str name)
{
	if (a->metric.len > 0 && !str_eq(a->metric, name))
		return false;
	return names_has_family(&a->names, name);
}

static int put_def(void *ctx, const struct metadata_def *d)
{
	struct metadata_answer *a = ctx;
	bool more = a->n > 0 && str_eq(a->last, d->name);

	if (!is_wanted(a, d->name))
		return 0;
	if (more && a->limit_per_metric > 0 && a->n_of_metric >= a->limit_per_metric)
		return 0;
	if (!more && a->limit > 0 && a->n >= a->limit)
		return 0;
	if (!more) {
		buf_puts(a->out, a->n > 0 ? "]," : "");
		json_put_str(a->out, d->name);
		buf_puts(a->out, ":[");
		a->last = d->name;
		a->n_of_metric = 0;
		a->n++;
	}
	buf_puts(a->out, a->n_of_metric++ > 0 ? ",{\"type\":" : "{\"type\":");
	json_put_str(a->out, str_from(metadata_type_name(d->type)));
	buf_puts(a->out, ",\"help\":");
	json_put_str(a->out, d->help);
	if (d->unit.len > 0) {
		buf_puts(a->out, ",\"unit\":");
		json_put_str(a->out, d->unit);
	}
	buf_putc(a->out, '}');
	return a->out->err;
}

int h_metadata(struct region *region, struct request *req, struct response *resp)
{
	struct metadata_answer a = { .out = &resp->body,
		                     .metric = params_get(&req->params, "metric") };
	struct err e = ERR_INIT;
	int r = params_int(&req->params, "limit", 0, &a.limit, &e);

	if (r == 0)
		r = params_int(&req->params, "limit_per_metric", 0, &a.limit_per_metric, &e);
	if (r == 0 && req->grant.some_apps)
		r = names_of_request(region, req, &a.names, &e);
	if (r < 0)
		return reply_args_error(resp, r, &e);
	buf_puts(a.out, "{\"status\":\"success\",\"data\":{");
	r = metadata_each(region->metadata, req->org, put_def, &a);
	buf_puts(a.out, a.n > 0 ? "]}}\n" : "}}\n");
	return r < 0 && r != a.out->err ? reply_engine_error(resp, r, &e) : reply_json(resp);
}
