/* SPDX-License-Identifier: BSD-2-Clause */
/* /api/v1/import/prometheus: samples as exposition text, with what it says about their types. */
#include <errno.h>

#include "api/handlers/body.h"
#include "api/handlers/handlers.h"
#include "api/handlers/import.h"
#include "api/metadata.h"
#include "api/reply.h"
#include "userspace/base/clock.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rw2.h"

struct text_import {
	struct import im;
	int64_t default_ts_ms;
	struct buf help; /* "NAME\0HELP" of the last # HELP line: its # TYPE line is on the way */
};

static void text_import_done(struct text_import *t)
{
	import_done(&t->im);
	buf_done(&t->help);
}

static int on_sample(void *ctx, const struct promtext_sample *s)
{
	struct text_import *t = ctx;
	const struct sample sample = { s->has_ts ? s->ts_ms : t->default_ts_ms, s->value };

	return import_add(&t->im, s->labels, s->n_labels, &sample, 1);
}

/* The parser's position is a column, which its sentence says in words already. */
static int on_bad_line(void *ctx, uint64_t line, const struct err *e)
{
	struct text_import *t = ctx;
	struct err sentence = *e;

	sentence.pos = -1;
	import_bad(&t->im, line, &sentence);
	return 0;
}

/* HELP stands before TYPE, nearly always; one without the other counts as well. */
static int on_metadata(void *ctx, struct str name, struct str type, struct str help)
{
	struct text_import *t = ctx;
	struct rw_metadata m = { .name = name };
	struct str last = buf_str(&t->help), last_help;

	if (type.len == 0) {
		buf_clear(&t->help);
		buf_put_str(&t->help, name);
		buf_putc(&t->help, '\0');
		buf_put_str(&t->help, help);
		return 0;
	}
	if (str_cut(last, '\0', &last, &last_help) && str_eq(last, name))
		m.help = last_help;
	m.type = metadata_type_of(type);
	intake_metadata(&t->im.in, &m, 1);
	return 0;
}

static int import_text(struct text_import *t, struct request *req, struct response *resp,
                       struct str text)
{
	static const struct promtext_ops ops = { .sample = on_sample,
		                                 .metadata = on_metadata,
		                                 .bad = on_bad_line };
	struct err e = ERR_INIT;
	int r = params_int(&req->params, "timestamp", clock_unix_ms(), &t->default_ts_ms, &e);

	if (r < 0)
		return reply_args_error(resp, r, &e);
	return import_reply(&t->im, resp, promtext_parse(text, &ops, t));
}

int h_import_text(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	_cleanup_(text_import_done) struct text_import t = { 0 };
	struct str text;
	int status = body_unpack(region, req, &scratch, &text, resp);

	if (status == 0)
		status = import_init(&t.im, region, req, "line", resp);
	return status != 0 ? status : import_text(&t, req, resp, text);
}
