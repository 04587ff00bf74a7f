/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/import/csv: rows whose columns the argument format names. */
#include <errno.h>

#include "api/handlers/body.h"
#include "api/handlers/csv_rows.h"
#include "api/handlers/handlers.h"
#include "api/handlers/import.h"
#include "api/reply.h"
#include "userspace/base/clock.h"

static int add_row(struct import *im, struct csv_row *row)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < row->n_values; i++) {
		const struct sample sample = { row->ts_ms, row->values[i].value };

		row->labels[0] = (struct label){ STR(LABEL_NAME), row->values[i].name };
		r = import_add(im, row->labels, row->n_labels, &sample, 1);
	}
	return r;
}

static int import_rows(struct import *im, const struct csv_format *format, struct csv_row *row,
                       struct str text)
{
	int64_t now_ms = clock_unix_ms();
	struct str line;

	for (uint64_t n = 1; import_next_line(&text, &line); n++) {
		struct err e = ERR_INIT;
		int r = line.len > 0 ? csv_row_read(row, format, line, now_ms, &e) : 1;

		if (r == 0)
			r = add_row(im, row);
		else if (r == -EBADMSG)
			import_bad(im, n, &e);
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return 0;
}

int h_import_csv(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	_cleanup_(import_done) struct import im = { 0 };
	struct csv_row *row = ARENA_NEW(&req->arena, struct csv_row);
	struct csv_format format;
	struct str text;
	struct err e = ERR_INIT;
	int r = row ? csv_format_parse(params_get(&req->params, "format"), &req->arena, &format, &e)
	            : arena_error(&req->arena);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	int status = body_unpack(region, req, &scratch, &text, resp);

	if (status == 0)
		status = import_init(&im, region, req, "line", resp);
	if (status == 0)
		status = import_reply(&im, resp, import_rows(&im, &format, row, text));
	csv_row_done(row);
	return status;
}
