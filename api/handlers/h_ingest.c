/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways in: remote write 1.0 and exposition text. 204 is sent only after the store has
 * acknowledged everything; a request with refused samples or lines stores the good ones and is
 * answered with 400 and the first reasons, as the remote-write specification asks, so a sender
 * does not retry it for ever.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/handlers/handlers.h"
#include "api/handlers/intake.h"
#include "api/http/gunzip.h"
#include "api/reply.h"
#include "userspace/base/alloc.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/promtext.h"
#include "userspace/wire/rwproto.h"

#define TEXT_BATCH_SERIES  4096u /* appended together */
#define TEXT_BAD_LINES_MAX 5u    /* reported */

static struct metric histograms_skipped =
	METRIC_COUNTER("periscope_region_ingest_histograms_skipped_total", "",
                       "Native histograms in remote writes, which are not stored.");
METRIC_REGISTER(histograms_skipped);
static struct metric bad_lines = METRIC_COUNTER("periscope_region_ingest_bad_lines_total", "",
                                                "Lines of text that could not be read.");
METRIC_REGISTER(bad_lines);
static struct metric bad_messages =
	METRIC_COUNTER("periscope_region_ingest_bad_messages_total", "",
                       "Remote writes that could not be unpacked or decoded.");
METRIC_REGISTER(bad_messages);

/* --- what both share -------------------------------------------------------------------------- */

/* The store said no to the whole request. */
static int reply_append_error(struct response *resp, int r)
{
	if (r == -EAGAIN)
		return reply_error(resp, REPLY_TOO_MANY,
		                   "the memory for recent samples is full; try again later");
	log_error("ingest: a write failed", STRV("why", strerror(-r)));
	return reply_error(resp, REPLY_UNAVAILABLE, "the samples could not be stored: %s",
	                   strerror(-r));
}

static size_t body_max(struct region *region)
{
	struct region_conf conf;

	region_settings(region, &conf);
	return conf.body_bytes_max;
}

static int reply_large(struct response *resp, size_t max)
{
	return reply_error(resp, REPLY_TOO_LARGE, "the unpacked body is above %zu bytes", max);
}

/* --- remote write ----------------------------------------------------------------------------- */

/* Value of a parameter of a media type: PROTO of "a/b;proto=PROTO". */
static struct str media_parameter(struct str params, struct str name)
{
	struct str one, key, value;

	while (params.len > 0) {
		(void)str_cut(params, ';', &one, &params);
		if (str_cut(str_trim(one), '=', &key, &value) && str_eq(str_trim(key), name))
			return str_trim(value);
	}
	return STR_NULL;
}

/* 0, or the status of a refusal: only what we can read, and a sentence about the rest. */
static int check_write_headers(const struct request *req, struct response *resp)
{
	struct str type, params, proto, coding = req->content_encoding;

	(void)str_cut(req->content_type, ';', &type, &params);
	type = str_trim(type);
	proto = media_parameter(params, STR("proto"));
	if (type.len > 0 && !str_eqc(type, "application/x-protobuf"))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write takes application/x-protobuf, not %.*s",
		                   (int)MIN(type.len, (size_t)80), type.p);
	if ((proto.len > 0 && !str_eqc(proto, "prometheus.WriteRequest")) ||
	    str_starts(req->rw_version, STR("2")))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write 2.0 is not taken yet; send 1.0"
		                   " (prometheus.WriteRequest)");
	if (coding.len > 0 && !str_eqc(coding, "snappy"))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write takes snappy compression, not %.*s",
		                   (int)MIN(coding.len, (size_t)40), coding.p);
	return 0;
}

static int reply_written(struct response *resp, const struct intake *in)
{
	uint64_t all = in->accepted + in->refused;

	if (in->refused == 0)
		return reply_empty(resp, 204);
	return reply_error(
		resp, REPLY_BAD_DATA,
		"%llu of %llu samples were refused, the others are stored; the first: %s",
		(unsigned long long)in->refused, (unsigned long long)all,
		in->first.msg[0] ? in->first.msg : "no reason given");
}

static int unpack(struct region *region, struct request *req, struct response *resp,
                  struct buf *body, struct rw_split *ret)
{
	size_t max = body_max(region);
	struct err e = ERR_INIT;
	int r = coding_unpack(CODING_SNAPPY, buf_str(&req->body), max, body);

	if (r == -EFBIG)
		return reply_large(resp, max);
	if (r == 0)
		r = rw_split(buf_str(body), &req->arena, ret, &e);
	metric_add(&histograms_skipped, (int64_t)ret->n_histograms);
	if (r == 0)
		return 0;
	if (r != -EBADMSG)
		return reply_engine_error(resp, r, &e);
	metric_add(&bad_messages, 1);
	return reply_error(resp, REPLY_BAD_DATA, "%s",
	                   e.msg[0] ? e.msg : "the body is not a snappy block");
}

int h_write(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf body = BUF_INIT;
	_cleanup_(rw_split_done) struct rw_split message = { 0 };
	struct intake in;
	int status = check_write_headers(req, resp);

	if (status == 0)
		status = unpack(region, req, resp, &body, &message);
	if (status != 0)
		return status;
	int r = intake_init(&in, region, req);

	if (r == 0)
		r = intake_add(&in, message.series, message.n_series);
	return r < 0 ? reply_append_error(resp, r) : reply_written(resp, &in);
}

/* --- exposition text -------------------------------------------------------------------------- */

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
	struct buf bad; /* the first bad lines */
};

static void text_import_done(struct text_import *t)
{
	buf_done(&t->keys);
	buf_done(&t->bad);
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
		return reply_written(resp, &t->in);
	return reply_error(
		resp, REPLY_BAD_DATA,
		"%llu lines could not be read (%.*s); %llu samples are stored, %llu refused",
		(unsigned long long)t->n_bad, STR_FMT(buf_str(&t->bad)),
		(unsigned long long)t->in.accepted, (unsigned long long)t->in.refused);
}

static int import_text(struct region *region, struct request *req, struct response *resp,
                       struct str text)
{
	static const struct promtext_ops ops = { .sample = on_sample, .bad = on_bad_line };
	_cleanup_(text_import_done) struct text_import t = { 0 };
	struct err e = ERR_INIT;
	int r = text_import_init(&t, region, req, &e);

	if (r == -EINVAL)
		return reply_error(resp, REPLY_BAD_DATA, "%s", e.msg);
	if (r == 0)
		r = promtext_parse(text, &ops, &t);
	if (r == 0)
		r = flush(&t);
	return r < 0 ? reply_append_error(resp, r) : reply_imported(resp, &t);
}

int h_import_text(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf unpacked = BUF_INIT;
	struct str coding = req->content_encoding;
	size_t max = body_max(region);

	if (coding.len == 0 || str_eqc(coding, "identity"))
		return import_text(region, req, resp, buf_str(&req->body));
	if (!str_eqc(coding, "gzip"))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "text is taken plain or as gzip, not %.*s",
		                   (int)MIN(coding.len, (size_t)40), coding.p);
	int r = gunzip(buf_str(&req->body), max, &unpacked);

	if (r == -EFBIG)
		return reply_large(resp, max);
	if (r == -EBADMSG)
		return reply_error(resp, REPLY_BAD_DATA, "the body is not gzip");
	if (r < 0)
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	return import_text(region, req, resp, buf_str(&unpacked));
}
