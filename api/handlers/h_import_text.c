/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exposition text. A line that cannot be read costs that line; the others are stored, and the
 * answer is 400 with the first bad lines.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/body.h"
#include "api/handlers/handlers.h"
#include "api/handlers/intake.h"
#include "api/metadata.h"
#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rw2.h"

#define TEXT_BATCH_SERIES  4096u /* appended together */
#define TEXT_BAD_LINES_MAX 5u    /* reported */

static struct metric bad_lines = METRIC_COUNTER("periscope_region_ingest_bad_lines_total", "",
                                                "Lines of text that could not be read.");
METRIC_REGISTER(bad_lines);

struct text_import {
	struct intake in;
	struct series_keyed *batch; /* TEXT_BATCH_SERIES of them, with one sample each */
	struct sample *samples;
	struct buf keys; /* of the batch, one behind the other */
	size_t n;
	const struct label *extra; /* extra_label */
	uint32_t n_extra;
	int64_t default_ts_ms;
	uint64_t n_bad;
	struct buf bad;  /* the first bad lines */
	struct buf help; /* "NAME\0HELP" of the last # HELP line: its # TYPE line is on the way */
};

static void text_import_done(struct text_import *t)
{
	buf_done(&t->keys);
	buf_done(&t->bad);
	buf_done(&t->help);
	free(t->batch);
	free(t->samples);
}

static int flush(struct text_import *t)
{
	size_t begin = 0;

	if (t->keys.err != 0)
		return t->keys.err;
	for (size_t i = 0; i < t->n; i++) { /* only now the text stays where it is */
		size_t end = t->batch[i].key.len;

		t->batch[i].key = (struct str){ t->keys.p + begin, end - begin };
		begin = end;
	}
	int r = t->n > 0 ? intake_add(&t->in, t->batch, t->n) : 0;

	t->n = 0;
	buf_clear(&t->keys);
	return r;
}

static bool is_overridden(const struct text_import *t, struct str name)
{
	for (uint32_t i = 0; i < t->n_extra; i++) {
		if (str_eq(t->extra[i].name, name))
			return true;
	}
	return false;
}

/* The parser's slices live only during the callback; the key is their copy. */
static void put_key(struct text_import *t, const struct promtext_sample *s)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (!is_overridden(t, s->labels[i].name))
			rw_encode_labels(&t->keys, &s->labels[i], 1);
	}
	rw_encode_labels(&t->keys, t->extra, t->n_extra);
}

static int on_sample(void *ctx, const struct promtext_sample *s)
{
	struct text_import *t = ctx;
	struct sample *sample = &t->samples[t->n];

	put_key(t, s);
	*sample = (struct sample){ s->has_ts ? s->ts_ms : t->default_ts_ms, s->value };
	/* For now the key's end; flush() knows where it begins. */
	t->batch[t->n++] = (struct series_keyed){ { NULL, t->keys.len }, sample, 1 };
	return t->n == TEXT_BATCH_SERIES ? flush(t) : 0;
}

static int on_bad_line(void *ctx, uint64_t line, const struct err *e)
{
	struct text_import *t = ctx;

	metric_add(&bad_lines, 1);
	if (t->n_bad++ < TEXT_BAD_LINES_MAX)
		buf_printf(&t->bad, "%sline %llu: %.150s", t->n_bad > 1 ? "; " : "",
		           (unsigned long long)line, e->msg);
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
	intake_metadata(&t->in, &m, 1);
	return 0;
}

static int text_import_init(struct text_import *t, struct region *region, struct request *req,
                            struct err *e)
{
	struct label *extra = ARENA_ARRAY(&req->arena, struct label, req->params.n + 1);
	struct str value;
	int64_t now_ms = clock_unix_ms();

	if (intake_init(&t->in, region, req) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	t->batch = mem_zalloc(TEXT_BATCH_SERIES, sizeof(*t->batch));
	t->samples = mem_zalloc(TEXT_BATCH_SERIES, sizeof(*t->samples));
	if (!t->batch || !t->samples || !extra)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; params_next(&req->params, "extra_label", &i, &value);) {
		struct label *l = &extra[t->n_extra++];

		if (!str_cut(value, '=', &l->name, &l->value) || l->name.len == 0)
			return err_set(e, -EINVAL,
			               "argument extra_label: \"%.*s\" is not NAME=VALUE",
			               (int)MIN(value.len, (size_t)60), value.p);
	}
	t->extra = extra;
	return params_int(&req->params, "timestamp", now_ms, &t->default_ts_ms, e);
}

static int reply_imported(struct response *resp, const struct text_import *t)
{
	if (t->n_bad == 0)
		return intake_reply(resp, &t->in);
	return reply_error(
		resp, REPLY_BAD_DATA,
		"%llu lines could not be read (%.*s); %llu samples are stored, %llu refused",
		(unsigned long long)t->n_bad, STR_FMT(buf_str(&t->bad)),
		(unsigned long long)t->in.accepted, (unsigned long long)t->in.refused);
}

static int import_text(struct region *region, struct request *req, struct response *resp,
                       struct str text)
{
	static const struct promtext_ops ops = { .sample = on_sample,
		                                 .metadata = on_metadata,
		                                 .bad = on_bad_line };
	_cleanup_(text_import_done) struct text_import t = { 0 };
	struct err e = ERR_INIT;
	int r = text_import_init(&t, region, req, &e);

	if (r == -EINVAL)
		return reply_error(resp, REPLY_BAD_DATA, "%s", e.msg);
	if (r == 0)
		r = promtext_parse(text, &ops, &t);
	if (r == 0)
		r = flush(&t);
	return r < 0 ? intake_reply_error(resp, r) : reply_imported(resp, &t);
}

int h_import_text(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf scratch = BUF_INIT;
	struct str text;
	int status = body_unpack(region, req, &scratch, &text, resp);

	return status != 0 ? status : import_text(region, req, resp, text);
}
