/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/import: series as lines of JSON, what /api/v1/export writes. */
#include <errno.h>

#include "api/handlers/body.h"
#include "api/handlers/handlers.h"
#include "api/handlers/import.h"
#include "userspace/wire/jsonline.h"

static int import_lines(struct import *im, struct jsonline *l, struct str text)
{
	struct str line;

	for (uint64_t n = 1; import_next_line(&text, &line); n++) {
		struct err e = ERR_INIT;
		int r = str_trim(line).len > 0 ? jsonline_parse(l, line, &e) : 1;

		if (r == 0)
			r = import_add(im, l->labels, l->n_labels, l->samples, l->n_samples);
		else if (r == -EBADMSG)
			import_bad(im, n, &e);
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return 0;
}

int h_import_json(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	_cleanup_(import_done) struct import im = { 0 };
	_cleanup_(jsonline_done) struct jsonline l = { .n_labels = 0 };
	struct str text;
	int status = body_unpack(region, req, &scratch, &text, resp);

	if (status == 0)
		status = import_init(&im, region, req, "line", resp);
	return status != 0 ? status : import_reply(&im, resp, import_lines(&im, &l, text));
}
