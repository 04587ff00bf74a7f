/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote write 1.0 and 2.0. 204 is sent only after the store has acknowledged everything; a request
 * with refused samples stores the good ones and is answered with 400 and the first reason, as the
 * specification asks, so a sender does not retry it for ever. To 2.0 the answer says what was
 * written, whatever the status.
 */
#include <errno.h>
#include <stdatomic.h>

#include "api/handlers/body.h"
#include "api/handlers/handlers.h"
#include "api/handlers/intake.h"
#include "api/reply.h"
#include "userspace/base/metrics.h"
#include "userspace/base/util.h"
#include "userspace/wire/compress.h"
#include "userspace/wire/rw2.h"

/*
 * A 2.0 sender repeats its metadata in every request. It is looked at when a request has new
 * series, and in one of so many others.
 */
#define METADATA_EVERY 16u

static struct metric histograms_skipped =
	METRIC_COUNTER("periscope_region_ingest_histograms_skipped_total", "",
                       "Native histograms in remote writes, which are not stored.");
METRIC_REGISTER(histograms_skipped);
static struct metric bad_messages =
	METRIC_COUNTER("periscope_region_ingest_bad_messages_total", "",
                       "Remote writes that could not be unpacked or decoded.");
METRIC_REGISTER(bad_messages);

/* Which message the body is. */
enum protocol {
	PROTOCOL_1,
	PROTOCOL_2,
};

#define PROTO_1 "prometheus.WriteRequest"
#define PROTO_2 "io.prometheus.write.v2.Request"

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
static int read_headers(const struct request *req, enum protocol *ret, struct response *resp)
{
	struct str type, params, proto, coding = req->content_encoding;
	enum coding ignored;

	(void)str_cut(req->content_type, ';', &type, &params);
	type = str_trim(type);
	proto = media_parameter(params, STR("proto"));
	if (type.len > 0 && !str_eqc(type, "application/x-protobuf"))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write takes application/x-protobuf, not %.*s",
		                   (int)MIN(type.len, (size_t)80), type.p);
	*ret = str_eqc(proto, PROTO_2) ? PROTOCOL_2 : PROTOCOL_1;
	if (proto.len > 0 && *ret == PROTOCOL_1 && !str_eqc(proto, PROTO_1))
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write takes " PROTO_1 " and " PROTO_2 ", not %.*s",
		                   (int)MIN(proto.len, (size_t)80), proto.p);
	if (*ret == PROTOCOL_1 && str_starts(req->rw_version, STR("2")))
		return reply_error(
			resp, REPLY_UNSUPPORTED,
			"version 2 must be announced in the Content-Type: proto=" PROTO_2);
	if (coding.len > 0 && coding_parse(coding, &ignored) < 0)
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "remote write takes snappy and zstd compression, not %.*s",
		                   (int)MIN(coding.len, (size_t)40), coding.p);
	return 0;
}

static int unpack(struct region *region, struct request *req, struct buf *out)
{
	struct str name = req->content_encoding;
	enum coding coding = CODING_SNAPPY;

	if (name.len > 0)
		(void)coding_parse(name, &coding);
	return coding_unpack(coding, buf_str(&req->body), body_bytes_max(region), out);
}

static int decode(struct region *region, struct request *req, enum protocol protocol,
                  struct buf *body, struct rw_split *ret, struct response *resp)
{
	struct err e = ERR_INIT;
	int r = unpack(region, req, body);

	if (r == -EFBIG)
		return reply_error(resp, REPLY_TOO_LARGE, "the unpacked body is above %zu bytes",
		                   body_bytes_max(region));
	if (r == 0)
		r = protocol == PROTOCOL_2 ? rw2_split(buf_str(body), &req->arena, ret, &e)
		                           : rw_split(buf_str(body), &req->arena, ret, &e);
	metric_add(&histograms_skipped, (int64_t)ret->n_histograms);
	if (r == 0)
		return 0;
	if (r != -EBADMSG)
		return reply_engine_error(resp, r, &e);
	metric_add(&bad_messages, 1);
	return reply_error(resp, REPLY_BAD_DATA, "%s",
	                   e.msg[0] ? e.msg : "the body is not what its Content-Encoding says");
}

static bool wants_metadata(const struct intake *in, const struct rw_split *message)
{
	static _Atomic unsigned turn;

	return message->n_series == 0 || in->asked > 0 ||
	       atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % METADATA_EVERY == 0;
}

/* In 2.0 a native histogram that is not written is told; in 1.0 nobody would understand. */
static int reply_2(struct response *resp, const struct intake *in, const struct rw_split *message)
{
	int status = intake_reply(resp, in);

	if (status == 204 && message->n_histograms > 0)
		status = reply_error(resp, REPLY_BAD_DATA,
		                     "%llu native histograms are not stored, the samples are",
		                     (unsigned long long)message->n_histograms);
	response_header(resp, "X-Prometheus-Remote-Write-Samples-Written", "%llu",
	                (unsigned long long)(in->accepted + in->empty));
	response_header(resp, "X-Prometheus-Remote-Write-Histograms-Written", "0");
	response_header(resp, "X-Prometheus-Remote-Write-Exemplars-Written", "0");
	return status;
}

int h_write(struct region *region, struct request *req, struct response *resp)
{
	_cleanup_(buf_done) struct buf body = BUF_INIT;
	_cleanup_(rw_split_done) struct rw_split message = { 0 };
	enum protocol protocol = PROTOCOL_1;
	struct intake in;
	int status = read_headers(req, &protocol, resp);

	if (status == 0)
		status = decode(region, req, protocol, &body, &message, resp);
	if (status != 0)
		return status;
	int r = intake_init(&in, region, req);

	if (r == 0)
		r = intake_add(&in, message.series, message.n_series);
	if (r < 0)
		return intake_reply_error(resp, r);
	if (message.n_metadata > 0 && wants_metadata(&in, &message))
		intake_metadata(&in, message.metadata, message.n_metadata);
	return protocol == PROTOCOL_2 ? reply_2(resp, &in, &message) : intake_reply(resp, &in);
}
