/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/export/native: raw samples as VictoriaMetrics' blocks. */
#include "api/handlers/dump.h"
#include "api/handlers/handlers.h"
#include "api/params.h"
#include "api/reply.h"
#include "userspace/wire/vm_native.h"

static void native_rows(struct dump *d, struct buf *out, size_t want)
{
	const struct store_series *s = &d->series;

	(void)want;
	d->row += vm_native_put_block(out, s->labels, s->n_labels, s->ts_ms + d->row,
	                              s->values + d->row, s->n - d->row);
}

/* The times of the head are as wide as can be: a reader leaves out what is not between them. */
int h_export_native(struct region *region, struct request *req, struct response *resp)
{
	struct dump_format *format = ARENA_NEW(&req->arena, struct dump_format);
	_cleanup_(buf_done) struct buf head = BUF_INIT;

	vm_native_put_head(&head, 0, PARAMS_TIME_MS_MAX);
	if (!format || head.err < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	*format = (struct dump_format){ .content_type = "VictoriaMetrics/native",
		                        .head = arena_str(&req->arena, buf_str(&head)),
		                        .rows = native_rows };
	return dump_reply(region, req, resp, format, NULL, 0);
}
