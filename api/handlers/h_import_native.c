/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/import/native: blocks of VictoriaMetrics, as its exports and vmctl send them. */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/body.h"
#include "api/handlers/handlers.h"
#include "api/handlers/import.h"
#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/wire/vm_native.h"

static int import_blocks(struct import *im, struct vm_native *v, struct str stream)
{
	struct err e = ERR_INIT;
	int r = vm_native_begin(v, stream, &e);

	while (r == 0) {
		e = ERR_INIT;
		r = vm_native_next(v, &e);
		if (r == 0)
			r = import_add(im, v->labels, v->n_labels, v->samples, v->n_samples);
		if (r != -EBADMSG)
			continue;
		import_bad(im, v->n_blocks, &e);
		r = 0;
	}
	if (r == -EPROTO) {
		import_bad(im, v->n_blocks, &e);
		r = 0;
	}
	return r == 1 ? 0 : r;
}

int h_import_native(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	_cleanup_(import_done) struct import im = { 0 };
	struct vm_native *v = mem_zalloc(1, sizeof(*v));
	struct str stream;
	int status = v ? body_unpack(region, req, &scratch, &stream, resp)
	               : reply_error(resp, REPLY_UNAVAILABLE, "out of memory");

	if (status == 0)
		status = import_init(&im, region, req, "block", resp);
	if (status == 0)
		status = import_reply(&im, resp, import_blocks(&im, v, stream));
	if (v)
		vm_native_done(v);
	free(v);
	return status;
}
