/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/labels and /api/v1/label/NAME/values. */
#include "api/handlers/handlers.h"
#include "api/handlers/lookup.h"
#include "api/json_out.h"
#include "api/params.h"

static int put_text(void *ctx, struct str text)
{
	struct lookup *l = ctx;
	int r = lookup_item(l);

	if (r < 0)
		return r;
	json_put_str(l->out, text);
	return l->out->err;
}

int h_labels(struct region *region, struct request *req, struct response *resp)
{
	struct lookup l;
	int status = lookup_begin(&l, region, req, resp, false);

	if (status != 0)
		return status;
	return lookup_end(&l, resp, store_label_names(region->store, &l.sel, put_text, &l, &l.e));
}

int h_label_values(struct region *region, struct request *req, struct response *resp)
{
	struct str name = STR_NULL;
	struct lookup l;

	if (params_unescape(req->path_arg, false, &req->arena, &name) < 0 ||
	    params_label_name(name, &req->arena, &name) < 0)
		return reply_error(resp, REPLY_BAD_DATA, "the path names no label");
	int status = lookup_begin(&l, region, req, resp, false);

	if (status != 0)
		return status;
	return lookup_end(&l, resp,
	                  store_label_values(region->store, &l.sel, name, put_text, &l, &l.e));
}
