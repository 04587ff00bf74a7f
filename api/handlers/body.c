/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/handlers/body.h"

#include <errno.h>

#include "api/http/gunzip.h"
#include "api/reply.h"
#include "userspace/base/util.h"
#include "userspace/wire/compress.h"

size_t body_bytes_max(struct region *region)
{
	struct region_conf conf;

	region_settings(region, &conf);
	return conf.body_bytes_max;
}

static int unpack(struct str name, struct str packed, size_t max, struct buf *out)
{
	enum coding coding;

	if (str_eqc(name, "gzip"))
		return gunzip(packed, max, out);
	return coding_parse(name, &coding) < 0 ? -EPROTONOSUPPORT
	                                       : coding_unpack(coding, packed, max, out);
}

int body_unpack(struct region *region, const struct request *req, struct buf *scratch,
                struct str *ret, struct response *resp)
{
	struct str name = req->content_encoding;
	size_t max = body_bytes_max(region);
	int r = 0;

	*ret = buf_str(&req->body);
	if (name.len == 0 || str_eqc(name, "identity"))
		return 0;
	r = unpack(name, buf_str(&req->body), max, scratch);
	*ret = buf_str(scratch);
	switch (r) {
	case 0:
		return 0;
	case -EPROTONOSUPPORT:
		return reply_error(resp, REPLY_UNSUPPORTED,
		                   "the body may be plain, gzip, zstd or snappy, not %.*s",
		                   (int)MIN(name.len, (size_t)40), name.p);
	case -EFBIG:
		return reply_error(resp, REPLY_TOO_LARGE, "the unpacked body is above %zu bytes",
		                   max);
	case -EBADMSG:
		return reply_error(resp, REPLY_BAD_DATA, "the body is not %.*s", STR_FMT(name));
	default:
		return reply_error(resp, REPLY_UNAVAILABLE, "out of memory");
	}
}
